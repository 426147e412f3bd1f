"""The jobs that run in this process, and the word that one of them must stop.

Reaches jobs of the solo and threads pools, which share the process with the lease that hears of stops. A prefork child
asks the engine itself (see context).
"""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["Stop", "Stops"]


class Stop:
    """Whether one job has been told to stop. Nobody waits for it, so it is no event."""

    __slots__ = ("_told",)

    def __init__(self) -> None:
        self._told = False

    def set(self) -> None:
        self._told = True

    def is_set(self) -> bool:
        return self._told


class Stops:
    """By job id; one that is set tells its job to stop."""

    def __init__(self) -> None:
        self._running: dict[str, Stop] = {}

    def begin(self, job_id: str) -> Stop:
        stop = self._running[job_id] = Stop()
        return stop

    def end(self, job_id: str) -> None:
        self._running.pop(job_id, None)

    def stop(self, job_ids: Iterable[str]) -> None:
        for job_id in job_ids:
            stop = self._running.get(job_id)
            if stop is not None:
                stop.set()
