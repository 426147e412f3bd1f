"""The coordinator: advances every run that is marked due, and looks after what happens by time or by death.

Any number of coordinators may do this at the same time; they need no lock, because every commit checks what it was
planned from.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence

from cordum.domain.routing import dead_letter_queue
from cordum.engine.audit import Audit
from cordum.engine.bulk_retries import BulkRetries
from cordum.engine.core import Core
from cordum.engine.dead_letters import DeadLetters
from cordum.engine.jobs import NOT_TAKEN, STALE_WORKER, Jobs
from cordum.engine.retention import Retention
from cordum.engine.schedules import Schedules
from cordum.errors import Unavailable
from cordum.store.wakeups import Sweep

_LOG = logging.getLogger(__name__)
# Large enough to share the cost of a round trip, small enough to keep in memory whatever the runs hold.
_BATCH = 32
_TOPICS = 50
_PAUSE_SEC, _LONGEST_PAUSE_SEC = 0.002, 0.01
_LISTEN_SEC = 0.005
_STAY_SEC = 0.5  # then signals, remote control and the sweep have their turn


class Coordinator:
    def __init__(
        self,
        core: Core,
        jobs: Jobs,
        retention: Retention,
        audit: Audit,
        schedules: Schedules,
        letters: DeadLetters,
        bulk_retries: BulkRetries,
    ) -> None:
        self._core = core
        self._store = core.store
        self._jobs = jobs
        self._retention = retention
        self._audit = audit
        self._schedules = schedules
        self._letters = letters
        self._bulk_retries = bulk_retries

    def coordinate(self, *, stay: bool = True) -> None:
        """One call: sweep when it is time, advance until no run is due or others must have a turn, seal the audit.

        `stay`: wait a moment for what comes next before leaving.
        """
        if (found := self.sweep()) is not None:
            self._bulk_retries.carry_on()
            self._letters.trim(found.now)
            self._bulk_retries.trim(found.now)
        self._advance_while_due(stay)
        if found is not None:
            self._seal()

    def _seal(self) -> None:
        """Whatever is wrong with the audit, runs go on; it stays unsealed, and that is shown."""
        try:
            self._audit.seal()
        except Unavailable:
            raise
        except Exception:
            _LOG.exception("the audit cannot be sealed")

    def _advance_while_due(self, stay: bool) -> None:
        leave, pause = time.monotonic() + _STAY_SEC, _PAUSE_SEC
        seen: set[str] = set()
        while due := self._advance_due():
            if time.monotonic() >= leave:
                self.ring()
                return
            if stay and len(due) < _BATCH:
                if len(due) > 1 and seen and not seen.issuperset(due):
                    # A crowd, where each look finds a few other runs: later looks find more for their round trips.
                    pause = min(2 * pause, _LONGEST_PAUSE_SEC)
                    time.sleep(pause)
                else:
                    # The next call comes soon, and to take it through Celery costs more than to listen for it here.
                    pause = _PAUSE_SEC
                    self._store.wakeups.heard(_LISTEN_SEC)
            seen.update(due)

    def ring(self) -> None:
        """Have a coordinator look, unless one has been called already."""
        self._store.wakeups.ring()

    def _advance_due(self) -> list[str]:
        """Advance some runs; the answer is those that were due."""
        due = self._store.wakeups.take_due(_BATCH)
        if due:
            self._advance_all(due)
        return due

    def _advance_all(self, run_ids: Sequence[str]) -> None:
        """Together; when one of them makes trouble, each alone, so that it does not keep the others waiting."""
        try:
            self._core.advance_all(run_ids)
        except Unavailable:
            raise
        except Exception:
            for run_id in run_ids:
                self._advance(run_id)

    def _advance(self, run_id: str) -> None:
        """A run that cannot be advanced stays marked."""
        try:
            self._core.advance(run_id)
        except Unavailable:
            raise
        except Exception:
            _LOG.exception("run %s cannot be advanced", run_id)

    # -- what happens by time ------------------------------------------------------------------------------------

    def sweep(self) -> Sweep | None:
        """Timers, schedules, leases, lost messages, free places; None when somebody has swept just now."""
        settings = self._core.settings
        found = self._store.wakeups.sweep(settings.sweep_ms, settings.lease_ms)
        if found is None:
            return None
        for incarnation in found.expired:
            self._jobs.free_worker(incarnation, "its worker's lease ran out")
        self._schedules.carry_on_all(found.schedules)
        census, now = self._store.workers.census(), self._store.policies.current(-1).now
        self._jobs.set_windows(census)
        for one in census:
            if one.reserved:
                gone = one.lease_until < now
                self._jobs.give_back(one.incarnation, STALE_WORKER if gone else NOT_TAKEN)
        for route in self._store.jobs.routes():
            self._core.dispatch.release(route, "worker_free")
        paused = self._store.queues.paused()
        for topics in _in_groups([topic for topic in self._store.jobs.topics() if topic not in paused]):
            self._resend_lost(topics)
            if settings.forward_dead_letters:
                self._resend_lost([dead_letter_queue(topic) for topic in topics])
            self._store.jobs.release(*topics)
        self._retention.sweep(found.now)
        return found

    def _resend_lost(self, topics: Sequence[str]) -> None:
        for lost in self._store.jobs.lost(topics, self._core.settings.message_grace_ms):
            if self._store.jobs.resend(lost.job, lost.topic, lost.priority, lost.sent_at):
                _LOG.warning("the message of job %s was lost and is sent again", lost.job)


def _in_groups(topics: Sequence[str]) -> Iterator[Sequence[str]]:
    """So many at a time that a round trip is shared, and Redis not kept from others for long."""
    for first in range(0, len(topics), _TOPICS):
        yield topics[first : first + _TOPICS]
