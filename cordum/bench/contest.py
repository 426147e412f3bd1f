"""Measures the sides one after the other, pair by pair, so that whatever else the machine does meets them alike."""

from __future__ import annotations

import os
import statistics
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from cordum.bench import proc
from cordum.bench.celery_sides import CanvasSide, PlainSide
from cordum.bench.cordum_side import CordumSide
from cordum.bench.setting import setting
from cordum.bench.sides import WORKERS, Measured, Place, Side, measure
from cordum.ops.die_with_parent import die_with
from cordum.ops.redis_server import RedisServer

WARM_UP = 20
MOST_BUSY = 0.1
_LOOK_AROUND_SEC = 0.5
_SIDES: tuple[Side, ...] = (CordumSide(), CanvasSide(), PlainSide())


@dataclass(frozen=True, slots=True)
class Options:
    """`pool` and `concurrency` (slots of one worker process) hold for every side."""

    runs: int = 1_000
    pairs: int = 5
    pool: str = "threads"
    concurrency: int = 8
    warm_up: int = WARM_UP


@dataclass(frozen=True, slots=True)
class Pair:
    """One measurement of each side, on one Redis. `plain` counts four tasks as a run.

    `busy_before`: the share of the machine that others used right before; None where there is no /proc.
    """

    cordum: Measured
    canvas: Measured
    plain: Measured
    busy_before: float | None = None

    def sides(self) -> tuple[tuple[str, Measured], ...]:
        return ("cordum", self.cordum), ("canvas", self.canvas), ("plain", self.plain)

    @property
    def ratio(self) -> float:
        """How many times as many runs a second cordum did as the canvas."""
        return self.canvas.seconds / self.cordum.seconds

    @property
    def cpu_ratio(self) -> float | None:
        """How many times as much processor time the canvas took."""
        return self.canvas.cpu_sec / self.cordum.cpu_sec if self.canvas.cpu_sec and self.cordum.cpu_sec else None

    @property
    def disturbed(self) -> bool:
        """Whether something else used so much of the machine that the times say little."""
        return self.busy_before is not None and self.busy_before > MOST_BUSY

    def problems(self) -> list[str]:
        return [f"{name}: {problem}" for name, measured in self.sides() for problem in measured.problems]


@dataclass(slots=True)
class Report:
    """Everything that was measured, and with what."""

    options: Options
    setting: Mapping[str, Any]
    pairs: list[Pair] = field(default_factory=list)

    @property
    def median_ratio(self) -> float:
        return statistics.median(pair.ratio for pair in self.pairs)

    @property
    def median_cpu_ratio(self) -> float | None:
        ratios = [pair.cpu_ratio for pair in self.pairs if pair.cpu_ratio is not None]
        return statistics.median(ratios) if ratios else None

    def problems(self) -> list[str]:
        return [f"pair {number}, {problem}" for number, pair in enumerate(self.pairs, 1) for problem in pair.problems()]

    def rate(self, measured: Measured) -> float:
        """Runs a second."""
        return self.options.runs / measured.seconds

    def document(self) -> dict[str, Any]:
        """As JSON, with all raw times."""
        return {
            "options": asdict(self.options),
            "setting": dict(self.setting),
            "pairs": [asdict(pair) | {"ratio": pair.ratio, "cpu_ratio": pair.cpu_ratio} for pair in self.pairs],
            "median_ratio": self.median_ratio,
            "median_cpu_ratio": self.median_cpu_ratio,
            "problems": self.problems(),
        }


def hold_contest(options: Options, on_pair: Callable[[Report], None]) -> Report:
    """Measure `options.pairs` times; `on_pair` hears of each as it comes. The first pair with a problem is the last."""
    report = Report(
        options,
        setting()
        | {
            "worker_processes": WORKERS,
            "cordum": "one coordinator with its beat; policy, timeline and leases on; settings by default",
            "canvas": "chain with a group, Redis result backend; settings by default",
            "plain": "as many tasks as the graph has steps, no results",
        },
    )
    for _ in range(options.pairs):
        pair = _pair(options)
        report.pairs.append(pair)
        on_pair(report)
        if pair.problems():
            break
    return report


def _pair(options: Options) -> Pair:
    busy = proc.busy_share(_LOOK_AROUND_SEC) if proc.PRESENT else None
    with tempfile.TemporaryDirectory(prefix="cordum-bench-") as name:
        directory = Path(name)
        with RedisServer(directory) as server:
            place = Place(server.address, server.pid, options.pool, options.concurrency, directory)
            cordum, canvas, plain = (_measured_apart(side, place, options) for side in _SIDES)
            return Pair(cordum, canvas, plain, busy)


def _measured_apart(side: Side, place: Place, options: Options) -> Measured:
    """In a process of its own, so that what one side leaves behind (threads, garbage) costs no other.

    It ends with this one however this one ends, and its workers with it.
    """
    spawn = get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn, initializer=die_with, initargs=(os.getpid(),)) as process:
        return process.submit(measure, side, place, options.runs, options.warm_up).result()
