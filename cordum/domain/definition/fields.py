"""Readers of single values: each takes a place and gives what it stands for, or refuses it."""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import StrEnum
from typing import TypeVar, cast

from cordum.domain.definition.language import mapping_of
from cordum.domain.definition.places import (
    Described,
    Place,
    Reader,
    Refused,
    Table,
    accepts,
    expected,
    read_fields,
    refuse_unknown_keys,
    take,
)
from cordum.domain.definition.problems import shown
from cordum.domain.ids import MAX_TOPIC, STEP_ID, TOPIC, is_topic
from cordum.domain.workflow import JSON

MAX_DURATION_SEC = 10 * 365 * 24 * 3600

_Choice = TypeVar("_Choice", bound=StrEnum)
_Record = TypeVar("_Record")


# --- text ---


@accepts({"type": "string"})
def text(place: Place) -> str:
    if not isinstance(place.value, str):
        raise expected("a string", place)
    return place.value


@accepts({"type": ["string", "integer"]})
def free_label(place: Place) -> str:
    """Text, or an integer taken as text. A decimal is refused because `1.10` would lose its zero."""
    if isinstance(place.value, int) and not isinstance(place.value, bool):
        return str(place.value)
    return text(place)


@accepts({"type": "array", "items": {"type": "string"}})
def texts(place: Place) -> tuple[str, ...]:
    if not isinstance(place.value, list):
        raise expected("a list of strings", place)
    found = [take(text, item) for item in place.items()]
    return tuple(item for item in found if item is not None)


@accepts({"type": "array", "items": {"type": "string", "minLength": 1}})
def names(place: Place) -> tuple[str, ...]:
    """Strings with something in them, each once."""
    for item in place.items():
        if item.value == "":
            item.refuse("id_format", "a name may not be empty")
    return tuple(dict.fromkeys(texts(place)))


@accepts({"type": "object", "additionalProperties": {"type": "string"}})
def text_mapping(place: Place) -> dict[str, str]:
    if not isinstance(place.value, dict):
        raise expected("a mapping of strings", place)
    found = {str(member.path[-1]): take(text, member) for member in place.members()}
    return {key: value for key, value in found.items() if value is not None}


_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,62}\Z")
_WORKER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@/%+-]{0,255}\Z")
_MAX_PLACEMENT = 16


@accepts(
    {
        "type": "object",
        "propertyNames": {"pattern": r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,62}$"},
        "additionalProperties": {"type": "string", "pattern": r"^[A-Za-z0-9][A-Za-z0-9._@/-]{0,254}$"},
        "maxProperties": _MAX_PLACEMENT,
    }
)
def placement(place: Place) -> dict[str, str]:
    """Labels that a worker has to have, name and value as workers may say them."""
    found = text_mapping(place)
    if len(found) > _MAX_PLACEMENT:
        raise Refused("limit_exceeded", f"at most {_MAX_PLACEMENT} labels")
    for name, value in found.items():
        known = _WORKER if name == "preferred_worker_id" else _LABEL
        if not _LABEL.match(name) or not known.match(value):
            rule = 'letters, digits, ".", "_", "/" or "-", at most 63'
            raise Refused("id_format", f"{shown(f'{name}={value}')} is no label: {rule}")
    return found


@accepts({"type": "string", "pattern": r"^[A-Za-z0-9][A-Za-z0-9._@/%+-]{0,255}$"})
def worker_id(place: Place) -> str:
    value = text(place)
    if not _WORKER.match(value):
        raise Refused("id_format", f"{shown(value)} is no id of a worker, such as celery@host")
    return value


def identifier(pattern: re.Pattern[str], longest: int) -> Described[str]:
    """An id of letters, digits and `._-`."""

    @accepts({"type": "string", "pattern": ecma(pattern)})
    def read(place: Place) -> str:
        value = text(place)
        if not pattern.match(value):
            raise Refused("id_format", no_id(value, longest))
        return value

    return read


def ecma(pattern: re.Pattern[str]) -> str:
    """A pattern of this package as JSON Schema writes it."""
    return "^" + pattern.pattern.replace(r"\Z", "$")


MAX_PATH = 16
_SEGMENT = r"[A-Za-z0-9_-]{1,128}"
_DOTTED = re.compile(rf"{_SEGMENT}(?:\.{_SEGMENT}){{0,{MAX_PATH - 1}}}\Z")


@accepts({"type": "string", "pattern": ecma(_DOTTED)})
def dotted_path(place: Place) -> tuple[str, ...]:
    """Keys joined by dots, each one level further down."""
    value = text(place)
    if not _DOTTED.match(value):
        rule = f'up to {MAX_PATH} keys of letters, digits, "_" or "-", joined by "."'
        raise Refused("id_format", f"{shown(value)} is no path: {rule}")
    return tuple(value.split("."))


@accepts(dotted_path.schema)
def context_path(place: Place) -> tuple[str, ...]:
    """Where in the run's context something is kept; `ctx.x` and `x` are the same place."""
    path = dotted_path(place)
    if path[0] != "ctx":
        return path
    if len(path) == 1:
        raise Refused("id_format", "the context itself is no place for one value: write ctx.something")
    return path[1:]


def no_id(value: str, longest: int) -> str:
    rule = f'1 to {longest} letters, digits, ".", "_" or "-", beginning with a letter or digit'
    return f"{shown(value)} is no id: {rule}"


@accepts({"type": "string", "pattern": ecma(TOPIC), "maxLength": MAX_TOPIC})
def topic(place: Place) -> str:
    value = text(place)
    if not is_topic(value):
        rule = '"job." and then segments of letters, digits, "_" or "-" joined by ".", at most 256 characters'
        raise Refused("id_format", f"{shown(value)} is no topic: {rule}")
    return value


def one_of(*options: str) -> Described[str]:
    @accepts({"enum": list(options)})
    def read(place: Place) -> str:
        value = text(place)
        if value not in options:
            hint = place.did_you_mean(options)
            raise Refused("invalid_choice", f"{shown(value)} is none of {', '.join(options)}{hint}")
        return value

    return read


def choice(options: type[_Choice]) -> Described[_Choice]:
    """A member of an enumeration, by its value."""
    value = one_of(*(option.value for option in options))
    return Described(lambda place: options(value(place)), value.schema)


# --- numbers ---


def integer(least: int, most: int) -> Described[int]:
    @accepts({"type": "integer", "minimum": least, "maximum": most})
    def read(place: Place) -> int:
        if isinstance(place.value, bool) or not isinstance(place.value, int):
            raise expected("an integer", place)
        _check_range(place.value, least, most)
        return place.value

    return read


def number(least: float, most: float) -> Described[float]:
    @accepts({"type": "number", "minimum": least, "maximum": most})
    def read(place: Place) -> float:
        if isinstance(place.value, bool) or not isinstance(place.value, int | float):
            raise expected("a number", place)
        _check_range(place.value, least, most)
        return float(place.value)

    return read


_seconds = number(0, MAX_DURATION_SEC)


@accepts(_seconds.schema)
def seconds(place: Place) -> int:
    """A duration, as milliseconds. What is more than nothing stays more than nothing."""
    duration = _seconds(place)
    return max(round(duration * 1000), 1 if duration else 0)


@accepts(_seconds.schema)
def workflow_seconds(place: Place) -> int:
    """The duration of a whole run, which has a limit of its own."""
    most = place.reading.limits.max_workflow_timeout_sec
    if isinstance(place.value, int | float) and place.value > most:
        raise Refused("limit_exceeded", f"a workflow may take at most {most} seconds")
    return seconds(place)


def _check_range(value: float, least: float, most: float) -> None:
    if not least <= value <= most:
        raise Refused("number_range", f"must be between {least} and {most}")


# --- steps ---

_STEP_ID: JSON = {"type": "string", "pattern": ecma(STEP_ID)}


@accepts(_STEP_ID)
def step_id(place: Place) -> str:
    """The id of a step that exists."""
    value, known = text(place), place.reading.steps
    if value not in known:
        raise Refused("unknown_step", f"there is no step {shown(value)}{place.did_you_mean(known)}")
    return value


@accepts({"type": "array", "items": _STEP_ID})
def step_ids(place: Place) -> tuple[str, ...]:
    """The ids of steps that exist, each once."""
    if not isinstance(place.value, list):
        raise expected("a list of step ids", place)
    found = [take(step_id, item) for item in place.items()]
    return tuple(dict.fromkeys(item for item in found if item is not None))


# --- mappings of fields ---


def record(
    owner: str, table: Table, build: Callable[..., _Record], later: frozenset[str] = frozenset()
) -> Described[_Record]:
    """A mapping read by a table of its own, of readers that say what they accept."""
    return accepts(mapping_of(table))(mapping(owner, table, build, later))


def mapping(
    owner: str, table: Table, build: Callable[..., _Record], later: frozenset[str] = frozenset()
) -> Reader[_Record]:
    """The same, of any readers."""

    def read(place: Place) -> _Record | None:
        if not isinstance(place.value, dict):
            raise expected("a mapping", place)
        refuse_unknown_keys(place, owner, table.keys(), later)
        values = read_fields(place, table)
        if any(entry.required and entry.attribute not in values for entry in table.values()):
            return None
        return build(**values)

    return cast(Reader[_Record], read)
