"""The worker processes of one measurement: started, and all ended with it, whatever happens."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from cordum.errors import Unavailable
from cordum.ops import die_with_parent

_STOP_GRACE_SEC = 15.0
_LOG_TAIL_LINES = 15


class Processes:
    """Use as a context manager, from one thread: the kernel ends a child with the thread that started it."""

    def __init__(self, environment: Mapping[str, str], log: Path) -> None:
        self._environment = dict(environment)
        self._log = log
        self._children: list[subprocess.Popen[bytes]] = []

    def python(self, *arguments: str, stdout: int | None = None) -> subprocess.Popen[bytes]:
        """Start `python ARGUMENT…`; what it says goes to the log."""
        guard = [sys.executable, "-I", "-S", die_with_parent.__file__, str(os.getpid())]
        with self._log.open("ab") as log:
            child = subprocess.Popen(
                [*guard, sys.executable, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log if stdout is None else stdout,
                stderr=log,
                env=self._environment,
                start_new_session=True,
            )
        self._children.append(child)
        return child

    def check(self) -> None:
        """Unavailable, with the end of the log, when one has ended."""
        for child in self._children:
            if child.poll() is not None:
                said = self._log.read_text(errors="replace").splitlines()[-_LOG_TAIL_LINES:]
                raise Unavailable(f"a process of the benchmark ended with {child.returncode}:\n" + "\n".join(said))

    def stop(self) -> None:
        for child in self._children:
            child.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + _STOP_GRACE_SEC
        for child in self._children:
            with suppress(subprocess.TimeoutExpired):
                child.wait(max(deadline - time.monotonic(), 0.0))
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
        self._children.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()


def clean_environment(more: Mapping[str, str]) -> dict[str, str]:
    """The caller's environment without any setting of cordum or Celery, so that defaults are what is measured."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("CORDUM_", "CELERY_"))}
    # A benchmark in a container runs as root more often than not, and Celery warns of it at length.
    return kept | {"PYTHONWARNINGS": "ignore:You're running the worker with superuser privileges"} | dict(more)


def wait_for(
    done: Callable[[], bool], what: str, processes: Processes, *, every_sec: float, timeout_sec: float
) -> None:
    """Until `done()`; Unavailable when a process ends or the time is up."""
    give_up = time.monotonic() + timeout_sec
    while not done():
        processes.check()
        if time.monotonic() > give_up:
            raise Unavailable(f"waited {timeout_sec:g} s in vain for {what}")
        time.sleep(every_sec)
