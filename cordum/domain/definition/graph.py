"""What must hold between steps: no step may ever have to wait for itself, and nobody has two masters.

Each step is three points in time: it starts, it is over (it has a status of its own), it is settled (its handler has
had its chance to rescue it). `waits` says which point waits for which:

    start of a step             until what it depends on is settled (a handler: not for the steps it handles)
    start of an owned step      for the start of its owner, a group or a loop
    an owner is over            when what it owns is settled
    start of a handler          until the steps it handles are over: only then is it clear that nobody needs it
    a step is settled           when its handler is; at work for this very step, it waits for nobody else it handles

A cycle of such waits is a run that would hang. Steps that exist several times in a run are `contexts`' matter.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import IntEnum
from graphlib import CycleError, TopologicalSorter
from typing import NamedTuple, TypeAlias

from cordum.domain.definition.contexts import check_contexts
from cordum.domain.definition.places import Place, refuse_step
from cordum.domain.definition.problems import shown
from cordum.domain.workflow import Step

MAX_CYCLES = 20
_SHOWN_STEPS = 12


class _At(IntEnum):
    START = 0
    OVER = 1
    SETTLED = 2


class _Point(NamedTuple):
    """`rescuing`: of a handler (and of what it owns) at work for a step that has failed."""

    step: str
    at: _At
    rescuing: bool = False


_Waits: TypeAlias = dict[_Point, set[_Point]]
_Steps: TypeAlias = Mapping[str, Step]


def check_graph(root: Place, steps: _Steps) -> None:
    """Report what is wrong between `steps`; `root` is the workflow's place."""
    links = sum(len(step.depends_on) + len(step.owned) for step in steps.values())
    most = root.reading.limits.max_links
    if links > most:
        root.refuse("limit_exceeded", f"a workflow may have {most} dependencies and owned steps, this one has {links}")
        return
    strange = _check_owners(root, steps)
    cyclic = _report_cycles(root, steps, _dependency_waits(steps), "dag_cycle", "depends_on")
    cyclic |= _report_cycles(root, steps, _handler_waits(steps), "handler_cycle", "on_error")
    if cyclic or _report_cycles(root, steps, _all_waits(steps), "unreachable", "on_error"):
        return
    if not strange:
        check_contexts(root, steps)


# --- owners ---


def _check_owners(root: Place, steps: _Steps) -> bool:
    """Whether there is a step with two masters; each is reported."""
    before = len(root.reading.problems)
    handlers = {step.on_error for step in steps.values()}
    owners: dict[str, str] = {}
    for owner in steps.values():
        for child in owner.owned:
            if child in owners:
                refuse_step(
                    root, owner.id, "duplicate_owner", f"{shown(child)} belongs to {shown(owners[child])} already"
                )
            elif child in handlers:
                refuse_step(
                    root,
                    owner.id,
                    "duplicate_owner",
                    f"{shown(child)} is a handler, it cannot belong to {shown(owner.id)}, too",
                )
            owners.setdefault(child, owner.id)
    return len(root.reading.problems) > before


# --- waiting ---


def _dependency_waits(steps: _Steps) -> _Waits:
    handled = _handled(steps)
    waits: _Waits = {}
    for step in steps.values():
        _add_waits(waits, steps, step, handled.get(step.id, set()), frozenset())
    return waits


def _add_waits(waits: _Waits, steps: _Steps, step: Step, handled: set[str], rescuing: frozenset[str]) -> None:
    """The waits of one step; points of the steps in `rescuing` are those of a handler at work."""
    start, over, settled = (_Point(step.id, at, step.id in rescuing) for at in _At)
    needed = (name for name in step.depends_on if name not in handled)
    waits.setdefault(start, set()).update(_Point(name, _At.SETTLED, name in rescuing) for name in needed)
    waits.setdefault(over, set()).add(start)
    waits.setdefault(settled, set()).add(over)
    for child in step.owned:
        waits.setdefault(_Point(child, _At.START, child in rescuing), set()).add(start)
        waits[over].add(_Point(child, _At.SETTLED, child in rescuing))


def _handler_waits(steps: _Steps) -> _Waits:
    return {
        _Point(step.id, _At.SETTLED): {_Point(step.on_error, _At.SETTLED)}
        for step in steps.values()
        if step.on_error is not None
    }


def _all_waits(steps: _Steps) -> _Waits:
    waits = _dependency_waits(steps)
    for handler, users in _handled(steps).items():
        rescuing = frozenset(_with_members(steps, handler))
        for name in rescuing:
            _add_waits(waits, steps, steps[name], users if name == handler else set(), rescuing)
        for user in users:
            waits[_Point(handler, _At.START)].add(_Point(user, _At.OVER))
    for step in steps.values():
        for rescued in (False, True):
            settled = _Point(step.id, _At.SETTLED, rescued)
            if step.on_error is not None and settled in waits:
                waits[settled].add(_Point(step.on_error, _At.SETTLED, True))
    return waits


def _with_members(steps: _Steps, step: str) -> set[str]:
    """A step and everything it owns, however deep; an owner of itself is somebody else's finding."""
    found: set[str] = set()
    open_ = [step]
    while open_:
        name = open_.pop()
        if name not in found:
            found.add(name)
            open_ += steps[name].owned
    return found


def _handled(steps: _Steps) -> dict[str, set[str]]:
    handled: dict[str, set[str]] = {}
    for step in steps.values():
        if step.on_error is not None:
            handled.setdefault(step.on_error, set()).add(step.id)
    return handled


# --- cycles ---


def _report_cycles(root: Place, steps: _Steps, waits: _Waits, code: str, key: str) -> bool:
    """Report cycles that share no step, each once, beginning with its first step. Whether there was one."""
    order = {name: number for number, name in enumerate(steps)}
    for number in range(MAX_CYCLES):
        cycle = _find_cycle(waits)
        if cycle is None:
            return number > 0
        names = _as_steps(cycle, order)
        path = " -> ".join(_shortened([*names, names[0]]))
        refuse_step(root, names[0], code, f"{_MEANING[code]}: {path}", key)
        gone = set(names)
        waits = {point: before for point, before in waits.items() if point.step not in gone}
        waits = {point: {other for other in before if other.step not in gone} for point, before in waits.items()}
    return True


_MEANING = {
    "dag_cycle": "the steps wait for one another",
    "handler_cycle": "the steps handle one another",
    "unreachable": "the handler could only start after what waits for it",
}


def _find_cycle(waits: _Waits) -> list[_Point] | None:
    """A cycle in which each point waits for the next, or None."""
    try:
        TopologicalSorter(waits).prepare()
    except CycleError as error:
        closed: list[_Point] = error.args[1]
        return closed[:0:-1]
    return None


def _as_steps(cycle: Iterable[_Point], order: Mapping[str, int]) -> list[str]:
    """The steps of a cycle, each once, the one first defined in front."""
    names = list(dict.fromkeys(point.step for point in cycle))
    first = names.index(min(names, key=order.__getitem__))
    return names[first:] + names[:first]


def _shortened(names: list[str]) -> list[str]:
    if len(names) <= _SHOWN_STEPS:
        return names
    return [*names[: _SHOWN_STEPS - 2], f"({len(names) - _SHOWN_STEPS + 1} more)", names[-1]]
