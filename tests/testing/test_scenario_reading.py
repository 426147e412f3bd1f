"""What a scenario file may say: everything else is refused with its place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cordum.errors import InvalidInput, Unprocessable
from cordum.testing import Scenario, load_scenarios
from cordum.testing.scenario import Action, Do, Entry, When

Load = Callable[[str], list[Scenario]]

ONE = """
- name: one
  workflow: {id: w, steps: {}}
  expect: {run: succeeded}
"""


@pytest.fixture
def load(tmp_path: Path) -> Load:
    def write_and_load(text: str) -> list[Scenario]:
        file = tmp_path / "scenarios.yaml"
        file.write_text(text)
        return load_scenarios(file)

    return write_and_load


def _problems(load: Load, text: str) -> list[str]:
    with pytest.raises(Unprocessable) as refused:
        load(text)
    assert refused.value.code == "scenario_invalid"
    return [str(problem) for problem in refused.value.problems]


def test_what_is_left_out_has_its_default(load: Load) -> None:
    assert load(ONE) == [Scenario("one", {"id": "w", "steps": {}}, {"run": "succeeded"})]


def test_workers_and_actions_become_values(load: Load) -> None:
    [scenario] = load(
        ONE
        + """
  workers:
    a:
    - {do: retry, error: "no"}
    - {do: succeed, output: null}
    '*':
    - {do: hang}
  actions:
  - {do: start, idempotency_key: k, concurrent: 3}
  - when: {run: waiting, step: g, status: waiting, attempts: 1, after_sec: 1.5}
    do: reject
    step: g
    as: carol
    expect_error: 409 run_terminal
"""
    )
    assert scenario.workers == {
        "a": (Entry(Do.RETRY, error="no"), Entry(Do.SUCCEED, output=None)),
        "*": (Entry(Do.HANG),),
    }
    assert scenario.actions == (
        Action("start", When(), {"idempotency_key": "k", "concurrent": 3}),
        Action(
            "reject",
            When(run="waiting", step="g", status="waiting", attempts=1, after_ms=1500),
            {"step": "g"},
            person="carol",
            expect_error="409 run_terminal",
        ),
    )


def test_scalars_are_those_of_the_workflow_language(load: Load) -> None:
    [scenario] = load(ONE + "  input: {answer: no, day: 2026-01-01, big: 9007199254740993}\n")
    assert scenario.input == {"answer": "no", "day": "2026-01-01", "big": 9007199254740993}


@pytest.mark.parametrize(
    ("addition", "problem"),
    [
        ("  wrkers: {}", '"wrkers"; did you mean "workers"?'),
        ("  workers: {a: [{do: sleep}]}", "none of succeed, retry, fatal, hang, crash"),
        ("  workers: {a: [{output: 1}]}", '"do" is required'),
        ("  workers: {a: []}", "at least one entry"),
        ("  workers: {a: [{do: succeed, ouput: 1}]}", 'has no "ouput"'),
        ("  actions: [{do: aprove, step: g}]", 'did you mean "approve"?'),
        ("  actions: [{do: approve}]", '"step" is required'),
        ("  actions: [{do: approve, step: g, seconds: 1}]", 'the action "approve" has no "seconds"'),
        ("  actions: [{do: cancel_run, when: {status: waiting}}]", 'need a "step"'),
        ("  actions: [{do: cancel_run, when: {state: waiting}}]", 'when has no "state"'),
        ("  actions: [{do: advance, seconds: soon}]", "expected a number"),
        ("  actions: [{do: deliver_result, job: a@1, result: hang}]", "none of succeed, retry, fatal"),
        ("  policy: allow", "expected a mapping"),
        ("  name: two", "given twice"),
    ],
)
def test_a_mistake_is_refused(load: Load, addition: str, problem: str) -> None:
    assert any(problem in line for line in _problems(load, ONE + addition + "\n"))


@pytest.mark.parametrize(
    ("expect", "problem"),
    [
        ("{stepz: {}}", 'expect has no "stepz"'),
        ("{create: rejected}", "go together"),
        ("{create: rejected, code: dag_cycle, run: failed}", "go together"),
        ("{create: accepted, code: dag_cycle}", "none of rejected"),
        ("{attempts: {a: many}}", "expected an integer"),
        ("{steps: [a]}", "expected a mapping"),
        ("{before: [[a]]}", "a list of two steps"),
        ("{dead_letters: [{attempts: 1}]}", '"step" is required'),
        ("{dead_letters: [{step: a, reason: x}]}", 'a dead letter has no "reason"'),
        ("{new_run: {stat: x}}", 'new_run has no "stat"'),
    ],
)
def test_a_mistaken_expectation_is_refused(load: Load, expect: str, problem: str) -> None:
    text = ONE.replace("{run: succeeded}", expect)
    assert any(problem in line for line in _problems(load, text))


def test_all_mistakes_are_reported_at_once_with_their_lines(load: Load) -> None:
    lines = _problems(load, "- {name: one}\n- name: two\n  workflow: {}\n  expect: {}\n  nonsense: 1\n")
    assert [line.partition(":")[0] for line in lines] == ["1", "1", "5"]


def test_a_name_may_be_used_once(load: Load) -> None:
    assert any("one" in line and "too" in line for line in _problems(load, ONE + ONE))


def test_a_file_that_holds_no_list_is_refused(load: Load) -> None:
    assert "a list of scenarios" in _problems(load, "name: one\n")[0]


def test_a_file_that_is_no_yaml_is_refused(load: Load) -> None:
    assert _problems(load, "- name: [\n")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="nowhere"):
        load_scenarios(tmp_path / "nowhere.yaml")
