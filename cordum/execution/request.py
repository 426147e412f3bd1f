"""What the worker's main process does for a job whose process ends without outcome: it has the attempt reported lost.

Runs in the event loop, so it only hands the report over; the lease's thread sends it.
"""

from __future__ import annotations

from typing import Any

from billiard.einfo import ExceptionWithTraceback
from celery.exceptions import Ignore
from celery.worker.request import Request

from cordum.execution import lease
from cordum.execution.tasks import AttemptFailed

__all__ = ["JobRequest"]

# Every other error says that nobody recorded the outcome: a dead child, Redis away for too long, a mistake of ours.
_SETTLED = (AttemptFailed, Ignore)


class JobRequest(Request):
    """Celery's Request of a job."""

    def on_failure(self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False) -> Any:
        error = exc_info.exception
        if isinstance(error, ExceptionWithTraceback):
            error = error.exc
        if not isinstance(error, _SETTLED):
            lease.report_lost(self.id, self.name, f"{type(error).__name__}: {error}")
        return super().on_failure(exc_info, send_failed_event=send_failed_event, return_ok=return_ok)

    def on_timeout(self, soft: bool, timeout: float) -> None:
        if not soft:
            lease.report_lost(self.id, self.name, f"ended by Celery's hard time limit of {timeout:g} s")
        super().on_timeout(soft, timeout)
