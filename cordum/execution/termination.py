"""Ends pool children whose job was told to stop and goes on: SIGTERM after a grace, SIGKILL after another.

Only a prefork child can be ended from outside; jobs of the other pools share the worker's process (ARCHITECTURE.md,
"What each pool can stop").
"""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from celery.concurrency.prefork import TaskPool
from celery.worker import state

__all__ = ["Termination", "kill_children"]

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Condemned:
    request: Any
    at: float
    terminated: bool = False

    @property
    def ended(self) -> bool:
        """Whether the pool knows how the job ended; a job that is not with a child yet has not."""
        held = self.request._apply_result
        result = held and held()
        return held is not None and (result is None or result.ready())


class Termination:
    """Called by the lease's thread at each renewal, with the jobs it has newly heard of."""

    def __init__(self, pool: Any, grace_sec: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._pool = pool
        self._grace_sec = grace_sec
        self._clock = clock
        self._condemned: dict[str, _Condemned] = {}

    def __call__(self, job_ids: Iterable[str]) -> None:
        now = self._clock()
        for job_id in job_ids:
            request = state.requests.get(job_id)
            if request is not None:
                self._condemned.setdefault(job_id, _Condemned(request, now + self._grace_sec))
        for job_id, one in list(self._condemned.items()):
            if one.ended:
                del self._condemned[job_id]
            elif now >= one.at:
                self._end(job_id, one)
                one.at = now + self._grace_sec

    def _end(self, job_id: str, one: _Condemned) -> None:
        if one.terminated:
            _log.warning("%s was terminated and goes on: its process is killed", job_id)
            self._pool.terminate_job(one.request.worker_pid, signal.SIGKILL)
        else:
            _log.warning("%s was stopped and goes on: its process is terminated", job_id)
            one.terminated = True
            one.request.terminate(self._pool)


def kill_children(pool: Any) -> None:
    """End every process of a prefork pool now. (Those of Linux die with their parent; others might live on.)"""
    if isinstance(pool, TaskPool) and pool._pool is not None:
        for child in list(pool._pool._pool):
            with suppress(ProcessLookupError):
                os.kill(child.pid, signal.SIGKILL)
