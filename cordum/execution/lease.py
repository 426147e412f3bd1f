"""The lease of one worker incarnation, held by the worker's main process for all jobs of its pool.

A thread of its own renews it, so that a job that keeps its process busy does not lose its work. A handler that holds
Python's interpreter lock for longer than the lease, in a solo or threads pool, does lose it: use prefork for such code.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from cordum.domain.pools import PoolMap
from cordum.engine import WorkerInfo
from cordum.errors import Unavailable
from cordum.execution.port import JobPort
from cordum.settings import Settings

__all__ = ["Lease", "describe_worker", "give_back", "report_lost", "stir"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Loss:
    job_id: str
    topic: str
    reason: str
    left: bool = False


# Reported by the request, which the pool calls in the main process, and drained by the lease's thread there.
_losses: deque[_Loss] = deque()
_news = threading.Event()


def report_lost(job_id: str, topic: str, reason: str) -> None:
    """Have the engine told, as soon as Redis answers, that nobody will record this attempt."""
    _losses.append(_Loss(job_id, topic, reason))
    _news.set()


def give_back(job_id: str, topic: str, reason: str) -> None:
    """The same of one that has not begun and never will here; that is not held against it."""
    _losses.append(_Loss(job_id, topic, reason, left=True))
    _news.set()


def stir() -> None:
    """Have the lease renewed soon: there is news of this worker."""
    _news.set()


def describe_worker(nodename: str, settings: Settings | None = None) -> WorkerInfo:
    """Who this worker is, before it has slots and topics; `nodename` is Celery's `name@host`."""
    said = settings or Settings()
    name, _, host = nodename.partition("@")
    started_at_ms = time.time_ns() // 1_000_000
    return WorkerInfo(
        incarnation=f"{nodename}/{os.getpid()}-{started_at_ms}",
        host=host,
        name=name,
        pid=os.getpid(),
        slots=0,
        topics=(),
        started_at_ms=started_at_ms,
        pools=said.pools,
        labels=said.labels,
        capabilities=said.capabilities,
    )


class Standing(NamedTuple):
    """What a worker has heard: whether it is drained, who serves which topics, and the routes it may serve."""

    draining: bool
    pools: PoolMap
    routes: tuple[str, ...]


class Lease:
    """Registers, renews, passes on stops and losses, and says goodbye."""

    def __init__(
        self,
        worker: WorkerInfo,
        port: JobPort,
        *,
        renew_sec: float,
        topics: Callable[[], tuple[str, ...]],
        stop_jobs: Callable[[Iterable[str]], None],
        heed: Callable[[Standing], None] = lambda standing: None,
        together: Callable[[], Mapping[str, int]] = dict,
    ) -> None:
        self._worker = worker
        self._port = port
        self._renew_sec = renew_sec
        self._topics = topics
        self._stop_jobs = stop_jobs
        self._heed = heed
        self._together = together
        self._registered = False
        self._heard: list[str] = []
        self._away = False
        self._over = threading.Event()
        self._leaving = threading.Lock()
        self._left = False
        self._thread = threading.Thread(target=self._hold, name="cordum-lease", daemon=True)

    def start(self) -> None:
        """Returns registered, unless Redis is away; then the thread goes on trying."""
        self._turn()
        self._thread.start()

    def leave(self) -> None:
        """The worker has stopped: whatever it still holds may be freed at once."""
        self._leave(None)

    def abandon(self, end_jobs: Callable[[], None]) -> None:
        """The same while jobs run, which `end_jobs` ends: that is not held against them, so no loss is reported."""
        self._leave(end_jobs)

    def _leave(self, end_jobs: Callable[[], None] | None) -> None:
        with self._leaving:
            if self._left:
                return
            self._left = True
            self._over.set()
            _news.set()
            self._thread.join()
            try:
                if end_jobs is None:
                    self._report_losses()
                else:
                    end_jobs()
                self._port.leave(self._worker.incarnation)
            except Unavailable as error:
                _log.warning("left without a goodbye: %s", error.detail)

    def _hold(self) -> None:
        while not self._over.is_set():
            _news.wait(self._renew_sec)
            _news.clear()
            if not self._over.is_set():
                self._turn()

    def _turn(self) -> None:
        try:
            self._renew()
            self._report_losses()
        except Unavailable as error:
            if not self._away:
                _log.warning("the lease cannot be renewed: %s", error.detail)
            self._away = True
        except Exception:
            # A thread that ends would let the lease run out under jobs that go on.
            _log.exception("the lease could not be renewed")
        else:
            self._away = False

    def _renew(self) -> None:
        worker = replace(self._worker, topics=self._topics(), together=self._together())
        if not self._registered:
            self._port.register(worker)
            self._registered = True
        stops, draining = self._port.renew(worker, self._heard)
        self._heed(Standing(draining, self._port.pools(), tuple(self._port.routes(worker))))
        self._stop_jobs([job_id for job_id in stops if job_id not in self._heard])
        self._heard = stops

    def _report_losses(self) -> None:
        while _losses:
            loss = _losses[0]
            word = self._port.lost(loss.job_id, loss.topic, self._worker.incarnation, loss.reason, left=loss.left)
            _log.warning("%s lost (%s): %s", loss.job_id, loss.reason, word)
            _losses.popleft()
