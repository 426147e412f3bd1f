"""A child run (CONTRACT.md 3.13): it is started in its own right, and its end comes back to the step.

The step names the child's id before the child exists. Whoever commits that starts the child; until it is seen to exist,
every look at the parent asks for it again, and starting it twice is starting it once.
"""

from __future__ import annotations

from typing import Any

from cordum.domain.ids import run_of_job
from cordum.domain.instances import Instance
from cordum.domain.plan import Spawn
from cordum.domain.run import ChildRun, Failure, Pin
from cordum.domain.schemas import violations
from cordum.domain.scope import Scope
from cordum.domain.states import RunStatus, StepStatus
from cordum.domain.steps.ending import begin, fail, out_of_time
from cordum.domain.turn import Turn
from cordum.domain.workflow import JSON, SubworkflowCall
from cordum.errors import ExpressionError

_CLASS = {
    RunStatus.FAILED: StepStatus.FAILED,
    RunStatus.DENIED: StepStatus.DENIED,
    RunStatus.TIMED_OUT: StepStatus.TIMED_OUT,
}


def ready(turn: Turn, instance: Instance) -> None:
    call = instance.step.own
    assert isinstance(call, SubworkflowCall)
    child = turn.run.children.get(instance.ref)
    # An earlier generation has started it. One that was cancelled, or undone, cannot go on: a new one begins.
    if child is not None and child.status is not RunStatus.CANCELLED and not child.compensated:
        begin(turn, instance, StepStatus.RUNNING, child_generation=child.generation + child.status.retryable)
        settle(turn, instance)
        return
    pin = turn.run.pins.get((call.workflow_id, call.version))
    if pin is None:
        wanted = call.workflow_id if call.version is None else f"{call.workflow_id} in version {call.version}"
        fail(turn, instance, "unknown_workflow", f"there is no workflow {wanted}")
        return
    if turn.run.depth >= turn.limits.max_depth:
        fail(turn, instance, "limit_exceeded", f"sub-workflows nest at most {turn.limits.max_depth} deep")
        return
    try:
        given = _input(turn, instance, call)
    except ExpressionError as error:
        fail(turn, instance, "expression_error", error.detail)
        return
    if pin.input_schema is not None and (wrong := violations(pin.input_schema, given)):
        message = f"the input is not what {call.workflow_id} takes: {wrong[0]}"
        fail(turn, instance, "schema_validation_failed", message)
        return
    attempt = turn.steps[instance.ref].attempt + 1
    run_id = run_of_job(turn.run.id, turn.job_id(instance.ref, attempt))
    named: dict[str, Any] = {"child_run": run_id, "child_version": pin.version, "child_generation": 1}
    begin(turn, instance, StepStatus.RUNNING, **named)
    _spawn(turn, instance, call, pin)


def settle(turn: Turn, instance: Instance) -> None:
    state, call = turn.steps[instance.ref], instance.step.own
    assert isinstance(call, SubworkflowCall)
    if state.status is not StepStatus.RUNNING or out_of_time(turn, instance):
        return
    before = turn.run.steps.get(instance.ref)
    known = before is not None and before.child_run == state.child_run
    child = turn.run.children.get(instance.ref) if known else None
    if child is None:
        pin = turn.run.pins.get((call.workflow_id, state.child_version))
        if known and pin is None:
            fail(turn, instance, "unknown_workflow", f"{call.workflow_id} was deleted before its run began")
        elif known and pin is not None:
            _spawn(turn, instance, call, pin)
    elif child.status.terminal and child.generation < state.child_generation:
        turn.reopen_child(instance.ref)
        turn.look_again()
    elif child.status.terminal:
        _take_end(turn, instance, call, child)


def _spawn(turn: Turn, instance: Instance, call: SubworkflowCall, pin: Pin) -> None:
    run_id = turn.steps[instance.ref].child_run
    assert run_id is not None
    turn.spawn(Spawn(instance.ref, run_id, call.workflow_id, pin, _input(turn, instance, call)))
    turn.look_again()


def _input(turn: Turn, instance: Instance, call: SubworkflowCall) -> JSON:
    return turn.run.input if call.input_mapping is None else call.input_mapping.render(turn.scope(instance))


def _take_end(turn: Turn, instance: Instance, call: SubworkflowCall, child: ChildRun) -> None:
    if child.status is RunStatus.SUCCEEDED:
        try:
            output = _output(turn, instance, call, child)
        except ExpressionError as error:
            fail(turn, instance, "expression_error", error.detail)
            return
        turn.succeed(instance.ref, output)
    elif child.status is RunStatus.CANCELLED:
        turn.revoke(instance.ref, "child run", "its run was cancelled")
    else:
        said = child.error or {}
        failure = Failure(str(said.get("code", "unknown")), str(said.get("message", "")))
        turn.end(instance.ref, _CLASS[child.status], failure, leaf=False)


def _output(turn: Turn, instance: Instance, call: SubworkflowCall, child: ChildRun) -> JSON:
    if call.output_mapping is None:
        return child.document.get("output")
    return call.output_mapping.render(Scope(turn, instance, child=child.document))
