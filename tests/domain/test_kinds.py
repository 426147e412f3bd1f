"""The reader and the planner know the same kinds of steps."""

from __future__ import annotations

from cordum.domain.definition import kinds
from cordum.domain.steps import KINDS


def test_what_can_be_read_can_be_run() -> None:
    assert set(kinds.KINDS) == set(KINDS)
