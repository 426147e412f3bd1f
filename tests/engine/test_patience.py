"""`queue_timeout_sec` bounds every wait of a job that is decided, whatever it waits for. Virtual time, real Redis."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from cordum.engine import Caller, Engine
from cordum.redis_address import RedisAddress
from cordum.settings import load_settings
from cordum.store.scripts import Library
from tests.engine.hands import ALLOW, Hands

ROOT = Caller("default", "root")
START, PATIENCE_MS = 1_764_000_000_000, 2000
FEW = b"{default_decision: allow, tenants: {default: {constraints: {budgets: {max_concurrent_jobs: 1}}}}}"
SLOW = b"rules: [{id: slow, decision: throttle, velocity: {max_requests: 1, window_sec: 600}}]"


def _fill_pool(engine: Engine) -> None:
    engine.pools.put_pool(ROOT, "small", {"max_parallel": 1})
    engine.pools.put_topic(ROOT, "job.*", "small")


def _fill_worker(engine: Engine) -> None:
    engine.jobs.register(replace(Hands(engine).worker, slots=1, topics=("job.t",), labels={"region": "eu"}))


# What it waits for: what brings that about, what the step says beside its patience, what its status is then. Of two
# runs the second one waits.
WAITS: dict[str, tuple[Callable[[Engine], object], str, str]] = {
    "no_worker": (lambda _: None, "", "queued"),
    "no_worker of its labels": (lambda _: None, "route_labels: {region: eu}", "pending"),
    "pool_overloaded": (lambda _: None, "", "queued"),
    "pool_overloaded of its labels": (_fill_worker, "route_labels: {region: eu}", "pending"),
    "queue_paused": (lambda engine: engine.fleet.pause(ROOT, "job.t", "moving"), "", "pending"),
    "queue_paused of its labels": (
        lambda engine: engine.fleet.pause(ROOT, "job.t", "moving"),
        "route_labels: {region: eu}",
        "pending",
    ),
    "concurrency_key": (lambda _: None, "concurrency: {key: dock, limit: 1}", "pending"),
    "tenant_limit": (lambda engine: engine.publish_policy(FEW, "root"), "", "pending"),
    "policy_throttled": (lambda engine: engine.publish_policy(SLOW, "root"), "", "pending"),
    "max_parallel": (_fill_pool, "", "pending"),
}


@pytest.fixture
def hands(redis_address: RedisAddress) -> Iterator[Hands]:
    engine = Engine.connect(load_settings(env={}), redis_address, Library(virtual_clock=True))
    engine.store.connection.read(lambda client: client.set(engine.store.keys.clock, START))
    engine.publish_policy(ALLOW, "test")
    yield Hands(engine)
    engine.close()


def after(hands: Hands, run_id: str, ms: int) -> dict[str, Any]:
    """The run's step when so much time has passed and everybody has looked who looks from time to time."""
    store = hands.engine.store
    store.connection.read(lambda client: client.set(store.keys.clock, START + ms))
    hands.engine.coordinate()
    return dict(hands.engine.run("default", run_id)["steps"]["a"])


def begin(hands: Hands, what: str, patience: str) -> str:
    """The run that waits."""
    arrange, more, _ = WAITS[what]
    arrange(hands.engine)
    if what != "no_worker" and "labels" not in what:
        hands.engine.jobs.register(replace(hands.worker, topics=("job.t",)))
    said = ", ".join(part for part in ("topic: job.t", more, patience) if part)
    return [hands.start(f"steps: {{a: {{{said}}}}}") for _ in range(2)][-1]


@pytest.mark.parametrize("what", WAITS)
def test_no_wait_is_longer_than_the_step_says(hands: Hands, what: str) -> None:
    run_id = begin(hands, what, f"queue_timeout_sec: {PATIENCE_MS / 1000:g}")
    waiting = after(hands, run_id, PATIENCE_MS - 1)
    assert (waiting["status"], waiting["wait"]["reason"]) == (WAITS[what][2], what.split()[0])
    ended = after(hands, run_id, PATIENCE_MS + 1000)
    assert (ended["status"], ended["error"]["code"]) == ("timed_out", "queue_timeout")
    letters = {one["run_id"]: one["reason_code"] for one in hands.engine.dead_letters("default").items}
    assert letters[run_id] == "queue_timeout"


@pytest.mark.parametrize("what", WAITS)
def test_a_step_without_patience_goes_on_waiting(hands: Hands, what: str) -> None:
    run_id = begin(hands, what, "")
    assert after(hands, run_id, 4 * PATIENCE_MS)["status"] == WAITS[what][2]
