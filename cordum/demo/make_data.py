"""Makes the demo's data, the same bytes every time: `python -m cordum.demo.make_data [DIRECTORY]`.

The story: build 2026.04.01-3 of checkout-api ships at 14:05 and looks prices up one by one instead of in one query. One
request in three goes down that slow path, where some give up; the freeze comes at 14:30. Everything else is traffic.
"""

from __future__ import annotations

import gzip
import io
import json
import math
import random
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import NormalDist

from cordum.demo.workspace import ACCESS_LOG, DEPLOY_LOG, INCIDENT, LATENCY, SHIPPED_DATA

SEED = 4821

START = datetime(2026, 4, 1, 13, 0, tzinfo=UTC)
GOOD_SHIPPED = START + timedelta(minutes=25)
SUSPECT_SHIPPED = START + timedelta(minutes=65)
FROZEN = START + timedelta(minutes=90)
ROLLOUT = timedelta(minutes=2)

BEFORE, GOOD, SUSPECT = "2026.04.01-1", "2026.04.01-2", "2026.04.01-3"

REQUESTS_PER_SECOND = 4
PROBE_EVERY_SEC = 3

BASE_MS, SLOW_MS, SPREAD = 80.0, 420.0, 0.45
SLOW_SHARE = 0.35
BASE_ERROR_SHARE, SLOW_ERROR_SHARE = 0.004, 0.16

ENDPOINTS = (("GET", "/cart", 1843), ("POST", "/cart/items", 312), ("GET", "/prices", 2210), ("POST", "/checkout", 655))

DEPLOY_EVENTS: tuple[dict[str, object], ...] = (
    {
        "time": "2026-03-31T08:40:00Z",
        "event": "deployed",
        "build": "2026.03.31-1",
        "service": "checkout-api",
        "change": "Round totals half to even",
        "touches": ["pricing"],
    },
    {"time": "2026-03-31T09:10:00Z", "event": "verified", "build": "2026.03.31-1"},
    {
        "time": "2026-03-31T16:05:00Z",
        "event": "deployed",
        "build": "2026.03.31-2",
        "service": "checkout-api",
        "change": "New connection pool",
        "touches": ["database"],
    },
    {"time": "2026-03-31T16:20:00Z", "event": "rejected", "build": "2026.03.31-2"},
    {
        "time": "2026-04-01T09:30:00Z",
        "event": "deployed",
        "build": BEFORE,
        "service": "checkout-api",
        "change": "Accept gift cards",
        "touches": ["request-path"],
    },
    {"time": "2026-04-01T10:00:00Z", "event": "verified", "build": BEFORE},
    {
        "time": "2026-04-01T13:25:00Z",
        "event": "deployed",
        "build": GOOD,
        "service": "checkout-api",
        "change": "Log the build with each request",
        "touches": ["logging"],
    },
    {
        "time": "2026-04-01T13:50:00Z",
        "event": "deployed",
        "build": "2026.03.31-5",
        "service": "search-indexer",
        "change": "Index product reviews",
        "touches": ["search", "batch"],
    },
    {"time": "2026-04-01T13:55:00Z", "event": "verified", "build": GOOD},
    {
        "time": "2026-04-01T14:05:00Z",
        "event": "deployed",
        "build": SUSPECT,
        "service": "checkout-api",
        "change": "Look prices up per item for personal discounts",
        "touches": ["database", "pricing", "request-path"],
    },
    {"time": "2026-04-01T14:30:00Z", "event": "frozen", "incident": "INC-4821"},
)

_MONTH = "Apr"  # not strftime: %b speaks the language of whoever runs this


class Traffic:
    """A seeded stream of answers. Uses `random()` only, the one method whose sequence Python promises to keep."""

    def __init__(self, seed: str) -> None:
        self._random = random.Random(seed).random

    def pick(self, count: int) -> int:
        return int(self._random() * count)

    def build_at(self, time: datetime) -> str:
        """The build that answers at `time`; while one is rolled out, ever more often the new one."""
        if time < GOOD_SHIPPED:
            return BEFORE
        old, new, shipped = (BEFORE, GOOD, GOOD_SHIPPED) if time < SUSPECT_SHIPPED else (GOOD, SUSPECT, SUSPECT_SHIPPED)
        return new if self._random() * ROLLOUT <= time - shipped else old

    def answer(self, build: str) -> tuple[int, bool]:
        """Milliseconds, and whether it failed."""
        slow = self._random() < (SLOW_SHARE if build == SUSPECT else 0.0)
        quantile = NormalDist().inv_cdf(max(self._random(), 1e-9))
        latency_ms = round((SLOW_MS if slow else BASE_MS) * math.exp(SPREAD * quantile))
        return latency_ms, self._random() < (SLOW_ERROR_SHARE if slow else BASE_ERROR_SHARE)


def deploy_log() -> bytes:
    return "".join(f"{json.dumps(event)}\n" for event in DEPLOY_EVENTS).encode()


def access_log_lines() -> Iterator[str]:
    traffic = Traffic(f"access {SEED}")
    for second in range(int((FROZEN - START).total_seconds())):
        time = START + timedelta(seconds=second)
        stamp = f"{time.day:02}/{_MONTH}/{time.year}:{time:%H:%M:%S} +0000"
        for _ in range(REQUESTS_PER_SECOND):
            build = traffic.build_at(time)
            method, path, size = ENDPOINTS[traffic.pick(len(ENDPOINTS))]
            latency_ms, failed = traffic.answer(build)
            status, size = (503, 98) if failed else (200, size)
            client = f"10.20.0.{10 + traffic.pick(8)}"
            took = f"{latency_ms // 1000}.{latency_ms % 1000:03}"
            yield f'{client} - - [{stamp}] "{method} {path} HTTP/1.1" {status} {size} rt={took} build={build}\n'


def access_log() -> bytes:
    packed = io.BytesIO()
    # Neither a time nor a file name in the header: the same lines give the same file.
    with gzip.GzipFile(filename="", fileobj=packed, mode="wb", compresslevel=9, mtime=0) as archive:
        archive.write("".join(access_log_lines()).encode())
    return packed.getvalue()


def latency_series() -> bytes:
    traffic = Traffic(f"latency {SEED}")
    rows = ["time,latency_ms\n"]
    for second in range(0, int((FROZEN - START).total_seconds()), PROBE_EVERY_SEC):
        time = START + timedelta(seconds=second)
        latency_ms, _ = traffic.answer(traffic.build_at(time))
        rows.append(f"{time:%Y-%m-%dT%H:%M:%SZ},{latency_ms}\n")
    return "".join(rows).encode()


def incident() -> bytes:
    return (json.dumps({"incident_id": "INC-4821", "summary": "p95 latency up 4x"}) + "\n").encode()


def make_files() -> dict[str, bytes]:
    return {DEPLOY_LOG: deploy_log(), ACCESS_LOG: access_log(), LATENCY: latency_series(), INCIDENT: incident()}


def main(arguments: list[str]) -> None:
    directory = Path(arguments[0]) if arguments else SHIPPED_DATA
    directory.mkdir(parents=True, exist_ok=True)
    for name, content in make_files().items():
        (directory / name).write_bytes(content)
        print(f"{directory / name}: {len(content):,} bytes")


if __name__ == "__main__":
    main(sys.argv[1:])
