"""What differs between two definitions, by step and key: for people who review a change."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from cordum.domain.definition.document import Path
from cordum.domain.workflow import JSON


class Change(NamedTuple):
    """`path` leads to the value, steps by their ids; `change` is added, removed, changed or moved (steps, in order)."""

    path: Path
    change: str
    old: JSON = None
    new: JSON = None


def differences(old: Mapping[str, JSON], new: Mapping[str, JSON]) -> list[Change]:
    """From the one definition to the other. Steps may be a mapping, or a list of steps with ids."""
    before, after = _by_id(old.get("steps")), _by_id(new.get("steps"))
    found = list(_between((), _without_steps(old), _without_steps(new)))
    found += _between(("steps",), before, after)
    kept = [step for step in before if step in after]
    order = [step for step in after if step in before]
    if kept != order:
        found.append(Change(("steps",), "moved", [*kept], [*order]))
    return found


def _without_steps(definition: Mapping[str, JSON]) -> dict[str, JSON]:
    return {key: value for key, value in definition.items() if key != "steps"}


def _by_id(steps: JSON) -> dict[str, JSON]:
    listed = steps if isinstance(steps, list) else []
    named: dict[str, JSON] = {str(step["id"]): step for step in listed if isinstance(step, dict) and "id" in step}
    found = steps if isinstance(steps, dict) else named
    return {name: _plain(step) for name, step in found.items()}


def _plain(step: JSON) -> JSON:
    """A step as it would be written in a mapping: without its id, with its type by name."""
    if not isinstance(step, dict):
        return step
    kind = step.get("type", "worker")
    rest = {key: value for key, value in step.items() if key not in ("id", "type")}
    return {"type": "worker" if kind == "job" else kind, **rest}


def _between(path: Path, old: JSON, new: JSON) -> Iterator[Change]:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(key for key in new if key not in old)]:
            here = (*path, key)
            if key not in new:
                yield Change(here, "removed", old[key])
            elif key not in old:
                yield Change(here, "added", None, new[key])
            else:
                yield from _between(here, old[key], new[key])
    elif not _same(old, new):
        yield Change(path, "changed", old, new)


def _same(old: JSON, new: JSON) -> bool:
    """Equal as JSON; `1` and `true` are not, though Python says so."""
    if isinstance(old, bool) or isinstance(new, bool):
        return old is new
    if isinstance(old, list) and isinstance(new, list):
        return len(old) == len(new) and all(map(_same, old, new))
    if isinstance(old, dict) and isinstance(new, dict):
        return old.keys() == new.keys() and all(_same(old[key], new[key]) for key in old)
    return old == new
