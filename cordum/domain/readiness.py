"""Whose turn has come: dependencies, groups, handlers and conditions of steps that are still pending."""

from __future__ import annotations

from dataclasses import replace

from cordum.domain.expressions import Expression
from cordum.domain.run import Failure
from cordum.domain.standing import Standing, of_all, standing
from cordum.domain.states import SkipReason, StepStatus
from cordum.domain.steps import KINDS
from cordum.domain.turn import Turn
from cordum.domain.workflow import Step
from cordum.errors import ExpressionError

_BUSY = frozenset({StepStatus.READY, StepStatus.QUEUED, StepStatus.RUNNING, StepStatus.SETTLING, StepStatus.RETRYING})


def start_ready_steps(turn: Turn) -> None:
    """Start, skip or leave alone every pending step, in the order of the definition."""
    for step in turn.workflow.steps.values():
        if turn.steps[step.id].status is not StepStatus.PENDING:
            continue
        if _owner_is_over(turn, step):
            skipped = turn.steps[turn.workflow.owner[step.id]].status is StepStatus.SKIPPED
            turn.skip(step.id, SkipReason.UPSTREAM_SKIPPED if skipped else SkipReason.UPSTREAM_FAILED)
        elif _admitted(turn, step):
            _consider(turn, step)


def _owner_is_over(turn: Turn, step: Step) -> bool:
    """Whether the group that owns the step was skipped, or failed before it began: nobody will start its children."""
    owner = turn.workflow.owner.get(step.id)
    return owner is not None and turn.steps[owner].status.terminal


def _admitted(turn: Turn, step: Step) -> bool:
    """Whether the group that owns the step is running and has room; steps without an owner are always admitted."""
    owner = turn.workflow.owner.get(step.id)
    if owner is None:
        return True
    return turn.steps[owner].status is StepStatus.RUNNING and _has_room(turn, owner, step.id)


def _has_room(turn: Turn, owner: str, child: str) -> bool:
    """Whether a child may become busy: in its group, and in every group around that one."""
    group, outer = turn.workflow.steps[owner].group, turn.workflow.owner.get(owner)
    assert group is not None
    if group.max_parallel is not None and not _busy(turn, child):
        taken = sum(_busy(turn, other) for other in group.steps)
        if taken >= group.max_parallel:
            return False
    return outer is None or _has_room(turn, outer, owner)


def _busy(turn: Turn, child: str) -> bool:
    """Whether it takes a place. A group does while something in it does: one that only waits, perhaps for its own
    siblings, would keep them from ever beginning.
    """
    if turn.steps[child].status not in _BUSY:
        return False
    group = turn.workflow.steps[child].group
    return group is None or any(_busy(turn, inner) for inner in group.steps)


def _consider(turn: Turn, step: Step) -> None:
    if (
        turn.steps[step.id].ready_at is not None
    ):  # its turn came before: no policy, a new one or an approval sent it back
        KINDS[step.kind].ready(turn, step)
        return
    match _verdict(turn, step):
        case SkipReason() as reason:
            turn.skip(step.id, reason)
        case True if _condition_holds(turn, step):
            turn.event("step.ready", step.id)
            turn.steps[step.id] = replace(turn.steps[step.id], ready_at=turn.now)
            KINDS[step.kind].ready(turn, step)


def _verdict(turn: Turn, step: Step) -> SkipReason | bool:
    """True: run it now; False: not yet; a reason: it will never run."""
    handled = turn.workflow.handled_by.get(step.id, ())
    if handled and not any(turn.steps[user].status.unsuccessful for user in handled):
        idle = all(turn.steps[user].status.terminal for user in handled)
        return SkipReason.HANDLER_NOT_NEEDED if idle else False
    match of_all(turn, (dependency for dependency in step.depends_on if dependency not in handled)):
        case Standing.OPEN:
            return False
        case Standing.UNSATISFIED:
            return SkipReason.UPSTREAM_FAILED
        case Standing.ABSENT:
            return SkipReason.UPSTREAM_SKIPPED
        case Standing.SATISFIED:
            return True


def _condition_holds(turn: Turn, step: Step) -> bool:
    """Evaluate the step's own condition, once; what is false is skipped, what cannot be evaluated fails the step."""
    if step.condition is None:
        return True
    try:
        if _truth(step.condition, turn):
            return True
        turn.skip(step.id, SkipReason.CONDITION_FALSE)
    except ExpressionError as error:
        leaf = step.group is None
        failure = Failure("expression_error", error.detail)
        turn.end(step.id, StepStatus.FAILED, failure, leaf=leaf, attempt=turn.steps[step.id].attempt + 1)
    return False


def _truth(condition: Expression, turn: Turn) -> bool:
    return condition.truth(turn.scope())


def mark_rescues(turn: Turn) -> None:
    """Dead letters of steps whose handler has succeeded are marked `rescued`, once."""
    for name, state in turn.steps.items():
        unmarked = state.status.unsuccessful and state.dead_letter and not state.rescued
        if unmarked and standing(turn, name) is Standing.SATISFIED:
            turn.mark_rescued(name)
