"""An operator's retry of a failed run: the same run goes on in its next generation (CONTRACT.md 3.8 and 3.13)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from cordum.domain.attempts import handled_by
from cordum.domain.instances import Role, parent_of
from cordum.domain.plan import Handling, RunChange
from cordum.domain.run import StepState
from cordum.domain.standing import Standing, standing
from cordum.domain.states import RunStatus, SkipReason, StepStatus
from cordum.domain.turn import Turn
from cordum.domain.workflow import JSON

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


def reopen(turn: Turn, archived: Mapping[str, StepState], handling: Handling, edits: Mapping[str, str]) -> None:
    """Put back to pending what failed and what was given up because of it.

    `archived`: children that are put away. `edits`: JSON texts of inputs that steps are given instead of their own.
    """
    turn.handling = handling
    generation = turn.run.generation + 1
    deadline = turn.now + turn.limits.of_run(turn.workflow)
    reset = _again(turn)
    for ref in reset:
        turn.reset(ref)
    away, rescued = dict(archived), _rescued_among(turn, archived)
    while _bring_back(turn, away, rescued):
        pass
    _count_anew(turn, away)
    for ref, text in edits.items():
        if ref in turn.steps and not turn.steps[ref].status.terminal:
            turn.edit_input(ref, text)
    data: dict[str, JSON] = {"reason": handling.reason, "generation": generation, "steps": [*reset]}
    if edits:
        data["edited"] = [*edits]
    turn.event("run.reopened", source=turn.status.value, target="running", actor=handling.actor, data=data)
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


# -- what was put away -------------------------------------------------------------------------------------------


def _rescued_among(turn: Turn, archived: Mapping[str, StepState]) -> set[str]:
    """What was put away and made good by a handler that was put away with it."""
    everything = Turn(turn.workflow, replace(turn.run, steps={**archived, **turn.run.steps}), None, turn.now)
    return {ref for ref, state in archived.items() if _rescued(everything, ref, state)}


def _bring_back(turn: Turn, away: dict[str, StepState], rescued: set[str]) -> bool:
    """Open again what belongs to something that is open; whether there was any, for it may own more."""
    back = [ref for ref, state in away.items() if _belongs_to_open(turn, ref, state)]
    for ref in back:
        turn.bring_back(ref, away.pop(ref))
    for ref in back:
        needed = any(not turn.steps[user].status.terminal for user in handled_by(turn, turn.instances[ref]))
        if needed or not (_kept(turn.steps[ref]) or ref in rescued):
            turn.reset(ref)
    return bool(back)


def _belongs_to_open(turn: Turn, ref: str, state: StepState) -> bool:
    """Children of fan-outs and loops that are over for good stay where they are: their owners have counted them."""
    instance = turn.instances[ref]
    if instance.step.id in turn.workflow.handled_by and instance.head:
        return bool(handled_by(turn, instance))
    host = turn.steps.get(instance.host or "")
    if host is None or host.status.terminal:
        return False
    assert instance.host is not None
    return turn.instances[instance.host].role is Role.GROUP or not _kept(state)


def _count_anew(turn: Turn, away: Mapping[str, StepState]) -> None:
    """Fan-outs and loops count the children that are over for good."""
    for instance in turn.all():
        state = turn.steps[instance.ref]
        if state.status is StepStatus.PENDING and instance.role in (Role.FAN, Role.LOOP) and state.started:
            over = sum(parent_of(ref) == instance.ref for ref in away)
            turn.steps[instance.ref] = state.but(settled=over)
