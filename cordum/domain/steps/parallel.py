"""Groups: the named steps run side by side, and the strategy says what makes the group succeed (CONTRACT.md 3.4)."""

from __future__ import annotations

from cordum.domain.instances import Instance
from cordum.domain.standing import Standing, standing
from cordum.domain.states import StepStatus
from cordum.domain.steps.ending import begin, close_inside, fail, out_of_time, take_after
from cordum.domain.turn import Turn
from cordum.domain.workflow import Group, Strategy


def ready(turn: Turn, instance: Instance) -> None:
    begin(turn, instance, StepStatus.RUNNING)


def settle(turn: Turn, instance: Instance) -> None:
    """Succeed, fail or wait on, by what the children have come to.

    Children that are not needed any more are cancelled.
    """
    group = instance.step.group
    if turn.steps[instance.ref].status is not StepStatus.RUNNING or group is None:
        return
    if out_of_time(turn, instance):
        return
    succeeded = _with(turn, instance, Standing.SATISFIED, ran=True)
    open_ = _with(turn, instance, Standing.OPEN)
    failed = _with(turn, instance, Standing.UNSATISFIED)
    needed = _needed(group, len(succeeded) + len(open_) + len(failed))
    if len(succeeded) >= needed and (group.strategy is not Strategy.ALL or not open_):
        close_inside(turn, instance)
        names = {child: turn.instances[child].step.id for child in succeeded}
        turn.succeed(instance.ref, {names[child]: turn.output_of(child) for child in succeeded})
    elif len(succeeded) + len(open_) < needed:
        _fail(turn, instance, failed)


def _needed(group: Group, counted: int) -> int:
    """How many successes the group needs of the `counted` children that were not skipped; none when all were."""
    if counted == 0:
        return 0
    if group.strategy is Strategy.ALL:
        return counted
    return 1 if group.strategy is Strategy.ANY else group.required


def _with(turn: Turn, group: Instance, wanted: Standing, *, ran: bool = False) -> list[str]:
    """Children of one standing; `ran` leaves out those that only count as satisfied because they were optional."""
    return [
        child
        for child in turn.instances.members(group)
        if standing(turn, child) is wanted and not (ran and turn.steps[child].status is StepStatus.SKIPPED)
    ]


def _fail(turn: Turn, group: Instance, failed: list[str]) -> None:
    """The group takes the class and the error of the child that decided it: the last one that failed."""
    ended = [child for child in failed if turn.steps[child].failed]
    close_inside(turn, group)
    if ended:
        take_after(turn, group, max(ended, key=lambda child: turn.steps[child].failure_number or 0))
    else:
        fail(turn, group, "group_unreachable", "too few children can still succeed")
