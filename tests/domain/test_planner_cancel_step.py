"""One step cancelled by itself, as by Celery's revoke: what becomes of it, of its group and of its run."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cordum.domain.planner import plan_cancel_step
from cordum.domain.policy_document import read_policy
from cordum.domain.run import WORKER_LEFT, Failure, OutcomeClass
from cordum.domain.states import RunStatus, StepStatus
from tests.domain.runs import Play

TWO = "steps: {a: {topic: job.t, retry: {max_retries: 1}}, b: {topic: job.t}, after: {topic: job.t, depends_on: [a]}}"
GO_ON = "on_failure: continue_independent\n"


def revoke(play: Play, step: str, attempt: int = 1) -> tuple[str, ...]:
    """Revoke and apply; the types of the events it made."""
    decided = plan_cancel_step(
        play.workflow,
        play.run,
        play.policy,
        play.now,
        step=step,
        attempt=attempt,
        actor="celery-control",
        reason="revoked",
    )
    play.apply(decided)
    return tuple(event.type for event in decided.events)


@pytest.mark.parametrize("status", [StepStatus.READY, StepStatus.QUEUED, StepStatus.RUNNING, StepStatus.SETTLING])
def test_a_revoked_step_is_cancelled_wherever_its_job_is(status: StepStatus) -> None:
    play = Play.start(GO_ON + TWO)
    play._set("a", status=status, outcome=OutcomeClass.RETRYABLE if status is StepStatus.SETTLING else None)
    revoke(play, "a")
    assert play.statuses["a"] == "cancelled"
    assert play.run.steps["a"].failure == Failure("cancelled", "revoked by celery-control")


def test_a_running_job_is_told_to_stop_and_the_event_names_the_actor() -> None:
    play = Play.start(GO_ON + TWO)
    play.claim("a")
    decided = plan_cancel_step(
        play.workflow, play.run, play.policy, play.now, step="a", attempt=1, actor="celery-control", reason="revoked"
    )
    assert [(gone.step, gone.status) for gone in decided.withdrawals] == [("a", StepStatus.RUNNING)]
    (told,) = (event for event in decided.events if event.type == "step.cancelled")
    assert (told.actor, told.data, told.source, told.target) == (
        "celery-control",
        {"reason": "revoked"},
        "running",
        "cancelled",
    )
    assert decided.dead_letters == ()


def test_a_retry_that_waits_is_cancelled_and_never_comes() -> None:
    play = Play.start(GO_ON + TWO)
    play.claim("a")
    play.fail("a")
    assert play.statuses["a"] == "retrying"
    revoke(play, "a")
    play.advance(3600)
    assert play.statuses["a"] == "cancelled"
    assert play.dispatched.count("a@2") == 0


def test_under_fail_fast_the_run_ends_cancelled_at_once() -> None:
    play = Play.start(TWO)
    play.claim("b")
    revoke(play, "a")
    assert play.statuses == {"a": "cancelled", "b": "cancelled", "after": "skipped"}
    assert play.status is RunStatus.CANCELLED


def test_under_continue_independent_the_others_finish_before_the_run_ends_cancelled() -> None:
    play = Play.start(GO_ON + TWO)
    play.claim("b")
    revoke(play, "a")
    assert play.statuses == {"a": "cancelled", "b": "running", "after": "skipped"}
    assert play.status is RunStatus.RUNNING
    decided = play.succeed("b")
    assert play.status is RunStatus.CANCELLED
    assert decided.run is not None
    assert decided.run.error == {"step_id": "a", "code": "cancelled", "message": "revoked by celery-control"}


@pytest.mark.parametrize(("first", "run"), [("a", RunStatus.CANCELLED), ("b", RunStatus.FAILED)])
def test_the_run_takes_the_class_of_what_went_wrong_first(first: str, run: RunStatus) -> None:
    play = Play.start(GO_ON + TWO)
    play.claim("b")
    if first == "a":
        revoke(play, "a")
        play.fail("b")
    else:
        play.fail("b")
        revoke(play, "a")
    assert play.status is run


def test_a_handler_never_runs_for_a_cancelled_step() -> None:
    play = Play.start(GO_ON + "steps: {a: {topic: job.t, on_error: h}, h: {topic: job.t}}")
    play.claim("a")
    revoke(play, "a")
    assert play.statuses == {"a": "cancelled", "h": "skipped"}
    assert play.status is RunStatus.CANCELLED


def test_a_revoked_handler_leaves_its_step_unrescued() -> None:
    play = Play.start("steps: {a: {topic: job.t, on_error: h}, h: {topic: job.t}}")
    play.claim("a")
    play.fail("a")
    revoke(play, "h")
    assert play.statuses == {"a": "failed", "h": "cancelled"}
    assert play.status is RunStatus.FAILED


def group(strategy: str) -> Play:
    play = Play.start(
        f"""
steps:
  g: {{type: parallel, steps: [x, y], strategy: {strategy}, on_error: h}}
  x: {{topic: job.t}}
  y: {{topic: job.t}}
  h: {{topic: job.t}}
"""
    )
    play.claim("x")
    return play


def test_a_cancelled_child_fails_a_group_that_needs_it() -> None:
    play = group("all")
    revoke(play, "x")
    assert (play.statuses["g"], play.statuses["y"]) == ("failed", "cancelled")
    failure = play.run.steps["g"].failure
    assert failure is not None
    assert failure.code == "cancelled"
    assert play.dispatched[-1] == "h@1"  # the group failed, so its handler runs
    play.claim("h")
    play.succeed("h")
    assert play.status is RunStatus.SUCCEEDED


def test_a_group_that_can_do_without_the_cancelled_child_goes_on() -> None:
    play = group("any")
    revoke(play, "x")
    assert play.statuses["g"] == "running"
    play.claim("y")
    play.succeed("y", 1)
    assert play.statuses["g"] == "succeeded"
    assert play.status is RunStatus.SUCCEEDED


def test_revoking_twice_cancels_once() -> None:
    play = Play.start(GO_ON + TWO)
    assert "step.cancelled" in revoke(play, "a")
    assert revoke(play, "a") == ()


@pytest.mark.parametrize("attempt", [0, 1, 3])
def test_an_attempt_that_is_not_the_latest_is_not_revoked(attempt: int) -> None:
    play = Play.start(GO_ON + TWO)
    play.claim("a")
    play.fail("a")
    play.advance(3600)
    assert play.statuses["a"] == "queued"  # its second attempt
    assert revoke(play, "a", attempt) == ()


def test_a_step_that_has_ended_stays_as_it_is() -> None:
    play = Play.start(GO_ON + TWO)
    play.claim("a")
    play.succeed("a")
    assert revoke(play, "a") == ()
    assert play.statuses["a"] == "succeeded"


@pytest.mark.parametrize("step", ["ask", "g", "nowhere"])
def test_only_jobs_are_revoked(step: str) -> None:
    play = Play.start("steps: {ask: {type: approval}, g: {type: parallel, steps: [x]}, x: {topic: job.t}}")
    assert revoke(play, step) == ()


def test_an_ended_run_is_left_alone() -> None:
    play = Play.start(TWO)
    play.run = replace(play.run, status=RunStatus.CANCELLED)
    assert revoke(play, "a") == ()


def test_a_plan_for_an_attempt_that_is_over_does_what_was_due_anyway() -> None:
    """It clears the run's mark like any other plan, so it must not leave behind what the mark stood for."""
    play = Play.start(GO_ON + TWO)
    play._set("a", status=StepStatus.SUCCEEDED)
    revoke(play, "a")
    assert play.dispatched[-1] == "after@1"


def test_a_job_that_waits_for_a_person_is_revoked_with_its_question() -> None:
    policy = read_policy(
        b"{version: '1', rules: [{id: ask, match: {topics: [job.t]}, decision: require_approval}]}", epoch=1
    )
    play = Play.start(GO_ON + "steps: {a: {topic: job.t}}", policy=policy)
    decided = plan_cancel_step(
        play.workflow, play.run, play.policy, play.now, step="a", attempt=1, actor="celery-control", reason="revoked"
    )
    assert decided.closed_approvals == (("r1:a@1", "closed"),)


def test_workers_that_shut_down_in_order_never_make_a_job_poison() -> None:
    play = Play.start("steps: {a: {topic: job.t}}")
    for attempt in range(1, 6):
        play.claim("a")
        failure = Failure(WORKER_LEFT, "its worker shut down")
        play._set("a", status=StepStatus.SETTLING, outcome=OutcomeClass.LOST, failure=failure, completed_at=play.now)
        play.advance()
        assert play.dispatched[-1] == f"a@{attempt + 1}"
    assert play.run.steps["a"].losses == 0


def test_each_dispatch_says_how_many_retries_are_left() -> None:
    play = Play.start("steps: {a: {topic: job.t, retry: {max_retries: 2}}}")
    left = []
    for _ in range(2):
        play.claim("a")
        play.fail("a")
        left += [job.retries_left for job in play.advance(3600).jobs]
    assert left == [1, 0]
