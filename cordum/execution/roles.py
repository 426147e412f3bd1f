"""The command lines of cordum's Celery processes, and the coordinator in this process."""

from __future__ import annotations

from collections.abc import Sequence

from celery.bin.celery import celery

from cordum.execution import process
from cordum.ops.discovery import resolve_address
from cordum.settings import Settings
from cordum.store.keys import COORDINATOR_QUEUE

__all__ = ["beat_argv", "coordinator_argv", "run_coordinator", "worker_argv"]


def worker_argv(
    topics: Sequence[str],
    *,
    modules: Sequence[str] = (),
    concurrency: int = 1,
    pool: str = "prefork",
    name: str | None = None,
    log_level: str = "warning",
) -> list[str]:
    """What follows `python -m celery` for a worker of these topics; `modules` register its handlers."""
    return [
        *("--quiet", "-A", "cordum", "worker", "-Q", ",".join(topics)),
        *(("-I", ",".join(modules)) if modules else ()),
        *("-P", pool, "-c", str(concurrency), "-l", log_level),
        *(("-n", f"{name}@%h") if name else ()),
    ]


def coordinator_argv(*, beat: bool = True, name: str | None = None, log_level: str = "warning") -> list[str]:
    """What follows `python -m celery` for a coordinator, with a beat of its own or without."""
    return [
        *("--quiet", "-A", "cordum", "worker", "-Q", COORDINATOR_QUEUE, "-P", "solo", "-c", "1", "-l", log_level),
        *("-n", f"{name or 'coordinator'}@%h", "--without-heartbeat"),
        *(() if beat else ("--without-embedded-beat",)),
    ]


def beat_argv(*, log_level: str = "warning") -> list[str]:
    return ["--quiet", "-A", "cordum", "beat", "-l", log_level]


def run_coordinator(settings: Settings, beat: bool = True, argv_extra: Sequence[str] = ()) -> int:
    """Coordinate in this process, from its main thread, until it is told to stop; the answer is the exit code."""
    process.use(settings, resolve_address(settings))
    # Not app.worker_main(), which forgets the exit code.
    return int(celery.main(args=[*coordinator_argv(beat=beat), *argv_extra], standalone_mode=False) or 0)
