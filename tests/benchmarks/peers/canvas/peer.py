"""The graph as a Celery canvas with Redis as result backend, as Celery's documentation advises."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any

from celery.exceptions import TimeoutError as NotYet
from common import HERE, PATIENCE_SEC, WARM_UP, Answer, Place, Workers, main, missing, python, timed


@contextmanager
def workers(place: Place) -> Iterator[tuple[Workers, Any]]:
    os.environ |= {"PEER_BROKER": place.url(1), "PEER_BACKEND": place.url(2), "PYTHONPATH": str(HERE)}
    import celery_tasks as tasks

    command = ("-m", "celery", "--quiet", "-A", "celery_tasks", "worker", "-l", "warning")
    pool = ("-P", place.pool, "-c", str(place.concurrency))
    commands = [python(*command, *pool, "-n", f"peer-{number}@%h") for number in range(2)]
    with Workers(commands, {}) as running:
        while len(tasks.app.control.ping(timeout=1, limit=2)) < 2:
            pass
        together(tasks, WARM_UP)
        yield running, tasks


def together(tasks: Any, count: int, wait: bool = False) -> list[Any]:
    started = [tasks.triage(number, wait).apply_async() for number in range(count)]
    return [value(result) for result in started]


def value(result: Any) -> Any:
    """Not one long get(), which waits for ever for a message that came between its reading and its subscription."""
    give_up = time.monotonic() + PATIENCE_SEC
    while True:
        try:
            return result.get(timeout=0.25)
        except NotYet:
            if time.monotonic() > give_up:
                raise


def latency(place: Place, count: int) -> Answer:
    took = []
    answer: Answer = {}
    with workers(place) as (_, tasks), timed(answer):
        for number in range(count):
            began = time.monotonic()
            value(tasks.triage(number).apply_async())
            took.append((time.monotonic() - began) * 1000)
    return answer | {"latencies_ms": took}


def triage(place: Place, count: int, wait: bool = False) -> Answer:
    answer: Answer = {}
    with workers(place) as (_, tasks), timed(answer):
        found = together(tasks, count, wait)
    good = sum(value == [n, n] for n, value in enumerate(found))
    return answer | {"problems": missing(good, count, "runs have their result")}


def waiting(place: Place, count: int) -> Answer:
    return triage(place, count, True)


def singles(place: Place, count: int) -> Answer:
    answer: Answer = {}
    with workers(place) as (_, tasks), timed(answer):
        started = [tasks.classify.delay(number) for number in range(count)]
        found = [value(result) for result in started]
    good = sum(value == {"incident": n} for n, value in enumerate(found))
    return answer | {"problems": missing(good, count, "tasks have their result")}


def fan_out(place: Place, count: int) -> Answer:
    answer: Answer = {}
    with workers(place) as (_, tasks), timed(answer):
        found = value(tasks.fan_out(count).apply_async())
    return answer | {"problems": missing(found, count, "results came to the join")}


def killed(place: Place, count: int) -> Answer:
    """Half-way is when half of the runs have their result; a run without any news for two minutes counts as lost."""
    answer: Answer = {}
    with workers(place) as (running, tasks):
        with timed(answer):
            started = [tasks.triage(number).apply_async() for number in range(count)]
            open_runs = _ended(started, count - count // 2)
            running.kill(0)
            died = time.monotonic()
            time.sleep(1)
            running.start(0)
            open_runs = _ended(open_runs, 0)
            answer["settled_sec"] = time.monotonic() - died
        return answer | {"lost": len(open_runs), "twice": 0}


def _ended(started: list[Any], most_open: int) -> list[Any]:
    moved_at = time.monotonic()
    while len(started) > most_open and time.monotonic() - moved_at < PATIENCE_SEC:
        left = [result for result in started if not result.ready()]
        if len(left) < len(started):
            started, moved_at = left, time.monotonic()
        time.sleep(0.05)
    return started


if __name__ == "__main__":
    main(
        {
            "latency": latency,
            "triage": triage,
            "waiting": waiting,
            "fan_out": fan_out,
            "singles": singles,
            "killed": killed,
        },
        {name: version(name) for name in ("celery", "kombu", "redis")},
        "chain, group, chord; Redis as result backend; settings by default",
    )
