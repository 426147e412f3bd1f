"""What a settled or unsettled step means to those that wait for it (CONTRACT.md 3.2 and 3.3)."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum, auto

from cordum.domain.states import SkipReason, StepStatus
from cordum.domain.turn import Turn


class Standing(Enum):
    OPEN = auto()  # not known yet
    SATISFIED = auto()
    UNSATISFIED = auto()  # failed or cancelled, and nobody made good for it
    ABSENT = auto()  # skipped: does not count


def standing(turn: Turn, step: str) -> Standing:
    """A failed step is judged by the end of its `on_error` chain, so it stays open while a handler is at work."""
    state = turn.steps[step]
    if state.status is StepStatus.SUCCEEDED:
        return Standing.SATISFIED
    if state.status is StepStatus.SKIPPED:
        return Standing.SATISFIED if state.skip_reason is SkipReason.CONDITION_FALSE else Standing.ABSENT
    if state.status.unsuccessful:
        return _chain(turn, turn.workflow.steps[step].on_error)
    return Standing.UNSATISFIED if state.status.terminal else Standing.OPEN


def _chain(turn: Turn, handler: str | None) -> Standing:
    """Follow handlers of handlers; validation has made sure that they form no cycle. Only a success rescues."""
    while handler is not None:
        status = turn.steps[handler].status
        if status is StepStatus.SUCCEEDED:
            return Standing.SATISFIED
        if not status.terminal:
            return Standing.OPEN
        if not status.unsuccessful:
            return Standing.UNSATISFIED
        handler = turn.workflow.steps[handler].on_error
    return Standing.UNSATISFIED


def of_all(turn: Turn, steps: Iterable[str]) -> Standing:
    """The standings of several dependencies as one. A skip waits until all of them are settled."""
    found = {standing(turn, step) for step in steps}
    if not found:
        return Standing.SATISFIED
    for worst in (Standing.OPEN, Standing.UNSATISFIED, Standing.SATISFIED):
        if worst in found:
            return worst
    return Standing.ABSENT
