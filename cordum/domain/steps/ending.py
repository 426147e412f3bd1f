"""What several kinds share when they end: by time, by what was inside them, or with a failure of their own."""

from __future__ import annotations

from typing import Any

from cordum.domain.instances import Instance, Role
from cordum.domain.run import Failure
from cordum.domain.states import StepStatus
from cordum.domain.turn import Turn
from cordum.domain.workflow import JSON


def begin(turn: Turn, instance: Instance, status: StepStatus, **facts: Any) -> None:
    """The step has begun and will take a while; its time-out runs from here (CONTRACT.md 3.13, Attempts)."""
    limit = instance.step.timeout_ms
    state = turn.steps[instance.ref]
    turn.move(
        instance.ref,
        status,
        "step.started",
        attempt=state.attempt + 1,
        started_at=turn.now,
        deadline=None if limit is None else turn.now + limit,
        **facts,
    )


def fail(turn: Turn, instance: Instance, code: str, message: str) -> None:
    """The step fails by itself; one that has not begun does so in its first attempt."""
    state = turn.steps[instance.ref]
    attempt = state.attempt + 1 if state.status is StepStatus.PENDING else state.attempt
    turn.end(instance.ref, StepStatus.FAILED, Failure(code, message), leaf=instance.leaf, attempt=attempt)


def finish(turn: Turn, instance: Instance, output: JSON) -> None:
    """The step succeeds in the moment in which it begins."""
    attempt = turn.steps[instance.ref].attempt + 1
    turn.succeed(instance.ref, output, attempt=attempt, started_at=turn.now)


def out_of_time(turn: Turn, instance: Instance) -> bool:
    """End a step whose `timeout_sec` is over, with all that is inside it; whether it was."""
    state = turn.steps[instance.ref]
    if state.deadline is None or state.deadline > turn.now:
        return False
    close_inside(turn, instance)
    failure = Failure("timeout", f"not done within {(instance.step.timeout_ms or 0) / 1000:g} s")
    turn.end(instance.ref, StepStatus.TIMED_OUT, failure, leaf=instance.leaf)
    return True


def close_inside(turn: Turn, instance: Instance) -> None:
    """Cancel what the step owns and what exists within it, however deep: nobody asks for it any more."""
    is_group = instance.role is Role.GROUP
    owned = turn.instances.members(instance) if is_group else tuple(turn.children(instance.ref))
    for ref in (*owned, *turn.inside(instance.ref)):
        if ref in turn.steps and not turn.steps[ref].status.terminal:
            turn.cancel(ref, "group_settled")
        if ref in owned:
            close_inside(turn, turn.instances[ref])


def take_after(turn: Turn, instance: Instance, child: str) -> None:
    """End as the child did that decided it. A cancelled child leaves its owner failed: its handler may make good."""
    state = turn.steps[child]
    status = state.status if state.status.unsuccessful else StepStatus.FAILED
    turn.end(instance.ref, status, state.failure or Failure("unknown", ""), leaf=False)
