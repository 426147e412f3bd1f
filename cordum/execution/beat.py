"""The beat: calls the coordinators each second. It has no schedule, keeps no file and sends nothing through Celery.

Ringing while a call is pending does nothing, so any number of beats do no harm.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from celery import bootsteps
from celery.beat import Scheduler

from cordum.errors import Unavailable
from cordum.execution import process
from cordum.store.keys import COORDINATOR_QUEUE

__all__ = ["EmbeddedBeat", "RingScheduler", "Ringer"]

_log = logging.getLogger(__name__)


class Ringer:
    """Rings at most once per interval, and says once when nobody can be reached."""

    def __init__(self, ring: Callable[[], None], interval_sec: float) -> None:
        self._ring = ring
        self._interval_sec = interval_sec
        self._due = time.monotonic()
        self._away = False

    def tick(self) -> float:
        """Ring if it is time; the answer is how many seconds are left to the next time."""
        if time.monotonic() >= self._due:
            self._due = time.monotonic() + self._interval_sec
            self._try()
        return max(0.0, self._due - time.monotonic())

    def _try(self) -> None:
        try:
            self._ring()
        except Unavailable as error:
            if not self._away:
                _log.warning("the beat cannot ring: %s", error.detail)
            self._away = True
        else:
            self._away = False


def _ringer() -> Ringer:
    return Ringer(process.engine().ring, process.settings().sweep_ms / 1000)


class RingScheduler(Scheduler):
    """For `celery -A cordum beat`."""

    def setup_schedule(self) -> None:
        self._ringer = _ringer()

    def tick(self, *_: Any, **__: Any) -> float:
        return self._ringer.tick()

    def should_sync(self) -> bool:
        return False


class EmbeddedBeat(bootsteps.StartStopStep):
    """Rings from a thread of a coordinator's worker; `--without-embedded-beat` switches it off."""

    requires = ("celery.worker.components:Pool",)

    def __init__(self, worker: Any, without_embedded_beat: bool = False, **options: Any) -> None:
        super().__init__(worker, **options)
        self.enabled = not without_embedded_beat and COORDINATOR_QUEUE in worker.app.amqp.queues.consume_from
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="cordum-beat", daemon=True)

    def start(self, worker: Any) -> None:
        self._thread.start()

    def stop(self, worker: Any) -> None:
        self._over.set()
        self._thread.join()

    def terminate(self, worker: Any) -> None:
        self._over.set()

    def _run(self) -> None:
        ringer = _ringer()
        while not self._over.wait(ringer.tick()):
            pass
