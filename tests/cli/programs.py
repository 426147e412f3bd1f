"""A cordum in a process of its own, and what is left of it."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_SEC = 60.0


class Program:
    """A cordum in a process of its own; what it prints is read as it comes."""

    def __init__(self, arguments: tuple[str, ...], home: Path, env: dict[str, str]) -> None:
        self.home = home
        self.env = env
        self.output: list[str] = []
        self._lines: queue.Queue[str | None] = queue.Queue()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "cordum.cli", *arguments],
            cwd=home,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def line(self, start: str) -> str:
        """Wait for a line that begins like this; the answer is the rest of it."""
        give_up = time.monotonic() + PATIENCE_SEC
        while True:
            line = self._lines.get(timeout=max(give_up - time.monotonic(), 0.01))
            assert line is not None, f"ended without {start!r}:\n{self.text}"
            if line.startswith(start):
                return line.removeprefix(start).strip()

    def end(self, number: signal.Signals | None = None) -> int:
        """Send a signal, if one is given, and wait for the end; the answer is the exit code."""
        if number is not None:
            self.process.send_signal(number)
        code = self.process.wait(PATIENCE_SEC)
        self._reader.join(PATIENCE_SEC)
        return code

    @property
    def text(self) -> str:
        return "".join(self.output)

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.output.append(line)
            self._lines.put(line)
        self._lines.put(None)


def survivors(home: Path) -> list[int]:
    """Processes that were started with this HOME and still run (zombies have no environment)."""
    marker = f"HOME={home}\0".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid() and marker in _environment(entry):
            found.append(int(entry.name))
    return found


def _environment(entry: Path) -> bytes:
    try:
        return (entry / "environ").read_bytes() + b"\0"
    except OSError:
        return b""


def eventually(fact: Callable[[], bool], patience_sec: float = PATIENCE_SEC) -> bool:
    give_up = time.monotonic() + patience_sec
    while not fact():
        if time.monotonic() > give_up:
            return False
        time.sleep(0.05)
    return True
