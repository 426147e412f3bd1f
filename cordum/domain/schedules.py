"""What a schedule does next: a function of the schedule, the time and the runs it has open.

A tick is *missed* when it is found more than a minute late (nobody was there, or too much was waiting). Catch-up says
what becomes of missed ticks; overlap then says what becomes of a tick while an earlier run of the schedule is open.
Times are milliseconds by Redis' clock.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import takewhile

from cordum.domain.cron import Cron
from cordum.domain.workflow import JSON

SCHEDULE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
MISSED_AFTER_MS = 60_000
LOOK_AGAIN_MS = 1000
MAX_WAITING = 1000
MAX_OPEN = 100  # of its latest runs a schedule knows so many


class Overlap(StrEnum):
    """A tick while an earlier run is open: is skipped, waits, ends that run first, or starts another."""

    SKIP = "skip"
    QUEUE = "queue"
    CANCEL_PREVIOUS = "cancel_previous"
    ALLOW = "allow"


class CatchUp(StrEnum):
    """Missed ticks: are dropped, are made up for by the latest of them, or each by itself."""

    NONE = "none"
    ONE = "one"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Schedule:
    """What somebody wants to happen when. Runs count as submitted by `person`; `version` None: the latest one."""

    id: str
    tenant: str
    workflow_id: str
    cron: Cron
    person: str
    version: int | None = None
    input: Mapping[str, JSON] = field(default_factory=dict)
    overlap: Overlap = Overlap.SKIP
    catch_up: CatchUp = CatchUp.NONE
    starts_at: int | None = None
    ends_at: int | None = None  # a tick at this very moment still counts
    labels: Mapping[str, str] = field(default_factory=dict)
    description: str = ""

    def next_tick(self, after: int) -> int | None:
        """The first tick later than `after` within the bounds."""
        tick = self.cron.next(max(after, (self.starts_at or 0) - 1))
        return None if tick is None or (self.ends_at is not None and tick > self.ends_at) else tick

    def ticks(self, first: int, last: int, most: int) -> list[int]:
        """The ticks from `first` up to and with `last`, at most `most` of them."""
        found: list[int] = []
        tick = self.next_tick(first - 1)
        while tick is not None and tick <= last and len(found) < most:
            found.append(tick)
            tick = self.next_tick(tick)
        return found


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a schedule is. `waiting` are ticks that shall have a run and have none yet, oldest first."""

    next_at: int | None
    waiting: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Move:
    """What happens next. `fire` is the tick whose run begins now; `cancel` the runs that must end before.

    `skipped` and `missed` count the ticks that will have no run. `look_at`: when somebody has to look again.
    """

    after: Standing
    look_at: int | None
    fire: int | None = None
    cancel: tuple[str, ...] = ()
    skipped: int = 0
    missed: int = 0


def move(schedule: Schedule, standing: Standing, now: int, open_runs: Collection[str]) -> Move | None:
    """The next move; None while there is nothing to do. Each starts one run at most: ask again after it."""
    due, next_at, missed = _due(schedule, standing, now)
    waiting = (*standing.waiting, *due)
    if not waiting:
        moved = next_at != standing.next_at
        return Move(Standing(next_at), next_at, missed=missed) if moved else None
    if not open_runs or schedule.overlap is Overlap.ALLOW:
        left = Standing(next_at, waiting[1:])
        return Move(left, now if left.waiting else next_at, fire=waiting[0], missed=missed)
    match schedule.overlap:
        case Overlap.SKIP:
            return Move(Standing(next_at), next_at, skipped=len(waiting), missed=missed)
        case Overlap.CANCEL_PREVIOUS:
            return Move(standing, now, cancel=tuple(open_runs))
    return Move(Standing(next_at, waiting), now + LOOK_AGAIN_MS, missed=missed)


def _due(schedule: Schedule, standing: Standing, now: int) -> tuple[list[int], int | None, int]:
    """The ticks that shall have a run, the first tick after those looked at, and how many were dropped as missed."""
    room = MAX_WAITING - len(standing.waiting)
    ticks: list[int] = []
    tick = standing.next_at
    while tick is not None and tick <= now and len(ticks) < room:
        ticks.append(tick)
        tick = schedule.next_tick(tick)
    late = list(takewhile(lambda one: one < now - MISSED_AFTER_MS, ticks))
    more_to_come = tick is not None and tick < now - MISSED_AFTER_MS
    match schedule.catch_up:
        case CatchUp.ALL:
            made_up = late
        case CatchUp.ONE:
            made_up = [] if more_to_come else late[-1:]
        case _:
            made_up = []
    return [*made_up, *ticks[len(late) :]], tick, len(late) - len(made_up)
