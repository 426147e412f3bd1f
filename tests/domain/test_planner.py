"""The planner's rules, as stories of one run each. Values only: no service, no clock, no chance."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cordum.domain.planner import plan, plan_cancel
from cordum.domain.policy_document import read_policy
from cordum.domain.run import OutcomeClass
from cordum.domain.states import RunStatus, StepStatus
from tests.domain.runs import ALLOW, Play

RESCUED = """
steps:
  main: {topic: job.t, on_error: rescue}
  rescue: {topic: job.t}
  after: {topic: job.t, depends_on: [main]}
"""
DIAMOND = """
steps:
  a: {topic: job.t}
  b: {topic: job.t, depends_on: [a]}
  c: {topic: job.t, depends_on: [a]}
  d: {topic: job.t, depends_on: [b, c]}
"""


# -- dependencies ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("outcome", [OutcomeClass.RETRYABLE, OutcomeClass.FATAL, OutcomeClass.TIMEOUT])
def test_deps_satisfied_with_failed_dep_and_on_error(outcome: OutcomeClass) -> None:
    play = Play.start(RESCUED)
    play.claim("main")
    play.fail("main", outcome)
    assert play.dispatched == ("main@1", "rescue@1")
    assert play.statuses["after"] == "pending"  # not before the handler has succeeded
    play.claim("rescue")
    play.succeed("rescue")
    assert play.dispatched == ("main@1", "rescue@1", "after@1")
    assert play.run.steps["main"].status.unsuccessful  # the rescued step keeps its status


def test_deps_not_satisfied_with_failed_dep_whose_on_error_handler_fails_too() -> None:
    play = Play.start(RESCUED)
    play.claim("main")
    play.fail("main")
    play.claim("rescue")
    play.fail("rescue")
    assert play.statuses == {"main": "failed", "rescue": "failed", "after": "skipped"}
    assert play.status is RunStatus.FAILED


def test_schedule_ready_dispatches_each_step_once_when_its_dependencies_are_satisfied() -> None:
    play = Play.start(DIAMOND)
    assert play.dispatched == ("a@1",)
    play.claim("a")
    play.succeed("a")
    assert play.dispatched == ("a@1", "b@1", "c@1")
    play.claim("b")
    play.succeed("b")
    assert play.dispatched == ("a@1", "b@1", "c@1")  # d waits for both
    play.claim("c")
    play.succeed("c")
    assert play.dispatched == ("a@1", "b@1", "c@1", "d@1")


def test_schedule_ready_plans_nothing_for_an_applied_plan() -> None:
    play = Play.start(DIAMOND)
    play.claim("a")
    play.succeed("a")
    again = plan(play.workflow, play.run, play.policy, play.now)
    assert again.empty
    assert not again.jobs


def test_schedule_ready_keeps_the_order_of_the_definition() -> None:
    play = Play.start("steps: {z: {topic: job.t}, m: {topic: job.t}, a: {topic: job.t}}")
    assert play.dispatched == ("z@1", "m@1", "a@1")


def test_a_false_condition_skips_the_step_and_satisfies_what_depends_on_it() -> None:
    play = Play.start(
        """
steps:
  optional: {topic: job.t, condition: input.wanted}
  after: {topic: job.t, depends_on: [optional]}
"""
    )
    assert play.statuses["optional"] == "skipped"
    assert play.dispatched == ("after@1",)


def test_a_step_whose_dependencies_were_all_skipped_is_skipped_too() -> None:
    play = Play.start(
        """
on_failure: continue_independent
steps:
  bad: {topic: job.t}
  child: {topic: job.t, depends_on: [bad]}
  grandchild: {topic: job.t, depends_on: [child]}
  other: {topic: job.t}
"""
    )
    play.claim("bad")
    play.fail("bad")
    assert play.run.steps["child"].skip_reason == "upstream_failed"
    assert play.run.steps["grandchild"].skip_reason == "upstream_skipped"
    assert play.status is RunStatus.RUNNING
    play.claim("other")
    play.succeed("other")
    assert play.status is RunStatus.FAILED


def test_a_condition_that_cannot_be_evaluated_fails_the_step_without_a_dispatch() -> None:
    play = Play.start("steps: {a: {topic: job.t, condition: \"input.n < 'x'\"}}", {"n": 1})
    assert play.statuses == {"a": "failed"}
    assert play.run.steps["a"].failure is not None
    assert play.run.steps["a"].failure.code == "expression_error"
    assert play.dispatched == ()


# -- handlers ----------------------------------------------------------------------------------------------------


def test_a_handler_nobody_needs_is_skipped_and_the_run_succeeds() -> None:
    play = Play.start(RESCUED)
    play.claim("main")
    play.succeed("main")
    assert play.run.steps["rescue"].skip_reason == "handler_not_needed"
    play.claim("after")
    play.succeed("after")
    assert play.status is RunStatus.SUCCEEDED


def test_a_handler_is_told_what_failed() -> None:
    play = Play.start(RESCUED, {"k": 1})
    play.claim("main")
    decided = play.fail("main", message="disk full")
    (job,) = decided.jobs
    assert job.input == {
        "k": 1,
        "error": {
            "step_id": "main",
            "status": "failed",
            "code": "max_retries_exceeded",
            "message": "disk full",
            "attempt": 1,
        },
    }


def test_one_handler_of_several_steps_runs_once() -> None:
    play = Play.start(
        """
steps:
  a: {topic: job.t, on_error: h}
  b: {topic: job.t, on_error: h}
  h: {topic: job.t}
"""
    )
    for step in ("a", "b"):
        play.claim(step)
        play.fail(step)
    play.claim("h")
    play.succeed("h")
    assert play.dispatched.count("h@1") == 1
    assert play.status is RunStatus.SUCCEEDED


def test_a_rescued_failure_is_a_dead_letter_that_gets_marked() -> None:
    play = Play.start(RESCUED)
    play.claim("main")
    decided = play.fail("main")
    assert [(dead.step, dead.reason_code) for dead in decided.dead_letters] == [("main", "max_retries_exceeded")]
    play.claim("rescue")
    assert play.succeed("rescue").rescued == ("r1:main@1",)
    assert play.advance().rescued == ()


def test_a_running_handler_is_cancelled_when_another_step_fails_unrescued() -> None:
    play = Play.start("steps: {a: {topic: job.t, on_error: h}, b: {topic: job.t}, h: {topic: job.t}}")
    play.claim("a")
    play.claim("b")
    play.fail("a")
    play.claim("h")
    decided = play.fail("b")
    assert play.statuses["h"] == "cancelled"
    assert [gone.step for gone in decided.withdrawals] == ["h"]
    assert play.status is RunStatus.FAILED


# -- failure -----------------------------------------------------------------------------------------------------


def test_fail_fast_cancels_what_runs_and_skips_what_never_started() -> None:
    play = Play.start("steps: {a: {topic: job.t}, b: {topic: job.t}, c: {topic: job.t, depends_on: [b]}}")
    play.claim("a")
    play.claim("b")
    play.fail("a", OutcomeClass.FATAL)
    assert play.statuses == {"a": "failed", "b": "cancelled", "c": "skipped"}
    assert play.status is RunStatus.FAILED


def test_the_run_takes_the_class_of_its_first_failure() -> None:
    play = Play.start("on_failure: continue_independent\nsteps: {a: {topic: job.t}, b: {topic: job.t}}")
    play.claim("a")
    play.claim("b", timeout_sec=1)
    play.advance(2)
    assert play.statuses["b"] == "timed_out"
    play.now += 1
    play.fail("a")
    assert play.status is RunStatus.TIMED_OUT


def test_a_cancel_ends_everything_at_once_and_a_second_one_changes_nothing() -> None:
    play = Play.start(DIAMOND)
    play.claim("a")
    decided = plan_cancel(play.workflow, play.run, play.now, "bob", "enough")
    play.apply(decided)
    assert play.status is RunStatus.CANCELLED
    assert play.statuses == {"a": "cancelled", "b": "skipped", "c": "skipped", "d": "skipped"}
    assert decided.dead_letters == ()
    assert plan_cancel(play.workflow, play.run, play.now, "bob", None).empty


# -- attempts ----------------------------------------------------------------------------------------------------


def test_retries_wait_longer_each_time_and_end_in_one_dead_letter() -> None:
    play = Play.start(
        "steps: {a: {topic: job.t, retry: {max_retries: 2, initial_backoff_sec: 2, multiplier: 3, jitter: 0}}}"
    )
    play.claim("a")
    assert play.fail("a").wake_at == play.now + 2000
    assert play.advance(1.9).jobs == ()
    assert [job.attempt for job in play.advance(0.1).jobs] == [2]
    play.claim("a")
    assert play.fail("a").wake_at == play.now + 6000
    play.advance(6)
    play.claim("a")
    decided = play.fail("a")
    assert play.dispatched == ("a@1", "a@2", "a@3")
    assert [(dead.step, dead.attempt, dead.reason_code) for dead in decided.dead_letters] == [
        ("a", 3, "max_retries_exceeded")
    ]


def test_a_fatal_failure_is_never_retried() -> None:
    play = Play.start("steps: {a: {topic: job.t, retry: {max_retries: 5}}}")
    play.claim("a")
    play.fail("a", OutcomeClass.FATAL)
    assert play.dispatched == ("a@1",)
    assert play.status is RunStatus.FAILED


def test_a_lost_attempt_goes_out_again_at_once_and_the_third_loss_is_poison() -> None:
    play = Play.start("steps: {a: {topic: job.t}}")
    for attempt in (1, 2):
        play.claim("a")
        decided = play.fail("a", OutcomeClass.LOST)
        assert [job.attempt for job in decided.jobs] == [attempt + 1]
    play.claim("a")
    decided = play.fail("a", OutcomeClass.LOST)
    assert [dead.reason_code for dead in decided.dead_letters] == ["poison"]
    assert play.run.steps["a"].retries == 0  # losses are not retries


def test_an_attempt_that_runs_too_long_is_stopped_and_retried() -> None:
    play = Play.start("steps: {a: {topic: job.t, timeout_sec: 1, retry: {max_retries: 1, initial_backoff_sec: 1}}}")
    play.claim("a", timeout_sec=1)
    play._set("a", worker="w1")
    decided = play.advance(1)
    assert [(gone.step, gone.worker) for gone in decided.withdrawals] == [("a", "w1")]
    assert play.statuses == {"a": "retrying"}
    play.advance(1.2)
    assert play.dispatched == ("a@1", "a@2")


def test_a_job_nobody_takes_in_time_ends_with_queue_timeout() -> None:
    play = Play.start("steps: {a: {topic: job.t, queue_timeout_sec: 5}}")
    decided = play.advance(5)
    assert [dead.reason_code for dead in decided.dead_letters] == ["queue_timeout"]
    assert play.status is RunStatus.TIMED_OUT


def test_the_worker_s_own_wish_replaces_the_back_off() -> None:
    play = Play.start("steps: {a: {topic: job.t, retry: {max_retries: 1, initial_backoff_sec: 60}}}")
    play.claim("a")
    play._set("a", retry_after_ms=5000)
    assert play.fail("a").wake_at == play.now + 5000


def test_a_retry_without_back_off_goes_out_in_the_same_plan() -> None:
    play = Play.start("steps: {a: {topic: job.t, retry: {max_retries: 1, initial_backoff_sec: 0}}}")
    play.claim("a")
    assert [job.attempt for job in play.fail("a").jobs] == [2]


# -- groups ------------------------------------------------------------------------------------------------------

GROUP = """
steps:
  g: {{type: parallel, steps: [a, b, c], strategy: {strategy}{more}}}
  a: {{topic: job.t}}
  b: {{topic: job.t}}
  c: {{topic: job.t}}
  z: {{topic: job.t, depends_on: [g]}}
"""


def group(strategy: str, more: str = "") -> Play:
    return Play.start(GROUP.format(strategy=strategy, more=more))


def test_a_group_of_all_succeeds_with_the_outputs_of_its_children() -> None:
    play = group("all")
    for step in "abc":
        play.claim(step)
        play.succeed(step, {"v": step})
    assert play.run.outputs["g"] == {"a": {"v": "a"}, "b": {"v": "b"}, "c": {"v": "c"}}
    assert "z@1" in play.dispatched


def test_the_first_failure_ends_a_group_of_all_and_gives_it_its_class() -> None:
    play = group("all")
    for step in "abc":
        play.claim(step, timeout_sec=1 if step == "b" else 900)
    decided = play.advance(1)
    assert play.statuses == {"g": "timed_out", "a": "cancelled", "b": "timed_out", "c": "cancelled", "z": "skipped"}
    assert [dead.step for dead in decided.dead_letters] == ["b"]  # leaves only, never the group
    assert play.status is RunStatus.TIMED_OUT


def test_the_first_success_ends_a_group_of_any() -> None:
    play = group("any")
    for step in "abc":
        play.claim(step)
    play.fail("a")
    assert play.statuses["g"] == "running"
    play.succeed("b", 1)
    assert play.statuses["c"] == "cancelled"
    assert play.run.outputs["g"] == {"b": 1}


def test_n_of_m_fails_as_soon_as_it_cannot_be_reached() -> None:
    play = group("n_of_m", ", required: 2")
    for step in "abc":
        play.claim(step)
    play.fail("a")
    assert play.statuses["g"] == "running"
    play.fail("b")
    assert play.statuses["g"] == "failed"
    assert play.statuses["c"] == "cancelled"


def test_max_parallel_holds_children_back() -> None:
    play = group("all", ", max_parallel: 1")
    assert play.dispatched == ("a@1",)
    play.claim("a")
    play.succeed("a")
    assert play.dispatched == ("a@1", "b@1")


NESTED = """
steps:
  outer: {type: parallel, steps: [inner, a], max_parallel: 1}
  inner: {type: parallel, steps: [b, c]}
  a: {topic: job.t}
  b: {topic: job.t, depends_on: [a]}
  c: {topic: job.t, depends_on: [a]}
"""


def test_a_group_that_only_waits_takes_no_place_in_the_group_around_it() -> None:
    """It would wait for ever: here for a sibling that never finds room."""
    play = Play.start(NESTED)
    assert play.dispatched == ("a@1",)
    for step in "abc":
        play.claim(step)
        play.succeed(step)
    assert play.status is RunStatus.SUCCEEDED


def test_what_happens_in_a_group_takes_one_place_in_the_group_around_it() -> None:
    play = Play.start(NESTED.replace("b: {topic: job.t, depends_on: [a]}", "b: {topic: job.t}"))
    assert play.dispatched == ("a@1",)  # b may not begin beside it
    play.claim("a")
    play.succeed("a")
    assert play.dispatched == ("a@1", "b@1", "c@1")


def test_a_rescued_child_counts_as_a_success() -> None:
    play = Play.start(
        """
steps:
  g: {type: parallel, steps: [a, b]}
  a: {topic: job.t, on_error: h}
  b: {topic: job.t}
  h: {topic: job.t}
"""
    )
    play.claim("a")
    play.claim("b")
    play.fail("a")
    play.succeed("b", 2)
    assert play.statuses["g"] == "running"
    play.claim("h")
    play.succeed("h")
    assert play.run.outputs["g"] == {"a": None, "b": 2}
    assert play.status is RunStatus.SUCCEEDED


def test_a_group_whose_children_are_all_skipped_succeeds_empty() -> None:
    play = Play.start(
        "steps: {g: {type: parallel, steps: [a], strategy: any}, a: {topic: job.t, condition: 'false'}}",
    )
    assert play.run.outputs["g"] == {}
    assert play.status is RunStatus.SUCCEEDED


def test_a_child_does_not_start_before_its_group() -> None:
    play = Play.start(
        """
steps:
  first: {topic: job.t}
  child: {topic: job.t}
  g: {type: parallel, steps: [child], depends_on: [first]}
"""
    )
    assert play.dispatched == ("first@1",)
    play.claim("first")
    play.succeed("first")
    assert play.dispatched == ("first@1", "child@1")


# -- approvals and policy ----------------------------------------------------------------------------------------

ASK = read_policy(
    b"{default_decision: allow, rules: [{id: ask, match: {topics: [job.hot]}, decision: require_approval}]}", 1
)
DENY = read_policy(b"{default_decision: allow, rules: [{id: no, match: {topics: [job.bad]}, decision: deny}]}", 1)


def test_an_approval_step_waits_and_lets_through_what_depends_on_it() -> None:
    play = Play.start("steps: {gate: {type: approval}, after: {topic: job.t, depends_on: [gate]}}")
    assert play.status is RunStatus.WAITING
    assert play.dispatched == ()
    play.decide("gate", approve=True)
    assert play.status is RunStatus.RUNNING
    assert play.dispatched == ("after@1",)


def test_a_rejected_approval_denies_the_run_with_the_reason_as_its_error() -> None:
    play = Play.start("steps: {gate: {type: approval}, after: {topic: job.t, depends_on: [gate]}}")
    decided = play.decide("gate", approve=False)
    assert play.status is RunStatus.DENIED
    assert [dead.reason_code for dead in decided.dead_letters] == ["approval_rejected"]


def test_a_run_waits_only_while_nothing_else_moves() -> None:
    play = Play.start("steps: {gate: {type: approval}, side: {topic: job.t}}")
    assert play.status is RunStatus.RUNNING
    play.claim("side")
    play.succeed("side")
    assert play.status is RunStatus.WAITING


def test_an_approval_nobody_gives_times_out() -> None:
    play = Play.start("steps: {gate: {type: approval, timeout_sec: 60}}")
    assert play.advance(59).empty
    decided = play.advance(1)
    assert play.status is RunStatus.TIMED_OUT
    assert decided.closed_approvals == (("r1:gate@1", "closed"),)


def test_a_denied_step_is_never_dispatched() -> None:
    play = Play.start("steps: {a: {topic: job.bad, retry: {max_retries: 3}}}", policy=DENY)
    assert play.dispatched == ()
    state = play.run.steps["a"]
    assert (state.status, state.attempt, state.dead_letter) == (StepStatus.DENIED, 1, "r1:a@1")
    assert play.status is RunStatus.DENIED


def test_policy_can_ask_for_a_person_before_a_dispatch() -> None:
    play = Play.start("steps: {a: {topic: job.hot}}", policy=ASK)
    assert play.status is RunStatus.WAITING
    request = play.run.steps["a"]
    assert request.approval == "r1:a@1"
    assert play.dispatched == ()


def test_an_approval_covers_this_request_under_this_policy_only() -> None:
    play = Play.start("steps: {a: {topic: job.hot, retry: {max_retries: 1, initial_backoff_sec: 0}}}", policy=ASK)
    first = plan(
        play.workflow,
        replace(play.run, steps={"a": replace(play.run.steps["a"], status=StepStatus.PENDING, attempt=0)}),
        ASK,
        play.now,
    )
    (request,) = first.approvals
    covered = f"{request.request_hash} {request.policy_digest}"
    play._set("a", status=StepStatus.PENDING, attempt=0, approved_request=covered)
    assert [job.attempt for job in play.advance().jobs] == [1]
    play.claim("a")
    assert [job.attempt for job in play.fail("a").jobs] == [2]  # an automatic retry is covered
    changed = read_policy(ASK.source + b" ", epoch=2)
    play._set("a", status=StepStatus.PENDING, attempt=2)
    play.policy = changed
    assert play.advance().jobs == ()
    assert play.statuses == {"a": "waiting"}


def test_without_a_policy_nothing_is_dispatched_and_work_resumes_by_itself() -> None:
    play = Play.start("steps: {a: {topic: job.t}}", policy=None)
    assert play.dispatched == ()
    assert play.statuses == {"a": "pending"}
    play.policy = ALLOW
    assert [job.step for job in play.advance(1).jobs] == ["a"]


def test_a_loss_held_for_want_of_a_policy_is_counted_once() -> None:
    play = Play.start("steps: {a: {topic: job.t}}")
    play.claim("a")
    play.policy = None
    play.fail("a", OutcomeClass.LOST)
    play.advance(1)
    play.policy = ALLOW
    assert [job.attempt for job in play.advance(1).jobs] == [2]
    assert play.run.steps["a"].losses == 1


# -- the run's own end -------------------------------------------------------------------------------------------


def test_an_empty_workflow_succeeds_at_once() -> None:
    assert Play.start("steps: {}").status is RunStatus.SUCCEEDED


def test_the_default_output_is_that_of_the_succeeded_sinks() -> None:
    play = Play.start(DIAMOND)
    decided = None
    for step in "abcd":
        play.claim(step)
        decided = play.succeed(step, step.upper())
    assert decided is not None
    assert decided.run is not None
    assert decided.run.output == {"d": "D"}


def test_the_run_s_time_out_ends_all_steps_without_handlers_or_retries() -> None:
    play = Play.start(
        """
timeout_sec: 10
steps:
  a: {topic: job.t, on_error: h, retry: {max_retries: 9}}
  h: {topic: job.t}
  b: {topic: job.t, depends_on: [a]}
"""
    )
    play.claim("a")
    play.advance(10)
    assert play.statuses == {"a": "timed_out", "h": "skipped", "b": "skipped"}
    assert play.run.steps["b"].skip_reason == "run_timed_out"
    assert play.status is RunStatus.TIMED_OUT


def test_a_run_of_seven_days_ends_on_time() -> None:
    play = Play.start("timeout_sec: 604800\nsteps: {gate: {type: approval}}")
    assert play.advance(604_799).run is None
    play.advance(1)
    assert play.status is RunStatus.TIMED_OUT


def test_an_ended_run_plans_nothing() -> None:
    play = Play.start("steps: {a: {topic: job.t}}")
    play.claim("a")
    play.succeed("a")
    assert play.advance(1e6).empty


def test_a_run_times_out_while_a_later_attempt_waits_for_a_new_decision() -> None:
    """Its first attempt was lost, the policy changed before the second was claimed, and then the time was up."""
    play = Play.start("timeout_sec: 5\nsteps: {a: {topic: job.t}, b: {topic: job.t, depends_on: [a]}}")
    play._set("a", status=StepStatus.PENDING, attempt=1)
    play.advance(6)
    assert play.statuses == {"a": "timed_out", "b": "skipped"}
    assert play.status is RunStatus.TIMED_OUT
