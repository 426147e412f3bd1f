"""What must hold between steps: no step may ever have to wait for itself, and nobody has two masters.

Each step is two points in time, its start and its end. `waits` says which point waits for which:

    start of a step            for the end of what it depends on (a handler: not for the steps it handles)
    start of a group's child   for the start of the group
    end of a group             for the end of its children
    end of a step              for its own start, and for the end of its handler, which may have to rescue it
    start of a handler         for the start of what it handles

A cycle of such waits is a run that would hang.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import NamedTuple, TypeAlias

from cordum.domain.definition.places import Place
from cordum.domain.definition.problems import shown
from cordum.domain.workflow import Step

MAX_CYCLES = 20
_SHOWN_STEPS = 12


class _Point(NamedTuple):
    step: str
    end: bool


_Waits: TypeAlias = dict[_Point, set[_Point]]
_Steps: TypeAlias = Mapping[str, Step]


def check_graph(root: Place, steps: _Steps) -> None:
    """Report what is wrong between `steps`; `root` is the workflow's place."""
    links = sum(len(step.depends_on) + len(step.group.steps if step.group else ()) for step in steps.values())
    most = root.reading.limits.max_links
    if links > most:
        root.refuse(
            "limit_exceeded", f"a workflow may have {most} dependencies and group members, this one has {links}"
        )
        return
    _check_owners(root, steps)
    cyclic = _report_cycles(root, steps, _dependency_waits(steps), "dag_cycle", "depends_on")
    cyclic |= _report_cycles(root, steps, _handler_waits(steps), "handler_cycle", "on_error")
    if not cyclic:
        _report_cycles(root, steps, _all_waits(steps), "unreachable", "on_error")


# --- owners ---


def _check_owners(root: Place, steps: _Steps) -> None:
    handlers = {step.on_error for step in steps.values()}
    owners: dict[str, str] = {}
    for group in steps.values():
        for child in group.group.steps if group.group else ():
            if child in owners:
                _refuse(root, group.id, "duplicate_owner", f"{shown(child)} belongs to {shown(owners[child])} already")
            elif child in handlers:
                _refuse(
                    root, group.id, "duplicate_owner", f"{shown(child)} is a handler, it cannot belong to a group, too"
                )
            owners.setdefault(child, group.id)


# --- waiting ---


def _dependency_waits(steps: _Steps) -> _Waits:
    handled = _handled(steps)
    waits: _Waits = {}
    for step in steps.values():
        own = handled.get(step.id, ())
        start, end = _Point(step.id, False), _Point(step.id, True)
        waits.setdefault(start, set()).update(_Point(name, True) for name in step.depends_on if name not in own)
        waits.setdefault(end, set()).add(start)
        for child in step.group.steps if step.group else ():
            waits.setdefault(_Point(child, False), set()).add(start)
            waits[end].add(_Point(child, True))
    return waits


def _handler_waits(steps: _Steps) -> _Waits:
    return {
        _Point(step.id, True): {_Point(step.on_error, True)} for step in steps.values() if step.on_error is not None
    }


def _all_waits(steps: _Steps) -> _Waits:
    waits = _dependency_waits(steps)
    for step in steps.values():
        if step.on_error is not None:
            waits[_Point(step.id, True)].add(_Point(step.on_error, True))
            waits[_Point(step.on_error, False)].add(_Point(step.id, False))
    return waits


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
        _refuse(root, names[0], code, f"{_MEANING[code]}: {path}", key)
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


def _refuse(root: Place, step: str, code: str, message: str, *keys: str) -> None:
    """Report at the first of `keys` that the step has, else at the step."""
    holder = root.reading.steps[step]
    place = next((member for key in keys if (member := holder.member(key))), holder)
    place.refuse(code, message)
