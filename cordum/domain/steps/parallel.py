"""Groups: the named steps run side by side, and the strategy says what makes the group succeed (CONTRACT.md 3.4)."""

from __future__ import annotations

from cordum.domain.run import Failure
from cordum.domain.standing import Standing, standing
from cordum.domain.states import StepStatus
from cordum.domain.turn import Turn
from cordum.domain.workflow import Group, Step, Strategy


def ready(turn: Turn, step: Step) -> None:
    turn.move(
        step.id,
        StepStatus.RUNNING,
        "step.started",
        attempt=turn.steps[step.id].attempt + 1,
        ready_at=turn.now,
        started_at=turn.now,
        deadline=None if step.timeout_ms is None else turn.now + step.timeout_ms,
    )


def settle(turn: Turn, step: Step) -> None:
    """Succeed, fail or wait on, by what the children have come to.

    Children that are not needed any more are cancelled.
    """
    state = turn.steps[step.id]
    if state.status is not StepStatus.RUNNING or step.group is None:
        return
    if state.deadline is not None and state.deadline <= turn.now:
        _cancel_rest(turn, step.group)
        failure = Failure("timeout", f"the group was not done within {(step.timeout_ms or 0) / 1000:g} s")
        turn.end(step.id, StepStatus.TIMED_OUT, failure, leaf=False)
        return
    succeeded = _with(turn, step.group, Standing.SATISFIED, ran=True)
    open_ = _with(turn, step.group, Standing.OPEN)
    failed = _with(turn, step.group, Standing.UNSATISFIED)
    needed = _needed(step.group, len(succeeded) + len(open_) + len(failed))
    if len(succeeded) >= needed and (step.group.strategy is not Strategy.ALL or not open_):
        _cancel_rest(turn, step.group)
        turn.succeed(step.id, {child: turn.output_of(child) for child in succeeded})
    elif len(succeeded) + len(open_) < needed:
        _fail(turn, step, failed)


def _needed(group: Group, counted: int) -> int:
    """How many successes the group needs of the `counted` children that were not skipped; none when all were."""
    if counted == 0:
        return 0
    if group.strategy is Strategy.ALL:
        return counted
    return 1 if group.strategy is Strategy.ANY else group.required


def _with(turn: Turn, group: Group, wanted: Standing, *, ran: bool = False) -> list[str]:
    """Children of one standing; `ran` leaves out those that only count as satisfied because they were optional."""
    return [
        child
        for child in group.steps
        if standing(turn, child) is wanted and not (ran and turn.steps[child].status is StepStatus.SKIPPED)
    ]


def _fail(turn: Turn, step: Step, failed: list[str]) -> None:
    """The group takes the class and the error of the child that decided it: the last one that failed."""
    assert step.group is not None
    ended = [child for child in failed if turn.steps[child].failed]
    _cancel_rest(turn, step.group)
    if not ended:
        turn.end(
            step.id, StepStatus.FAILED, Failure("group_unreachable", "too few children can still succeed"), leaf=False
        )
        return
    decisive = max(ended, key=lambda child: turn.steps[child].failure_number or 0)
    state = turn.steps[decisive]
    # A cancelled child leaves its group failed: a handler of the group may make good for it.
    status = state.status if state.status.unsuccessful else StepStatus.FAILED
    turn.end(step.id, status, state.failure or Failure("unknown", ""), leaf=False)


def _cancel_rest(turn: Turn, group: Group) -> None:
    """Also what groups inside the group have begun: nobody would ask for it any more."""
    for child in group.steps:
        if not turn.steps[child].status.terminal:
            turn.cancel(child, "group_settled")
            inner = turn.workflow.steps[child].group
            if inner is not None:
                _cancel_rest(turn, inner)
