"""Limits that many runs share, as people meet them: who waits and why, who holds, and when it goes on. Virtual time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from cordum.domain.run import OutcomeClass
from cordum.engine import Caller, Engine, Outcome
from cordum.errors import TooManyRequests
from cordum.redis_address import RedisAddress
from cordum.settings import load_settings
from cordum.store.scripts import Library
from tests.engine.hands import ALICE, ALLOW, Hands

KEY = "steps: {a: {topic: job.t, concurrency: {key: deploy, limit: 1}}}"
PLAIN = "steps: {a: {topic: job.t}}"
START = 1_764_000_000_000


class Timed(Hands):
    """Hands in an engine whose time they move."""

    def start(self, *args: Any, **options: Any) -> str:
        """One a millisecond, so that there is an order."""
        self.move_ms(1)
        return super().start(*args, **options)

    def pass_ms(self, ms: int) -> None:
        """Let time pass, and everybody look who looks from time to time."""
        self.move_ms(ms)
        self.engine.jobs.renew(self.worker)
        self.engine.coordinate()

    def move_ms(self, ms: int) -> None:
        store = self.engine.store
        now = int(store.connection.read(lambda client: client.get(store.keys.clock)) or 0) + ms
        store.connection.read(lambda client: client.set(store.keys.clock, now))

    def wait(self, run_id: str, step: str = "a") -> dict[str, Any]:
        return dict(self.engine.run("default", run_id)["steps"][step]["wait"] or {})

    def queued(self, *run_ids: str) -> list[str]:
        """Those of the runs whose step `a` is on a queue."""
        return [run_id for run_id in run_ids if self.statuses(run_id)["a"] == "queued"]


@pytest.fixture
def hands(redis_address: RedisAddress) -> Iterator[Timed]:
    engine = Engine.connect(load_settings(env={}), redis_address, Library(virtual_clock=True))
    engine.store.connection.read(lambda client: client.set(engine.store.keys.clock, START))
    engine.publish_policy(ALLOW, "test")
    yield Timed(engine)
    engine.close()


def limited(budget: str, more: str = "") -> bytes:
    return f"rules: [{{id: few, decision: allow, constraints: {{budgets: {{{budget}}}}}}}]\n{more}".encode()


def rate(most: int, seconds: float = 10, decision: str = "throttle") -> bytes:
    velocity = f"velocity: {{max_requests: {most}, window_sec: {seconds:g}}}"
    return f"rules: [{{id: slow, match: {{topics: [job.t]}}, decision: {decision}, {velocity}}}]".encode()


# -- concurrency keys ----------------------------------------------------------------------------------------------


def test_a_step_waits_for_its_key_and_says_who_has_it(hands: Timed) -> None:
    first, second, third = (hands.start(KEY) for _ in range(3))
    assert hands.queued(first, second, third) == [first]
    wait = hands.wait(second)
    assert (wait["reason"], wait["holders"], wait["until"]) == ("concurrency_key", [f"{first}:a@1"], None)
    assert wait["message"] == f"the concurrency key deploy lets 1 job run at one time; 1 taken, by {first}:a@1"
    assert hands.wait(third)["message"].endswith("; 1 in line before it")
    assert hands.engine.run("default", second)["wait"]["reason"] == "concurrency_key"
    (shown,) = hands.engine.concurrency("default").items
    assert (shown["kind"], shown["key"], shown["limit"]) == ("key", "deploy", 1)
    assert (shown["held"], shown["holders"]) == (1, [f"{first}:a@1"])
    assert (shown["waiting"], shown["waiters"]) == (2, [f"{second}:a@1", f"{third}:a@1"])
    assert hands.engine.concurrency("other").items == []


def test_the_script_that_frees_the_place_moves_the_next_step(hands: Timed) -> None:
    first, second, third = (hands.start(KEY) for _ in range(3))
    assert hands.claim(first, "a").word == "CLAIMED"
    # Only recorded, nobody coordinates: whatever moves the next one is the script that records.
    store = hands.engine.store
    store.connection.read(lambda client: client.delete("cordum.coordinator"))
    outcome = Outcome(OutcomeClass.SUCCESS, {})
    hands.engine.jobs.record(f"{first}:a@1", "job.t", hands.worker.incarnation, "n", outcome)
    assert hands.queued(second, third) == [second]
    assert hands.wait(third)["holders"] == [f"{second}:a@1"]


@pytest.mark.parametrize("how", ["fatal", "cancel", "lost", "skip"])
def test_however_an_attempt_ends_its_place_is_free(hands: Timed, how: str) -> None:
    first, second = hands.start(KEY), hands.start(KEY)
    hands.claim(first, "a")
    match how:
        case "fatal":
            hands.finish(first, "a", kind=OutcomeClass.FATAL)
        case "cancel":
            hands.engine.cancel_run(ALICE, first)
        case "skip":
            hands.engine.skip_step(ALICE, first, "a", "because")
        case "lost":
            hands.engine.jobs.lost(f"{first}:a@1", "job.t", hands.worker.incarnation, "killed")
    assert hands.queued(second) == [second]


def test_when_all_is_over_nothing_is_left(hands: Timed) -> None:
    runs = [hands.start(KEY) for _ in range(3)]
    hands.engine.cancel_run(ALICE, runs[1])
    hands.work(runs[0], "a")
    hands.work(runs[2], "a")
    assert hands.engine.concurrency("default").items == []
    store = hands.engine.store
    assert store.connection.read(lambda client: client.keys("cordum:*:places:*")) == []
    assert store.connection.read(lambda client: client.keys("cordum:*:wait*")) == []
    assert store.connection.read(lambda client: client.keys("cordum:*:quotas:*")) == []


def test_a_key_belongs_to_a_tenant(hands: Timed) -> None:
    mine = hands.start(KEY)
    hands.engine.save_workflow("other", KEY.encode(), "yaml", default_id="wf")
    theirs = hands.engine.start_run(Caller("other", "bob"), "wf", {}).run
    assert theirs["steps"]["a"]["status"] == "queued"
    assert [one["holders"] for one in hands.engine.concurrency("other").items] == [[f"{theirs['id']}:a@1"]]
    assert hands.queued(mine) == [mine]


def test_children_of_a_fan_out_have_keys_of_their_own(hands: Timed) -> None:
    run_id = hands.start(
        "steps: {a: {topic: job.t, for_each: '${[1, 2, 1]}', concurrency: {key: 'k${item}', limit: 1}}}"
    )
    statuses = hands.statuses(run_id)
    assert [statuses[f"a[{index}]"] for index in range(3)] == ["queued", "queued", "pending"]
    assert hands.wait(run_id, "a[2]")["holders"] == [f"{run_id}:a[0]@1"]
    hands.claim(run_id, "a[0]")
    hands.finish(run_id, "a[0]")
    assert hands.statuses(run_id)["a[2]"] == "queued"


def test_the_more_urgent_goes_first_then_the_older(hands: Timed) -> None:
    priorities = ("batch", "interactive", "critical")
    holder = hands.start(KEY)
    batch, later, urgent = (hands.start(KEY.replace("concurrency", f"priority: {p}, concurrency")) for p in priorities)
    (shown,) = hands.engine.concurrency("default").items
    assert shown["waiters"] == [f"{run_id}:a@1" for run_id in (urgent, later, batch)]
    hands.work(holder, "a")
    assert hands.queued(batch, later, urgent) == [urgent]


def test_a_place_is_waited_for_as_long_as_the_step_says(hands: Timed) -> None:
    hands.start(KEY)
    second = hands.start(KEY.replace("concurrency", "queue_timeout_sec: 2, concurrency"))
    hands.pass_ms(1999)
    assert hands.statuses(second)["a"] == "pending"
    hands.pass_ms(1001)
    assert hands.engine.run("default", second)["steps"]["a"]["error"]["code"] == "queue_timeout"
    assert [one["waiting"] for one in hands.engine.concurrency("default").items] == [0]


def test_a_paused_run_stands_in_no_line(hands: Timed) -> None:
    first, second, third = (hands.start(KEY) for _ in range(3))
    hands.engine.pause_run(ALICE, second, "maintenance")
    hands.work(first, "a")
    assert hands.queued(third) == [third]
    hands.engine.resume_run(ALICE, second, "maintenance")
    assert hands.wait(second)["holders"] == [f"{third}:a@1"]


# -- max_concurrent_jobs -------------------------------------------------------------------------------------------


def test_a_rule_lets_so_many_of_its_jobs_run_at_one_time(hands: Timed) -> None:
    hands.engine.publish_policy(limited("max_concurrent_jobs: 2"), "test")
    runs = [hands.start(PLAIN) for _ in range(3)]
    assert hands.queued(*runs) == runs[:2]
    wait = hands.wait(runs[2])
    assert wait["reason"] == "tenant_limit"
    assert wait["message"].startswith("the policy rule few lets 2 jobs run at one time; 2 taken, by ")
    assert hands.claim(runs[0], "a").constraints.max_concurrent_jobs == 2
    hands.finish(runs[0], "a")
    assert hands.queued(*runs[1:]) == runs[1:]


def test_a_tenants_limit_holds_for_all_its_jobs(hands: Timed) -> None:
    tenants = "default_decision: allow\ntenants: {default: {constraints: {budgets: {max_concurrent_jobs: 1}}}}"
    hands.engine.publish_policy(tenants.encode(), "test")
    first, second = hands.start(PLAIN), hands.start(PLAIN.replace("job.t", "job.u"))
    assert hands.queued(first, second) == [first]
    assert hands.wait(second)["message"].startswith("the policy lets 1 job of the tenant default run at one time;")
    assert [(one["kind"], one["key"]) for one in hands.engine.concurrency("default").items] == [("tenant", "default")]
    hands.work(first, "a")
    assert hands.queued(second) == [second]


def test_a_raised_limit_moves_what_waits(hands: Timed) -> None:
    hands.engine.publish_policy(limited("max_concurrent_jobs: 1"), "test")
    runs = [hands.start(PLAIN) for _ in range(3)]
    hands.engine.publish_policy(limited("max_concurrent_jobs: 2"), "test")
    hands.engine.coordinate()
    assert hands.queued(*runs) == runs[:2]
    hands.engine.publish_policy(ALLOW, "test")
    hands.engine.coordinate()
    assert hands.queued(*runs) == runs


# -- rates ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("decision", ["throttle", "allow"])
def test_jobs_begin_at_the_rate_of_their_rule(hands: Timed, decision: str) -> None:
    hands.engine.publish_policy(rate(2, decision=decision), "test")
    runs = [hands.start(PLAIN) for _ in range(2)]
    hands.pass_ms(4000)
    runs += [hands.start(PLAIN) for _ in range(3)]
    assert hands.queued(*runs) == runs[:2]
    wait = hands.wait(runs[2])
    assert (wait["reason"], wait["until"]) == ("policy_throttled", "2025-11-24T16:00:10.001Z")
    assert wait["message"] == "the policy rule slow lets 2 jobs begin in 10 s"
    assert hands.wait(runs[3])["until"] == "2025-11-24T16:00:10.002Z"
    assert hands.wait(runs[4])["until"] == "2025-11-24T16:00:20.001Z"
    assert hands.wait(runs[4])["message"].endswith("in 10 s; 2 in line before it")
    hands.pass_ms(5995)
    assert hands.queued(*runs) == runs[:2]
    hands.pass_ms(1000)
    assert hands.queued(*runs) == runs[:4]
    hands.pass_ms(10_000)
    assert hands.queued(*runs) == runs


def test_the_window_slides(hands: Timed) -> None:
    hands.engine.publish_policy(rate(2), "test")
    runs = [hands.start(PLAIN)]
    hands.pass_ms(9000)
    runs += [hands.start(PLAIN) for _ in range(2)]
    assert hands.queued(*runs) == runs[:2]
    hands.pass_ms(2000)
    assert hands.queued(*runs) == runs
    runs += [hands.start(PLAIN)]
    assert hands.wait(runs[3])["until"] == "2025-11-24T16:00:19.002Z"


def test_a_retry_waits_for_the_rate_and_a_lost_attempt_does_not(hands: Timed) -> None:
    hands.engine.publish_policy(rate(1), "test")
    run_id = hands.start("steps: {a: {topic: job.t, retry: {max_retries: 1, initial_backoff_sec: 0}}}")
    hands.claim(run_id, "a")
    hands.engine.jobs.lost(f"{run_id}:a@1", "job.t", hands.worker.incarnation, "killed")
    hands.engine.coordinate()
    assert hands.queued(run_id) == [run_id]
    hands.claim(run_id, "a", 2)
    hands.finish(run_id, "a", attempt=2, kind=OutcomeClass.RETRYABLE)
    hands.pass_ms(1000)
    assert hands.wait(run_id)["reason"] == "policy_throttled"
    hands.pass_ms(9000)
    assert hands.queued(run_id) == [run_id]


def test_what_is_given_back_and_sent_again_counts_once(hands: Timed) -> None:
    hands.engine.publish_policy(rate(1), "test")
    run_id = hands.start(PLAIN)
    hands.engine.pause_run(ALICE, run_id, "maintenance")
    assert hands.claim(run_id, "a").word == "PAUSED"
    hands.engine.resume_run(ALICE, run_id, "maintenance")
    assert hands.queued(run_id) == [run_id]


def test_a_rate_that_goes_away_lets_go_what_waits(hands: Timed) -> None:
    hands.engine.publish_policy(rate(1), "test")
    runs = [hands.start(PLAIN) for _ in range(3)]
    hands.engine.publish_policy(ALLOW, "test")
    hands.engine.coordinate()
    assert hands.queued(*runs) == runs


def test_runs_start_at_the_rate_of_a_rule_about_starts(hands: Timed) -> None:
    starts = rate(1).decode().replace("job.t", "workflow.start") + "\ndefault_decision: allow"
    hands.engine.publish_policy(starts.encode(), "test")
    first = hands.start(PLAIN, idempotency_key="k")
    with pytest.raises(TooManyRequests) as refused:
        hands.start(PLAIN, idempotency_key="k2")
    assert (refused.value.code, refused.value.retry_after_sec) == ("policy_throttled", 10)
    assert hands.start(PLAIN, idempotency_key="k") == first  # a replay begins nothing
    hands.pass_ms(10_000)
    assert hands.start(PLAIN, idempotency_key="k2") != first


def test_steps_of_one_plan_stand_in_line_as_they_are_defined(hands: Timed) -> None:
    steps = ", ".join(f"s{n}: {{topic: job.t, concurrency: {{key: x, limit: 1}}}}" for n in (3, 10, 2, 1))
    run_id = hands.start(f"steps: {{{steps}}}")
    (shown,) = hands.engine.concurrency("default").items
    assert shown["holders"] + shown["waiters"] == [f"{run_id}:s{n}@1" for n in (3, 10, 2, 1)]
