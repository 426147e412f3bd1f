"""A value of the definition together with where it stands, and the reading of a mapping by a table of fields."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias, TypeVar

from cordum.domain.definition.document import Document, Path, Position, pointer
from cordum.domain.definition.problems import Problems, shown
from cordum.domain.workflow import JSON
from cordum.errors import Problem


class Limits(NamedTuple):
    """What a definition may have at most (CONTRACT.md section 1). `max_links` counts dependencies and group members."""

    max_bytes: int = 256 * 1024
    max_steps: int = 1000
    max_links: int = 10_000
    max_workflow_timeout_sec: int = 7 * 24 * 3600


DEFAULT_LIMITS = Limits()


@dataclass(slots=True)
class Reading:
    """One reading of one definition. What fields need to know of the whole is set before they are read."""

    document: Document
    problems: Problems
    limits: Limits
    workflow_id: str = ""
    steps: Mapping[str, Place] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Place:
    value: JSON
    path: Path
    reading: Reading

    def members(self) -> Iterator[Place]:
        """The values of a mapping, in order; nothing for other values."""
        if isinstance(self.value, dict):
            for key, value in self.value.items():
                yield Place(value, (*self.path, key), self.reading)

    def items(self) -> Iterator[Place]:
        """The entries of a list; nothing for other values."""
        if isinstance(self.value, list):
            for index, value in enumerate(self.value):
                yield Place(value, (*self.path, index), self.reading)

    def member(self, key: str) -> Place | None:
        if isinstance(self.value, dict) and key in self.value:
            return Place(self.value[key], (*self.path, key), self.reading)
        return None

    def refuse(self, code: str, message: str) -> None:
        """Something is wrong with this value."""
        self._add(self.path, code, message, self.reading.document.position(self.path))

    def refuse_key(self, code: str, message: str) -> None:
        """Something is wrong with the key in front of this value."""
        self._add(self.path, code, message, self.reading.document.key_position(self.path))

    def refuse_absence(self, key: str) -> None:
        """A required key is not there."""
        path = (*self.path, key)
        self._add(path, "missing_field", f"{shown(key)} is required", self.reading.document.position(self.path))

    def did_you_mean(self, known: Collection[str]) -> str:
        return self.reading.problems.did_you_mean(str(self.value), known)

    def _add(self, path: Path, code: str, message: str, at: Position | None) -> None:
        line, column = at or (None, None)
        self.reading.problems.add(Problem(pointer(path), code, message, line, column))


class Refused(Exception):
    """Raised by a reader: the value at its place is wrong."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def expected(what: str, place: Place) -> Refused:
    """The value has another type than `what`."""
    hint = "; quote it" if what == "a string" and isinstance(place.value, bool | int | float) else ""
    return Refused("type", f"expected {what}, found {_type_name(place.value)}{hint}")


_Value = TypeVar("_Value")
Reader: TypeAlias = Callable[[Place], _Value]
"""Gives the value that a place stands for, or raises Refused. None when the reader has reported the problems itself."""


def take(reader: Reader[_Value], place: Place) -> _Value | None:
    """What `reader` makes of `place`; what it refuses is reported, and None."""
    try:
        return reader(place)
    except Refused as refused:
        place.refuse(refused.code, refused.message)
        return None


class Field(NamedTuple):
    """How the value of a key is read, and which attribute it becomes."""

    attribute: str
    reader: Reader[Any]
    required: bool = False


Table: TypeAlias = Mapping[str, Field]


def read_fields(place: Place, table: Table) -> dict[str, Any]:
    """{attribute: value} of the keys of `table` that are there and in order, read in the table's order."""
    found: dict[str, Any] = {}
    for key, entry in table.items():
        member = place.member(key)
        if member is None:
            if entry.required:
                place.refuse_absence(key)
        elif member.value is None:
            member.refuse("type", f"{shown(key)} has no value: give it one, or leave the key out")
        elif (value := take(entry.reader, member)) is not None:
            found[entry.attribute] = value
    return found


def refuse_unknown_keys(place: Place, owner: str, known: Collection[str], later: Collection[str] = ()) -> None:
    """Report the keys of a mapping that are not `known`. `later` are keys of the language that are not built yet."""
    for member in place.members():
        key = str(member.path[-1])
        if key in known:
            continue
        if key in later:
            member.refuse_key("unknown_field", f"{shown(key)} {NOT_AVAILABLE}")
        else:
            hint = place.reading.problems.did_you_mean(key, known)
            member.refuse_key("unknown_field", f"{owner} has no {shown(key)}{hint}")


NOT_AVAILABLE = "is part of the language but not available in this version"


def _type_name(value: JSON) -> str:
    names = {bool: "a boolean", int: "a number", float: "a number", str: "a string", list: "a list", dict: "a mapping"}
    return names.get(type(value), "no value")
