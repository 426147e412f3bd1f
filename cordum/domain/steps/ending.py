"""What several kinds share when they end: by time, by what was inside them, or with a failure of their own."""

from __future__ import annotations

from typing import Any

from cordum.domain.instances import Instance, Role
from cordum.domain.run import Failure
from cordum.domain.standing import mark_rescues
from cordum.domain.states import SkipReason, StepStatus
from cordum.domain.turn import Turn
from cordum.domain.workflow import JSON


def begin(turn: Turn, instance: Instance, status: StepStatus, **facts: Any) -> None:
    """The step has begun and will take a while; its time-out runs from here (CONTRACT.md 3.13, Attempts).

    A fan-out has none: its step's holds for each child.
    """
    limit = None if instance.role is Role.FAN else instance.step.timeout_ms
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
    """Cancel what the step owns and what exists within it, however deep: nobody asks for it any more.

    What lies in a group that is over already ends as that group's end says.
    """
    is_group = instance.role is Role.GROUP
    owned = turn.instances.members(instance) if is_group else tuple(turn.children(instance.ref))
    for ref in (*owned, *turn.inside(instance.ref)):
        if ref in turn.steps and not turn.steps[ref].status.terminal:
            _close(turn, ref)
            if ref in owned:
                close_inside(turn, turn.instances[ref])


def _close(turn: Turn, ref: str) -> None:
    idle = _idle_handler(turn, ref)
    if idle is None:
        turn.cancel(ref, "group_settled")
    else:
        turn.skip(ref, SkipReason.HANDLER_NOT_NEEDED if idle == ref else SkipReason.UPSTREAM_SKIPPED)


def _idle_handler(turn: Turn, ref: str) -> str | None:
    """The handler that this is, or is a member of, when nobody has needed it."""
    top = turn.instances[ref]
    while top.host is not None and turn.instances[top.host].role is Role.GROUP:
        top = turn.instances[top.host]
    state = turn.steps[top.ref]
    unused = state.status is StepStatus.PENDING or state.skip_reason is SkipReason.HANDLER_NOT_NEEDED
    return top.ref if top.host is None and top.step.id in turn.workflow.handled_by and unused else None


def take_after(turn: Turn, instance: Instance, child: str) -> None:
    """End as the child did that decided it. A cancelled child leaves its owner failed: its handler may make good."""
    state = turn.steps[child]
    status = state.status if state.status.unsuccessful else StepStatus.FAILED
    turn.end(instance.ref, status, state.failure or Failure("unknown", ""), leaf=False)


def all_over(turn: Turn, child: str) -> bool:
    """Whether nothing that belongs to a settled child is open: handlers that nobody needs are skipped first."""
    return all(turn.steps[ref].status.terminal for ref in (*turn.inside(child), *turn.companions(child)))


def put_away(turn: Turn, child: str) -> None:
    """A child that has been counted leaves the open state; its dead letters say first whether they were made good."""
    mark_rescues(turn, turn.belongings(child))
    turn.archive(child)
