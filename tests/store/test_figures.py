"""Every figure of /metrics: what makes it move, on both Redis implementations, and that it moves with the state."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from cordum.domain.decision_point import Guarded
from cordum.domain.ids import JobId
from cordum.domain.planner import plan, plan_cancel
from cordum.domain.run import OutcomeClass
from cordum.engine.metrics import Labels, metrics_of
from cordum.store import stats
from cordum.store.approvals import Resolution
from tests.store.world import START, TOPIC, World

ONE = "steps: {a: {topic: job.t}}"
GATE = "steps: {a: {type: approval, input: {approval_reason: why}}}"
RESCUED = "steps: {a: {topic: job.t, on_error: h}, h: {topic: job.t}}"


def values(world: World) -> dict[tuple[str, Labels], float]:
    found = metrics_of(world.store.figures.read())
    return {(name, labels): value for metric in found for name, labels, value in metric.lines()}


def shown(world: World) -> dict[str, float]:
    """As Prometheus writes them; what is zero is left out."""
    return {
        name + ("{" + ",".join(f"{key}={text}" for key, text in labels) + "}" if labels else ""): value
        for (name, labels), value in values(world).items()
        if value
    }


def started(world: World) -> None:
    world.create(ONE)


def succeeded(world: World) -> None:
    world.create(ONE)
    world.claim("a")
    world.record("a")
    world.advance()


def failed(world: World) -> None:
    world.create(ONE)
    world.claim("a")
    world.record("a", outcome=OutcomeClass.FATAL)
    world.advance()


def timed_out(world: World) -> None:
    world.create("steps: {a: {topic: job.t, timeout_sec: 1}}")
    world.claim("a")
    world.at(START + 1000)
    world.advance()


def cancelled(world: World) -> None:
    world.create(ONE)
    world.claim("a")
    seen = world.snapshot()
    world.store.runs.apply(seen.run, plan_cancel(world.workflow, seen.run, seen.now, "bob", None))


def lost(world: World) -> None:
    world.create(ONE)
    world.claim("a")
    world.at(START + 5001)
    world.store.jobs.lose(JobId("r1", "a", 1), TOPIC, "w1", "gone", child_died=False)
    world.store.workers.forget("w1")


def left(world: World) -> None:
    world.store.workers.end_lease("w1")
    world.store.workers.forget("w1")


def resent(world: World) -> None:
    world.create(ONE)
    world.client.rpop(TOPIC + "\x06\x163")
    world.store.jobs.unclaimed(TOPIC, 3, 3000)
    world.at(START + 3000)
    ((job, sent_at),) = world.store.jobs.unclaimed(TOPIC, 3, 3000)
    world.store.jobs.resend(job, TOPIC, 3, sent_at)


def claimed_twice(world: World) -> None:
    world.create(ONE)
    world.claim("a", nonce="first")
    world.claim("a", nonce="second")


def recorded_late(world: World) -> None:
    timed_out(world)
    world.record("a")


def recorded_by_another(world: World) -> None:
    world.create(ONE)
    world.claim("a", nonce="mine")
    world.record("a", nonce="another")


def conflicting(world: World) -> None:
    world.create(ONE)
    world.claim("a")
    world.record("a")
    seen = world.snapshot()
    decided = world.plan(seen)
    world.store.runs.apply(seen.run, decided)
    world.store.runs.apply(seen.run, decided)


def decided_under_an_older_policy(world: World) -> None:
    world.create("steps: {a: {topic: job.t}, b: {topic: job.t, depends_on: [a]}}")
    world.claim("a")
    world.record("a")
    seen = world.snapshot()
    decided = world.plan(seen)
    world.store.policies.publish("other", "{default_decision: deny, rules: []}", "test")
    world.store.runs.apply(seen.run, decided)


def without_a_policy(world: World) -> None:
    workflow, run = world.new(ONE)
    world.store.runs.create(run, plan(workflow, run, None, START), None)


def failing_open(world: World) -> None:
    workflow, run = world.new(ONE)
    nobody = Guarded(None, world.policy.epoch, frozenset({"default"}))
    world.store.runs.create(run, plan(workflow, run, nobody, START), None)


def rescued(world: World) -> None:
    world.create(RESCUED)
    world.claim("a")
    world.record("a", outcome=OutcomeClass.FATAL)
    world.advance()
    world.claim("h")
    world.record("h")
    world.advance()


def asked(world: World) -> None:
    world.create(GATE)
    world.at(START + 7000)


def answered(world: World) -> None:
    asked(world)
    world.decide(JobId("r1", "a", 1), Resolution("approved", "bob", "", True, "succeeded:1", output="{}"))


def expired(world: World) -> None:
    world.create("steps: {a: {type: approval, expires_sec: 600, input: {approval_reason: why}}}")
    world.at(START + 600_000)
    world.advance()


def queued_for_long(world: World) -> None:
    world.create(ONE)
    world.at(START + 2500)


def overflowing(world: World) -> None:
    world.create("steps: {" + ", ".join(f"s{i}: {{topic: job.t}}" for i in range(40)) + "}")


def fired_late(world: World) -> None:
    world.create("steps: {a: {type: delay, delay_sec: 1}}")
    world.at(START + 1400)
    world.store.wakeups.sweep(1000, 5000)


def too_many_dead_letters(world: World) -> None:
    failed(world)
    world.store.dead_letters.trim("default", [], 0)


ENDED_WELL = {"cordum_runs_started_total": 1, "cordum_runs_ended_total{status=succeeded}": 1}


@pytest.mark.parametrize(
    ("happens", "moves"),
    [
        (started, {"cordum_runs_started_total": 1, "cordum_runs_open{status=running}": 1}),
        (started, {"cordum_jobs_unfinished{topic=job.t}": 1, "cordum_queue_depth{topic=job.t}": 1}),
        (started, {"cordum_workers": 1, "cordum_worker_slots": 4, "cordum_commits_total{result=committed}": 1}),
        (queued_for_long, {"cordum_queue_oldest_age_seconds{topic=job.t}": 2.5}),
        (overflowing, {"cordum_jobs_ready{topic=job.t}": 8, "cordum_jobs_unfinished{topic=job.t}": 32}),
        (
            succeeded,
            ENDED_WELL
            | {
                "cordum_steps_ended_total{status=succeeded,topic=job.t}": 1,
                "cordum_attempts_ended_total{outcome=success,topic=job.t}": 1,
            },
        ),
        (
            failed,
            {
                "cordum_runs_ended_total{status=failed}": 1,
                "cordum_steps_ended_total{status=failed,topic=job.t}": 1,
                "cordum_attempts_ended_total{outcome=fatal,topic=job.t}": 1,
                "cordum_dead_letters_total{reason=error}": 1,
                "cordum_dead_letters_open": 1,
            },
        ),
        (
            timed_out,
            {
                "cordum_runs_ended_total{status=timed_out}": 1,
                "cordum_attempts_ended_total{outcome=timeout,topic=job.t}": 1,
            },
        ),
        (
            cancelled,
            {
                "cordum_runs_ended_total{status=cancelled}": 1,
                "cordum_attempts_ended_total{outcome=cancelled,topic=job.t}": 1,
            },
        ),
        (
            lost,
            {
                "cordum_leases_lost_total": 1,
                "cordum_attempts_ended_total{outcome=lost,topic=job.t}": 1,
                "cordum_runs_due": 1,
            },
        ),
        (resent, {"cordum_messages_resent_total": 1}),
        (claimed_twice, {"cordum_claims_stale_total": 1}),
        (
            fired_late,
            {
                "cordum_timer_lateness_seconds_bucket{le=0.5}": 1,
                "cordum_timer_lateness_seconds_bucket{le=+Inf}": 1,
                "cordum_timer_lateness_seconds_sum": 0.4,
                "cordum_timer_lateness_seconds_count": 1,
            },
        ),
        (recorded_late, {"cordum_results_stale_total": 1}),
        (recorded_by_another, {"cordum_results_stale_total": 1}),
        (conflicting, {"cordum_commits_total{result=committed}": 2, "cordum_commits_total{result=conflict}": 1}),
        (decided_under_an_older_policy, {"cordum_commits_total{result=policy_changed}": 1}),
        (without_a_policy, {"cordum_policy_unavailable_total": 1, "cordum_runs_open{status=running}": 1}),
        (failing_open, {"cordum_decisions_fail_open_total": 1, "cordum_jobs_unfinished{topic=job.t}": 1}),
        (too_many_dead_letters, {"cordum_dead_letters_open": 1, "cordum_dead_letters_over_limit": 1}),
        (rescued, ENDED_WELL | {"cordum_dead_letters_total{reason=error}": 1}),
        (
            asked,
            {
                "cordum_runs_open{status=waiting}": 1,
                "cordum_approvals_waiting": 1,
                "cordum_approval_oldest_age_seconds": 7,
            },
        ),
        (answered, {"cordum_steps_ended_total{status=succeeded,topic=}": 1, "cordum_runs_due": 1}),
        (
            answered,
            {
                "cordum_approval_wait_seconds_bucket{outcome=approved,le=60}": 1,
                "cordum_approval_wait_seconds_bucket{outcome=approved,le=+Inf}": 1,
                "cordum_approval_wait_seconds_sum{outcome=approved}": 7,
                "cordum_approval_wait_seconds_count{outcome=approved}": 1,
                "cordum_approval_wait_seconds_count{outcome=rejected}": None,
            },
        ),
        (
            expired,
            {
                "cordum_approval_wait_seconds_bucket{outcome=expired,le=300}": None,
                "cordum_approval_wait_seconds_bucket{outcome=expired,le=900}": 1,
                "cordum_approval_wait_seconds_sum{outcome=expired}": 600,
            },
        ),
    ],
)
def test_figure_moves(world: World, happens: Callable[[World], None], moves: dict[str, float | None]) -> None:
    world.store.workers.renew("w1", {"slots": 4}, 5000)
    happens(world)
    found = shown(world)
    assert {name: found.get(name) for name in moves} == moves


@pytest.mark.parametrize(
    ("happens", "unmoved"),
    [
        (succeeded, {"cordum_runs_open", "cordum_jobs_unfinished", "cordum_runs_due"}),
        (cancelled, {"cordum_runs_open", "cordum_jobs_unfinished"}),
        (left, {"cordum_leases_lost_total", "cordum_workers", "cordum_worker_slots"}),
        (rescued, {"cordum_dead_letters_open"}),
        (answered, {"cordum_approvals_waiting", "cordum_approval_oldest_age_seconds"}),
        (claimed_twice, {"cordum_queue_oldest_age_seconds", "cordum_results_stale_total"}),
    ],
)
def test_figure_is_back_at_nothing(world: World, happens: Callable[[World], None], unmoved: set[str]) -> None:
    happens(world)
    assert {name.partition("{")[0] for name in shown(world)} & unmoved == set()


def test_every_figure_is_made_to_move_here(world: World) -> None:
    parametrized = next(mark for mark in test_figure_moves.pytestmark if mark.name == "parametrize")
    moved = {name.partition("{")[0] for _, moves in parametrized.args[1] for name in moves}
    made = metrics_of(world.store.figures.read())
    assert moved == {metric.name + suffix for metric in made for suffix in (metric.series or {"": None})}


def test_a_call_that_is_answered_again_is_counted_once(world: World) -> None:
    world.create(ONE)
    world.claim("a")
    world.claim("a")
    world.record("a")
    world.record("a")
    found = shown(world)
    assert "cordum_claims_stale_total" not in found
    assert found["cordum_attempts_ended_total{outcome=success,topic=job.t}"] == 1


def test_counters_that_move_together_are_told_apart() -> None:
    counts = {"runs_open:running": -1, "runs_ended:succeeded": 1, "twice": 2}
    together = stats.together(counts)
    assert together.startswith("twice|twice|runs_ended")
    assert stats.told_apart({together: "3", "runs_ended:succeeded": "4"}) == {
        "runs_open:running": -3,
        "runs_ended:succeeded": 7,
        "twice": 6,
    }


def test_a_refused_run_is_not_counted(world: World) -> None:
    world.create(ONE)
    world.create(ONE)
    assert shown(world)["cordum_runs_started_total"] == 1


def test_open_runs_and_ended_runs_add_up_to_those_started(world: World) -> None:
    for number in range(3):
        world.create(ONE, f"r{number}")
    world.create(GATE, "r3")
    world.claim("a", run_id="r0")
    world.record("a", run_id="r0")
    world.create(ONE, "r4")
    world.advance("r0")
    counters = world.store.figures.counters()
    assert counters["runs_started"] == 5
    assert sum(count for name, count in counters.items() if name.startswith(("runs_open:", "runs_ended:"))) == 5


def test_labels_are_never_ids(world: World) -> None:
    failed(world)
    texts = {text for (_, labels) in values(world) for _, text in labels}
    assert not any("r1" in text or "w1" in text or "alice" in text for text in texts)


def test_the_bounds_of_the_histogram_are_those_that_the_script_counts_by_and_reach_seven_days(world: World) -> None:
    text = (Path(stats.__file__).parent / "lua" / "_waited.lua").read_text()
    (listed,) = re.findall(r"WAITED_BOUNDS = \{([\d, ]+)\}", text)
    assert tuple(int(one) for one in listed.split(",")) == stats.APPROVAL_WAIT_SEC
    assert stats.APPROVAL_WAIT_SEC[-1] == 7 * 24 * 3600


def test_a_wait_longer_than_all_bounds_is_counted_and_a_bound_belongs_to_its_bucket(world: World) -> None:
    for number, sec in enumerate((60, 604_800, 604_801)):
        world.at(START)
        world.create(GATE, f"r{number}")
        world.at(START + sec * 1000)
        job = JobId(f"r{number}", "a", 1)
        world.decide(job, Resolution("rejected", "bob", "no", True, "settling:1"))
    found = {name: value for name, value in shown(world).items() if "wait_seconds" in name}
    at = {
        bound: found.get(f"cordum_approval_wait_seconds_bucket{{outcome=rejected,le={bound}}}")
        for bound in (60, 345_600, 604_800, "+Inf")
    }
    assert at == {60: 1, 345_600: 1, 604_800: 2, "+Inf": 3}
