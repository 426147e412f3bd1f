"""What the reader knows of a kind of step: its own keys, where they may stand, and what they become."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

from cordum.domain.definition.places import Place, Table


class Given(NamedTuple):
    """A step as its kind sees it: the common keys in `common`, its own in `own`, each also at its place."""

    step: Place
    common: Mapping[str, Any]
    own: dict[str, Any]
    places: Mapping[str, Place]


Build: TypeAlias = Callable[[Given], dict[str, Any]]


def nothing(_given: Given) -> dict[str, Any]:
    """For kinds that are complete with the common keys."""
    return {}


@dataclass(frozen=True, slots=True)
class Kind:
    """`own`: the keys on the step that only this kind has, or reads in its own way.

    `inner`: own keys under `input`; with any of them `input` is the kind's, and holds nothing else. A key in both may
    stand in either. `build` makes attributes of a Step of what was given and reports what does not go together.
    `input_required`: the common key `input` must be there.
    """

    does: str
    own: Table = field(default_factory=dict)
    inner: Table = field(default_factory=dict)
    build: Build = nothing
    input_required: bool = False
