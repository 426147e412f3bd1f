"""Steps that wait for people.

The gate is a job record with topic `sys.approval.gate`; its answer comes back as a result.
"""

from __future__ import annotations

from cordum.domain.attempts import ask_people, rendered_input, request_hash
from cordum.domain.run import Failure
from cordum.domain.states import StepStatus
from cordum.domain.turn import Turn
from cordum.domain.workflow import Step
from cordum.errors import ExpressionError


def ready(turn: Turn, step: Step) -> None:
    attempt = turn.steps[step.id].attempt + 1
    try:
        payload = rendered_input(turn, step) if step.input is not None else {}
    except ExpressionError as error:
        turn.end(step.id, StepStatus.FAILED, Failure("expression_error", error.detail), leaf=True, attempt=attempt)
        return
    ask_people(turn, step, "step", request_hash(step, payload), payload, None, attempt)


def settle(turn: Turn, step: Step) -> None:
    """Nobody has answered in time."""
    state = turn.steps[step.id]
    if state.status is StepStatus.WAITING and state.deadline is not None and state.deadline <= turn.now:
        failure = Failure("timeout", f"nobody decided within {(step.timeout_ms or 0) / 1000:g} s")
        turn.end(step.id, StepStatus.TIMED_OUT, failure, leaf=True)
