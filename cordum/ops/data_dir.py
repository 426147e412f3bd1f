"""A private directory that one server at a time may serve.

The claim is a `flock` on a file inside, inherited by the server: the kernel gives it back when the last holder is gone,
so no crash leaves a claim behind, and a server that is still flushing after its parent's death keeps newcomers out.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cordum.errors import ConfigurationRefused

__all__ = ["claimed", "pid_alive", "private_directory"]

FLUSH_GRACE_SEC = 5.0
"""How long a server whose parent died may take to write out its log and end."""

_POLL_SEC = 0.02


def private_directory(path: Path) -> Path:
    """Create `path` for this user only (0700) and give its absolute form; refuse one that somebody else owns."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.mkdir(mode=0o700, exist_ok=True)
        if path.stat().st_uid != os.getuid():
            raise ConfigurationRefused(f"{path} belongs to another user; choose another data directory")
        path.chmod(0o700)
    except OSError as error:
        raise ConfigurationRefused(f"{path} cannot be used as a data directory: {error.strerror}") from error
    return path.resolve()


@contextmanager
def claimed(directory: Path) -> Iterator[int]:
    """Hold `directory` for this process; gives the descriptor the server must inherit."""
    descriptor = os.open(directory / "serving.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _take(descriptor, directory)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield descriptor
    finally:
        # Closed, never unlinked: with the name gone two processes could hold a lock each on different files.
        os.close(descriptor)


def pid_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _take(descriptor: int, directory: Path) -> None:
    give_up = time.monotonic() + FLUSH_GRACE_SEC
    while not _locked(descriptor):
        owner = _owner(descriptor)
        if owner is not None and pid_alive(owner):
            raise ConfigurationRefused(
                f"{directory} is already served by process {owner}; stop it, or choose another data directory"
            )
        if time.monotonic() > give_up:
            raise ConfigurationRefused(f"{directory} is still held by the Redis of a process that has ended")
        time.sleep(_POLL_SEC)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _owner(descriptor: int) -> int | None:
    text = os.pread(descriptor, 32, 0)
    return int(text) if text.isdigit() else None
