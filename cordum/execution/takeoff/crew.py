"""The threads of Celery's pool, for jobs on the fast path: one call of the pool for as many jobs as end before another
thread comes, instead of a future and a wake-up for each.

A thread takes jobs as long as there are any. Who takes one and sees more behind it has another thread called before it
begins: it may take long. So what waits always has a thread on its way, and as many run at once as the pool has.
"""

from __future__ import annotations

import logging
from collections import deque
from typing import Any, Protocol

__all__ = ["Crew"]

_log = logging.getLogger(__name__)


class Runnable(Protocol):
    def run(self) -> None: ...


class Crew:
    def __init__(self, pool: Any) -> None:
        self._pool = pool
        self._jobs: deque[Runnable] = deque()
        # A thread has been called and has not come yet. Cleared before it looks, set after a job was put there: so who
        # sees it set knows that his job will be seen. Seen too late, it calls a thread that finds nothing to do.
        self._called = False

    def add(self, job: Runnable) -> None:
        """Raises what the pool does when it takes nothing more; the job has not begun then."""
        self._jobs.append(job)
        try:
            self._call()
        except Exception:
            try:
                self._jobs.remove(job)
            except ValueError:
                return  # a thread has it
            raise

    def _call(self) -> None:
        if self._called:
            return
        self._called = True
        try:
            self._pool.apply_async(self._work, callback=_nothing)
        except BaseException:
            self._called = False
            raise

    def _work(self) -> None:
        self._called = False
        while True:
            try:
                job = self._jobs.popleft()
            except IndexError:
                return
            if self._jobs:
                self._call_another()
            try:
                job.run()
            except Exception:
                _log.exception("%s went wrong", job)

    def _call_another(self) -> None:
        try:
            self._call()
        except Exception as error:
            # The pool is closing; this thread goes on.
            _log.info("no other thread can be had: %r", error)


def _nothing(_: object) -> None:
    pass
