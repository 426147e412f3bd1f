"""Asking Redis again while it is away: for a bounded time, and with jitter, so that no stampede meets its return."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from typing import TypeVar

from cordum.errors import Unavailable

__all__ = ["insist"]

_FIRST_PAUSE_SEC = 0.1
_LONGEST_PAUSE_SEC = 2.0

_chance = secrets.SystemRandom()
_Answer = TypeVar("_Answer")


def insist(ask: Callable[[], _Answer], patience_sec: float) -> _Answer:
    """The answer of `ask`, which must be safe to repeat; Unavailable when nobody has answered for `patience_sec`."""
    give_up = time.monotonic() + patience_sec
    pause = _FIRST_PAUSE_SEC
    while True:
        try:
            return ask()
        except Unavailable:
            if time.monotonic() >= give_up:
                raise
        time.sleep(pause * _chance.uniform(0.5, 1.0))
        pause = min(_LONGEST_PAUSE_SEC, pause * 2)
