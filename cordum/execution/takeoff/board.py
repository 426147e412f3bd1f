"""What the processes of a prefork pool and their parent both see: how far each is with the jobs it was given at once.

Memory that is shared through the fork, a place for each process. A process asks here before it begins the next job, and
its parent may forbid that at any moment: so a job that is taken back has not begun and never will. Results stay here
as well until the process has told of them all, for a parent whose process is busy for long, or dead.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryFile
from typing import NamedTuple

from billiard import current_process

__all__ = ["Board", "Seen", "board", "put_up"]

_PLACES = 512
_SIZE = 1 << 16
_HEAD = struct.Struct("=QIIIId")  # see _Head
_LENGTH = struct.Struct("=I")


class Seen(NamedTuple):
    """How many jobs have begun and when the last of them did, and the results of those that have ended."""

    begun: int
    began_at: float
    ended: list[bytes]


class _Head(NamedTuple):
    batch: int = 0
    most: int = 0  # so many may begin
    begun: int = 0
    ended: int = 0
    used: int = _HEAD.size
    began_at: float = 0.0


class Board:
    def __init__(self, places: int = _PLACES) -> None:
        self.places = places
        self._memory = mmap.mmap(-1, places * _SIZE)
        # Locks of the system on its bytes: those of a process end with it, whatever it was doing.
        with TemporaryFile() as file:
            self._locks = os.dup(file.fileno())

    # -- in a process of the pool --------------------------------------------------------------------------------

    def open(self, batch: int, jobs: int) -> None:
        place = _own_place()
        with self._locked(place):
            self._write(place, _Head(batch, jobs))

    def begin(self) -> bool:
        """Whether the next job may begin; it has, then."""
        place = _own_place()
        with self._locked(place):
            head = self._read(place)
            if head.begun >= head.most:
                return False
            self._write(place, head._replace(begun=head.begun + 1, began_at=time.monotonic()))
            return True

    def end(self, result: bytes) -> bool:
        """Whether there was room for the result of the job that has begun."""
        place = _own_place()
        head = self._read(place)
        used = head.used + _LENGTH.size + len(result)
        if used > _SIZE:
            return False
        at = place * _SIZE + head.used
        _LENGTH.pack_into(self._memory, at, len(result))
        self._memory[at + _LENGTH.size : place * _SIZE + used] = result
        with self._locked(place):
            self._write(place, self._read(place)._replace(ended=head.ended + 1, used=used))
        return True

    # -- in the parent -------------------------------------------------------------------------------------------

    def stop(self, batch: int, begun_before: float) -> Seen | None:
        """Let no other job of the batch begin if the last one did before that; None: it did not, or cannot be told."""
        place = self._place_of(batch)
        if place is None:
            return None
        try:
            with self._locked(place, fcntl.LOCK_NB):
                head = self._read(place)
                if head.batch != batch or not head.begun or head.began_at > begun_before:
                    return None
                self._write(place, head._replace(most=head.begun))
                return Seen(head.begun, head.began_at, list(self._results(place, head)))
        except BlockingIOError:
            return None

    def _place_of(self, batch: int) -> int | None:
        return next((place for place in range(self.places) if self._read(place).batch == batch), None)

    def _results(self, place: int, head: _Head) -> Iterator[bytes]:
        at = place * _SIZE + _HEAD.size
        for _ in range(head.ended):
            (length,) = _LENGTH.unpack_from(self._memory, at)
            at += _LENGTH.size
            yield self._memory[at : at + length]
            at += length

    # -- both ----------------------------------------------------------------------------------------------------

    @contextmanager
    def _locked(self, place: int, how: int = 0) -> Iterator[None]:
        fcntl.lockf(self._locks, fcntl.LOCK_EX | how, 1, place)
        try:
            yield
        finally:
            fcntl.lockf(self._locks, fcntl.LOCK_UN, 1, place)

    def _read(self, place: int) -> _Head:
        return _Head(*_HEAD.unpack_from(self._memory, place * _SIZE))

    def _write(self, place: int, head: _Head) -> None:
        _HEAD.pack_into(self._memory, place * _SIZE, *head)


def _own_place() -> int:
    index: int = current_process().index
    return index


_board: Board | None = None


def put_up() -> None:
    """Before the pool forks."""
    global _board
    _board = Board()


def board() -> Board | None:
    return _board
