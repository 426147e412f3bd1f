"""`for_each`: one child for each item (CONTRACT.md 3.4 and 3.13, Groups).

The items are evaluated and pinned once. Children come into being by windows and are put away as they succeed, so that a
look at the run costs the same whatever the number of items; only the end reads all outputs.
"""

from __future__ import annotations

from collections.abc import Sequence

from cordum.domain.instances import Instance
from cordum.domain.room import is_busy
from cordum.domain.standing import Standing, standing
from cordum.domain.states import StepStatus
from cordum.domain.steps.ending import all_over, begin, close_inside, fail, put_away, take_after
from cordum.domain.turn import MOST_CHILDREN, Turn
from cordum.domain.workflow import JSON, Step
from cordum.errors import ExpressionError


def ready(turn: Turn, instance: Instance) -> None:
    assert instance.step.for_each is not None
    if turn.steps[instance.ref].total is not None:  # an earlier generation has pinned the items
        begin(turn, instance, StepStatus.RUNNING)
        settle(turn, instance)
        return
    try:
        items = instance.step.for_each.evaluate(turn.scope(instance))
    except ExpressionError as error:
        fail(turn, instance, "expression_error", error.detail)
        return
    items = [] if items is None else items
    most = turn.limits.max_items
    if not isinstance(items, list):
        fail(turn, instance, "expression_error", "for_each must give a list, or null for none")
    elif len(items) > most:
        fail(turn, instance, "limit_exceeded", f"for_each may give {most} items, these are {len(items)}")
    else:
        turn.pin(instance.ref, items)
        begin(turn, instance, StepStatus.RUNNING, total=len(items))
        settle(turn, instance)


def settle(turn: Turn, instance: Instance) -> None:
    if turn.steps[instance.ref].status is not StepStatus.RUNNING:
        return
    failed = _count(turn, instance)
    if failed is not None:
        close_inside(turn, instance)
        take_after(turn, instance, failed)
        _put_away(turn, instance)
        return
    _begin_more(turn, instance)
    state = turn.steps[instance.ref]
    if state.settled == state.total:
        _finish(turn, instance)
    else:
        _let_alone(turn, instance)


def _count(turn: Turn, instance: Instance) -> str | None:
    """Count and put away the children that have ended; the answer is the one whose failure decides, if any does."""
    failed: list[str] = []
    for child in turn.children(instance.ref):
        match standing(turn, child):
            case Standing.UNSATISFIED:
                failed.append(child)
            case Standing.SATISFIED | Standing.ABSENT if all_over(turn, child):
                put_away(turn, child)
                state = turn.steps[instance.ref]
                turn.steps[instance.ref] = state.but(settled=state.settled + 1)
    return min(failed, key=lambda child: turn.steps[child].failure_number or 0, default=None)


def _put_away(turn: Turn, instance: Instance) -> None:
    for child in turn.children(instance.ref):
        put_away(turn, child)


def _begin_more(turn: Turn, instance: Instance) -> None:
    state = turn.steps[instance.ref]
    assert state.total is not None
    room = _room(turn, instance)
    while state.started < state.total and room > 0:
        if turn.children_left == 0:
            turn.look_again()
            break
        turn.add(f"{instance.ref}[{state.started}]")
        state = state.but(started=state.started + 1)
        turn.children_left -= 1
        room -= 1
    turn.steps[instance.ref] = state


def _room(turn: Turn, instance: Instance) -> int:
    """How many more children may be at work. Those that wait for people, time or signals fill no place."""
    children = turn.children(instance.ref)
    if _go_by_themselves(turn, instance, children):
        return 0
    return places_of(instance.step) - sum(_at_work(turn, child) for child in children)


def places_of(step: Step) -> int:
    """How many children may be at work."""
    return min(step.max_parallel or MOST_CHILDREN, MOST_CHILDREN)


def _go_by_themselves(turn: Turn, instance: Instance, children: Sequence[str]) -> bool:
    """Whether the successes of children let others begin with nobody looking (`domain.ahead`), and enough will come."""
    known = turn.run.ahead.get(instance.ref)
    if known is None or turn.policy is None or known.epoch != turn.policy.epoch or turn.run.held:
        return False
    states = (turn.steps[child] for child in children)
    return sum(one.status in SENT and one.attempt == 1 and one.epoch == known.epoch for one in states) >= _ENOUGH


def _at_work(turn: Turn, child: str) -> bool:
    """What has begun and does nothing yet is about to: only what waits in it lets others take its place."""
    status = turn.steps[child].status
    if status is StepStatus.PENDING or is_busy(turn, child):
        return True
    return status.busy and not any(turn.steps[ref].status is StepStatus.WAITING for ref in turn.inside(child))


def _let_alone(turn: Turn, instance: Instance) -> None:
    """Say how many results may come before anybody has to look: half of what is out, or one where places are few."""
    state = turn.steps[instance.ref]
    out = sum(turn.steps[child].status in SENT for child in turn.children(instance.ref))
    more = state.started < (state.total or 0)
    if out:
        places = instance.step.max_parallel or MOST_CHILDREN
        turn.wake_after(instance.ref, out if not more else 1 if places < MOST_CHILDREN else (out + 1) // 2)


_ENOUGH = 8
SENT = frozenset({StepStatus.READY, StepStatus.QUEUED, StepStatus.RUNNING})


def _finish(turn: Turn, instance: Instance) -> None:
    """All outputs, in the order of the items; those of an earlier look have to be brought first."""
    total = turn.steps[instance.ref].total or 0
    children = [f"{instance.ref}[{index}]" for index in range(total)]
    if not all(turn.has_output(child) for child in children):
        turn.look_again()
        return
    outputs: list[JSON] = [turn.output_of(child) for child in children]
    turn.succeed(instance.ref, outputs)
