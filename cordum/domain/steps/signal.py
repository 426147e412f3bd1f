"""Wait for an event from outside. One that came before its step is kept until the step asks for it."""

from __future__ import annotations

from cordum.domain.instances import Instance
from cordum.domain.states import StepStatus
from cordum.domain.steps.ending import begin, fail, out_of_time
from cordum.domain.turn import Turn
from cordum.domain.workflow import SignalWait
from cordum.errors import ExpressionError


def ready(turn: Turn, instance: Instance) -> None:
    wait = instance.step.own
    assert isinstance(wait, SignalWait)
    try:
        correlation = wait.correlation.render(turn.scope(instance)) if wait.correlation is not None else None
    except ExpressionError as error:
        fail(turn, instance, "expression_error", error.detail)
        return
    if correlation is not None and not isinstance(correlation, str):
        fail(turn, instance, "expression_error", "correlation must be text")
        return
    awaits = None if correlation is None else wait.name
    begin(turn, instance, StepStatus.WAITING, correlation=correlation, awaits=awaits)
    settle(turn, instance)


def settle(turn: Turn, instance: Instance) -> None:
    state, wait = turn.steps[instance.ref], instance.step.own
    assert isinstance(wait, SignalWait)
    if state.status is not StepStatus.WAITING:
        return
    signal = turn.take_signal(wait.name, state.correlation)
    if signal is not None:
        turn.succeed(instance.ref, signal.payload)
    else:
        out_of_time(turn, instance)
