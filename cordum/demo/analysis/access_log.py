"""The access log: error rate and latency per build. Lines that are not requests are counted, never fatal."""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cordum.demo.analysis.latency import percentiles
from cordum.errors import InvalidInput

# A build with fewer requests than this is not judged.
MIN_REQUESTS = 100
UNHEALTHY_ERROR_RATE = 0.02
UNHEALTHY_RATIO = 3

PROGRESS_EVERY_LINES = 4000

_REQUEST = re.compile(r'"[A-Z]+ \S+ HTTP/[0-9.]+" ([1-5][0-9][0-9]) [0-9]+ rt=([0-9]{1,6}\.[0-9]{3}) build=(\S+)$')


@dataclass(frozen=True, slots=True)
class BuildTraffic:
    """What one build answered. `errors` counts status 5xx; times are nearest-rank milliseconds of all requests."""

    build: str
    requests: int
    errors: int
    error_rate: float
    p50_ms: int
    p95_ms: int
    p99_ms: int


@dataclass(frozen=True, slots=True)
class AccessSummary:
    """`builds` in order of their first request."""

    lines: int
    skipped_lines: int
    builds: tuple[BuildTraffic, ...]


def summarise(lines: Iterable[str]) -> AccessSummary:
    seen = skipped = 0
    latencies: dict[str, list[int]] = {}
    errors: dict[str, int] = {}
    for line in lines:
        seen += 1
        request = _REQUEST.search(line.rstrip("\n"))
        if request is None:
            skipped += 1
            continue
        status, seconds, build = request.groups()
        latencies.setdefault(build, []).append(int(seconds.replace(".", "")))
        errors[build] = errors.get(build, 0) + (status[0] == "5")
    return AccessSummary(seen, skipped, tuple(_traffic(build, latencies[build], errors[build]) for build in latencies))


def unhealthy_builds(builds: Sequence[BuildTraffic]) -> list[BuildTraffic]:
    """Builds that fail at least UNHEALTHY_ERROR_RATE, and UNHEALTHY_RATIO times as often as the best; worst first."""
    judged = [traffic for traffic in builds if traffic.requests >= MIN_REQUESTS]
    best = min((traffic.error_rate for traffic in judged), default=0.0)
    least = max(UNHEALTHY_ERROR_RATE, UNHEALTHY_RATIO * best)
    unhealthy = [traffic for traffic in judged if traffic.error_rate >= least]
    return sorted(unhealthy, key=lambda traffic: (-traffic.error_rate, -traffic.p95_ms, traffic.build))


def read_access_log(path: Path, on_progress: Callable[[float], None] = lambda _: None) -> Iterator[str]:
    """Lines of a gzip file. `on_progress` gets the fraction of the compressed file read so far, 0 to 1.

    Raises InvalidInput when the file is cut short or is not gzip.
    """
    size = path.stat().st_size
    try:
        with path.open("rb") as compressed, gzip.open(compressed, "rt", encoding="utf-8", errors="replace") as lines:
            for number, line in enumerate(lines, start=1):
                if number % PROGRESS_EVERY_LINES == 0:
                    on_progress(compressed.tell() / size)
                yield line
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InvalidInput(f"{path.name}: {error}") from error


def _traffic(build: str, latencies: list[int], errors: int) -> BuildTraffic:
    measured = percentiles(latencies)
    return BuildTraffic(
        build=build,
        requests=measured.samples,
        errors=errors,
        error_rate=round(errors / measured.samples, 4),
        p50_ms=measured.p50_ms,
        p95_ms=measured.p95_ms,
        p99_ms=measured.p99_ms,
    )
