"""The runner itself: a case that is wrong fails and says why, and the order of things is the one that is promised."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from cordum.domain.workflow import JSON
from cordum.errors import ConfigurationRefused
from cordum.redis_address import RedisAddress
from cordum.testing import Result, Scenario, load_scenarios, run_scenario
from cordum.testing.expectations import CHECKS
from cordum.testing.reading import _EXPECT
from cordum.testing.scenario import Action, Do, Entry, When

Run = Callable[[str], Result]

# One run in which everything that can be expected in this version has happened: a retry, a time-out, a handler.
BUSY = """
- name: busy
  workflow:
    id: busy
    steps:
      a: {topic: job.t, retry: {max_retries: 1, initial_backoff_sec: 2}}
      b: {topic: job.t, timeout_sec: 3, on_error: h}
      h: {topic: job.t, input: {n: 1}}
      z: {topic: job.t, depends_on: [a, b], condition: input.never}
  workers:
    a: [{do: retry, error: first}, {do: succeed, output: {v: [1, true]}}]
    b: [{do: hang}]
  expect: {}
"""
RIGHT: dict[str, Any] = {
    "run": "succeeded",
    "generation": 1,
    "steps": {"a": "succeeded", "b": "timed_out", "h": "succeeded", "z": "not_run"},
    "outputs": {"a": {"v": [1.0, True]}, "b": None},
    "outputs_exact": {"h": {"ok": True}},
    "output": {},
    "context": {},
    "step_errors": {"b": "still running"},
    "attempts": {"a": 2, "z": 0},
    "dispatches": {"a": 2, "b": 1, "z": 0},
    "total_dispatches": 4,
    "worker_calls": {"a": 2, "b": 1, "z": 0},
    "worker_input": {"h": {"n": 1, "error": {"step_id": "b"}}},
    "order": ["a", "b", "h"],
    "before": [["a", "h"], ["b", "h"]],
    "max_in_flight": 2,
    "cancels": ["b@1"],
    "dead_letters": [
        {"step": "b", "attempts": 1, "reason_code": "timeout", "rescued": True, "status": "timed_out"},
    ],
    "runs_created": 1,
    "backoff_sec": {"a": [2]},
    "min_elapsed_sec": 3,
    "max_elapsed_sec": 3,
    "child_runs": 0,
    "compensation": {},
    "new_run": "none",
}
WRONG: dict[str, list[Any]] = {
    "run": ["failed"],
    "generation": [2],
    "steps": [{"a": "failed"}, {"a": "not_run"}, {"b": "not_run"}, {"ghost": "succeeded"}],
    "outputs": [{"a": {"v": [1]}}, {"a": {"v": [True, True]}}, {"a": {"w": 1}}, {"b": {}}],
    "outputs_exact": [{"h": {}}],
    "output": [{"a": 1}],
    "context": [{"a": 1}],
    "step_errors": [{"b": "no such text"}, {"a": "first"}],
    "attempts": [{"a": 1}, {"ghost": 1}],
    "dispatches": [{"a": 1}, {"z": 1}],
    "total_dispatches": [5],
    "worker_calls": [{"b": 2}],
    "worker_input": [{"h": {"n": 2}}, {"z": {}}],
    "order": [["b", "a", "h"], ["a", "b", "h", "z"]],
    "before": [[["h", "a"]], [["b", "a"]], [["a", "z"]]],
    "max_in_flight": [1, 3],
    "cancels": [[], ["b@1", "a@1"], ["b@1", "b@1"]],
    "dead_letters": [[], [{"step": "a"}], [{"step": "b", "rescued": False}], [{"step": "b", "status": "failed"}]],
    "runs_created": [0, 2],
    "backoff_sec": [{"a": [1]}, {"a": []}, {"b": [0]}],
    "min_elapsed_sec": [3.001],
    "max_elapsed_sec": [2.999],
    "child_runs": [1],
    "child_run": ["succeeded"],
    "compensation": [{"a": "succeeded"}],
    "child_input": [{}],
    "child_input_exact": [{}],
    "new_run": [{"run": "succeeded"}],
}


@pytest.fixture
def busy(tmp_path: Path) -> Scenario:
    file = tmp_path / "busy.yaml"
    file.write_text(BUSY)
    return load_scenarios(file)[0]


@pytest.fixture
def run(tmp_path: Path, redis_address: RedisAddress) -> Run:
    def write_and_run(text: str) -> Result:
        file = tmp_path / "one.yaml"
        file.write_text(text)
        return run_scenario(load_scenarios(file)[0], redis_address)

    return write_and_run


# -- expectations ------------------------------------------------------------------------------------------------


def test_every_expectation_of_the_format_is_checked() -> None:
    assert CHECKS.keys() == (_EXPECT.keys() | {"new_run"}) - {"create", "code"}


def test_every_check_is_shown_to_refuse_something() -> None:
    assert WRONG.keys() == CHECKS.keys()


def test_what_happened_can_be_expected(busy: Scenario, redis_address: RedisAddress) -> None:
    result = run_scenario(replace(busy, expect=RIGHT), redis_address)
    assert (result.name, result.passed, result.problems) == ("busy", True, [])


@pytest.mark.parametrize(
    ("key", "value"), [(key, value) for key, values in WRONG.items() for value in values], ids=lambda part: str(part)
)
def test_what_did_not_happen_is_a_problem(busy: Scenario, redis_address: RedisAddress, key: str, value: Any) -> None:
    result = run_scenario(replace(busy, expect={key: value}), redis_address)
    assert not result.passed
    assert len(result.problems) == 1


def test_a_refused_definition_is_a_problem_unless_it_is_expected(run: Run) -> None:
    cyclic = "- {name: c, workflow: {id: c, steps: {a: {depends_on: [a]}}}, expect: {%s}}"
    assert run(cyclic % "create: rejected, code: dag_cycle").passed
    assert "not with unknown_step" in run(cyclic % "create: rejected, code: unknown_step").problems[0]
    assert "was refused" in run(cyclic % "run: succeeded").problems[0]


def test_an_accepted_definition_is_a_problem_when_a_refusal_is_expected(run: Run) -> None:
    result = run("- {name: c, workflow: {id: c, steps: {}}, expect: {create: rejected, code: dag_cycle}}")
    assert result.problems == ["the workflow was accepted, it should have been refused"]


# -- actions -----------------------------------------------------------------------------------------------------


def _with(busy: Scenario, *actions: Action) -> Scenario:
    return replace(busy, actions=actions)


@pytest.mark.parametrize("when", [When(run="paused"), When(step="z", status="running"), When(step="a", attempts=3)])
def test_an_action_whose_moment_never_comes_is_a_problem(
    busy: Scenario, redis_address: RedisAddress, when: When
) -> None:
    result = run_scenario(_with(busy, Action("cancel_run", when, {})), redis_address)
    assert result.problems == ["cancel_run: its turn never came, or its `when` never held"]


@pytest.mark.parametrize(
    ("expect", "problem"),
    [
        ({}, "approve: the answer was 409 approval_already_resolved"),
        ({"expect_error": "404"}, "not the error 404"),
        ({"expect_error": "409 run_terminal"}, "not the error 409 run_terminal"),
        ({"expect_status": "200"}, "not 200"),
    ],
)
def test_another_answer_than_the_expected_is_a_problem(run: Run, expect: dict[str, str], problem: str) -> None:
    words = "".join(f", {key}: '{value}'" for key, value in expect.items())
    result = run(
        "- name: g\n  workflow: {id: g, steps: {g: {type: approval}}}\n  expect: {run: denied}\n  actions:\n"
        f"  - {{do: reject, step: g}}\n  - {{do: approve, step: g, as: carol{words}}}\n"
    )
    assert len(result.problems) == 1
    assert problem in result.problems[0]


def test_a_success_is_a_problem_where_an_error_is_expected(busy: Scenario, redis_address: RedisAddress) -> None:
    result = run_scenario(_with(busy, Action("cancel_run", When(), {}, expect_error="409")), redis_address)
    assert result.problems == ["cancel_run: the answer was 204, not the error 409"]


def test_another_run_where_the_same_is_expected_is_a_problem(busy: Scenario, redis_address: RedisAddress) -> None:
    starts = Action("start", When(), {}), Action("start", When(), {"expect_same_run": True})
    result = run_scenario(_with(busy, *starts), redis_address)
    assert len(result.problems) == 1
    assert "another_run" in result.problems[0]


@pytest.mark.parametrize("do", ["pause", "resume", "signal", "retry", "skip", "complete", "rerun"])
def test_a_refused_operation_is_a_problem(busy: Scenario, redis_address: RedisAddress, do: str) -> None:
    options: dict[str, JSON] = {"step": "ghost", "name": "n", "from_step": "ghost"}
    result = run_scenario(
        replace(_with(busy, Action("cancel_run", When(), {}), Action(do, When(), options))), redis_address
    )
    assert len(result.problems) == 1
    assert result.problems[0].startswith(f"{do}: the answer was 4")


FAMILY = """
- name: family
  workflow:
    id: family
    steps:
      first: {topic: job.t}
      call: {type: subworkflow, workflow_id: child, input_mapping: {n: "${input.n}"}, depends_on: [first]}
      last: {topic: job.t, depends_on: [call]}
  workflows:
  - id: child
    steps: {inner: {topic: job.t}, gate: {type: approval, depends_on: [inner]}}
  input: {n: 7}
  workers: {last: [{do: fatal}, {do: succeed}]}
  actions:
  - {when: {child_step: gate, status: waiting}, do: pause}
  - {when: {run: paused}, do: resume}
  - {when: {child_step: gate, status: waiting}, do: complete, step: call, output: {by: hand}}
  - {when: {run: failed}, do: rerun, from_step: last}
  expect: {}
"""
FAMILY_RIGHT: dict[str, Any] = {
    "run": "failed",
    "child_runs": 1,
    "child_run": "cancelled",
    "child_input": {"n": 7.0},
    "child_input_exact": {"n": 7},
    "dispatches": {"first": 1, "inner": 1, "last": 1},
    "total_dispatches": 3,
    "worker_calls": {"inner": 1, "last": 1},
    "runs_created": 1,
    "outputs": {"call": {"by": "hand"}},
    "dead_letters": [{"step": "last"}],
    "new_run": {
        "run": "succeeded",
        "rerun_of": "original",
        "input": {"n": 7},
        "child_runs": 0,
        "dispatches": {"first": 0, "inner": 0, "last": 1},
        "total_dispatches": 1,
        "worker_calls": {"last": 1},
        "dead_letters": [],
    },
}
FAMILY_WRONG: list[dict[str, Any]] = [
    {"child_runs": 2},
    {"child_run": "succeeded"},
    {"child_input": {"n": 8}},
    {"child_input_exact": {}},
    {"total_dispatches": 4},
    {"new_run": "none"},
    {"new_run": {"run": "failed"}},
    {"new_run": {"input": {"n": 8}}},
    {"new_run": {"dispatches": {"first": 1}}},
    {"new_run": {"total_dispatches": 4}},
]


@pytest.fixture
def family(tmp_path: Path) -> Scenario:
    file = tmp_path / "family.yaml"
    file.write_text(FAMILY)
    return load_scenarios(file)[0]


def test_child_runs_and_reruns_are_kept_apart(family: Scenario, redis_address: RedisAddress) -> None:
    assert run_scenario(replace(family, expect=FAMILY_RIGHT), redis_address).problems == []


@pytest.mark.parametrize("wrong", FAMILY_WRONG, ids=str)
def test_what_no_other_run_did_is_a_problem(
    family: Scenario, redis_address: RedisAddress, wrong: dict[str, Any]
) -> None:
    assert len(run_scenario(replace(family, expect=wrong), redis_address).problems) == 1


def test_after_sec_counts_from_the_start_of_the_run(busy: Scenario, redis_address: RedisAddress) -> None:
    cancelled = _with(
        replace(busy, expect={"run": "cancelled", "max_elapsed_sec": 1}), Action("cancel_run", When(), {})
    )
    later = replace(cancelled.actions[0], when=When(after_ms=1000))
    result = run_scenario(replace(cancelled, actions=(later,)), redis_address)
    assert not result.problems
    assert result.timeline[-1]["time"] == "2026-01-01T00:00:01.000Z"


# -- the order of things -----------------------------------------------------------------------------------------


def _types(result: Result, *wanted: str) -> list[tuple[str, str]]:
    return [(event["type"], event["step_id"]) for event in result.timeline if event["type"] in wanted]


def test_everything_queued_is_claimed_before_anything_reports(run: Run) -> None:
    result = run("- {name: o, workflow: {id: o, steps: {a: {topic: job.x}, b: {topic: job.a}}}, expect: {}}")
    assert _types(result, "step.queued", "step.started", "step.succeeded") == [
        ("step.queued", "a"),
        ("step.queued", "b"),
        ("step.started", "a"),
        ("step.started", "b"),
        ("step.succeeded", "a"),
        ("step.succeeded", "b"),
    ]


def test_an_action_comes_before_the_claims(busy: Scenario, redis_address: RedisAddress) -> None:
    result = run_scenario(_with(busy, Action("cancel_run", When(), {})), redis_address)
    assert not _types(result, "step.started")


def test_time_that_is_advanced_does_not_wait_for_workers(busy: Scenario, redis_address: RedisAddress) -> None:
    actions = Action("start", When(), {}), Action("advance", When(), {"seconds": 10})
    result = run_scenario(_with(busy, *actions), redis_address)
    started = [event["time"] for event in result.timeline if event["type"] == "step.started"]
    assert started[0] == "2026-01-01T00:00:10.000Z"


def test_entries_serve_one_call_each_and_the_last_repeats(busy: Scenario, redis_address: RedisAddress) -> None:
    entries = (Entry(Do.CRASH), Entry(Do.RETRY), Entry(Do.SUCCEED, output=1))
    scripted = replace(busy, workers={"*": entries}, expect={"outputs": {"a": 1}, "worker_calls": {"a": 3, "h": 3}})
    result = run_scenario(scripted, redis_address)
    assert "worker_calls.h: expected 3, found 2" in " ".join(
        result.problems
    )  # h is never retried: its second call fails
    assert len(result.problems) == 1


def test_the_same_case_runs_the_same_way_each_time(busy: Scenario, redis_address: RedisAddress) -> None:
    courses = [
        [(event["time"], event["type"], event["step_id"]) for event in run_scenario(busy, redis_address).timeline]
        for _ in range(2)
    ]
    assert courses[0] == courses[1]


# -- the private Redis -------------------------------------------------------------------------------------------


def test_a_redis_that_holds_data_is_refused_and_left_alone(busy: Scenario, redis_address: RedisAddress) -> None:
    with Redis(**redis_address.redis_py_kwargs(), decode_responses=True) as client:
        client.set("mine", "1")
        with pytest.raises(ConfigurationRefused, match="a Redis of their own"):
            run_scenario(busy, redis_address)
        assert client.keys() == ["mine"]


def test_nothing_is_left_behind(busy: Scenario, redis_address: RedisAddress) -> None:
    run_scenario(busy, redis_address)
    with Redis(**redis_address.redis_py_kwargs()) as client:
        assert client.dbsize() == 0
