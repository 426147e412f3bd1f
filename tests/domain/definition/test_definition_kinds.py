"""The kinds of steps: what their own keys become, and what is said about the ones that are wrong."""

from __future__ import annotations

from typing import Any

import pytest

from cordum.domain.definition import Document, build_workflow, canonical, check_workflow, load_workflow, parse_document
from cordum.domain.definition.kinds import KINDS
from cordum.domain.expressions import Expression, Template
from cordum.domain.workflow import (
    Case,
    Delay,
    Gate,
    Gauge,
    Group,
    Loop,
    Notify,
    NotifyChannel,
    OnExpire,
    Own,
    SignalWait,
    Step,
    Storage,
    StorageOperation,
    SubworkflowCall,
    Switch,
    Workflow,
)
from cordum.errors import DefinitionInvalid, Problem


def text(keys: str) -> str:
    """A workflow whose step `a` has the keys, beside `b` and `c`, which come after it."""
    return f"id: wf\nsteps:\n  a: {{{keys}}}\n  b: {{depends_on: [a]}}\n  c: {{depends_on: [a]}}\n  free: {{}}"


def load(text: str) -> Workflow:
    return load_workflow(text.encode(), "yaml")


def step(keys: str) -> Step:
    return load(text(keys)).steps["a"]


def problems(keys: str) -> list[Problem]:
    with pytest.raises(DefinitionInvalid) as refused:
        load(text(keys))
    return list(refused.value.problems)


def t(value: Any) -> Template:
    return Template.compile(value)


def e(expression: str) -> Expression:
    return Expression.parse(expression)


# --- what their keys become ---


@pytest.mark.parametrize("kind", ["llm", "http", "container", "script", "input"])
def test_other_kinds_of_jobs_have_a_topic_of_their_name(kind: str) -> None:
    assert step(f"type: {kind}").topic == f"job.{kind}"
    assert step(f"type: {kind}, topic: job.mine").topic == "job.mine"


CASES = (Case("x", "b"), Case(1, "c"))
A_SWITCH = Switch(e("input.r"), CASES)
ALL_OF_A_GATE = Gate(("ann", "role:sre"), 2, 60_000, OnExpire.ESCALATE, ("boss",), 30_000)


@pytest.mark.parametrize(
    ("keys", "own"),
    [
        ("type: approval", Gate()),
        (
            "type: approval, approvers: [ann, 'role:sre', ann], quorum: 2, expires_sec: 60, on_expire: escalate,"
            " escalate_to: [boss], remind_sec: 30",
            ALL_OF_A_GATE,
        ),
        ("type: condition, condition: input.x > 1", Gauge(e("input.x > 1"))),
        ("type: condition, condition: true", Gauge(e("true"))),
        ("type: switch, condition: input.r, input: {cases: [{when: x, next: b}, {when: 1, next: c}]}", A_SWITCH),
        ("type: switch, condition: input.r, input: {cases: [{match: x, step: b}, {match: 1, step: c}]}", A_SWITCH),
        ("type: switch, condition: input.r, input: {cases: [{value: x, target: b}, {when: 1, next: c}]}", A_SWITCH),
        (
            "type: switch, condition: input.r, input: {cases: [{match: null, next: b}], default: c}",
            Switch(e("input.r"), (Case(None, "b"),), "c"),
        ),
        (
            "type: switch, condition: input.r, input: {cases: {x: b, '1': c}, default: b}",
            Switch(e("input.r"), (Case("x", "b"), Case("1", "c")), "b", by_text=True),
        ),
        ("type: delay, delay_sec: 0.5", Delay(seconds=t(0.5))),
        ("type: delay, delay_sec: '${input.n * 2}'", Delay(seconds=t("${input.n * 2}"))),
        ("type: delay, delay_until: 2026-01-31T08:00:00Z", Delay(until=t("2026-01-31T08:00:00Z"))),
        ("type: delay, delay_until: 2026-01-31T08:00:00.5+02:00", Delay(until=t("2026-01-31T08:00:00.5+02:00"))),
        ("type: delay, delay_until: '${input.at}'", Delay(until=t("${input.at}"))),
        ("type: notify, channel: webhook", Notify(NotifyChannel.WEBHOOK)),
        ("type: notify", Notify()),
        ("type: storage, input: {operation: read, key: a.b}", Storage(StorageOperation.READ, t("a.b"))),
        (
            "type: storage, input: {operation: write, key: 'a.${input.k}', value: [1, '${input.v}']}",
            Storage(StorageOperation.WRITE, t("a.${input.k}"), t([1, "${input.v}"])),
        ),
        (
            "type: storage, input: {operation: write, key: k, value: null}",
            Storage(StorageOperation.WRITE, t("k"), t(None)),
        ),
        ("type: storage, input: {operation: delete, key: k}", Storage(StorageOperation.DELETE, t("k"))),
        ("type: subworkflow, workflow_id: other", SubworkflowCall("other")),
        (
            "type: subworkflow, workflow_id: other, version: 3, input: {input_mapping: {x: '${input.y}'},"
            " output_mapping: {z: '${child.output.z}'}}",
            SubworkflowCall("other", 3, t({"x": "${input.y}"}), t({"z": "${child.output.z}"})),
        ),
        ("type: signal, name: paid", SignalWait("paid")),
        ("type: signal, name: paid, correlation: 'order-${input.id}'", SignalWait("paid", t("order-${input.id}"))),
    ],
)
def test_what_the_own_keys_of_a_kind_become(keys: str, own: Own) -> None:
    assert step(keys).own == own


@pytest.mark.parametrize(
    "keys",
    [
        "body_step: body, max_iterations: 3, while: input.x, until: input.y",
        "body_step: body, max_iterations: 3, condition: input.x, until: input.y",
        "input: {body_step: body, max_iterations: 3, while: input.x, until: input.y}",
        "max_iterations: 3, until: input.y, input: {body_step: body, condition: input.x}",
    ],
)
def test_the_keys_of_a_loop_stand_on_the_step_or_under_its_input(keys: str) -> None:
    loop = load(f"id: wf\nsteps:\n  a: {{type: loop, {keys}}}\n  body: {{}}").steps["a"]
    assert loop.own == Loop("body", 3, e("input.x"), e("input.y"))
    assert loop.owned == ("body",)
    assert (loop.condition, loop.input) == (None, None)


def test_what_a_kind_calls_its_own_is_no_gate() -> None:
    kinds = ["type: condition, condition: input.x", "type: switch, condition: input.x, input: {cases: []}"]
    assert [step(keys).condition for keys in kinds] == [None, None]
    assert step("type: signal, name: paid").name is None


def test_every_kind_may_have_a_gate_and_a_fan_out() -> None:
    keys = {
        "condition": {"condition": "true"},
        "switch": {"condition": "1", "input": {"cases": []}},
        "parallel": {"steps": []},
        "loop": {"body_step": "b", "condition": "true"},
        "delay": {"delay_sec": 1},
        "transform": {"input": {"x": 1}},
        "storage": {"input": {"operation": "read", "key": "k"}},
        "subworkflow": {"workflow_id": "w"},
        "signal": {"name": "s"},
    }
    for kind in KINDS:
        steps: Any = {"a": {"condition": "true", **keys.get(kind, {}), "type": kind, "for_each": "input.x"}, "b": {}}
        made = build_workflow(Document({"id": "wf", "steps": steps})).steps["a"]
        assert made.for_each == e("input.x")
        assert (made.condition == e("true")) is (kind not in {"condition", "switch", "loop"})


def test_the_input_that_holds_own_keys_is_not_rendered() -> None:
    assert step("type: storage, input: {operation: read, key: k}").input is None
    assert step("type: subworkflow, input: {workflow_id: w}").input is None
    assert step("type: notify, input: {level: WARN, message: 'm ${input.x}', channel: log}").input == t(
        {"level": "WARN", "message": "m ${input.x}"}
    )
    assert step("type: notify, input: {level: '${input.level}', code: 500}").input == t(
        {"level": "${input.level}", "code": 500}
    )
    assert step("type: transform, input: {x: '${input.x}'}").input == t({"x": "${input.x}"})


def test_keys_around_data() -> None:
    found = step(
        "for_each: 'input.items', max_parallel: 3, output_path: ctx.x.y-1, result_data_path: data.items,"
        " input_schema: {type: object}, output_schema: true"
    )
    assert (found.for_each, found.max_parallel) == (e("input.items"), 3)
    assert (found.output_path, found.result_path) == (("x", "y-1"), ("data", "items"))
    assert (found.input_schema, found.output_schema) == ({"type": "object"}, True)
    assert step("output_path: x.y").output_path == ("x", "y")


def test_max_parallel_of_a_group_with_for_each_bounds_groups_and_members() -> None:
    made = load("id: wf\nsteps:\n  a: {type: parallel, steps: [b], max_parallel: 2, for_each: input.x}\n  b: {}").steps
    assert (made["a"].group, made["a"].max_parallel) == (Group(("b",), max_parallel=2), 2)
    alone = load("id: wf\nsteps:\n  a: {type: parallel, steps: [b], max_parallel: 2}\n  b: {}").steps["a"]
    assert alone.max_parallel is None


def test_a_workflow_says_what_its_input_must_be() -> None:
    assert load("id: wf\nsteps: {}\ninput_schema: {required: [q]}").input_schema == {"required": ["q"]}


# --- what is wrong ---

SWITCH = "type: switch, condition: input.r"


PROBLEMS = [
    ("for_each: 1 +", "expr_syntax", "/for_each"),
    ("for_each: [1]", "type", "/for_each"),
    ("max_parallel: 0", "number_range", "/max_parallel"),
    ("output_path: ''", "id_format", "/output_path"),
    ("output_path: ctx", "id_format", "/output_path"),
    ("output_path: a..b", "id_format", "/output_path"),
    ("output_path: a.b.", "id_format", "/output_path"),
    ("output_path: '${input.x}'", "id_format", "/output_path"),
    (f"output_path: {'.'.join(['a'] * 17)}", "id_format", "/output_path"),
    ("output_path: [a]", "type", "/output_path"),
    ("result_data_path: 'a[0]'", "id_format", "/result_data_path"),
    ("input_schema: 1", "type", "/input_schema"),
    ("type: approval, quorum: 0", "number_range", "/quorum"),
    ("type: approval, approvers: ['']", "id_format", "/approvers/0"),
    ("type: approval, approvers: [ann], quorum: 2", "number_range", "/quorum"),
    ("type: approval, on_expire: pass", "invalid_choice", "/on_expire"),
    ("type: approval, expires_sec: 5, on_expire: escalate", "missing_field", "/escalate_to"),
    ("type: approval, expires_sec: -5", "number_range", "/expires_sec"),
    ("type: condition", "missing_field", "/condition"),
    ("type: condition, condition: 1 +", "expr_syntax", "/condition"),
    ("type: switch, input: {cases: []}", "missing_field", "/condition"),
    (SWITCH, "missing_field", "/input/cases"),
    (f"{SWITCH}, input: x", "type", "/input"),
    (f"{SWITCH}, input: {{cases: x}}", "type", "/input/cases"),
    (f"{SWITCH}, input: {{cases: [x]}}", "type", "/input/cases/0"),
    (f"{SWITCH}, input: {{cases: [{{when: 1}}]}}", "missing_field", "/input/cases/0/next"),
    (f"{SWITCH}, input: {{cases: [{{next: b}}]}}", "missing_field", "/input/cases/0/when"),
    (f"{SWITCH}, input: {{cases: [{{when: 1, next: ghost}}]}}", "unknown_step", "/input/cases/0/next"),
    (f"{SWITCH}, input: {{cases: [{{when: 1, match: 1, next: b}}]}}", "duplicate_key", "/input/cases/0/match"),
    (f"{SWITCH}, input: {{cases: [{{when: 1, next: b, to: c}}]}}", "unknown_field", "/input/cases/0/to"),
    (f"{SWITCH}, input: {{cases: {{x: ghost}}}}", "unknown_step", "/input/cases/x"),
    (f"{SWITCH}, input: {{cases: [], default: ghost}}", "unknown_step", "/input/default"),
    (f"{SWITCH}, input: {{cases: [], defualt: b}}", "unknown_field", "/input/defualt"),
    ("type: loop", "missing_field", "/body_step"),
    ("type: loop, body_step: ghost", "unknown_step", "/body_step"),
    ("type: loop, input: {body_step: ghost}", "unknown_step", "/input/body_step"),
    ("type: loop, body_step: free, input: {body_step: free}", "duplicate_key", "/input/body_step"),
    ("type: loop, body_step: free, max_iterations: 0", "number_range", "/max_iterations"),
    ("type: loop, body_step: free, while: '1 +'", "expr_syntax", "/while"),
    ("type: loop, body_step: free, while: input.x, condition: input.x", "duplicate_key", "/while"),
    ("type: loop, body_step: free, until: 3", "type", "/until"),
    ("type: delay", "missing_field", "/delay_sec"),
    ("type: delay, delay_sec: 1, delay_until: 2026-01-31T08:00:00Z", "invalid_choice", "/delay_until"),
    ("type: delay, delay_sec: -1", "number_range", "/delay_sec"),
    ("type: delay, delay_sec: '5'", "type", "/delay_sec"),
    ("type: delay, delay_sec: '${1 +}'", "expr_syntax", "/delay_sec"),
    ("type: delay, delay_until: tomorrow", "time_format", "/delay_until"),
    ("type: delay, delay_until: 2026-01-31", "time_format", "/delay_until"),
    ("type: delay, delay_until: 2026-02-30T00:00:00Z", "time_format", "/delay_until"),
    ("type: delay, delay_until: 2026-01-31T08:00:00", "time_format", "/delay_until"),
    ("type: delay, delay_until: 5", "type", "/delay_until"),
    ("type: notify, input: {level: info}", "invalid_choice", "/input/level"),
    ("type: notify, input: {mesage: x}", "unknown_field", "/input/mesage"),
    ("type: notify, input: {message: '${1 +}'}", "expr_syntax", "/input/message"),
    ("type: notify, channel: pager", "invalid_choice", "/channel"),
    ("type: notify, input: {channel: pager}", "invalid_choice", "/input/channel"),
    ("type: transform", "missing_field", "/input"),
    ("type: transform, input: {v: '${ }'}", "expr_syntax", "/input/v"),
    ("type: storage, input: {key: k}", "missing_field", "/input/operation"),
    ("type: storage, input: {operation: read}", "missing_field", "/input/key"),
    ("type: storage, input: {operation: increment, key: k}", "invalid_choice", "/input/operation"),
    ("type: storage, input: {operation: read, key: 3}", "type", "/input/key"),
    ("type: storage, input: {operation: read, key: a..b}", "id_format", "/input/key"),
    ("type: storage, input: {operation: write, key: k}", "missing_field", "/input/value"),
    ("type: storage, input: {operation: delete, key: k, value: 1}", "invalid_choice", "/input/value"),
    ("type: storage, input: {operation: read, key: k}, key: k", "unknown_field", "/key"),
    ("type: subworkflow", "missing_field", "/workflow_id"),
    ("type: subworkflow, workflow_id: 'a b'", "id_format", "/workflow_id"),
    ("type: subworkflow, workflow_id: w, version: '3'", "type", "/version"),
    ("type: subworkflow, workflow_id: w, version: 0", "number_range", "/version"),
    ("type: subworkflow, workflow_id: w, input: {workflow_id: w}", "duplicate_key", "/input/workflow_id"),
    ("type: subworkflow, workflow_id: w, input_mapping: [1]", "type", "/input_mapping"),
    ("type: subworkflow, workflow_id: w, input: {x: 1}", "unknown_field", "/input/x"),
    ("type: signal", "missing_field", "/name"),
    ("type: signal, name: 'a b'", "id_format", "/name"),
    ("type: signal, name: s, correlation: 3", "type", "/correlation"),
]


@pytest.mark.parametrize(("keys", "code", "path"), PROBLEMS)
def test_problems_of_a_kind(keys: str, code: str, path: str) -> None:
    (problem,) = problems(keys)
    assert (problem.code, problem.path) == (code, "/steps/a" + path)
    assert problem.line == 3


def test_a_key_of_the_input_that_stands_on_the_step_is_told_where_it_belongs() -> None:
    found = problems(f"{SWITCH}, cases: [{{when: 1, next: b}}]")
    assert [problem.code for problem in found] == ["missing_field", "unknown_field"]
    assert "belongs under the input" in found[1].message


# --- warnings ---


def warnings(text: str) -> list[Problem]:
    return list(check_workflow(parse_document(text.encode(), "yaml")).warnings)


def test_a_branch_that_does_not_wait_for_its_switch_is_a_warning() -> None:
    (warning,) = warnings(text(f"{SWITCH}, input: {{cases: [{{when: 1, next: b}}, {{when: 2, next: free}}]}}"))
    assert (warning.code, warning.path, warning.line) == ("branch_not_dependent", "/steps/free", 6)


def test_a_branch_waits_for_its_switch_through_others_too() -> None:
    found = warnings(
        "id: wf\nsteps:\n  s: {type: switch, condition: '1', input: {cases: {x: m, y: late}}}\n"
        "  p: {type: parallel, steps: [m], depends_on: [s]}\n  m: {}\n  late: {depends_on: [p]}"
    )
    assert found == []


def test_the_stored_form_of_every_kind_loads_to_an_equal_workflow() -> None:
    source = text(f"{SWITCH}, input: {{cases: {{x: b}}, default: c}}") + (
        "\n  l: {type: loop, body_step: w, condition: input.x}\n  w: {}\n"
        "  d: {type: delay, delay_sec: 1}\n  st: {type: storage, input: {operation: write, key: k, value: null}}\n"
        "  n: {type: notify, input: {message: m, channel: webhook}}\n  si: {type: signal, name: s}\n"
    )
    document = parse_document(source.encode(), "yaml")
    again = load_workflow(canonical(document, "wf"), "json")
    assert again == build_workflow(document)
