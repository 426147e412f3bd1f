"""Schedules under real coordinators and beats that are killed around every script of a tick: one run a tick."""

from __future__ import annotations

import signal
import subprocess
from dataclasses import replace

import pytest

from cordum.domain.schedules import Standing
from cordum.engine import Caller
from cordum.store.schedules import ScheduleStep
from tests.cells import Cell, eventually

pytestmark = pytest.mark.proof

PATIENCE_SEC = 60.0
MINUTE = 60_000
TICKS = 100
ANN = Caller("acme", "ann")
KILLED = [
    "read_schedule.before=kill@3",
    "read_schedule.after=kill@9",
    "create_run.before=kill@7",
    "create_run.after=kill@7",
    "create_run.after=kill@2",
    "read_schedule.after=kill@2",
    "save_schedule.before=kill@1",
    "save_schedule.after=kill@1",
    "sweep.before=kill@1",
    "sweep.after=kill@1",
]


def overdue(cell: Cell, schedule_id: str, ticks: int, **wanted: str) -> None:
    """A schedule that nobody has looked at for so many ticks of a minute."""
    store, asked = cell.engine.store.schedules, {"workflow_id": "quick", "cron": "* * * * *", **wanted}
    cell.engine.schedules.create(ANN, {"id": schedule_id, "paused": True, **asked})
    seen = store.read("acme", [schedule_id])[0]
    assert seen.kept is not None
    first = seen.now // MINUTE * MINUTE - (ticks - 1) * MINUTE
    standing, last = Standing(first), first + (ticks - 1) * MINUTE
    bounded = replace(seen.kept.schedule, ends_at=last)
    after = replace(seen.kept, schedule=bounded, standing=standing, paused=False)
    assert store.save(ScheduleStep.of(seen.kept, after, first))


@pytest.mark.timeout(300)
def test_a_hundred_ticks_under_kills_are_a_hundred_runs(cell: Cell) -> None:
    cell.engine.save_workflow("acme", b"{steps: {n: {type: transform, input: {x: 1}}}}", "yaml", "quick")
    overdue(cell, "all", TICKS, catch_up="all", overlap="allow")
    overdue(cell, "none", TICKS, catch_up="none", overlap="allow")
    for beat in (cell.beat(), cell.beat()):
        assert beat.poll() is None
    for place in KILLED:
        with cell.failing(place):
            victims = [cell.coordinator(), cell.coordinator()]
        eventually(lambda gone=victims: _all_gone(gone) or _done(cell), f"{place}\n{cell.logs()}", PATIENCE_SEC)
        killed = [one.returncode for one in victims if one.poll() is not None]
        assert set(killed) <= {-signal.SIGKILL}, cell.logs()[-4000:]
        for one in victims:
            one.kill()
    for _ in range(2):
        cell.coordinator()
    eventually(lambda: _done(cell), f"all ticks\n{cell.logs()}", PATIENCE_SEC)
    ticks = _ticks(cell, "all")
    assert len(ticks) == len(set(ticks)) == TICKS
    counts = cell.engine.schedules.get("acme", "all")["counts"]
    assert counts == {"fired": TICKS, "skipped": 0, "missed": 0, "refused": 0}
    assert cell.engine.schedules.get("acme", "none")["counts"]["missed"] >= TICKS - 1


def _all_gone(processes: list[subprocess.Popen[bytes]]) -> bool:
    return all(one.poll() is not None for one in processes)


def _done(cell: Cell) -> bool:
    return all(cell.engine.schedules.get("acme", one)["state"] == "finished" for one in ("all", "none"))


def _ticks(cell: Cell, schedule_id: str) -> list[str]:
    first = cell.engine.runs("acme", limit=200)
    labels = [run["labels"] for run in first.items]
    return [found["scheduled_for"] for found in labels if found["schedule"] == schedule_id]
