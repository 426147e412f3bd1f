"""Names that no other call in any process gives, without asking the system for chance each time."""

from __future__ import annotations

import itertools
import os
import uuid

__all__ = ["unique"]

_process = uuid.uuid4().hex
_numbers = itertools.count()


def unique() -> str:
    """Letters, digits and a dash."""
    return f"{_process}-{next(_numbers)}"


def _after_fork() -> None:
    global _process
    _process = uuid.uuid4().hex


os.register_at_fork(after_in_child=_after_fork)
