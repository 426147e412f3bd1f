"""From YAML to a Workflow: what each key becomes, and what is said about the ones that are wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from cordum.domain.definition import Document, Limits, build_workflow, load_workflow
from cordum.domain.expressions import Expression, Template
from cordum.domain.workflow import (
    FailurePolicy,
    Group,
    Meta,
    Priority,
    RetryPolicy,
    Step,
    Strategy,
    Workflow,
)
from cordum.errors import DefinitionInvalid, Problem

EXAMPLE = Path(__file__).parents[3] / "config" / "workflows" / "incident_triage_parallel.yaml"


def load(text: str) -> Workflow:
    return load_workflow(text.encode(), "yaml")


def problems(text: str) -> tuple[Problem, ...]:
    with pytest.raises(DefinitionInvalid) as refused:
        load(text)
    return refused.value.problems


def steps(text: str) -> str:
    """A workflow with the steps in `text`, each line a step; they begin on line 3."""
    return "id: wf\nsteps:\n" + "".join(f"  {line}\n" for line in text.strip().splitlines())


def only(text: str) -> Problem:
    (problem,) = problems(text)
    return problem


def step(keys: str) -> Step:
    return load(steps(f"a: {{{keys}}}\nb: {{}}\nc: {{}}")).steps["a"]


def refused_step(keys: str) -> tuple[str, str]:
    problem = only(steps(f"a: {{{keys}}}\nb: {{}}\nc: {{}}"))
    assert problem.line == 3
    return problem.code, problem.path


# --- what definitions become ---


def test_the_reference_example_loads() -> None:
    workflow = load_workflow(EXAMPLE.read_bytes(), "yaml")
    assert (workflow.id, workflow.name) == ("incident_triage_parallel", "Incident Triage With Governance")
    assert workflow.on_failure is FailurePolicy.FAIL_FAST
    assert workflow.timeout_ms is None
    assert {name: one.kind for name, one in workflow.steps.items()} == {
        "classify": "worker",
        "fanout_diagnostics": "parallel",
        "logs_scan": "worker",
        "metric_scan": "worker",
        "approval_gate": "approval",
        "rollback": "worker",
    }
    assert workflow.steps["fanout_diagnostics"].group == Group(("logs_scan", "metric_scan"))
    assert workflow.steps["logs_scan"].retry == RetryPolicy(2, 1000, 8000, 2.0, 0.1)
    assert workflow.steps["rollback"].depends_on == ("approval_gate",)
    assert workflow.topics == {"job.sre.classify", "job.sre.logs", "job.sre.metrics", "job.sre.rollback"}
    assert workflow.sinks == ("rollback",)


def test_every_key_of_a_workflow() -> None:
    workflow = load(
        """
        id: w.1
        name: N
        description: D
        version: 7
        timeout_sec: 1.5
        on_failure: continue_independent
        output: {x: '${steps.a.output}'}
        labels: {team: sre}
        steps: {a: {}}
        """
    )
    assert workflow == Workflow(
        id="w.1",
        steps={"a": Step("a", "worker", topic="job.workflow.w-1")},
        name="N",
        description="D",
        version_label="7",
        timeout_ms=1500,
        on_failure=FailurePolicy.CONTINUE_INDEPENDENT,
        output=Template.compile({"x": "${steps.a.output}"}),
        labels={"team": "sre"},
    )


def test_every_common_key_of_a_step() -> None:
    assert step(
        "name: N, type: job, depends_on: [b, b], condition: 'input.x > 1', input: {k: '${input.x}'}, on_error: c,"
        " retry: {max_retries: 3, initial_backoff_sec: 0.25, max_backoff_sec: 60, multiplier: 1, jitter: 0},"
        " timeout_sec: 30, queue_timeout_sec: 0.0001, priority: batch, topic: job.x-1.y_2,"
        " meta: {actor_id: bot, actor_type: service, capability: deploy, risk_tags: [prod], requires: [gpu],"
        " labels: {a: b}}"
    ) == Step(
        id="a",
        kind="worker",
        name="N",
        depends_on=("b",),
        condition=Expression.parse("input.x > 1"),
        input=Template.compile({"k": "${input.x}"}),
        on_error="c",
        retry=RetryPolicy(max_retries=3, initial_backoff_ms=250, max_backoff_ms=60_000, multiplier=1.0, jitter=0.0),
        timeout_ms=30_000,
        queue_timeout_ms=1,
        priority=Priority.BATCH,
        topic="job.x-1.y_2",
        meta=Meta("bot", "service", "deploy", ("prod",), ("gpu",), {"a": "b"}),
    )


def test_the_default_topic_is_made_of_the_workflows_id() -> None:
    assert load("{id: my.flow_v-1, steps: {a: {}}}").steps["a"].topic == "job.workflow.my-flow_v-1"


def test_steps_may_be_a_list_and_keep_their_order() -> None:
    workflow = load("id: wf\nsteps: [{id: z}, {id: a, depends_on: [z]}, {id: m}]")
    assert list(workflow.steps) == ["z", "a", "m"]


@pytest.mark.parametrize("empty", ["{}", "[]"])
def test_a_workflow_may_have_no_steps(empty: str) -> None:
    assert load(f"id: wf\nsteps: {empty}").steps == {}


def test_the_id_may_be_given_from_outside() -> None:
    document = Document({"steps": {"a": {}}})
    assert build_workflow(document, default_id="made-up").id == "made-up"
    assert build_workflow(document, default_id="made-up").steps["a"].topic == "job.workflow.made-up"
    assert build_workflow(Document({"id": "own", "steps": {}}), default_id="made-up").id == "own"


@pytest.mark.parametrize("condition", ["true", "'true'", "'${true}'"])
def test_a_condition_may_be_bare_or_one_embedded_expression(condition: str) -> None:
    parsed = step(f"condition: {condition}").condition
    assert parsed is not None
    assert parsed.truth({}) is True


@pytest.mark.parametrize(
    "keys",
    [
        "steps: [b, c], strategy: n_of_m, required: 1, max_parallel: 2",
        "input: {steps: [b, c], strategy: n_of_m, required: 1, max_parallel: 2}",
        "steps: [b, c], required: 1, input: {strategy: n_of_m, max_parallel: 2}",
    ],
)
def test_the_keys_of_a_group_stand_on_the_step_or_under_its_input(keys: str) -> None:
    group = step(f"type: parallel, {keys}")
    assert group.group == Group(("b", "c"), Strategy.N_OF_M, 1, 2)
    assert (group.input, group.topic) == (None, None)


def test_a_group_may_be_empty() -> None:
    assert step("type: parallel, steps: []").group == Group(())


def test_an_approval_keeps_its_input() -> None:
    assert step("type: approval, input: {approval_reason: why}").input == Template.compile({"approval_reason": "why"})


# --- problems ---


def test_all_problems_are_reported_at_once_in_the_order_of_their_places() -> None:
    found = problems(
        """\
id: a b
nmae: x
timeout_sec: -1
steps:
  a: {type: aproval, depends_on: [b, ghost]}
  b: {depends_on: [a], retires: 3, condition: '1 +'}
  b: {depends_on: [a], retires: 3, condition: '1 +'}
"""
    )
    assert [(problem.code, problem.path, problem.line, problem.column) for problem in found] == [
        ("id_format", "/id", 1, 5),
        ("unknown_field", "/nmae", 2, 1),
        ("number_range", "/timeout_sec", 3, 14),
        ("unknown_type", "/steps/a/type", 5, 13),
        ("dag_cycle", "/steps/a/depends_on", 5, 22),
        ("unknown_step", "/steps/a/depends_on/1", 5, 38),
        ("duplicate_key", "/steps/b", 7, 3),
        ("unknown_field", "/steps/b/retires", 7, 24),
        ("expr_syntax", "/steps/b/condition", 7, 47),
    ]


@pytest.mark.parametrize(
    ("text", "suggestion"),
    [
        ("{id: wf, on_failur: fail_fast, steps: {}}", "on_failure"),
        ("{id: wf, steps: {a: {retires: {}}}}", "retry"),
        ("{id: wf, steps: {a: {retry: {max_retry: 1}}}}", "max_retries"),
        ("{id: wf, steps: {a: {type: aproval}}}", "approval"),
        ("{id: wf, steps: {a: {priority: interactiv}}}", "interactive"),
        ("{id: wf, steps: {collect: {}, b: {depends_on: [colect]}}}", "collect"),
        ("{id: wf, steps: {collect: {}, b: {on_error: collekt}}}", "collect"),
        ("{id: wf, steps: {collect: {}, b: {condition: steps.colect.output}}}", "collect"),
        ("{id: wf, steps: {a.b: {}, b: {condition: steps.a.b.output}}}", 'steps["a.b"]'),
    ],
)
def test_a_typing_mistake_gets_a_suggestion(text: str, suggestion: str) -> None:
    assert suggestion in only(text).message


@pytest.mark.parametrize(
    ("text", "code", "path"),
    [
        ("[]", "type", ""),
        ("null", "type", ""),
        ("steps: {}", "missing_field", "/id"),
        ("id: wf", "missing_field", "/steps"),
        ("id: wf\nsteps:", "type", "/steps"),
        ("id: wf\nsteps: 3", "type", "/steps"),
        ("id: wf\nsteps: {a: }", "type", "/steps/a"),
        ("id: wf\nsteps: [a]", "type", "/steps/0"),
        ("id: wf\nsteps: [{}]", "missing_field", "/steps/0/id"),
        ("id: wf\nsteps: [{id: a}, {id: a}]", "duplicate_key", "/steps/1"),
        ("id: wf\nsteps: [{id: 1}]", "type", "/steps/0/id"),
        ("id: wf\nsteps: {a: {id: b}}", "id_format", "/steps/a/id"),
        ("id: 7\nsteps: {}", "type", "/id"),
        ("id: ''\nsteps: {}", "id_format", "/id"),
        ("id: wf\nsteps: {}\nversion: 1.10", "type", "/version"),
        ("id: wf\nsteps: {}\nname: 3", "type", "/name"),
        ("id: wf\nsteps: {}\nlabels: {a: 1}", "type", "/labels/a"),
        ("id: wf\nsteps: {}\nlabels: [a]", "type", "/labels"),
        ("id: wf\nsteps: {}\non_failure: maybe", "invalid_choice", "/on_failure"),
        ("id: wf\nsteps: {}\ntimeout_sec: 604801", "limit_exceeded", "/timeout_sec"),
        ("id: wf\nsteps: {}\ntimeout_sec: true", "type", "/timeout_sec"),
        ("id: wf\nsteps: {}\noutput: {a: '${steps.x.output}'}", "unknown_step", "/output/a"),
        ("id: wf\nsteps: {}\noutput: {a: [1, '${']}", "expr_syntax", "/output/a/1"),
    ],
)
def test_problems_of_a_workflow(text: str, code: str, path: str) -> None:
    problem = only(text)
    assert (problem.code, problem.path) == (code, path)
    assert problem.line is not None


@pytest.mark.parametrize(
    "name", ["a[0]", "a:b", "{a}", "a/b", "../a", "-a", "a\\nb", "a\\0", "a\\u202e", "é", "x" * 65]
)
def test_ids_with_other_characters_are_refused(name: str) -> None:
    assert only(f'id: wf\nsteps: {{"{name}": {{}}}}').code == "id_format"
    assert only(f'id: wf\nsteps: [{{id: "{name}"}}]').code == "id_format"
    if name != "x" * 65:
        assert only(f'id: "{name}"\nsteps: {{}}').code == "id_format"


def test_the_longest_ids_are_legal() -> None:
    assert load(f"id: {'w' * 128}\nsteps: {{{'s' * 64}: {{}}}}")
    assert only(f"id: {'w' * 129}\nsteps: {{}}").code == "id_format"


@pytest.mark.parametrize(
    ("keys", "code", "path"),
    [
        ("type: 3", "type", "/type"),
        ("type: ''", "unknown_type", "/type"),
        ("depends_on: b", "type", "/depends_on"),
        ("depends_on: [1]", "type", "/depends_on/0"),
        ("depends_on: [ghost]", "unknown_step", "/depends_on/0"),
        ("depends_on: ", "type", "/depends_on"),
        ("on_error: ghost", "unknown_step", "/on_error"),
        ("on_error: [b]", "type", "/on_error"),
        ("condition: 3", "type", "/condition"),
        ("condition: ''", "expr_syntax", "/condition"),
        ("condition: 1 +", "expr_syntax", "/condition"),
        ("condition: x.__class__()", "expr_syntax", "/condition"),
        (f"condition: {'a' * 4097}", "limit_exceeded", "/condition"),
        ("condition: steps.ghost.output.x", "unknown_step", "/condition"),
        ("condition: 'steps[\"gho-st\"].output'", "unknown_step", "/condition"),
        ("input: [1]", "type", "/input"),
        ("input: ", "type", "/input"),
        ("input: {x: {y: ['ok', '${1 +}']}}", "expr_syntax", "/input/x/y/1"),
        ("input: {x: '${steps.ghost.output}', y: '${steps.b.output}'}", "unknown_step", "/input/x"),
        (f"input: {{x: '${{{'a' * 4097}}}'}}", "limit_exceeded", "/input/x"),
        ("topic: sre.logs", "id_format", "/topic"),
        ("topic: job.a..b", "id_format", "/topic"),
        ("topic: 'job.*'", "id_format", "/topic"),
        (f"topic: job.{'x' * 260}", "id_format", "/topic"),
        ("retry: 3", "type", "/retry"),
        ("retry: {max_retries: true}", "type", "/retry/max_retries"),
        ("retry: {max_retries: 2.0}", "type", "/retry/max_retries"),
        ("retry: {max_retries: '2'}", "type", "/retry/max_retries"),
        ("retry: {max_retries: -1}", "number_range", "/retry/max_retries"),
        (f"retry: {{max_retries: {2**63}}}", "number_range", "/retry/max_retries"),
        ("retry: {initial_backoff_sec: -0.1}", "number_range", "/retry/initial_backoff_sec"),
        ("retry: {multiplier: 0.5}", "number_range", "/retry/multiplier"),
        ("retry: {jitter: 1.1}", "number_range", "/retry/jitter"),
        ("retry: {retries: 1}", "unknown_field", "/retry/retries"),
        ("timeout_sec: -1", "number_range", "/timeout_sec"),
        ("timeout_sec: 1e300", "number_range", "/timeout_sec"),
        ("timeout_sec: false", "type", "/timeout_sec"),
        ("timeout_sec: 10s", "type", "/timeout_sec"),
        ("priority: urgent", "invalid_choice", "/priority"),
        ("meta: {actor_type: robot}", "invalid_choice", "/meta/actor_type"),
        ("meta: {risk_tags: prod}", "type", "/meta/risk_tags"),
        ("meta: {risk_tags: [1]}", "type", "/meta/risk_tags/0"),
        ("meta: {risks: []}", "unknown_field", "/meta/risks"),
        ("steps: [b]", "unknown_field", "/steps"),
        ("type: approval, topic: job.t", "unknown_field", "/topic"),
        ("type: parallel", "missing_field", "/steps"),
        ("type: parallel, steps: b", "type", "/steps"),
        ("type: parallel, steps: [ghost]", "unknown_step", "/steps/0"),
        ("type: parallel, input: {steps: [ghost]}", "unknown_step", "/input/steps/0"),
        ("type: parallel, steps: [b], input: {x: 1}", "unknown_field", "/input/x"),
        ("type: parallel, steps: [b], input: {steps: [c]}", "duplicate_key", "/input/steps"),
        ("type: parallel, steps: [b], strategy: most", "invalid_choice", "/strategy"),
        ("type: parallel, steps: [b], strategy: n_of_m", "missing_field", "/required"),
        ("type: parallel, steps: [b], strategy: n_of_m, required: 0", "number_range", "/required"),
        ("type: parallel, steps: [b], strategy: n_of_m, required: 2", "number_range", "/required"),
        ("type: parallel, steps: [b], required: 1", "invalid_choice", "/required"),
        ("type: parallel, steps: [b], max_parallel: 0", "number_range", "/max_parallel"),
    ],
)
def test_problems_of_a_step(keys: str, code: str, path: str) -> None:
    assert refused_step(keys) == (code, "/steps/a" + path)


@pytest.mark.parametrize(
    "keys",
    [
        *(f"{key}: 1" for key in ["input_schema_id", "output_schema_id"]),
        *(f"{key}: 1" for key in ["task"]),
        "meta: {idempotency_key: x}",
    ],
)
def test_step_keys_that_are_not_built_yet_are_said_to_be_missing(keys: str) -> None:
    problem = only(steps(f"a: {{{keys}}}"))
    assert problem.code == "unknown_field"
    assert "not available in this version" in problem.message


def test_placement_is_read_and_what_no_worker_could_say_is_refused() -> None:
    text = b"id: w\nsteps: {a: {route_labels: {region: eu, preferred_pool: gpu}, worker_id: celery@h}}"
    read = load_workflow(text, "yaml")
    assert read.steps["a"].route_labels == {"region": "eu", "preferred_pool": "gpu"}
    assert read.steps["a"].worker_id == "celery@h"
    many = ", ".join(f"l{number}: x" for number in range(17))
    for keys, code in (
        ("route_labels: {'a b': x}", "id_format"),
        ("route_labels: {a: 'x y'}", "id_format"),
        ("route_labels: {a: 1}", "type"),
        ("route_labels: {a: '${input.x}'}", "id_format"),
        (f"route_labels: {{{many}}}", "limit_exceeded"),
        ("worker_id: 'a b'", "id_format"),
    ):
        assert only(steps(f"a: {{{keys}}}")).code == code


@pytest.mark.parametrize("key", ["max_concurrent_runs"])
def test_workflow_keys_that_are_not_built_yet_are_said_to_be_missing(key: str) -> None:
    problem = only(f"id: wf\nsteps: {{}}\n{key}: 1")
    assert (problem.code, problem.line, problem.column) == ("unknown_field", 3, 1)
    assert "not available in this version" in problem.message


def test_a_job_names_what_it_is_limited_by() -> None:
    step = load(steps("a: {concurrency: {key: 'deploy-${input.env}', limit: 2}}")).steps["a"]
    assert step.concurrency is not None
    assert (step.concurrency.limit, step.concurrency.key.source) == (2, "deploy-${input.env}")
    assert load(steps("a: {type: http}")).steps["a"].concurrency is None


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ("{key: x}", "missing_field"),
        ("{limit: 1}", "missing_field"),
        ("{key: x, limit: 0}", "number_range"),
        ("{key: 1, limit: 1}", "type"),
        ("{key: '${1 +}', limit: 1}", "expr_syntax"),
        ("{key: '${steps.ghost.output}', limit: 1}", "unknown_step"),
        ("{key: x, limit: 1, scope: run}", "unknown_field"),
        ("deploy", "type"),
    ],
)
def test_what_is_no_limit_is_refused(given: str, code: str) -> None:
    assert only(steps(f"a: {{concurrency: {given}}}")).code == code


def test_only_jobs_are_limited() -> None:
    assert only(steps("a: {type: approval, concurrency: {key: x, limit: 1}}")).code == "unknown_field"


def test_a_kind_that_does_not_exist_still_has_its_common_keys_checked() -> None:
    found = problems(steps("c: {type: conditoin, condition: 1 +}"))
    assert {problem.code for problem in found} == {"unknown_type", "expr_syntax"}


def test_fields_of_clients_that_mean_nothing_here_are_ignored() -> None:
    assert load("id: wf\norg_id: o\nteam_id: t\nsteps: {}").id == "wf"


def test_every_expression_with_a_mistake_is_reported_at_its_place() -> None:
    found = problems(steps("a: {input: {x: '${1 +}', y: ['${steps.ghost}', 'fine', '${]}']}}"))
    assert [(problem.code, problem.path, problem.column) for problem in found] == [
        ("expr_syntax", "/steps/a/input/x", 18),
        ("unknown_step", "/steps/a/input/y/0", 32),
        ("expr_syntax", "/steps/a/input/y/2", 58),
    ]


def test_too_many_steps_are_refused() -> None:
    many = "id: wf\nsteps: {" + ", ".join(f"s{n}: {{}}" for n in range(1000)) + "}"
    assert len(load(many).steps) == 1000
    assert only(many.replace("{s0:", "{more: {}, s0:")).code == "limit_exceeded"


def test_the_limit_of_steps_can_be_set() -> None:
    document = Document({"id": "wf", "steps": {"a": {}, "b": {}}})
    assert len(build_workflow(document, limits=Limits(max_steps=2)).steps) == 2
    with pytest.raises(DefinitionInvalid):
        build_workflow(document, limits=Limits(max_steps=1))


def test_a_document_without_text_has_problems_without_lines() -> None:
    with pytest.raises(DefinitionInvalid) as refused:
        build_workflow(Document({"steps": {"a": {"retires": 1}}}))
    assert [(problem.code, problem.line) for problem in refused.value.problems] == [
        ("unknown_field", None),
        ("missing_field", None),
    ]


def test_json_is_read_like_yaml() -> None:
    with pytest.raises(DefinitionInvalid) as refused:
        load_workflow(b'{"id": "wf",\n "steps": {"a": {"retires": 1, "depends_on": ["x"]}}}', "json")
    assert [(problem.code, problem.line, problem.column) for problem in refused.value.problems] == [
        ("unknown_field", 2, 18),
        ("unknown_step", 2, 47),
    ]
