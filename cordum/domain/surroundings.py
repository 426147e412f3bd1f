"""What lies around a step: what it rests on, and what waits for it. For people who have to judge it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cordum.domain.workflow import Step


def upstream(steps: Mapping[str, Step], step: str) -> list[str]:
    """The steps that lie before one, through groups, in the order of the definition."""
    found: set[str] = set()
    open_ = [*_rests_on(steps[step])]
    while open_:
        one = open_.pop()
        if one not in found:
            found.add(one)
            open_ += _rests_on(steps[one])
    return [name for name in steps if name in found]


def downstream(steps: Mapping[str, Step], step: str) -> list[str]:
    """The steps that go on only after one, in the order of the definition."""
    found: set[str] = set()
    while more := {name for name, one in steps.items() if name not in found and ({step} | found) & set(_rests_on(one))}:
        found |= more
    return [name for name in steps if name in found]


def _rests_on(step: Step) -> Sequence[str]:
    """What a step needs: its dependencies, and what it gathers as a group."""
    return (*step.depends_on, *step.owned)
