"""An operator's retry of a failed run: the same run goes on in its next generation (CONTRACT.md 3.8 and 3.13)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from cordum.domain.attempts import handled_by
from cordum.domain.instances import Role, parent_of
from cordum.domain.plan import RunChange
from cordum.domain.run import StepState
from cordum.domain.standing import Standing, standing
from cordum.domain.states import RunStatus, SkipReason, StepStatus
from cordum.domain.turn import Turn

# Skipped because of what is tried again; what a condition or a branch has decided stays decided.
_BECAUSE = frozenset(
    {
        SkipReason.UPSTREAM_FAILED,
        SkipReason.UPSTREAM_SKIPPED,
        SkipReason.HANDLER_NOT_NEEDED,
        SkipReason.RUN_TIMED_OUT,
        SkipReason.RUN_CANCELLED,
    }
)


def reopen(turn: Turn, archived: Mapping[str, StepState], actor: str, reason: str) -> None:
    """Put back to pending what failed and what was given up because of it. `archived`: children that are put away."""
    generation = turn.run.generation + 1
    deadline = turn.now + turn.limits.of_run(turn.workflow)
    for ref in _again(turn):
        turn.reset(ref)
    for ref, state in archived.items():
        if not _kept(state) and _host_is_open(turn, ref):
            turn.bring_back(ref, state)
    _count_anew(turn, archived)
    data = {"reason": reason, "generation": generation}
    turn.event("run.reopened", source=turn.status.value, target="running", actor=actor, data=data)
    turn.status = RunStatus.RUNNING
    turn.pausing = RunChange(RunStatus.RUNNING, generation=generation, deadline=deadline)


def _again(turn: Turn) -> list[str]:
    """What starts anew; a handler does when a step that it handles does."""
    again = [ref for ref, state in turn.steps.items() if not _kept(state) and not _rescued(turn, ref, state)]
    handlers = [
        instance.ref
        for instance in turn.all()
        if instance.ref not in again and any(user in again for user in handled_by(turn, instance))
    ]
    return [*again, *handlers]


def _kept(state: StepState) -> bool:
    if state.status is StepStatus.SKIPPED:
        return state.skip_reason not in _BECAUSE
    return state.status is StepStatus.SUCCEEDED


def _rescued(turn: Turn, ref: str, state: StepState) -> bool:
    return state.status.unsuccessful and standing(turn, ref) is Standing.SATISFIED


def _host_is_open(turn: Turn, ref: str) -> bool:
    host = turn.instances[ref].host
    return host in turn.steps and not turn.steps[host].status.terminal if host is not None else True


def _count_anew(turn: Turn, archived: Mapping[str, StepState]) -> None:
    """Fan-outs and loops count the children that are over for good."""
    for instance in turn.all():
        state = turn.steps[instance.ref]
        if state.status is StepStatus.PENDING and instance.role in (Role.FAN, Role.LOOP) and state.started:
            over = sum(parent_of(ref) == instance.ref and _kept(child) for ref, child in archived.items())
            turn.steps[instance.ref] = replace(state, settled=over)
