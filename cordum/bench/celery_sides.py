"""Celery's two sides: the graph as a canvas with a Redis result backend, and plain tasks without results."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from celery import Celery
from celery.exceptions import TimeoutError as NotYet
from celery.result import AsyncResult

from cordum.bench import triage
from cordum.bench.celery_app import BACKEND, BROKER, canvas, close_app, make_app
from cordum.bench.processes import Processes, clean_environment, wait_for
from cordum.bench.sides import LOOK_EVERY_SEC, READY_SEC, WORKERS, Place, done_sec
from cordum.errors import Unavailable

_GET_SEC = 10.0
# How long one get() relies on being told of a result before the backend is asked for it again.
_ASK_AGAIN_SEC = 0.25


class CanvasSide:
    name = "canvas"

    @contextmanager
    def ready(self, place: Place) -> Iterator[CanvasBout]:
        broker = replace(place.address, db=1).kombu_url()
        with _workers(place, self.name, broker, replace(place.address, db=2).kombu_url()) as (app, processes):
            yield CanvasBout(app, processes)


class CanvasBout:
    def __init__(self, app: Celery, processes: Processes, done_sec: Callable[[int], float] = done_sec) -> None:
        self._app = app
        self._processes = processes
        self._done_sec = done_sec
        self._values: list[Any] = []

    def run(self, count: int) -> None:
        results = [canvas(self._app, number).apply_async() for number in range(count)]
        give_up = time.monotonic() + self._done_sec(count)
        # As its documentation asks: get() for every result.
        self._values = [self._get(result, give_up) for result in results]

    def _get(self, result: AsyncResult, give_up: float) -> Any:
        """The value of one result; Unavailable, with what is there of it and what not, when it does not come.

        Not one long get(): that reads the backend once and then waits for a message, which it misses when the result is
        stored after the reading and before Redis has seen the subscription, sent on another connection.
        """
        while True:
            try:
                return result.get(timeout=_ASK_AGAIN_SEC)
            except NotYet:
                self._processes.check()
                if time.monotonic() > give_up:
                    steps = ", ".join(f"{one.id} {one.state}" for one in _chain_of(result))
                    raise Unavailable(f"waited in vain for the end of a canvas: {steps}") from None

    def problems(self) -> list[str]:
        return [f"run {n} gave {value!r}" for n, value in enumerate(self._values) if value != triage.expected(n)]


def _chain_of(result: AsyncResult) -> Iterator[AsyncResult]:
    """A result and those that must come before it, last first; the tasks of a group each for itself."""
    node: Any = result
    while node is not None:
        yield from getattr(node, "results", None) or (node,)
        node = node.parent


class PlainSide:
    """As many tasks as the graph has steps, none of which knows of another."""

    name = "plain"

    @contextmanager
    def ready(self, place: Place) -> Iterator[PlainBout]:
        with _workers(place, self.name, replace(place.address, db=3).kombu_url(), None) as (app, processes):
            yield PlainBout(app, processes)


class PlainBout:
    def __init__(self, app: Celery, processes: Processes) -> None:
        self._app = app
        self._processes = processes
        self._sent = 0

    def run(self, count: int) -> None:
        classify, logs, metrics, rollback = (self._app.tasks[step] for step in triage.STEPS)
        for number in range(count):
            case = {"incident": number}
            for task, argument in ((classify, number), (logs, case), (metrics, case), (rollback, [case, case])):
                task.delay(argument)
        self._sent += count * len(triage.STEPS)
        with self._app.connection_for_read() as connection:
            client = connection.default_channel.client
            wait_for(
                lambda: not client.llen("celery") and not client.hlen("unacked"),
                f"{self._sent} plain tasks",
                self._processes,
                every_sec=LOOK_EVERY_SEC,
                timeout_sec=done_sec(count),
            )

    def problems(self) -> list[str]:
        """Plain tasks leave no trace but their workers' count."""
        stats = self._app.control.inspect(timeout=_GET_SEC, limit=WORKERS).stats() or {}
        worked = sum(count for worker in stats.values() for count in worker["total"].values())
        return [] if worked == self._sent else [f"{self._sent} plain tasks were sent, {worked} were worked on"]


@contextmanager
def _workers(place: Place, name: str, broker: str, backend: str | None) -> Iterator[tuple[Celery, Processes]]:
    app = make_app(broker, backend)
    environment = clean_environment({BROKER: broker} | ({BACKEND: backend} if backend else {}))
    command = ("-m", "celery", "--quiet", "-A", "cordum.bench.celery_app", "worker", "-l", "warning")
    pool = ("-P", place.pool, "-c", str(place.concurrency))
    with Processes(environment, place.directory / f"{name}.log") as processes:
        for number in range(WORKERS):
            processes.python(*command, *pool, "-n", f"bench-{number}@%h")
        wait_for(
            lambda: len(app.control.ping(timeout=1, limit=WORKERS)) == WORKERS,
            f"the {name} workers",
            processes,
            every_sec=0.05,
            timeout_sec=READY_SEC,
        )
        try:
            yield app, processes
        finally:
            close_app(app)
