"""A value of the definition together with where it stands, and the reading of mappings by tables of fields."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar

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
    warnings: list[Problem] = field(default_factory=list)


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

    def below(self, path: Path) -> Place:
        """The place that `path` leads to from here; null where there is no value."""
        value: Any = self.value
        for segment in path:
            try:
                value = value[segment]
            except (KeyError, IndexError, TypeError):
                value = None
        return Place(value, (*self.path, *path), self.reading)

    def refuse(self, code: str, message: str) -> None:
        """Something is wrong with this value."""
        self._add(self.path, code, message, self.reading.document.position(self.path))

    def refuse_key(self, code: str, message: str) -> None:
        """Something is wrong with the key in front of this value."""
        self._add(self.path, code, message, self.reading.document.key_position(self.path))

    def refuse_absence(self, key: str) -> None:
        """A required key is not there."""
        at = next((at for end in range(len(self.path), -1, -1) if (at := self._position(self.path[:end]))), None)
        self._add((*self.path, key), "missing_field", f"{shown(key)} is required", at)

    def did_you_mean(self, known: Collection[str]) -> str:
        return self.reading.problems.did_you_mean(str(self.value), known)

    def warn(self, code: str, message: str) -> None:
        """This is legal, and most likely not what was meant."""
        self.reading.warnings.append(self.problem(code, message))

    def problem(self, code: str, message: str) -> Problem:
        """Something about this value, not yet reported to anybody."""
        line, column = self._position(self.path) or (None, None)
        return Problem(pointer(self.path), code, message, line, column)

    def _position(self, path: Path) -> Position | None:
        return self.reading.document.position(path)

    def _add(self, path: Path, code: str, message: str, at: Position | None) -> None:
        line, column = at or (None, None)
        self.reading.problems.add(Problem(pointer(path), code, message, line, column))


def refuse_step(root: Place, step: str, code: str, message: str, *keys: str) -> None:
    """Report at the first of `keys` that the step has, else at the step."""
    holder = root.reading.steps[step]
    place = next((member for key in keys if (member := holder.member(key))), holder)
    place.refuse(code, message)


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


@dataclass(frozen=True, slots=True)
class Described(Generic[_Value]):
    """A reader that also says, as a JSON Schema, what it accepts: the language's published schema is made of it."""

    read: Reader[_Value]
    schema: JSON

    def __call__(self, place: Place) -> _Value:
        return self.read(place)


def accepts(schema: JSON) -> Callable[[Reader[_Value]], Described[_Value]]:
    """For a reader of what `schema` accepts."""
    return lambda read: Described(read, schema)


def take(reader: Reader[_Value], place: Place) -> _Value | None:
    """What `reader` makes of `place`; what it refuses is reported, and None."""
    try:
        return reader(place)
    except Refused as refused:
        place.refuse(refused.code, refused.message)
        return None


class Field(NamedTuple):
    """How the value of a key is read, and which attribute it becomes. Keys of one attribute are names for one thing.

    `nullable`: null is a value like any other.
    """

    attribute: str
    reader: Reader[Any]
    required: bool = False
    nullable: bool = False


Table: TypeAlias = Mapping[str, Field]


class Found(NamedTuple):
    """What tables of fields made of the keys that are there, and where each attribute was given."""

    values: dict[str, Any]
    places: dict[str, Place]


def read_fields(place: Place, table: Table) -> dict[str, Any]:
    """{attribute: value} of the keys of `table` that are there and in order, read in the table's order."""
    return gather((place, table)).values


def gather(*holders: tuple[Place, Table]) -> Found:
    """The fields of one thing, whose keys may stand in several mappings; each may be given once."""
    found = Found({}, {})
    for holder, table in holders:
        for key, entry in table.items():
            member = holder.member(key)
            if member is not None:
                _read_field(member, entry, found)
    missing: dict[str, tuple[Place, str]] = {}
    for holder, table in holders:
        for key, entry in table.items():
            if entry.required and entry.attribute not in found.places:
                missing.setdefault(entry.attribute, (holder, key))
    for holder, key in missing.values():
        holder.refuse_absence(key)
    return found


def _read_field(member: Place, entry: Field, found: Found) -> None:
    key = str(member.path[-1])
    first = found.places.setdefault(entry.attribute, member)
    if first is not member:
        message = f"{shown(key)} is given twice: {pointer(first.path)} says the same"
        member.refuse_key("duplicate_key", message)
    elif member.value is None and not entry.nullable:
        member.refuse("type", f"{shown(key)} has no value: give it one, or leave the key out")
    elif (value := take(entry.reader, member)) is not None:
        found.values[entry.attribute] = value


def refuse_unknown_keys(
    place: Place, owner: str, known: Collection[str], later: Collection[str] = (), inner: Collection[str] = ()
) -> None:
    """Report the keys of a mapping that are not `known`.

    `later` are keys of the language that are not built yet; `inner` are known one level down, under `input`.
    """
    for member in place.members():
        key = str(member.path[-1])
        if key in known:
            continue
        if key in later:
            member.refuse_key("unknown_field", f"{shown(key)} {NOT_AVAILABLE}")
        elif key in inner:
            member.refuse_key("unknown_field", f"{shown(key)} belongs under the input of {owner}")
        else:
            hint = place.reading.problems.did_you_mean(key, known)
            member.refuse_key("unknown_field", f"{owner} has no {shown(key)}{hint}")


NOT_AVAILABLE = "is part of the language but not available in this version"


def _type_name(value: JSON) -> str:
    names = {bool: "a boolean", int: "a number", float: "a number", str: "a string", list: "a list", dict: "a mapping"}
    return names.get(type(value), "no value")
