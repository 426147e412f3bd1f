"""What the peers written in Python share: how they are called, and what they answer.

`python peer.py WORK COUNT --socket PATH --pool POOL --concurrency SLOTS` starts two worker processes on the Redis
behind that socket, warms up, does the work once and prints one JSON object:

    seconds       from the first submission to the last result in hand
    latencies_ms  of `latency`: each run, from its submission to its end
    settled_sec   of `killed`: from the death of a worker to the end of the last run
    problems      what is wrong with the results; anything makes the time worthless
    lost, twice   of `killed`: runs that never ended, steps that were applied more than once
    versions, settings
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

WARM_UP = 20
WAIT_SEC = 0.005  # of each step of the work `waiting`
PATIENCE_SEC = 120.0  # without any progress: then what is not there is lost
Answer = dict[str, Any]
Play = Callable[["Place", int], Answer]


@dataclass(frozen=True, slots=True)
class Place:
    socket: str
    pool: str
    concurrency: int

    def url(self, db: int) -> str:
        return f"redis+socket://{self.socket}?virtual_host={db}"


def main(plays: Mapping[str, Play], versions: Mapping[str, str], settings: str) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("work", choices=sorted(plays))
    parser.add_argument("count", type=int)
    parser.add_argument("--socket", required=True)
    parser.add_argument("--pool", default="threads")
    parser.add_argument("--concurrency", type=int, default=8)
    given = parser.parse_args()
    answer = plays[given.work](Place(given.socket, given.pool, given.concurrency), given.count)
    print(json.dumps({"problems": [], **answer, "versions": dict(versions), "settings": settings}))


class Workers:
    """Worker processes by number, each in a session of its own, ended with the block."""

    def __init__(self, commands: Sequence[Sequence[str]], environment: Mapping[str, str]) -> None:
        self._commands = commands
        self._environment = {**os.environ, **environment}
        self._running: dict[int, subprocess.Popen[bytes]] = {}

    def start(self, number: int) -> None:
        self._running[number] = subprocess.Popen(
            self._commands[number],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr,
            stderr=sys.stderr,
            start_new_session=True,
        )

    def kill(self, number: int) -> None:
        """SIGKILL, with all its children."""
        child = self._running.pop(number)
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()

    def __enter__(self) -> Workers:
        for number in range(len(self._commands)):
            self.start(number)
        return self

    def __exit__(self, *of: object) -> None:
        for number in list(self._running):
            self.kill(number)


def python(*arguments: str) -> list[str]:
    return [sys.executable, *arguments]


def until(done: Callable[[], int], goal: int, every_sec: float = 0.005) -> int:
    """Wait until `done()` reaches the goal, or has not moved for so long that it never will; what it said last."""
    reached, moved_at = done(), time.monotonic()
    while reached < goal and time.monotonic() - moved_at < PATIENCE_SEC:
        time.sleep(every_sec)
        now = done()
        if now != reached:
            reached, moved_at = now, time.monotonic()
    return reached


@contextmanager
def timed(answer: Answer) -> Iterator[None]:
    began = time.monotonic()
    yield
    answer["seconds"] = time.monotonic() - began


def missing(found: int, count: int, what: str) -> list[str]:
    return [] if found == count else [f"{found} of {count} {what}"]


HERE = Path(__file__).parent
