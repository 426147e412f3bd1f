"""A tenant that submits much first delays another that comes later by little: in order of starts, on real workers.

The long form, 10,000 jobs before 20, runs by `pytest -m stress` and shows the times as well.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from cordum.engine import Caller
from cordum.engine.jobs import window_of
from cordum.redis_address import RedisAddress
from tests.cells import FAST, Cell, eventually

TOPIC = "job.place.slow"
SLOTS, BURST, STEPS = 4, 20, 200


class Delay(NamedTuple):
    """Of the burst's median start: how many other jobs had begun since it was submitted, and seconds."""

    others: float
    seconds: float


@pytest.fixture
def make_cell(redis_address: RedisAddress, tmp_path: Path) -> Iterator[Callable[..., Cell]]:
    cells: list[Cell] = []

    def make(**timing: str) -> Cell:
        cells.append(Cell(redis_address, tmp_path, "placed_handlers", Path(__file__).parent, {**FAST, **timing}))
        return cells[-1]

    yield make
    for cell in cells:
        cell.end()


def at_work(cell: Cell) -> None:
    """A coordinator and two workers, and the topic's window as wide as their slots ask for."""
    for name in ("one", "two"):
        cell.worker(TOPIC, concurrency=SLOTS // 2, name=name)
    cell.coordinator()
    width = str(window_of(SLOTS, cell.settings.window_ahead))
    store = cell.engine.store
    eventually(lambda: store.connection.read(lambda one: one.hget(store.keys.windows, TOPIC)) == width, "the window")


def submit(cell: Cell, tenant: str, count: int) -> list[str]:
    """So many jobs of one tenant, as runs of many steps that depend on nothing."""
    caller, runs = Caller(tenant, "ann"), []
    while count > 0:
        steps = ", ".join(f"s{number}: {{topic: {TOPIC}}}" for number in range(min(count, STEPS)))
        cell.engine.save_workflow(tenant, f"id: w{min(count, STEPS)}\nsteps: {{{steps}}}\n".encode(), "yaml")
        runs.append(str(cell.engine.start_run(caller, f"w{min(count, STEPS)}", {}).run["id"]))
        count -= STEPS
    return runs


def starts(cell: Cell, tenant: str, runs: list[str]) -> list[datetime]:
    """When jobs of these runs began, by Redis' clock."""
    steps: list[dict[str, Any]] = [s for run_id in runs for s in cell.engine.run(tenant, run_id)["steps"].values()]
    return sorted(datetime.fromisoformat(step["started_at"]) for step in steps if step["started_at"])


def delay_of_burst(cell: Cell, flood: list[str]) -> Delay:
    (burst,) = submit(cell, "second", BURST)
    eventually(lambda: cell.engine.run("second", burst)["completed_at"], f"the burst\n{cell.logs()[-2000:]}", 120)
    submitted = datetime.fromisoformat(cell.engine.run("second", burst)["created_at"])
    begun = starts(cell, "second", [burst])
    assert len(begun) == BURST
    others = [at for at in starts(cell, "first", flood) if at >= submitted]
    before = statistics.median(sum(other <= at for other in others) for at in begun)
    return Delay(before, statistics.median((at - submitted).total_seconds() for at in begun))


def others_allowed() -> float:
    """Twice the median without the flood and one job time, as starts, less those of the burst itself."""
    alone = statistics.median(number // SLOTS for number in range(BURST))
    return (2 * alone + 1) * SLOTS - (BURST + 1) / 2


def flooded(cell: Cell, flood: int) -> Delay:
    runs = submit(cell, "first", flood)
    eventually(lambda: len(cell.lines()) > 40, f"the flood\n{cell.logs()[-2000:]}")
    delay = delay_of_burst(cell, runs)
    for run_id in runs:
        cell.engine.cancel_run(Caller("first", "ann"), run_id)
    return delay


@pytest.mark.parametrize("flood", [400, pytest.param(10_000, marks=pytest.mark.stress)], ids=["short", "long"])
@pytest.mark.timeout(400)
def test_a_flood_before_delays_a_burst_by_what_it_is_allowed_to(
    make_cell: Callable[..., Cell], show: Callable[[str], None], flood: int
) -> None:
    cell = make_cell()
    at_work(cell)
    alone = delay_of_burst(cell, [])
    behind = flooded(cell, flood)
    show(
        f"{BURST} jobs behind {flood} on {SLOTS} slots: {behind.others:g} others before the median start, allowed are "
        f"{others_allowed():g}; median delay {behind.seconds:.3f} s, without them {alone.seconds:.3f} s"
    )
    assert alone.others == 0
    assert behind.others <= others_allowed()


def test_a_wide_window_would_delay_it_more(make_cell: Callable[..., Cell]) -> None:
    cell = make_cell(CORDUM_WINDOW_AHEAD="28")
    at_work(cell)
    assert flooded(cell, 400).others > others_allowed()
