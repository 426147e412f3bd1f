"""How long the choice of a worker takes, among few and among many. Processor time of the thread."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from cordum.domain.pools import Pool, PoolMap
from cordum.domain.routing import Candidate, Route, least_loaded

SIZES = (10, 100, 1_000)
BUDGET_P99_US = 10_000.0
_TOPIC = "job.team.task"
_POOLS = PoolMap({"gpu": Pool("gpu", ("cuda",)), "any": Pool("any")}, {"job.*": ("gpu", "any")})
_REGIONS = ("eu", "us", "ap", "sa")


@dataclass(frozen=True, slots=True)
class Chosen:
    """Microseconds of one choice among so many registered workers; `asked`: what of them."""

    workers: int
    asked: str
    choices: int
    p50_us: float
    p99_us: float

    @property
    def within_budget(self) -> bool:
        return self.p99_us < BUDGET_P99_US

    def document(self) -> dict[str, Any]:
        return {**asdict(self), "within_budget": self.within_budget}


def measure_choices(choices: int = 500) -> Iterator[Chosen]:
    """For jobs that ask for nothing, for a label, and for a label and a pool."""
    label = (("region", "eu"),)
    asked = {"nothing": None, "a label": Route(_TOPIC, None, label), "label and pool": Route(_TOPIC, "gpu", label)}
    for size in SIZES:
        workers = [_worker(number) for number in range(size)]
        for name, route in asked.items():
            yield _measured(workers, name, route, choices)


def _measured(workers: list[Candidate], name: str, route: Route | None, choices: int) -> Chosen:
    times = []
    for turn in range(choices):
        begun = time.thread_time_ns()
        least_loaded(workers, _TOPIC, route, pools=_POOLS, turn=turn)
        times.append(time.thread_time_ns() - begun)
    times.sort()
    return Chosen(len(workers), name, choices, times[choices // 2] / 1000, times[choices * 99 // 100] / 1000)


def _worker(number: int) -> Candidate:
    return Candidate(
        id=f"worker-{number}",
        slots=4 + number % 8,
        active=number % 5,
        topics=frozenset({_TOPIC, f"job.team.task{number}"}),
        labels={"region": _REGIONS[number % len(_REGIONS)], "rack": str(number)},
        capabilities=("cuda",) if number % 3 else (),
    )
