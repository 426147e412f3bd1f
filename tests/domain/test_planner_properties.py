"""Random workflows, workers and order: no run hangs, nothing is dispatched twice, no plan is left half done."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from cordum.domain import planner
from cordum.domain.planner import plan
from cordum.domain.run import OutcomeClass
from cordum.domain.states import StepStatus
from cordum.domain.turn import Turn
from tests.domain.runs import Play

FAILURES = [OutcomeClass.RETRYABLE, OutcomeClass.FATAL, OutcomeClass.LOST, OutcomeClass.TIMEOUT]
MOST_TURNS = 400


@st.composite
def definitions(draw: st.DrawFn) -> dict[str, Any]:
    """Workers, approvals and groups with dependencies, conditions, retries and handlers; steps in any order."""
    count = draw(st.integers(1, 8))
    steps: dict[str, dict[str, Any]] = {}
    for number in range(count):
        earlier = [f"s{other}" for other in range(number)]
        step: dict[str, Any] = {"type": draw(st.sampled_from(["worker", "worker", "worker", "approval"]))}
        if earlier and (needs := draw(st.lists(st.sampled_from(earlier), unique=True, max_size=3))):
            step["depends_on"] = needs
        if draw(st.integers(0, 4)) == 0:
            step["condition"] = draw(st.sampled_from(["true", "false", "input.flag", "1 < 'x'"]))
        if step["type"] == "worker" and draw(st.booleans()):
            step["retry"] = {"max_retries": draw(st.integers(0, 2)), "initial_backoff_sec": draw(st.integers(0, 2))}
        steps[f"s{number}"] = step
    free = [f"s{number}" for number in range(count)]
    if count > 3 and draw(st.booleans()):
        members = [step for step in free if draw(st.booleans())][:3]
        if members:
            strategy = draw(st.sampled_from(["all", "any", "n_of_m"]))
            group: dict[str, Any] = {"type": "parallel", "steps": members, "strategy": strategy}
            if strategy == "n_of_m":
                group["required"] = draw(st.integers(1, len(members)))
            if draw(st.booleans()):
                group["max_parallel"] = draw(st.integers(1, 2))
            steps["group"] = group
            # A member waits for its group only; a group waits for nothing, so that no cycle can arise.
            for member in members:
                steps[member].pop("depends_on", None)
    if draw(st.booleans()):
        steps["rescue"] = {}
        grouped = steps.get("group", {}).get("steps", [])
        for step in free:
            if step not in grouped and draw(st.integers(0, 2)) == 0 and not steps[step].get("depends_on"):
                steps[step]["on_error"] = "rescue"
        if not any("on_error" in step for step in steps.values()):
            del steps["rescue"]
    order = draw(st.permutations(list(steps)))
    policy = draw(st.sampled_from(["fail_fast", "continue_independent"]))
    return {"on_failure": policy, "steps": {step: steps[step] for step in order}}


def play_to_the_end(definition: dict[str, Any], data: st.DataObject) -> Play:
    play = Play.start(yaml.safe_dump(definition, sort_keys=False), {"flag": False})
    for _ in range(MOST_TURNS):
        again = plan(play.workflow, play.run, play.policy, play.now)
        assert again.empty, "an applied plan left something to do"
        if play.run.status.terminal:
            return play
        _let_something_happen(play, data)
    raise AssertionError("the run does not end")


def _let_something_happen(play: Play, data: st.DataObject) -> None:
    states = play.run.steps
    queued = [step for step, state in states.items() if state.status is StepStatus.QUEUED]
    waiting = [step for step, state in states.items() if state.status is StepStatus.WAITING]
    retrying = [state.retry_at for state in states.values() if state.status is StepStatus.RETRYING]
    choices = queued + waiting + (["time"] if retrying else [])
    assert choices, f"nothing can happen any more: {play.statuses}"
    chosen = data.draw(st.sampled_from(choices))
    if chosen == "time":
        play.advance(max(0, min(at for at in retrying if at is not None) - play.now) / 1000)
    elif chosen in waiting:
        play.decide(chosen, approve=data.draw(st.booleans()))
    else:
        play.claim(chosen)
        outcome = data.draw(st.sampled_from([None, None, *FAILURES]))
        if outcome is None:
            play.succeed(chosen, {"n": 1})
        else:
            play.fail(chosen, outcome)


@settings(max_examples=150, deadline=None)
@given(definitions(), st.data())
def test_every_run_ends_and_dispatches_each_attempt_once(definition: dict[str, Any], data: st.DataObject) -> None:
    play = play_to_the_end(definition, data)
    assert len(set(play.dispatched)) == len(play.dispatched)
    assert all(state.status.terminal for state in play.run.steps.values())


@settings(max_examples=50, deadline=None)
@given(definitions(), st.data())
def test_no_step_runs_before_its_dependencies_are_settled(definition: dict[str, Any], data: st.DataObject) -> None:
    play = play_to_the_end(definition, data)
    for step in play.workflow.steps.values():
        state = play.run.steps[step.id]
        if state.ready_at is None or step.id in play.workflow.handled_by:
            continue
        for needed in step.depends_on:
            ended = play.run.steps[needed].completed_at
            assert ended is not None
            assert ended <= state.ready_at


def test_without_the_fixpoint_a_run_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The negative control: one look instead of looking until nothing follows."""
    definition = "steps: {after: {topic: job.t, depends_on: [optional]}, optional: {topic: job.t, condition: 'false'}}"
    assert Play.start(definition).dispatched == ("after@1",)

    def once(turn: Turn) -> None:
        planner._pass(turn)

    monkeypatch.setattr(planner, "_to_fixpoint", once)
    play = Play.start(definition)
    assert play.dispatched == ()  # committed, mark cleared: nobody will look again
    assert plan(play.workflow, play.run, play.policy, play.now).jobs  # although there is something to do
