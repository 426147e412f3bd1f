"""The run's context: what steps have written under dotted names, in the order in which they wrote it.

The context is never stored as such. Each step's writes are kept, so that a rerun can take over those of some steps and
leave out the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from cordum.domain.workflow import JSON

MISSING = object()


class Write(NamedTuple):
    """One change, numbered within the run. `deleted`: the name is taken away, `value` means nothing."""

    number: int
    path: tuple[str, ...]
    value: JSON = None
    deleted: bool = False


def path_of(key: str) -> tuple[str, ...]:
    """`ctx.a.b` and `a.b` name the same."""
    parts = tuple(key.split("."))
    return parts[1:] if parts[0] == "ctx" and len(parts) > 1 else parts


def fold(writes: Mapping[str, Iterable[Write]]) -> dict[str, JSON]:
    """The context that the writes of all steps add up to."""
    context: dict[str, JSON] = {}
    for write in sorted((write for own in writes.values() for write in own), key=lambda write: write.number):
        put(context, write)
    return context


def put(context: dict[str, JSON], write: Write) -> None:
    """Carry out one write. What stands in the way of a deeper name is replaced; mappings are copied, not shared."""
    inner = context
    for key in write.path[:-1]:
        found = inner.get(key)
        found = dict(found) if isinstance(found, dict) else {}
        inner[key] = found
        inner = found
    if write.deleted:
        inner.pop(write.path[-1], None)
    else:
        inner[write.path[-1]] = write.value


def look_up(context: Mapping[str, JSON], path: tuple[str, ...]) -> Any:
    """The value under a name, or MISSING."""
    value: Any = context
    for key in path:
        if not isinstance(value, Mapping) or key not in value:
            return MISSING
        value = value[key]
    return value


def with_write(writes: Iterable[Write], write: Write) -> tuple[Write, ...]:
    """One step's writes and one more; an older one under the same name is forgotten."""
    return (*(old for old in writes if old.path != write.path), write)
