"""A pause in the run, kept by the run's timer: it lasts as long as it must, whatever restarts meanwhile."""

from __future__ import annotations

from cordum.domain.instances import Instance
from cordum.domain.states import StepStatus
from cordum.domain.steps.ending import begin, fail, out_of_time
from cordum.domain.times import milliseconds
from cordum.domain.turn import Turn
from cordum.domain.workflow import Delay
from cordum.errors import ExpressionError

_LONGEST_SEC = 10 * 365 * 24 * 3600


def ready(turn: Turn, instance: Instance) -> None:
    delay = instance.step.own
    assert isinstance(delay, Delay)
    try:
        due = _due(turn, instance, delay)
    except ExpressionError as error:
        fail(turn, instance, "expression_error", error.detail)
        return
    begin(turn, instance, StepStatus.WAITING, due=due)
    settle(turn, instance)  # nothing to wait for is over at once


def settle(turn: Turn, instance: Instance) -> None:
    state = turn.steps[instance.ref]
    if state.status is not StepStatus.WAITING:
        return
    if state.due is not None and state.due <= turn.now and (state.deadline is None or state.due <= state.deadline):
        turn.succeed(instance.ref, None)
    else:
        out_of_time(turn, instance)


def _due(turn: Turn, instance: Instance, delay: Delay) -> int:
    """When it is over, in milliseconds. Raises ExpressionError when the template gives no such thing."""
    if delay.seconds is not None:
        seconds = delay.seconds.render(turn.scope(instance))
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds <= _LONGEST_SEC:
            raise ExpressionError("delay_sec must be a number of seconds, not negative and at most ten years")
        return turn.now + max(round(seconds * 1000), 1 if seconds else 0)
    assert delay.until is not None
    until = delay.until.render(turn.scope(instance))
    at = milliseconds(until) if isinstance(until, str) else None
    if at is None:
        raise ExpressionError('delay_until must be an RFC 3339 time such as "2026-04-01T08:00:00Z"')
    return at
