"""What the worker's main process does for a job whose process ends without outcome, or that is never begun.

Runs in the event loop, so a loss is only handed over; the lease's thread sends it.
"""

from __future__ import annotations

import logging
from typing import Any

from billiard.einfo import ExceptionWithTraceback
from celery.exceptions import Ignore, Retry
from celery.worker.request import Request

from cordum import failpoints
from cordum.errors import Unavailable
from cordum.execution import lease
from cordum.execution.revoke import cancel_revoked
from cordum.execution.tasks import AttemptFailed

__all__ = ["JobRequest"]

_log = logging.getLogger(__name__)

# Every other error says that nobody recorded the outcome: a dead child, Redis away for too long, a mistake of ours.
_SETTLED = (AttemptFailed, Ignore, Retry)


class JobRequest(Request):
    """Celery's Request of a job."""

    def acknowledge(self) -> None:
        self.before_acknowledgement()
        super().acknowledge()

    @staticmethod
    def before_acknowledgement() -> None:
        """All that is to be said of the job has been said to cordum, and nothing yet to Celery."""
        if failpoints.ACTIVE:
            failpoints.reach("worker.before_acknowledgement")

    def revoked(self) -> bool:
        """A message that Celery drops because its id was revoked must not look lost and come again."""
        if not super().revoked():
            return False
        try:
            cancel_revoked([self.id])
        except Unavailable as error:
            # It comes again, and so does this.
            _log.warning("%s dropped as revoked, its step is not cancelled yet: %s", self.id, error.detail)
        return True

    def on_failure(self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False) -> Any:
        error = exc_info.exception
        if isinstance(error, ExceptionWithTraceback):
            error = error.exc
        if not isinstance(error, _SETTLED):
            lease.report_lost(self.id, self.name, f"{type(error).__name__}: {error}")
        if isinstance(error, MemoryError):
            # A child's: Celery would raise it again here and end the whole worker.
            exc_info = self._worker_lost_info(error)
        return super().on_failure(exc_info, send_failed_event=send_failed_event, return_ok=return_ok)

    def on_timeout(self, soft: bool, timeout: float) -> None:
        if not soft:
            lease.report_lost(self.id, self.name, f"ended by Celery's hard time limit of {timeout:g} s")
        super().on_timeout(soft, timeout)
