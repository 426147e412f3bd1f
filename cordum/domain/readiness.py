"""Whose turn has come: dependencies, groups, handlers, branches and conditions of steps that are still pending."""

from __future__ import annotations

from collections.abc import Iterator

from cordum.domain.attempts import handled_by
from cordum.domain.instances import Instance
from cordum.domain.room import has_room
from cordum.domain.run import Failure, StepState
from cordum.domain.standing import Standing, of_all
from cordum.domain.states import SkipReason, StepStatus
from cordum.domain.steps import kind_of
from cordum.domain.turn import Turn
from cordum.errors import ExpressionError


def start_ready_steps(turn: Turn) -> None:
    """Start, skip or leave alone every pending step, in the order of the definition.

    Members of a group that begins just now have to wait for the next look: those defined before it come first.
    """
    running = {ref for ref, state in turn.steps.items() if state.status is StepStatus.RUNNING}
    for instance in turn.all():
        if turn.steps[instance.ref].status is not StepStatus.PENDING:
            continue
        if _host_is_over(turn, instance):
            assert instance.host is not None
            skipped = turn.steps[instance.host].status is StepStatus.SKIPPED
            turn.skip(instance.ref, SkipReason.UPSTREAM_SKIPPED if skipped else SkipReason.UPSTREAM_FAILED)
        elif (instance.host is None or instance.host in running) and _admitted(turn, instance):
            _consider(turn, instance)


def _host_is_over(turn: Turn, instance: Instance) -> bool:
    """Whether what owns the step was skipped, or failed before it began: nobody will start its children."""
    return instance.host is not None and turn.steps[instance.host].status.terminal


def _admitted(turn: Turn, instance: Instance) -> bool:
    """Whether what owns the step is running and has room; steps that nobody owns are always admitted."""
    if instance.host is None:
        return True
    return turn.steps[instance.host].status is StepStatus.RUNNING and has_room(turn, instance)


def _consider(turn: Turn, instance: Instance) -> None:
    state = turn.steps[instance.ref]
    if state.ready_at is not None:  # its turn came before: no policy, a new one or an approval sent it back
        kind_of(instance).ready(turn, instance)
        return
    match _verdict(turn, instance):
        case SkipReason() as reason:
            turn.skip(instance.ref, reason)
        case True if _condition_holds(turn, instance):
            turn.event("step.ready", instance.ref)
            turn.steps[instance.ref] = turn.steps[instance.ref].but(ready_at=turn.now)
            kind_of(instance).ready(turn, instance)


def _verdict(turn: Turn, instance: Instance) -> SkipReason | bool:
    """True: run it now; False: not yet; a reason: it will never run."""
    if not instance.head:
        return True
    handled = handled_by(turn, instance)
    if handled and not any(turn.steps[user].status.unsuccessful for user in handled):
        idle = all(turn.steps[user].status.terminal for user in handled)
        return SkipReason.HANDLER_NOT_NEEDED if idle else False
    match of_all(turn, (needed for needed in _needed(turn, instance) if needed not in handled)):
        case Standing.OPEN:
            return False
        case Standing.UNSATISFIED:
            return SkipReason.UPSTREAM_FAILED
        case Standing.ABSENT:
            return SkipReason.UPSTREAM_SKIPPED
        case Standing.SATISFIED:
            return True if _taken(turn, instance) else SkipReason.BRANCH_NOT_TAKEN


def _needed(turn: Turn, instance: Instance) -> Iterator[str]:
    """What must be settled first: the dependencies, and the switches that may lead here."""
    names = (*instance.step.depends_on, *turn.workflow.switched_by.get(instance.step.id, ()))
    for name in dict.fromkeys(names):
        needed = turn.instances.sibling(instance, name)
        if needed is not None and needed in turn.steps:
            yield needed


def _taken(turn: Turn, instance: Instance) -> bool:
    """Whether a switch has led here; true of a step that no switch names."""
    named = turn.workflow.switched_by.get(instance.step.id, ())
    switches = [ref for name in named if (ref := turn.instances.sibling(instance, name)) in turn.steps]
    decided = [ref for ref in switches if ref and not _left_out(turn.steps[ref])]
    return not decided or any(instance.step.id in _targets(turn, ref) for ref in decided)


def _left_out(switch: StepState) -> bool:
    """Whether a switch has had no say. One that has failed and was rescued has: it has taken no branch."""
    return switch.status is StepStatus.SKIPPED


def _targets(turn: Turn, switch: str) -> list[object]:
    """The steps that a switch has led to; of a fan-out of switches, those of all its children."""
    output = turn.output_of(switch)
    outputs = output if isinstance(output, list) else [output]
    return [one.get("target_step") for one in outputs if isinstance(one, dict)]


def _condition_holds(turn: Turn, instance: Instance) -> bool:
    """Evaluate the step's own condition, once; what is false is skipped, what cannot be evaluated fails the step."""
    if instance.step.condition is None or not instance.head:
        return True
    try:
        if instance.step.condition.truth(turn.scope(instance)):
            return True
        turn.skip(instance.ref, SkipReason.CONDITION_FALSE)
    except ExpressionError as error:
        failure = Failure("expression_error", error.detail)
        attempt = turn.steps[instance.ref].attempt + 1
        turn.end(instance.ref, StepStatus.FAILED, failure, leaf=instance.leaf, attempt=attempt)
    return False
