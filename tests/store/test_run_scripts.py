"""create_run, apply_plan, read_run: a run and what its plans say, committed together or not at all."""

from __future__ import annotations

import json
from collections.abc import Callable

from cordum.domain.ids import JobId
from cordum.domain.planner import plan, plan_cancel
from cordum.domain.policy_document import read_policy
from cordum.store.approvals import Resolution
from cordum.store.jobs import ClaimReply, RecordReply
from cordum.store.runs import CommitReply, CreateReply, Idempotency
from tests.store.world import START, World

TWO = "steps: {a: {topic: job.t}, b: {topic: job.t, depends_on: [a]}}"
FORK = "steps: {a: {topic: job.t}, b: {topic: job.t}, c: {topic: job.t, depends_on: [a, b]}}"
DENY = "{default_decision: deny, rules: []}"


def test_a_created_run_has_its_first_jobs_on_their_queue(world: World) -> None:
    assert world.create(TWO) == (CreateReply.CREATED, "r1")
    assert world.marks() == {"a": "queued:1", "b": "pending:0"}
    (message,) = world.messages()
    assert json.loads(message)["headers"]["id"] == "r1:a@1"
    assert world.events() == ["run.created", "run.started", "step.ready", "step.decision", "step.queued"]


def test_creating_a_run_again_changes_nothing(world: World) -> None:
    world.create(TWO)
    before = world.everything()
    assert world.create(TWO)[0] is CreateReply.EXISTS
    assert world.everything() == before


def test_an_idempotency_key_makes_one_run(world: World) -> None:
    key = Idempotency("k", "f1", 60)
    assert world.create(TWO, "r1", idempotency=key) == (CreateReply.CREATED, "r1")
    assert world.create(TWO, "r2", idempotency=key) == (CreateReply.REPLAYED, "r1")
    assert world.store.runs.snapshot("r2") is None


def test_an_idempotency_key_with_another_request_is_refused(world: World) -> None:
    world.create(TWO, "r1", idempotency=Idempotency("k", "f1", 60))
    assert world.create(TWO, "r2", idempotency=Idempotency("k", "f2", 60))[0] is CreateReply.KEY_REUSED
    assert world.store.runs.snapshot("r2") is None


def test_another_tenant_s_key_is_another_key(world: World) -> None:
    world.create(TWO, "r1", "one", Idempotency("k", "f1", 60))
    assert world.create(TWO, "r2", "two", Idempotency("k", "f2", 60)) == (CreateReply.CREATED, "r2")


def test_a_run_decided_under_an_older_policy_is_not_created(world: World) -> None:
    workflow, run = world.new(TWO)
    decided = plan(workflow, run, world.policy, START)
    world.store.policies.publish("other", DENY, "test")
    before = world.everything()
    key = Idempotency("k", "f", 60)
    assert world.store.runs.create(run, decided, key)[0] is CreateReply.POLICY_CHANGED
    assert world.everything() == before  # the key is not used up either


def test_a_plan_is_committed_once(world: World) -> None:
    world.create(TWO)
    world.claim("a")
    world.record("a")
    seen = world.snapshot()
    decided = world.plan(seen)
    assert world.store.runs.apply(seen.run, decided) is CommitReply.COMMITTED
    before = world.everything()
    assert world.store.runs.apply(seen.run, decided) is CommitReply.CONFLICT
    assert world.everything() == before


def test_a_plan_made_before_a_step_moved_is_refused_whole(world: World) -> None:
    world.create(TWO)
    seen = world.snapshot()
    cancel = plan_cancel(world.workflow, seen.run, seen.now, "bob", None)
    world.claim("a")  # does not change the run's version
    before = world.everything()
    assert world.store.runs.apply(seen.run, cancel) is CommitReply.CONFLICT
    assert world.everything() == before


def test_a_job_decided_under_an_older_policy_is_not_dispatched(world: World) -> None:
    world.create(TWO)
    world.claim("a")
    world.record("a")
    seen = world.snapshot()
    decided = world.plan(seen)
    world.store.policies.publish("other", DENY, "test")
    assert world.store.runs.apply(seen.run, decided) is CommitReply.POLICY_CHANGED
    assert world.marks()["b"] == "pending:0"


def test_a_commit_clears_the_mark_only_of_what_it_has_seen(world: World) -> None:
    world.create(FORK)
    world.claim("a")
    world.claim("b")
    world.record("a")
    seen = world.snapshot()
    decided = world.plan(seen)
    world.record("b")  # a newer signal than the snapshot's
    assert world.store.runs.apply(seen.run, decided) is CommitReply.COMMITTED
    assert world.due() == ["r1"]
    world.advance()
    assert world.due() == []
    assert world.marks()["c"] == "queued:1"


def test_a_cancel_takes_the_message_out_of_the_window_and_tells_the_worker(world: World) -> None:
    world.create(FORK)
    world.claim("a")
    seen = world.snapshot()
    world.store.runs.apply(seen.run, plan_cancel(world.workflow, seen.run, seen.now, "bob", "enough"))
    assert world.marks() == {"a": "cancelled:1", "b": "cancelled:1", "c": "skipped:0"}
    assert world.store.workers.renew(world.worker, {}, 5000)[0] == ["r1:a@1"]
    assert world.store.workers.held(world.worker) == []
    assert world.claim("b").word is ClaimReply.STALE
    assert world.record("a") is RecordReply.STALE


def test_user_data_comes_out_as_it_went_in(world: World) -> None:
    world.create(TWO)
    world.claim("a")
    world.record("a", output='{"empty":[],"big":9007199254740993,"deep":[[[{}]]],"text":"\\u0000ü"}')
    output = world.snapshot().run.outputs["a"]
    assert output == {"empty": [], "big": 9007199254740993, "deep": [[[{}]]], "text": "\x00ü"}
    assert world.snapshot().run.input == {"x": []}


def test_a_run_that_is_not_there_is_not_found(world: World) -> None:
    assert world.store.runs.snapshot("nobody") is None


# -- what each rule of the core is there for: take it away, and the run goes wrong ---------------------------------


def test_without_the_check_of_step_states_a_settled_step_is_overwritten(world_without: Callable[..., World]) -> None:
    world = world_without(("apply_plan", "step_states"))
    world.create(FORK)
    world.claim("a")
    seen = world.snapshot()
    cancel = plan_cancel(world.workflow, seen.run, seen.now, "bob", None)
    world.record("a")  # the step has succeeded; the run's version has not changed
    assert world.store.runs.apply(seen.run, cancel) is CommitReply.COMMITTED
    assert world.marks()["a"] == "cancelled:1"  # a terminal state was left


def test_without_both_checks_a_cancelled_run_dispatches(world_without: Callable[..., World]) -> None:
    world = world_without(("apply_plan", "run_version"), ("apply_plan", "step_states"))
    dispatches = _dispatch_after_cancel(world)
    assert dispatches == 2


def test_with_its_checks_a_cancelled_run_dispatches_nothing(world: World) -> None:
    assert _dispatch_after_cancel(world) == 1


def _dispatch_after_cancel(world: World) -> int:
    """A coordinator plans the successor; before it commits, the run is cancelled. How many messages were ever sent?"""
    world.create(TWO)
    world.claim("a")
    world.record("a")
    seen = world.snapshot()
    decided = world.plan(seen)
    now = world.snapshot()
    world.store.runs.apply(now.run, plan_cancel(world.workflow, now.run, now.now, "bob", None))
    world.store.runs.apply(seen.run, decided)
    return len(world.messages())


ASK = "{default_decision: allow, rules: [{id: ask, match: {topics: [job.hot]}, decision: require_approval}]}"
ONE_AT_A_TIME = """
steps:
  x: {topic: job.t}
  g: {type: parallel, steps: [a, b], max_parallel: 1}
  a: {topic: job.hot}
  b: {topic: job.t, depends_on: [x]}
"""


def _two_plans_of_disjoint_steps(world: World) -> int:
    """While `a` waits for a person `b` may go; once approved, `a` may. How many of the two are dispatched?"""
    world.store.policies.publish("ask", ASK, "test")
    world.create(ONE_AT_A_TIME)
    world.claim("x")
    world.record("x")
    earlier = world.snapshot()
    state = earlier.run.steps["a"]
    assert state.approval is not None
    record = world.store.approvals.get("default", state.approval)
    assert record is not None
    covered = f"{record['request_hash']} {record['policy_digest']}"
    approved = Resolution("approved", "bob", "", True, "pending:0", approved_request=covered)
    world.decide(JobId("r1", "a", 1), approved)
    later = world.snapshot()
    world.store.runs.apply(later.run, world.plan(later))
    world.store.runs.apply(earlier.run, world.plan(earlier))
    return [world.marks()[step] for step in "ab"].count("queued:1")


def test_with_the_check_of_the_version_a_group_keeps_its_limit(world: World) -> None:
    assert _two_plans_of_disjoint_steps(world) == 1


def test_without_the_check_of_the_version_a_group_exceeds_its_limit(world_without: Callable[..., World]) -> None:
    assert _two_plans_of_disjoint_steps(world_without(("apply_plan", "run_version"))) == 2


def test_without_the_signal_check_a_finished_step_is_forgotten(world_without: Callable[..., World]) -> None:
    world = world_without(("apply_plan", "no_newer_signal"))
    world.create(FORK)
    world.claim("a")
    world.claim("b")
    world.record("a")
    seen = world.snapshot()
    decided = world.plan(seen)
    world.record("b")
    world.store.runs.apply(seen.run, decided)
    assert world.due() == []  # nobody will look again
    assert world.marks()["c"] == "pending:0"


def test_without_marking_in_the_same_script_a_finished_step_is_forgotten(world_without: Callable[..., World]) -> None:
    world = world_without(("record_result", "mark_due"))
    world.create(TWO)
    world.advance()
    world.claim("a")
    assert world.record("a") is RecordReply.ADVANCE
    assert world.due() == []  # a crash of the worker here leaves the run where it is for ever


def test_with_the_mark_a_finished_step_is_due(world: World) -> None:
    world.create(TWO)
    world.advance()
    world.claim("a")
    world.record("a")
    assert world.due() == ["r1"]


def test_every_refusal_under_a_policy_needs_the_text_that_was_published(world: World) -> None:
    assert world.policy.digest == read_policy(world.policy.source).digest
