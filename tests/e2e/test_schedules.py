"""Schedules under real coordinators and real beats, two of each: one run a tick."""

from __future__ import annotations

import pytest

from tests.cells import Cell, eventually
from tests.engine.ticking import finished, overdue, ticks_of

TICKS, PATIENCE_SEC = 30, 150.0


@pytest.mark.timeout(200)
def test_two_beats_and_two_coordinators_give_one_run_a_tick(cell: Cell) -> None:
    overdue(cell.engine, "all", TICKS, catch_up="all", overlap="allow")
    for _ in range(2):
        cell.beat()
        cell.coordinator(beat=True)
    eventually(lambda: finished(cell.engine, "all"), "all ticks", PATIENCE_SEC)
    ticks = ticks_of(cell.engine, "all")
    assert len(ticks) == len(set(ticks)) == TICKS
