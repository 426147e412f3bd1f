"""How a worker ends: in order when its jobs let it, and in bounded time when they do not.

The first SIGTERM or SIGINT (or `control shutdown`) is Celery's warm shutdown: nothing new is taken, what runs may
finish. When the grace is over, or at a second signal, or at once at a SIGQUIT (and SIGTERM, under Celery's
`REMAP_SIGTERM=SIGQUIT`), the process gives its running attempts
away and ends; no step waits for a lease then. Handing messages back is for `handback`.
"""

from __future__ import annotations

import logging
import os
import queue
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from billiard.common import REMAP_SIGTERM
from celery import platforms, signals
from celery.apps.worker import safe_say
from celery.worker import state

__all__ = ["Farewell"]

_log = logging.getLogger(__name__)

# How long an end in a hurry waits for the event loop to hand messages back: it may be reading one that was just popped.
_QUIET_SEC = 2.0


class Farewell:
    """Waits in a thread of its own, because the main one may be inside a job.

    `wake` rouses the event loop, so that it notices the shutdown at once; `abandon` gives the running attempts away.
    """

    def __init__(self, grace_sec: float, *, wake: Callable[[], None], abandon: Callable[[], None]) -> None:
        self._grace_sec = grace_sec
        self._wake = wake
        self._abandon = abandon
        # The one queue that may be written from a signal handler at any moment.
        self._words: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._quiet = threading.Event()
        self._thread = threading.Thread(target=self._run, name="cordum-farewell", daemon=True)

    def start(self) -> None:
        """Listen to the process's signals; from the main thread."""
        self._thread.start()
        signals.worker_shutting_down.connect(self._on_shutting_down)
        # Celery's own answers to a second SIGINT and to SIGQUIT may wait for the jobs they want to end.
        platforms.signals["SIGINT"] = self._on_interrupt
        platforms.signals["SIGQUIT"] = self._on_quit
        if REMAP_SIGTERM == "SIGQUIT":
            platforms.signals["SIGTERM"] = self._on_quit

    def begin(self) -> None:
        """The worker is stopping, for whatever reason."""
        self._words.put(False)

    def quiet(self) -> None:
        """Nothing is taken from the queues any more, and what was taken too much is back."""
        self._quiet.set()

    def _on_shutting_down(self, **_: Any) -> None:
        self._words.put(True)

    def _on_interrupt(self, *_: Any) -> None:
        safe_say("worker: Warm shutdown (MainProcess)", sys.__stdout__)
        state.should_stop = platforms.EX_OK
        self._words.put(True)

    def _on_quit(self, *_: Any) -> None:
        state.should_stop = platforms.EX_OK
        self._words.put(True)
        self._words.put(True)

    def _run(self) -> None:
        self._words.get()
        self._wake()
        hurried = self._asked_again(time.monotonic() + self._grace_sec)
        self._quiet.wait(_QUIET_SEC)
        why = "asked again to end" if hurried else f"jobs still run after the grace of {self._grace_sec:g} s"
        _log.warning("%s: what runs here is given to other workers", why)
        try:
            self._abandon()
        finally:
            # Not sys.exit: a thread inside a job would keep the process.
            os._exit(platforms.EX_OK)

    def _asked_again(self, until: float) -> bool:
        """Whether another signal came before `until`."""
        while (left := until - time.monotonic()) > 0:
            try:
                if self._words.get(timeout=left):
                    return True
            except queue.Empty:
                break
        return False
