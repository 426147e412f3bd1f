"""Where a step exists several times in a run, and who may say "after it" there.

A group with `for_each` makes its members once per item, a loop its body once per iteration. What is owned below, and
the handlers of such steps, live in the same *context*: the chain of owners that multiply. A step may wait only for
steps of its own context or of one around it; from outside "after the member" would mean nothing in particular.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from cordum.domain.definition.places import Place, refuse_step
from cordum.domain.definition.problems import shown
from cordum.domain.workflow import Loop, Step, Switch

_Context: TypeAlias = tuple[str, ...]
_Steps: TypeAlias = Mapping[str, Step]


def check_contexts(root: Place, steps: _Steps) -> None:
    """Report steps that wait for, handle or lead to a step in another context, and switches that nobody waits for.

    The graph has no cycles any more.
    """
    contexts = _contexts(steps)
    for step in steps.values():
        for needed in step.depends_on:
            if owner := _stranger(contexts[needed], contexts[step.id]):
                message = f"{shown(needed)} exists once per round of {shown(owner)}: depend on {shown(owner)} instead"
                refuse_step(root, step.id, "unreachable", message, "depends_on")
        if isinstance(step.own, Switch):
            _check_targets(root, steps, contexts, step, step.own)
    _check_handlers(root, steps, contexts)


def _contexts(steps: _Steps) -> dict[str, _Context]:
    """{step: the owners that multiply it, from the outside in}."""
    parents = {child: step for step in steps.values() for child in step.owned}
    handled = {step.on_error: step.id for step in reversed(list(steps.values())) if step.on_error is not None}
    found: dict[str, _Context] = {}
    for start in steps:
        chain = [start]
        while chain[-1] not in found and (above := _above(chain[-1], parents, handled)) is not None:
            chain.append(above)
        for name in reversed(chain):
            if name not in found:
                found[name] = _inherited(name, parents, handled, found)
    return found


def _above(name: str, parents: Mapping[str, Step], handled: Mapping[str, str]) -> str | None:
    return parents[name].id if name in parents else handled.get(name)


def _inherited(
    name: str, parents: Mapping[str, Step], handled: Mapping[str, str], found: Mapping[str, _Context]
) -> _Context:
    if name in parents:
        owner = parents[name]
        multiplies = owner.for_each is not None or isinstance(owner.own, Loop)
        return (*found[owner.id], owner.id) if multiplies else found[owner.id]
    return found[handled[name]] if name in handled else ()


def _stranger(needed: _Context, own: _Context) -> str | None:
    """The outermost owner that multiplies `needed` but not `own`."""
    return next((owner for depth, owner in enumerate(needed) if own[depth : depth + 1] != (owner,)), None)


def _check_handlers(root: Place, steps: _Steps, contexts: Mapping[str, _Context]) -> None:
    for step in steps.values():
        handler = step.on_error
        if handler is not None and contexts[handler] != contexts[step.id]:
            where = " and ".join(_place(contexts[name]) for name in (handler, step.id))
            message = f"{shown(handler)} cannot handle steps {where}: give {shown(step.id)} a handler of its own"
            refuse_step(root, step.id, "duplicate_owner", message, "on_error")


def _place(context: _Context) -> str:
    return f"in every round of {shown(context[-1])}" if context else "outside of all rounds"


def _check_targets(root: Place, steps: _Steps, contexts: Mapping[str, _Context], step: Step, switch: Switch) -> None:
    later = _coming_after(steps, step.id)
    for target in sorted(switch.targets):
        if contexts[target] != contexts[step.id]:
            message = f"{shown(target)} is {_place(contexts[target])}, the switch {_place(contexts[step.id])}"
            refuse_step(root, step.id, "unreachable", message, "input")
        elif target not in later:
            message = f"{shown(target)} does not depend on {shown(step.id)}: it may start before the branch is taken"
            root.reading.steps[target].warn("branch_not_dependent", message)


def _coming_after(steps: _Steps, first: str) -> set[str]:
    """The steps that cannot start before `first` is over."""
    followers: dict[str, list[str]] = {}
    for step in steps.values():
        for needed in step.depends_on:
            followers.setdefault(needed, []).append(step.id)
    found: set[str] = set()
    open_ = [first]
    while open_:
        name = open_.pop()
        new = [one for one in (*followers.get(name, ()), *steps[name].owned) if one not in found and name != one]
        found.update(new)
        open_ += new
    return found
