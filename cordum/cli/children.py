"""Child processes of this one: started, watched, started again when they end by themselves, ended with us.

Each is told by the kernel to end when this process does (`die_with_parent`), has a session of its own, so that Ctrl-C
in the terminal reaches this process alone, and writes to a log file.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from cordum.errors import Unavailable
from cordum.ops import die_with_parent

STOP_GRACE_SEC = 5.0
_CALM_SEC = 5.0  # a child that lived this long was not in a crash loop
_LONGEST_PAUSE_SEC = 5.0
_LOG_TAIL_LINES = 15


@dataclass(frozen=True, slots=True)
class Program:
    """What to run: its name for people, its command line, its log file."""

    name: str
    command: Sequence[str]
    log: Path

    def last_lines(self) -> str:
        """The end of its log, for a message."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n  ".join([f"the end of {self.log}:", *text.splitlines()[-_LOG_TAIL_LINES:]])


@dataclass(slots=True)
class _Child:
    program: Program
    process: subprocess.Popen[bytes]
    started: float = field(default_factory=time.monotonic)
    early_ends: int = 0


class Children:
    """Use as a context manager: at its end no child is left."""

    def __init__(self, programs: Iterable[Program], environment: Mapping[str, str], say: Callable[[str], None]) -> None:
        self._programs = tuple(programs)
        self._environment = dict(environment)
        self._say = say
        self._stopping = threading.Event()
        self._mutex = threading.Lock()
        # The kernel ties "the parent died" to the *thread* that forked, so one thread forks and outlives all children.
        self._parent = ThreadPoolExecutor(1, thread_name_prefix="children-parent")
        self._children: list[_Child] = []
        self._watchers: list[threading.Thread] = []

    def __enter__(self) -> Self:
        try:
            for program in self._programs:
                self._children.append(_Child(program, self._start(program)))
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def pids(self) -> dict[str, int]:
        """Process ids by the programs' names."""
        return {child.program.name: child.process.pid for child in self._children}

    def check(self) -> None:
        """Unavailable, with the end of its log, when a child has ended that nobody watches yet."""
        for child in self._children:
            code = child.process.poll()
            if code is not None:
                said = child.program.last_lines()
                raise Unavailable(f"{child.program.name} ended with exit code {code}; {said}", code="start_failed")

    def last_lines(self) -> str:
        """The ends of all logs, for a message."""
        return "\n  ".join(child.program.last_lines() for child in self._children)

    def watch(self) -> None:
        """From now on, start again what ends by itself."""
        for child in self._children:
            thread = threading.Thread(target=self._keep, args=(child,), name=f"watch-{child.program.name}", daemon=True)
            self._watchers.append(thread)
            thread.start()

    def stop(self) -> None:
        """End all: politely, and after a grace by force. Idempotent."""
        self._stopping.set()
        with self._mutex:
            for child in self._children:
                # To a Celery worker SIGINT means: finish the jobs in hand. (SIGTERM is the kernel's word, see `stack`.)
                child.process.send_signal(signal.SIGINT)
        deadline = time.monotonic() + STOP_GRACE_SEC
        for child in self._children:
            _end(child.process, deadline)
        for watcher in self._watchers:
            watcher.join()
        self._parent.shutdown()

    def _start(self, program: Program) -> subprocess.Popen[bytes]:
        return self._parent.submit(self._spawn, program).result()

    def _spawn(self, program: Program) -> subprocess.Popen[bytes]:
        guard = [sys.executable, "-I", "-S", die_with_parent.__file__, str(os.getpid())]
        with open(program.log, "ab") as log:
            return subprocess.Popen(
                [*guard, *program.command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment,
                start_new_session=True,
            )

    def _keep(self, child: _Child) -> None:
        while True:
            code = child.process.wait()
            if self._stopping.is_set():
                return
            _kill_group(child.process)
            calm = time.monotonic() - child.started > _CALM_SEC
            child.early_ends = 0 if calm else child.early_ends + 1
            name, log = child.program.name, child.program.log
            self._say(f"{name} ended by itself with exit code {code} (see {log}); starting it again")
            self._stopping.wait(_pause_sec(child.early_ends))
            with self._mutex:
                if self._stopping.is_set():
                    return
                try:
                    child.process, child.started = self._start(child.program), time.monotonic()
                except OSError as error:
                    self._say(f"{name} cannot be started: {error}")


def _pause_sec(early_ends: int) -> float:
    """None after a first end, then doubling, so that a crash loop does not eat the machine."""
    return 0.0 if early_ends <= 1 else min(0.1 * 2.0**early_ends, _LONGEST_PAUSE_SEC)


def _end(process: subprocess.Popen[bytes], deadline: float) -> None:
    with suppress(subprocess.TimeoutExpired):
        process.wait(max(deadline - time.monotonic(), 0.0))
    # Also after a good end: a pool child that hangs would outlive its worker.
    _kill_group(process)
    process.wait()


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
