"""Nearest-rank percentiles, and the deploy after which a latency series changed. Works on parsed samples."""

from __future__ import annotations

import csv
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cordum.demo.analysis.deploys import Deploy
from cordum.errors import InvalidInput

# Fewer samples than this on either side of a deploy say nothing about a p95.
MIN_SAMPLES = 100
SUSPECT_FACTOR = 1.5


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Nearest rank, in milliseconds: each value is one that was really measured."""

    samples: int
    p50_ms: int
    p95_ms: int
    p99_ms: int


@dataclass(frozen=True, slots=True)
class Sample:
    time: datetime
    latency_ms: int


@dataclass(frozen=True, slots=True)
class Shift:
    """Latency from the previous deploy up to this one, and from this one up to the next."""

    build: str
    service: str
    deployed_at: datetime
    before: Percentiles
    after: Percentiles

    @property
    def p95_factor(self) -> float:
        # A service that answers in 0 ms has no factor worth the name; 1 ms is the resolution of the series.
        return round(self.after.p95_ms / max(self.before.p95_ms, 1), 2)


def nearest_rank(ordered: Sequence[int], percent: int) -> int:
    """The smallest value that at least `percent` % (1 to 100) of the ascending, non-empty `ordered` do not exceed."""
    rank = -(-percent * len(ordered) // 100)
    return ordered[rank - 1]


def percentiles(values: Iterable[int]) -> Percentiles:
    """Raises InvalidInput when there is nothing to measure."""
    ordered = sorted(values)
    if not ordered:
        raise InvalidInput("no percentile of an empty series")
    return Percentiles(len(ordered), nearest_rank(ordered, 50), nearest_rank(ordered, 95), nearest_rank(ordered, 99))


def shifts(samples: Sequence[Sample], deploys: Sequence[Deploy]) -> list[Shift]:
    """One Shift for each deploy with enough samples on both sides; both arguments in order of time."""
    times = [sample.time for sample in samples]
    cuts = [0, *(bisect_left(times, deploy.time) for deploy in deploys), len(samples)]
    found = []
    for deploy, start, cut, end in zip(deploys, cuts, cuts[1:], cuts[2:], strict=False):
        if min(cut - start, end - cut) >= MIN_SAMPLES:
            before = percentiles(sample.latency_ms for sample in samples[start:cut])
            after = percentiles(sample.latency_ms for sample in samples[cut:end])
            found.append(Shift(deploy.build, deploy.service, deploy.time, before, after))
    return found


def suspect_shift(found: Sequence[Shift]) -> Shift | None:
    """The deploy after which p95 grew most, when it grew by SUSPECT_FACTOR or more."""
    worst = max(found, key=lambda shift: shift.p95_factor, default=None)
    return worst if worst is not None and worst.p95_factor >= SUSPECT_FACTOR else None


def read_latency_series(path: Path) -> list[Sample]:
    with path.open(encoding="utf-8", newline="") as lines:
        return parse_latency_series(lines)


def parse_latency_series(lines: Iterable[str]) -> list[Sample]:
    """CSV with the header `time,latency_ms`, oldest first. Raises InvalidInput naming the line that cannot be read."""
    rows = csv.reader(lines)
    if next(rows, None) != ["time", "latency_ms"]:
        raise InvalidInput("latency series: the header is not time,latency_ms")
    samples: list[Sample] = []
    for row in rows:
        try:
            time, latency_ms = row
            sample = Sample(datetime.fromisoformat(time), int(latency_ms))
            if samples and sample.time < samples[-1].time:
                raise ValueError("earlier than the line before it")
        except (ValueError, TypeError) as error:
            raise InvalidInput(f"latency series, line {rows.line_num}: {error}") from error
        samples.append(sample)
    return samples
