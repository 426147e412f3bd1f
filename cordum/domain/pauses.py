"""Pausing a run and letting it go on (CONTRACT.md 3.13): nothing new is sent, what is running may finish.

Time goes on for leases, attempts, expiry, delays and the run itself; only `queue_timeout_sec` stands still.
"""

from __future__ import annotations

from cordum.domain.plan import RunChange
from cordum.domain.states import RunStatus, StepStatus
from cordum.domain.turn import Turn

PARENT = "parent run"


def pause(turn: Turn, actor: str, reason: str | None) -> None:
    """A run that is paused already stays as it is."""
    if turn.status is RunStatus.PAUSED:
        return
    turn.event("run.paused", source=turn.status.value, target="paused", actor=actor, data=_why(reason))
    turn.pausing = RunChange(RunStatus.PAUSED, paused=(turn.now, actor))
    turn.status = RunStatus.PAUSED
    for instance in turn.all():
        if turn.steps[instance.ref].status is StepStatus.READY:
            turn.take_back(instance.ref)
    turn.stir_children()


def resume(turn: Turn, actor: str, reason: str | None) -> None:
    """A run that is not paused stays as it is."""
    if turn.status is not RunStatus.PAUSED:
        return
    stood_still = turn.now - (turn.run.paused_at or turn.now)
    turn.event("run.resumed", source="paused", target="running", actor=actor, data=_why(reason))
    turn.pausing = RunChange(RunStatus.RUNNING, paused=())
    turn.status = RunStatus.RUNNING
    for ref, state in list(turn.steps.items()):
        if state.status is StepStatus.QUEUED and state.queue_deadline is not None:
            turn.steps[ref] = state.but(queue_deadline=state.queue_deadline + stood_still)
    turn.stir_children()


def follow_parent(turn: Turn) -> None:
    """A child run pauses and goes on with its parent; one that was paused by a person waits for that person."""
    parent = turn.run.parent
    if parent is None:
        return
    if parent.paused and turn.status is not RunStatus.PAUSED:
        pause(turn, PARENT, None)
    elif not parent.paused and turn.status is RunStatus.PAUSED and turn.run.paused_by == PARENT:
        resume(turn, PARENT, None)


def _why(reason: str | None) -> dict[str, str | None]:
    return {"reason": reason} if reason else {}
