"""Many jobs on real workers of different kinds: all of them where they may be, and spread as slots are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from redis import Redis

from cordum.domain.routing import direct_queue
from cordum.engine import Caller
from cordum.redis_address import RedisAddress
from tests.cells import FAST, Cell, eventually

ANN = Caller("acme", "ann")
EACH = 200
STEPS = {
    "any": "",
    "eu": ", route_labels: {region: eu}",
    "us": ", route_labels: {region: us}",
    "gpu": ", route_labels: {preferred_pool: gpu}",
    "both": ", route_labels: {region: eu, preferred_pool: gpu}",
}


@pytest.fixture
def cell(redis_address: RedisAddress, tmp_path: Path) -> Iterator[Cell]:
    one = Cell(redis_address, tmp_path, "placed_handlers", Path(__file__).parent)
    yield one
    one.end()


def hire(cell: Cell, name: str, slots: int, labels: str, capabilities: str = "") -> None:
    cell._env |= {"CORDUM_WORKER_LABELS": labels, "CORDUM_WORKER_CAPABILITIES": capabilities}
    cell.worker("job.place.*", concurrency=slots, name=name)
    del cell._env["CORDUM_WORKER_LABELS"], cell._env["CORDUM_WORKER_CAPABILITIES"]


def ended(cell: Cell, run_id: str) -> None:
    eventually(lambda: cell.ended_now(run_id), f"the end of the run\n{cell.logs()}", 120)
    assert cell.run(run_id)["status"] == "succeeded"


def test_a_thousand_jobs_with_mixed_wishes_all_run_where_they_may(cell: Cell, show: Callable[[str], None]) -> None:
    cell.engine.pools.put_pool(ANN, "gpu", {"requires": ["CUDA"]})
    cell.engine.pools.put_pool(ANN, "any", {})
    cell.engine.pools.put_topic(ANN, "job.place.*", ["gpu", "any"])
    hire(cell, "one", 8, "region=eu,disk=ssd", "cuda,big")
    hire(cell, "two", 4, "region=us")
    hire(cell, "three", 2, "region=eu", "big")
    cell.coordinator()
    run_id = cell.start(
        ", ".join(
            f"{name}: {{topic: job.place.fast, for_each: '${{input.items}}'{wish}}}" for name, wish in STEPS.items()
        ),
        {"items": [0] * EACH},
    )
    ended(cell, run_id)
    ran = Counter((step, labels, abilities) for step, _, labels, abilities in map(str.split, cell.lines()))
    show("\n".join(f"{count:4} {' '.join(key)}" for key, count in sorted(ran.items())))
    assert Counter(step for step, *_ in ran.elements()) == dict.fromkeys(STEPS, EACH)
    for step, labels, abilities in ran:
        assert "region=eu" in labels or step not in ("eu", "both")
        assert "region=us" in labels or step != "us"
        assert "cuda" in abilities or step not in ("gpu", "both")


def test_equal_workers_get_equal_shares_of_their_slots(cell: Cell, show: Callable[[str], None]) -> None:
    # Workers that start know the topic already: one that hears of it first would have a start on the others.
    cell.engine.save_workflow("acme", b"id: w\nsteps: {a: {topic: job.place.slow}}", "yaml")
    for name in ("one", "two", "three"):
        hire(cell, name, 4, "region=eu")
    cell.coordinator()
    step = "topic: job.place.slow, for_each: '${input.items}', route_labels: {region: eu}"
    ended(cell, cell.start(f"s: {{{step}}}", {"items": [0] * 1000}))
    shares = Counter(line.split()[1] for line in cell.lines())
    show(f"jobs of three equal workers: {sorted(shares.values())}")
    assert sum(shares.values()) == 1000
    assert max(shares.values()) <= 1.2 * min(shares.values())


def given_at_once(cell: Cell) -> list[int]:
    """For each worker: the jobs it holds and those on their way to it alone, at one moment."""
    store = cell.engine.store
    queues = {incarnation: direct_queue(incarnation) for incarnation in store.workers.known()}

    def ask(client: Redis) -> list[int]:
        with client.pipeline(transaction=True) as pipe:
            for incarnation, queue in queues.items():
                pipe.scard(store.keys.held(incarnation))
                pipe.zcard(store.keys.sent(queue))
            counts = pipe.execute()
        return [held + sent for held, sent in zip(counts[::2], counts[1::2], strict=True)]

    return store.connection.read(ask)


@pytest.fixture
def patient(redis_address: RedisAddress, tmp_path: Path) -> Iterator[Cell]:
    """Its workers hear nothing by their leases while a test lasts, and nobody sweeps."""
    timing = {"CORDUM_LEASE_MS": "600000", "CORDUM_LEASE_RENEW_MS": "60000", "CORDUM_SWEEP_MS": "3600000"}
    one = Cell(redis_address, tmp_path, "placed_handlers", Path(__file__).parent, {**FAST, **timing})
    yield one
    one.end()


def test_a_burst_gives_no_worker_more_than_its_slots_and_lets_none_idle(
    patient: Cell, show: Callable[[str], None]
) -> None:
    cell = patient
    # Workers that start know the topic already.
    cell.engine.save_workflow("acme", b"id: w\nsteps: {a: {topic: job.place.slow}}", "yaml")
    for name in ("one", "two", "three", "four"):
        hire(cell, name, 4, "region=eu")
    cell.coordinator()
    steps = ", ".join(f"s{number}: {{topic: job.place.slow, route_labels: {{region: eu}}}}" for number in range(200))
    run_id = cell.start(steps)
    most, looks = 0, 0
    while len(cell.lines()) < 200:
        most, looks = max(most, *given_at_once(cell)), looks + 1
    ended(cell, run_id)
    shares = Counter(line.split()[1] for line in cell.lines())
    show(f"200 jobs at once on 4 idle workers with 4 slots: {sorted(shares.values())}; at most {most} in {looks} looks")
    assert most <= 4
    assert sum(shares.values()) == 200
    # Equal shares would be 50; one that idled after what it was first sent would have 4.
    assert min(shares.values()) >= 25
