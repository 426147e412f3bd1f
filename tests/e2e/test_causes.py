"""Whoever takes the cause of a wait away moves what waited: cause and start follow each other on the timeline.

Real workers and a real coordinator, whose first sweep is the only one in these tests.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cordum.engine import Caller
from cordum.redis_address import RedisAddress
from tests.cells import FAST, Cell, eventually

ANN = Caller("acme", "ann")
RARELY = {**FAST, "CORDUM_SWEEP_MS": "3600000", "CORDUM_LEASE_MS": "600000"}
LIMITED = "rules: [{{id: few, decision: allow, constraints: {{budgets: {{max_concurrent_jobs: {most}}}}}}}]"


@pytest.fixture
def cell(redis_address: RedisAddress, tmp_path: Path) -> Iterator[Cell]:
    one = Cell(redis_address, tmp_path, "placed_handlers", Path(__file__).parent, RARELY)
    one.coordinator()
    eventually(lambda: swept_at(one), "the first sweep")
    before = swept_at(one)
    yield one
    assert swept_at(one) == before
    one.end()


def swept_at(cell: Cell) -> Any:
    store = cell.engine.store
    return store.connection.read(lambda client: client.hget(store.keys.swept, "at"))


def waiting(cell: Cell, step: str, reason: str) -> str:
    """A run of one step that waits for this reason."""
    run_id = cell.start(f"s: {{{step}}}")
    assert cell.run(run_id)["steps"]["s"]["wait"]["reason"] == reason
    return run_id


def after_the_wait(cell: Cell, run_id: str, last: str) -> list[tuple[str, Any]]:
    """Type and reason of what is told of the step after the first decision, up to an event of type `last`."""
    eventually(lambda: last in cell.events(run_id), f"{last}\n{cell.logs()[-3000:]}", 120)
    events = [one for one in cell.engine.timeline("acme", run_id, limit=100).items if one.get("step_id") == "s"]
    types = [event["type"] for event in events]
    told = events[types.index("step.decision") + 1 : types.index(last) + 1]
    return [(event["type"], event["data"].get("reason")) for event in told]


def test_a_worker_that_starts_takes_what_waits_for_one_like_it(cell: Cell) -> None:
    run_id = waiting(cell, "topic: job.place.fast, route_labels: {region: eu}", "no_worker")
    cell._env["CORDUM_WORKER_LABELS"] = "region=eu"
    cell.worker("job.place.*", name="late")
    told = after_the_wait(cell, run_id, "step.started")
    assert told == [("step.ready", "worker_free"), ("step.queued", None), ("step.started", None)]
    events = cell.engine.timeline("acme", run_id, limit=100).items
    (cause,) = (event for event in events if event["data"].get("reason") == "worker_free")
    assert cause["data"]["worker"].startswith("late@")


def test_a_queue_that_is_resumed_sends_what_waits(cell: Cell) -> None:
    cell.worker("job.place.*")
    cell.engine.fleet.pause(ANN, "job.place.fast", "moving house")
    run_id = waiting(cell, "topic: job.place.fast", "queue_paused")
    cell.engine.fleet.resume(ANN, "job.place.fast", "moved")
    told = after_the_wait(cell, run_id, "step.started")
    assert told == [("step.ready", "queue_resumed"), ("step.queued", None), ("step.started", None)]


def test_a_key_that_is_released_goes_to_the_next_in_line(cell: Cell) -> None:
    step = "topic: job.place.slow, concurrency: {key: dock, limit: 1}"
    first = cell.start(f"s: {{{step}}}")
    second = waiting(cell, step, "concurrency_key")
    cell.worker("job.place.*")
    told = after_the_wait(cell, second, "step.started")
    assert told == [("step.ready", "place_released"), ("step.queued", None), ("step.started", None)]
    events = cell.engine.timeline("acme", second, limit=100).items
    assert [one["data"]["by"] for one in events if one["data"].get("reason") == "place_released"] == [f"{first}:s@1"]


def test_a_limit_of_a_policy_that_is_raised_has_what_waits_decided_again(cell: Cell) -> None:
    cell.engine.publish_policy(LIMITED.format(most=1).encode(), "ann")
    cell.start("s: {topic: job.nobody}")
    run_id = waiting(cell, "topic: job.nobody", "tenant_limit")
    cell.engine.publish_policy(LIMITED.format(most=2).encode(), "ann")
    (decision, *rest) = after_the_wait(cell, run_id, "step.queued")
    assert decision[0] == "step.decision"
    assert rest == [("step.ready", "policy_changed"), ("step.queued", None)]


def test_a_limit_of_a_pool_that_is_raised_lets_what_waits_go(cell: Cell) -> None:
    cell.engine.pools.put_pool(ANN, "small", {"max_parallel": 1})
    cell.engine.pools.put_topic(ANN, "job.*", "small")
    cell.start("s: {topic: job.nobody}")
    run_id = waiting(cell, "topic: job.nobody", "max_parallel")
    cell.engine.pools.put_pool(ANN, "small", {"max_parallel": 2})
    told = after_the_wait(cell, run_id, "step.queued")
    assert told == [("step.ready", "limit_changed"), ("step.queued", None)]
