"""What a measurement needs to know of a side, and what all sides have alike."""

from __future__ import annotations

import os
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cordum.bench import proc
from cordum.redis_address import RedisAddress

WORKERS = 2
READY_SEC = 60.0
LOOK_EVERY_SEC = 0.02


@dataclass(frozen=True, slots=True)
class Place:
    """Where a side is measured: two worker processes with this pool and so many slots each, on this Redis."""

    address: RedisAddress
    redis_pid: int
    pool: str
    concurrency: int
    directory: Path


class Bout(Protocol):
    """A side with its workers up."""

    def run(self, count: int) -> None:
        """Submit `count` runs at once; returns when the result of each is in hand."""

    def problems(self) -> list[str]:
        """What is wrong with the last `run`; anything makes its time worthless."""


class Side(Protocol):
    name: str

    def ready(self, place: Place) -> AbstractContextManager[Bout]: ...


@dataclass(frozen=True, slots=True)
class Measured:
    """Seconds from the first submission to the last result, and what was wrong with the results.

    `cpu_sec`: processor time of all its processes and of Redis, which says more than the clock where a machine is
    shared; None where there is no /proc.
    """

    seconds: float
    cpu_sec: float | None
    problems: tuple[str, ...]


def done_sec(runs: int) -> float:
    """How long so many runs may take on any side, on a machine that others use, too: what takes longer hangs."""
    return 60.0 + 0.1 * runs


def measure(side: Side, place: Place, runs: int, warm_up: int) -> Measured:
    with side.ready(place) as bout:
        bout.run(warm_up)
        bout.problems()
        used, began = _cpu_sec(place), time.monotonic()
        bout.run(runs)
        seconds, now_used = time.monotonic() - began, _cpu_sec(place)
        return Measured(seconds, now_used - used if proc.PRESENT else None, tuple(bout.problems()))


def _cpu_sec(place: Place) -> float:
    return sum(proc.cpu_sec(pid) for pid in (*proc.family(os.getpid()), place.redis_pid)) if proc.PRESENT else 0.0
