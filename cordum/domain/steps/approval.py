"""Steps that wait for people.

The gate is a job record with topic `sys.approval.gate`; its answer comes back as a result.
"""

from __future__ import annotations

from cordum.domain.attempts import Refusal, ask_people, checked_input, request_hash
from cordum.domain.instances import Instance
from cordum.domain.run import Failure
from cordum.domain.states import StepStatus
from cordum.domain.steps.ending import fail
from cordum.domain.turn import Turn


def ready(turn: Turn, instance: Instance) -> None:
    attempt = turn.steps[instance.ref].attempt + 1
    try:
        payload = checked_input(turn, instance) if instance.step.input is not None else {}
    except Refusal as refused:
        fail(turn, instance, refused.failure.code, refused.failure.message)
        return
    ask_people(turn, instance, "step", request_hash(instance.step, payload), payload, None, attempt)


def settle(turn: Turn, instance: Instance) -> None:
    """Nobody has answered in time."""
    state = turn.steps[instance.ref]
    if state.status is StepStatus.WAITING and state.deadline is not None and state.deadline <= turn.now:
        failure = Failure("timeout", f"nobody decided within {(instance.step.timeout_ms or 0) / 1000:g} s")
        turn.end(instance.ref, StepStatus.TIMED_OUT, failure, leaf=True)
