"""Steps that dispatch a job to the workers of a topic."""

from __future__ import annotations

from cordum.domain.attempts import dispatch
from cordum.domain.instances import Instance
from cordum.domain.turn import Turn


def ready(turn: Turn, instance: Instance) -> None:
    dispatch(turn, instance)
