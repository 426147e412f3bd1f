"""`loop`: a body, again and again, until an expression or the number of iterations ends it (CONTRACT.md 3.4)."""

from __future__ import annotations

from cordum.domain.instances import Instance
from cordum.domain.scope import Scope, loop_scope
from cordum.domain.standing import Standing, standing
from cordum.domain.states import StepStatus
from cordum.domain.steps.ending import all_over, begin, close_inside, fail, out_of_time, put_away, take_after
from cordum.domain.turn import Turn
from cordum.domain.workflow import Loop
from cordum.errors import ExpressionError


def ready(turn: Turn, instance: Instance) -> None:
    begin(turn, instance, StepStatus.RUNNING)
    settle(turn, instance)


def settle(turn: Turn, instance: Instance) -> None:
    state = turn.steps[instance.ref]
    if state.status is not StepStatus.RUNNING or out_of_time(turn, instance):
        return
    if state.started == state.settled:
        _go_on(turn, instance)
        return
    iteration = f"{instance.ref}[{state.settled}]"
    match standing(turn, iteration):
        case Standing.OPEN:
            return
        case Standing.UNSATISFIED:
            close_inside(turn, instance)
            take_after(turn, instance, iteration)
            put_away(turn, iteration)
        case Standing.SATISFIED | Standing.ABSENT if all_over(turn, iteration):
            put_away(turn, iteration)
            turn.steps[instance.ref] = turn.steps[instance.ref].but(settled=state.settled + 1)
            _go_on(turn, instance)


def _go_on(turn: Turn, instance: Instance) -> None:
    """Begin the next iteration, or end the loop."""
    loop = instance.step.own
    assert isinstance(loop, Loop)
    done = turn.steps[instance.ref].started
    scope = Scope(turn, instance, loop=loop_scope(turn, instance.ref, done))
    try:
        over = loop.while_ is not None and not loop.while_.truth(scope)
        over = over or (loop.until is not None and loop.until.truth(scope))
    except ExpressionError as error:
        fail(turn, instance, "expression_error", error.detail)
        return
    open_ended = loop.while_ is not None or loop.until is not None
    if over or (done >= loop.max_iterations and not open_ended):
        last = turn.output_of(f"{instance.ref}[{done - 1}]") if done else None
        turn.succeed(instance.ref, {"iterations": done, "last_output": last})
    elif done >= loop.max_iterations:
        fail(turn, instance, "fatal", f"the loop had not come to its end after {done} iterations")
    elif turn.children_left == 0:
        turn.look_again()
    else:
        turn.children_left -= 1
        turn.steps[instance.ref] = turn.steps[instance.ref].but(started=done + 1)
        turn.add(f"{instance.ref}[{done}]")
