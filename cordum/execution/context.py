"""What a handler is told about its job, and what it may ask while it runs.

Everything that needs Redis goes through the port, and only when the handler asks.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import cached_property

from cordum.domain.workflow import JSON
from cordum.engine import Claim
from cordum.errors import Unavailable
from cordum.execution.job_log import JobLog
from cordum.execution.port import JobPort
from cordum.execution.stops import Stop
from cordum.execution.verdicts import Cancelled

__all__ = ["JobContext"]

_ASK_AGAIN_SEC = 0.25


class JobContext:
    """The first argument of every handler.

    `deadline` is by this machine's clock and for information; the time limit is the engine's and acts by Redis' clock.
    """

    def __init__(self, claim: Claim, job_id: str, topic: str, *, incarnation: str, port: JobPort, stop: Stop) -> None:
        self.run_id = claim.run_id
        self.step_id = claim.step_id
        self.job_id = job_id
        self.attempt = claim.attempt
        self.topic = topic
        self.tenant = claim.tenant
        self.labels: Mapping[str, str] = dict(claim.labels)
        self.input: JSON = claim.input
        self.constraints: Mapping[str, JSON] = claim.constraints.document() if claim.constraints else {}
        self._ends_at = time.monotonic() + claim.timeout_ms / 1000
        self._incarnation = incarnation
        self._port = port
        self._stop = stop
        self._ask_at = 0.0
        self._names: set[str] = set()
        self._naming = threading.Lock()

    @cached_property
    def log(self) -> JobLog:
        """Writes lines that carry the ids of the job."""
        return JobLog({"run_id": self.run_id, "step_id": self.step_id, "job_id": self.job_id})

    @cached_property
    def deadline(self) -> datetime:
        """When the attempt's time is over."""
        return datetime.now(UTC) + timedelta(seconds=self._ends_at - time.monotonic())

    @property
    def idempotency_key(self) -> str:
        """The same for every attempt of this step: hand it to the outside world with your side effects."""
        return f"{self.run_id}:{self.step_id}"

    @property
    def timed_out(self) -> bool:
        """Whether the attempt has run for longer than its time limit."""
        return time.monotonic() >= self._ends_at

    @property
    def cancelled(self) -> bool:
        """Whether the job should stop, because of a cancel or because its time is up; cheap enough for a tight loop."""
        if not self._stop.is_set() and (self.timed_out or not self._asked(self._still_running)):
            self._stop.set()
        return self._stop.is_set()

    @property
    def told_to_stop(self) -> bool:
        """Whether the job has been told, here or by the lease; asks nobody."""
        return self._stop.is_set()

    def progress(self, fraction: float | None = None, note: str | None = None) -> None:
        """Show how far the job is (0 to 1, or unknown); raises Cancelled when it should stop.

        Of calls in quick succession only the first goes onto the timeline.
        """
        if fraction is not None and not 0 <= fraction <= 1:
            raise ValueError(f"a fraction lies between 0 and 1, not {fraction!r}")
        if self._stop.is_set() or self.timed_out or not self._asked(lambda: self._report(fraction, note)):
            self._stop.set()
            raise Cancelled("the time limit is over" if self.timed_out else "the job was cancelled")

    def once(self, name: str) -> bool:
        """True the first time that any attempt of this step asks for `name`; raises Unavailable while Redis is away."""
        with self._naming:
            if name in self._names:
                return False
            # The engine answers the same attempt the same again, in case it never heard the answer.
            first = self._port.once(self.job_id, name)
            self._names.add(name)
            return first

    def _asked(self, question: Callable[[], bool]) -> bool:
        """The answer to whether the job may go on; yes when it is too early to ask again, or nobody answers."""
        now = time.monotonic()
        if now < self._ask_at:
            return True
        self._ask_at = now + _ASK_AGAIN_SEC
        try:
            return question()
        except Unavailable:
            return True

    def _still_running(self) -> bool:
        return self._port.still_running(self.job_id, self._incarnation)

    def _report(self, fraction: float | None, note: str | None) -> bool:
        return self._port.progress(self.job_id, self._incarnation, fraction, note)
