"""cordum: a durable, governed workflow orchestrator on Celery and Redis.

What a program imports: `job`, `dead_letter`, `Retry`, `Fatal`, `Cancelled` to write workers, `Client` to talk to the
API, and `app`, which `celery -A cordum` finds. Each is imported when it is asked for, so that a client does not pay for
Celery.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cordum.client import Client
    from cordum.execution.app import app
    from cordum.execution.app import app as celery
    from cordum.execution.handlers import dead_letter, job
    from cordum.execution.verdicts import Cancelled, Fatal, Retry


__all__ = [
    # writing workers
    "job",
    "dead_letter",
    "Retry",
    "Fatal",
    "Cancelled",
    # talking to the API
    "Client",
    # for `celery -A cordum`
    "app",
    "celery",
]

_HOMES = {
    "job": "cordum.execution.handlers",
    "dead_letter": "cordum.execution.handlers",
    "Retry": "cordum.execution.verdicts",
    "Fatal": "cordum.execution.verdicts",
    "Cancelled": "cordum.execution.verdicts",
    "Client": "cordum.client",
    "app": "cordum.execution.app",
    "celery": "cordum.execution.app",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'cordum' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), "app" if name == "celery" else name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
