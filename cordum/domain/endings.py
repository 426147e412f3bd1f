"""How a run ends: its first unrescued failure, its own time-out, a person's cancel, or nothing left to do."""

from __future__ import annotations

from dataclasses import replace

from cordum.domain.instances import Role
from cordum.domain.plan import Linked, RunChange
from cordum.domain.run import Failure, RunState, StepState
from cordum.domain.saga import compensation_id, has_compensation
from cordum.domain.standing import Standing, standing
from cordum.domain.states import RunStatus, SkipReason, StepStatus
from cordum.domain.steps.ending import close_inside
from cordum.domain.turn import Turn
from cordum.domain.workflow import JSON, FailurePolicy, Workflow
from cordum.errors import ExpressionError

_CLASS = {
    StepStatus.FAILED: RunStatus.FAILED,
    StepStatus.DENIED: RunStatus.DENIED,
    StepStatus.TIMED_OUT: RunStatus.TIMED_OUT,
    StepStatus.CANCELLED: RunStatus.CANCELLED,
}
_MOVING = frozenset({StepStatus.READY, StepStatus.QUEUED, StepStatus.SETTLING, StepStatus.RETRYING})


def end_if_over(turn: Turn) -> None:
    """End the run when it has failed for good (fail_fast), or when every step is settled."""
    failed = _first_failure(turn)
    if failed is not None and turn.workflow.on_failure is FailurePolicy.FAIL_FAST:
        close_steps(turn, StepStatus.CANCELLED, SkipReason.UPSTREAM_FAILED)
        _finish_failed(turn, failed)
    elif all(state.status.terminal for state in turn.steps.values()):
        if failed is not None:
            _finish_failed(turn, failed)
        else:
            _finish(turn, RunStatus.SUCCEEDED)


def time_out(turn: Turn) -> None:
    close_steps(turn, StepStatus.TIMED_OUT, SkipReason.RUN_TIMED_OUT)
    error: dict[str, JSON] = {"code": "timeout", "message": "the run's time is up"}
    _finish(turn, RunStatus.TIMED_OUT, error)


def cancel(turn: Turn, actor: str, reason: str | None, *, undo: bool = False) -> None:
    """`undo`: compensate what has succeeded, as after a failure."""
    close_steps(turn, StepStatus.CANCELLED, SkipReason.RUN_CANCELLED)
    _finish(turn, RunStatus.CANCELLED, actor=actor, data={"reason": reason} if reason else {}, undo=undo)


def revoke_step(turn: Turn, step: str, attempt: int, actor: str, reason: str) -> None:
    """Cancel one job's step because somebody says so; an attempt that is over, or no job, is left alone."""
    if is_revocable(turn.workflow, turn.run, step, attempt):
        turn.revoke(step, actor, reason)


def end_by_hand(turn: Turn, step: str, output: JSON, *, skip: bool, actor: str, reason: str) -> None:
    """A person ends a step that is open, and all that is inside it; nobody asks for an attempt at work any more."""
    close_inside(turn, turn.instances[step])
    if skip:
        turn.skip(step, SkipReason.BY_HAND, actor, reason)
    else:
        turn.complete(step, output, actor, reason)


def is_revocable(workflow: Workflow, run: RunState, step: str, attempt: int) -> bool:
    """Whether this is the latest attempt of a job that has not ended."""
    instance = workflow.instances.get(step)
    if run.status.terminal or step not in run.steps or instance is None or not instance.is_job:
        return False
    state = run.steps[step]
    return not state.status.terminal and state.attempt == attempt


def status_while_open(turn: Turn) -> RunStatus:
    """`waiting` when people have to act and nothing else is on its way."""
    states = turn.steps.values()
    waiting = any(state.status is StepStatus.WAITING for state in states)
    moving = any(_moves(turn, step, state) for step, state in turn.steps.items())
    return RunStatus.WAITING if waiting and not moving else RunStatus.RUNNING


def _moves(turn: Turn, step: str, state: StepState) -> bool:
    at_work = state.status is StepStatus.RUNNING and turn.instances[step].role is Role.UNIT
    return at_work or state.status in _MOVING


def _first_failure(turn: Turn) -> str | None:
    """The step whose unrescued failure decides the run: the earliest among those that answer for themselves."""
    failed = [
        step
        for step, state in turn.steps.items()
        if state.failed
        and turn.instances[step].host is None  # what owns it answers for it
        and turn.instances[step].step.id not in turn.workflow.handled_by  # the step it handles answers for it
        and standing(turn, step) is Standing.UNSATISFIED
    ]
    return min(failed, key=lambda step: turn.steps[step].failure_number or 0, default=None)


def close_steps(turn: Turn, in_flight: StepStatus, never_started: SkipReason) -> None:
    """End every open step: what was dispatched or waits ends as `in_flight`, what never was is skipped."""
    for step, state in list(turn.steps.items()):
        if state.status.terminal:
            continue
        if _never_dispatched(turn, step, state):
            turn.skip(step, never_started)
        elif in_flight is StepStatus.TIMED_OUT:
            failure = Failure("timeout", "the run's time is up")
            turn.end(step, StepStatus.TIMED_OUT, failure, leaf=turn.instances[step].leaf)
        else:
            turn.cancel(step, never_started.value)


def _never_dispatched(turn: Turn, step: str, state: StepState) -> bool:
    """A step in its first attempt whose message has not left cordum (or was never made)."""
    if state.status is StepStatus.PENDING:
        return state.attempt == 0
    return state.status is StepStatus.READY and state.attempt <= 1


def _finish_failed(turn: Turn, step: str) -> None:
    state = turn.steps[step]
    failure = state.failure or Failure("unknown", "")
    error: dict[str, JSON] = {"step_id": step, "code": failure.code, "message": failure.message}
    _finish(turn, _CLASS[state.status], error)


def _finish(
    turn: Turn,
    status: RunStatus,
    error: dict[str, JSON] | None = None,
    actor: str | None = None,
    data: dict[str, JSON] | None = None,
    *,
    undo: bool = False,
) -> None:
    output: JSON = None
    if status is RunStatus.SUCCEEDED:
        try:
            output = _output(turn)
        except ExpressionError as problem:
            status, error = RunStatus.FAILED, {"code": "expression_error", "message": problem.detail}
    shown: dict[str, JSON] = dict(data or {})
    if error is not None:
        shown["error"] = error
    turn.event(f"run.{status.value}", source=turn.status.value, target=status.value, actor=actor, data=shown)
    turn.status = status
    turn.ending = RunChange(status, output, has_output=status is RunStatus.SUCCEEDED, error=error, undo=undo)
    if status.retryable or undo:
        _compensate(turn)
    if turn.run.compensates is not None:
        turn.tell_compensated(status)


def _compensate(turn: Turn) -> None:
    """Nothing to undo: no run for it, so that this one can still be retried."""
    if turn.undoable or any(has_compensation(turn.instances[ref], state) for ref, state in turn.steps.items()):
        patience = turn.limits.of_run(replace(turn.workflow, timeout_ms=None))
        turn.compensate(Linked(compensation_id(turn.run.id), turn.now + patience))


def _output(turn: Turn) -> JSON:
    """The definition's `output`, or the outputs of the succeeded sinks by their ids."""
    if turn.workflow.output is not None:
        return turn.workflow.output.render(turn.scope())
    return {
        step: turn.output_of(step) for step in turn.workflow.sinks if turn.steps[step].status is StepStatus.SUCCEEDED
    }
