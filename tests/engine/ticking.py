"""Schedules that are overdue, and a process that carries them out until it is killed."""

from __future__ import annotations

from dataclasses import replace

from cordum.domain.schedules import Standing
from cordum.engine import Caller, Engine
from cordum.redis_address import RedisAddress
from cordum.settings import Settings
from cordum.store.schedules import ScheduleStep

MINUTE = 60_000
ANN = Caller("acme", "ann")
QUICK = b"{steps: {n: {type: transform, input: {x: 1}}}}"


def overdue(engine: Engine, schedule_id: str, ticks: int, ended_min: int = 0, **wanted: str) -> None:
    """A schedule that nobody has looked at for so many ticks of a minute, the last of which was `ended_min` ago."""
    store, asked = engine.store.schedules, {"workflow_id": "quick", "cron": "* * * * *", **wanted}
    engine.save_workflow("acme", QUICK, "yaml", "quick")
    engine.schedules.create(ANN, {"id": schedule_id, "paused": True, **asked})
    seen = store.read("acme", [schedule_id])[0]
    assert seen.kept is not None
    last = (seen.now // MINUTE - ended_min) * MINUTE
    first = last - (ticks - 1) * MINUTE
    schedule = replace(seen.kept.schedule, ends_at=last)
    after = replace(seen.kept, schedule=schedule, standing=Standing(first), paused=False)
    assert store.save(ScheduleStep.of(seen.kept, after, first))


def finished(engine: Engine, *schedule_ids: str) -> bool:
    return all(engine.schedules.get("acme", one)["state"] == "finished" for one in schedule_ids)


def ticks_of(engine: Engine, schedule_id: str) -> list[str]:
    """The ticks that have a run, once for each run."""
    labels = [run["labels"] for run in engine.runs("acme", limit=1000).items]
    return [found["scheduled_for"] for found in labels if found["schedule"] == schedule_id]


def sweep_until_killed(url: str, place: str, *schedule_ids: str) -> None:
    """A coordinator without Celery, with a failpoint; it ends when the schedules are finished."""
    engine = Engine.connect(Settings(sweep_ms=10, failpoints=place), RedisAddress.parse(url))
    while not finished(engine, *schedule_ids):
        engine._coordinator.sweep()
