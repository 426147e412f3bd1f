"""What attempts need a place in, as the planner says it; whether there is one is for the scripts."""

from __future__ import annotations

from dataclasses import replace

from cordum.domain.planner import plan
from cordum.domain.policy_document import read_policy
from cordum.domain.quotas import Quota
from cordum.domain.run import OutcomeClass
from cordum.domain.states import StepStatus
from tests.domain.runs import ALLOW, Play

KEYED = "steps: {a: {concurrency: {key: 'deploy-${input.env}', limit: 2}}}"
RETRY = "steps: {a: {retry: {max_retries: 2, initial_backoff_sec: 0}}}"
RATE = b"rules: [{id: slow, decision: throttle, velocity: {max_requests: 1, window_sec: 1}}]"
LIMITED = b"{default_decision: allow, tenants: {default: {constraints: {budgets: {max_concurrent_jobs: 1}}}}}"
NARROWER = LIMITED + b" # another"


def quotas(play: Play) -> tuple[Quota, ...]:
    return play.run.steps["a"].quotas


def test_a_key_is_rendered_for_each_attempt() -> None:
    play = Play.start(KEYED, {"env": "prod"})
    (quota,) = quotas(play)
    assert (quota.kind, quota.name, quota.most, quota.scope) == ("key", "deploy-prod", 2, "default")


def test_a_key_that_is_no_text_fails_the_step() -> None:
    for value in (None, 7, "", "x" * 257, ["a"]):
        play = Play.start("steps: {a: {concurrency: {key: '${input.key}', limit: 2}}}", {"key": value})
        failure = play.run.steps["a"].failure
        assert failure is not None
        assert (failure.code, play.status) == ("expression_error", "failed")
    assert Play.start(KEYED.replace("input.env", "1 / 0")).status == "failed"


def test_without_limits_nothing_is_asked_for() -> None:
    play = Play.start(RETRY)
    assert quotas(play) == ()


def test_a_retry_counts_anew_and_a_lost_attempt_does_not() -> None:
    play = Play.start(RETRY, policy=read_policy(RATE, epoch=1))
    first = quotas(play)[0].token
    play.claim("a")
    play.fail("a", OutcomeClass.LOST)
    assert (play.run.steps["a"].attempt, quotas(play)) == (2, ())
    play.claim("a")
    play.fail("a")
    play.advance(1)
    assert play.run.steps["a"].attempt == 3
    assert quotas(play)[0].token not in ("", first)


def test_a_denied_job_needs_no_place() -> None:
    play = Play.start(RETRY, policy=read_policy(RATE.replace(b"throttle", b"deny"), epoch=1))
    assert (quotas(play), play.status) == ((), "denied")


def ready_under(policy: bytes) -> Play:
    """A run whose job was decided and waits for a place."""
    play = Play.start(RETRY, policy=read_policy(policy, epoch=1))
    steps = {"a": replace(play.run.steps["a"], status=StepStatus.READY, queue_deadline=play.now + 5000)}
    play.run = replace(play.run, steps=steps)
    return play


def test_what_waits_for_a_place_is_decided_again_under_another_policy() -> None:
    play = ready_under(LIMITED)
    assert plan(play.workflow, play.run, play.policy, play.now).empty
    for text, left in ((NARROWER, 1), (b"default_decision: allow", 0)):
        decided = plan(play.workflow, play.run, read_policy(text, epoch=2), play.now + 10)
        (job,), (gone,) = decided.jobs, decided.withdrawals
        assert (job.attempt, len(job.quotas), gone.quotas) == (1, left, quotas(play))
        after = decided.changes[0].after
        assert (after.status, after.epoch, after.queue_deadline) == ("ready", 2, play.now + 5000)


def test_a_new_policy_may_deny_or_ask_about_what_waits() -> None:
    for verdict, status in (("deny", "denied"), ("require_approval", "waiting")):
        play = ready_under(LIMITED)
        text = f"default_decision: {verdict}".encode()
        decided = plan(play.workflow, play.run, read_policy(text, epoch=2), play.now)
        assert decided.changes[0].after.status == status
        assert [gone.quotas for gone in decided.withdrawals] == [quotas(play)]


def test_while_there_is_no_policy_what_waits_stays() -> None:
    play = ready_under(LIMITED)
    assert plan(play.workflow, play.run, None, play.now).empty


def test_what_needs_no_place_is_left_to_its_claim() -> None:
    play = ready_under(ALLOW.source)
    assert plan(play.workflow, play.run, read_policy(LIMITED, epoch=2), play.now).empty
