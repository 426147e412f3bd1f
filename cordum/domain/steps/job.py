"""Steps that dispatch a job to the workers of a topic."""

from __future__ import annotations

from cordum.domain.attempts import dispatch
from cordum.domain.turn import Turn
from cordum.domain.workflow import Step


def ready(turn: Turn, step: Step) -> None:
    dispatch(turn, step)
