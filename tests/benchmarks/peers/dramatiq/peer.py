"""Dramatiq: groups with a completion callback, results in Redis; two worker processes with as many threads."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from common import HERE, WARM_UP, Answer, Place, Workers, main, missing, python, timed, until


@contextmanager
def workers(place: Place) -> Iterator[tuple[Workers, Any]]:
    os.environ |= {"PEER_SOCKET": place.socket, "PYTHONPATH": f"{HERE}:{Path(__file__).parent}"}
    import works

    command = python("-m", "dramatiq", "works", "--processes", "1", "--threads", str(place.concurrency))
    with Workers([command, command], {}) as running:
        together(works, WARM_UP)
        yield running, works


def ended(works: Any) -> int:
    return int(works.client.llen(works.ENDED))


def send(works: Any, count: int, **how: Any) -> int:
    """Submit; how many have to have ended when all have."""
    goal = ended(works) + count
    for number in range(count):
        works.classify.send(number, **how)
    return goal


def together(works: Any, count: int, **how: Any) -> list[Any]:
    goal = send(works, count, **how)
    until(lambda: ended(works), goal)
    return [json.loads(one) for one in works.client.lrange(works.ENDED, goal - count, goal - 1)]


def right(found: list[Any], count: int) -> list[str]:
    return missing(sum(one == [n, n] for n, one in enumerate(sorted(found))), count, "runs have their result")


def latency(place: Place, count: int) -> Answer:
    took = []
    answer: Answer = {}
    with workers(place) as (_, works), timed(answer):
        for _ in range(count):
            began = time.monotonic()
            goal = send(works, 1)
            while ended(works) < goal:
                time.sleep(0.0002)
            took.append((time.monotonic() - began) * 1000)
    return answer | {"latencies_ms": took}


def triage(place: Place, count: int, wait: bool = False) -> Answer:
    answer: Answer = {}
    with workers(place) as (_, works), timed(answer):
        found = together(works, count, wait=wait)
    return answer | {"problems": right(found, count)}


def waiting(place: Place, count: int) -> Answer:
    return triage(place, count, True)


def singles(place: Place, count: int) -> Answer:
    answer: Answer = {}
    with workers(place) as (_, works), timed(answer):
        found = together(works, count, single=True)
    return answer | {"problems": missing(len(set(found)), count, "jobs have their result")}


def fan_out(place: Place, count: int) -> Answer:
    answer: Answer = {}
    with workers(place) as (_, works), timed(answer):
        found = together(works, 1, size=count)
    return answer | {"problems": missing(found[0] if found else 0, count, "results came to the join")}


def killed(place: Place, count: int) -> Answer:
    answer: Answer = {}
    with workers(place) as (running, works):
        with timed(answer):
            goal = send(works, count)
            until(lambda: ended(works), goal - count + count // 2)
            running.kill(0)
            died = time.monotonic()
            time.sleep(1)
            running.start(0)
            reached = until(lambda: ended(works), goal)
            answer["settled_sec"] = time.monotonic() - died
        found = works.client.lrange(works.ENDED, goal - count, -1)
        return answer | {"lost": count - len(set(found)), "twice": max(reached - goal, 0)}


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
        {name: version(name) for name in ("dramatiq", "redis")},
        "groups with a completion callback, results in Redis; threads; settings by default",
    )
