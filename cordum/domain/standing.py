"""What a settled or unsettled step means to those that wait for it (CONTRACT.md 3.2 and 3.3)."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum, auto

from cordum.domain.instances import Instance
from cordum.domain.states import SkipReason, StepStatus
from cordum.domain.turn import Turn

_SATISFYING = frozenset({SkipReason.CONDITION_FALSE, SkipReason.BY_HAND})


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
        return Standing.SATISFIED if state.skip_reason in _SATISFYING else Standing.ABSENT
    if state.status.unsuccessful:
        instance = turn.instances[step]
        return _chain(turn, handler_of(turn, instance)) if instance.head else Standing.UNSATISFIED
    return Standing.UNSATISFIED if state.status.terminal else Standing.OPEN


def handler_of(turn: Turn, instance: Instance) -> str | None:
    """The instance that `on_error` names, in the same context; None when it does not exist (any more)."""
    if instance.step.on_error is None:
        return None
    handler = turn.instances.sibling(instance, instance.step.on_error)
    return handler if handler in turn.steps else None


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
        handler = handler_of(turn, turn.instances[handler])
    return Standing.UNSATISFIED


def of_all(turn: Turn, steps: Iterable[str]) -> Standing:
    """The standings of several dependencies as one. A skip waits until all of them are settled."""
    found = [standing(turn, step) for step in steps]
    if not found:
        return Standing.SATISFIED
    for worst in (Standing.OPEN, Standing.UNSATISFIED, Standing.SATISFIED):
        if worst in found:
            return worst
    return Standing.ABSENT


def mark_rescues(turn: Turn, refs: Iterable[str] | None = None) -> None:
    """Dead letters of steps (of all, if none are named) whose handler has succeeded are marked `rescued`, once."""
    for ref in list(turn.steps) if refs is None else refs:
        state = turn.steps[ref]
        unmarked = state.status.unsuccessful and state.dead_letter and not (state.rescued or state.discarded)
        if unmarked and standing(turn, ref) is Standing.SATISFIED:
            turn.mark_rescued(ref)
