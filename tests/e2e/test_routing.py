"""Many jobs on real workers of different kinds: all of them where they may be, and spread as slots are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cordum.engine import Caller
from cordum.redis_address import RedisAddress
from tests.cells import Cell, eventually

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
    for name in ("one", "two", "three"):
        hire(cell, name, 4, "region=eu")
    cell.coordinator()
    step = "topic: job.place.slow, for_each: '${input.items}', route_labels: {region: eu}"
    ended(cell, cell.start(f"s: {{{step}}}", {"items": [0] * 1000}))
    shares = Counter(line.split()[1] for line in cell.lines())
    show(f"jobs of three equal workers: {sorted(shares.values())}")
    assert sum(shares.values()) == 1000
    assert max(shares.values()) <= 1.2 * min(shares.values())
