"""The jobs that run in this process, and the word that one of them must stop.

Reaches jobs of the solo and threads pools, which share the process with the lease that hears of stops. A prefork child
asks the engine itself (see context).
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

__all__ = ["Stops"]


class Stops:
    """Events by job id; an event that is set tells its job to stop."""

    def __init__(self) -> None:
        self._running: dict[str, threading.Event] = {}

    @contextmanager
    def running(self, job_id: str) -> Iterator[threading.Event]:
        stop = threading.Event()
        self._running[job_id] = stop
        try:
            yield stop
        finally:
            self._running.pop(job_id, None)

    def stop(self, job_ids: Iterable[str]) -> None:
        for job_id in job_ids:
            stop = self._running.get(job_id)
            if stop is not None:
                stop.set()
