"""Celery's `revoke` and `terminate` of a job, from its command line or from Flower: the job's step is cancelled.

Every worker hears the broadcast, a coordinator too, and each tells the engine; the first counts. So it does not matter
whether the job runs, waits on its queue, or has just been taken from it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from celery.concurrency import prefork
from celery.utils.functional import maybe_list
from celery.worker import control

from cordum.errors import Unavailable
from cordum.execution import process

__all__ = ["ACTOR", "answer_revokes", "cancel_revoked"]

ACTOR = "celery-control"

_log = logging.getLogger(__name__)


def cancel_revoked(job_ids: Iterable[str]) -> None:
    """Raises Unavailable while Redis is away."""
    for job_id in job_ids:
        process.engine().cancel_step(job_id, ACTOR, "revoked")


def answer_revokes() -> None:
    """Put cordum's commands in the place of Celery's, under the same names."""
    ids = {"variadic": "task_id"}
    control.control_command(name="revoke", signature="[id1 [id2 [... [idN]]]]", **ids)(_revoke)
    control.control_command(
        name="terminate", signature="<signal> [id1 [id2 [... [idN]]]]", args=[("signal", str)], **ids
    )(_terminate)


def _revoke(panel: Any, task_id: Any, terminate: bool = False, signal: str | None = None, **options: Any) -> Any:
    """Revoke jobs by id: their steps are cancelled."""
    try:
        # Before a child is ended: an attempt that is cancelled already is not counted as lost with it.
        cancel_revoked(str(one) for one in maybe_list(task_id) or ())
    except Unavailable as error:
        _log.warning("nothing revoked: %s", error.detail)
        return control.nok(f"nothing revoked, try again: {error.detail}")
    # Threads cannot be ended; their jobs hear of the cancel through the lease.
    able = terminate and isinstance(panel.consumer.pool, prefork.TaskPool)
    return control.revoke(panel, task_id, terminate=able, signal=signal, **options)


def _terminate(panel: Any, signal: str, task_id: Any, **options: Any) -> Any:
    """Revoke jobs by id and end the processes they run in."""
    return _revoke(panel, task_id, terminate=True, signal=signal)
