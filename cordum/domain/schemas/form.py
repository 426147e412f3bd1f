"""Whether a JSON value is a schema that can be used, judged in one walk.

The table of keywords says the same as the meta-schema of 2020-12; a test holds the two together. It is our own because
the walk costs a hundredth of a check against the meta-schema, and finds the place of every fault.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import NamedTuple, TypeAlias

from cordum.domain.schemas.patterns import unusable
from cordum.domain.workflow import JSON

DIALECT = "https://json-schema.org/draft/2020-12/schema"
TYPES = ("array", "boolean", "integer", "null", "number", "object", "string")

Path: TypeAlias = tuple[str | int, ...]


class Fault(NamedTuple):
    """What is wrong, and where in the schema."""

    path: Path
    message: str


def faults(schema: JSON) -> tuple[Fault, ...]:
    """All that keeps `schema` from being used; empty for a good one."""
    return tuple(_Walk(schema).faults())


# --- keywords: what must be true of the value, in words for its author ---


def _is_count(value: JSON) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0 and value == int(value)


def _is_number(value: JSON) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _texts(value: JSON) -> list[str] | None:
    """A list of different strings, or None."""
    texts = [item for item in value if isinstance(item, str)] if isinstance(value, list) else []
    return texts if texts == value and len(set(texts)) == len(texts) else None


def _is_texts(value: JSON) -> bool:
    return _texts(value) is not None


def _is_types(value: JSON) -> bool:
    names = [value] if isinstance(value, str) else _texts(value)
    return bool(names) and set(names or ()) <= set(TYPES)


def _is_text(value: JSON) -> bool:
    return isinstance(value, str)


_COUNT = (_is_count, "a whole number, not negative")
_NUMBER = (_is_number, "a number")
_TEXT = (_is_text, "a string")
_FLAG = (lambda value: isinstance(value, bool), "true or false")
_LIST = (lambda value: isinstance(value, list), "a list")
_ANCHOR = re.compile(r"[A-Za-z_][-A-Za-z0-9._]*\Z")

_PLAIN: Mapping[str, tuple[Callable[[JSON], bool], str]] = {
    "type": (_is_types, "one of " + ", ".join(TYPES) + ", or a list of them"),
    "enum": _LIST,
    "multipleOf": (lambda value: _is_number(value) and value > 0, "a number greater than 0"),  # type: ignore[operator]
    **dict.fromkeys(("maximum", "exclusiveMaximum", "minimum", "exclusiveMinimum"), _NUMBER),
    **dict.fromkeys(("maxLength", "minLength", "maxItems", "minItems", "maxContains", "minContains"), _COUNT),
    **dict.fromkeys(("maxProperties", "minProperties"), _COUNT),
    **dict.fromkeys(("uniqueItems", "deprecated", "readOnly", "writeOnly"), _FLAG),
    "required": (_is_texts, "a list of different strings"),
    "dependentRequired": (
        lambda value: isinstance(value, dict) and all(map(_is_texts, value.values())),
        "a mapping from keys to lists of different strings",
    ),
    **dict.fromkeys(("title", "description", "format", "contentEncoding", "contentMediaType", "$comment"), _TEXT),
    **dict.fromkeys(("$ref", "$dynamicRef", "$id"), _TEXT),
    **dict.fromkeys(
        ("$anchor", "$dynamicAnchor"), (lambda value: isinstance(value, str) and bool(_ANCHOR.match(value)), "a name")
    ),
    "examples": _LIST,
}
# Keywords whose value is a schema, a list or a mapping of schemas. "In place": applied to the very same value.
_ONE_IN_PLACE = frozenset({"if", "then", "else", "not"})
_ONE = _ONE_IN_PLACE | {
    *("additionalProperties", "contains", "contentSchema", "items", "propertyNames"),
    *("unevaluatedItems", "unevaluatedProperties"),
}
_SEVERAL_IN_PLACE = frozenset({"allOf", "anyOf", "oneOf"})
_SEVERAL = _SEVERAL_IN_PLACE | {"prefixItems"}
_NAMED = frozenset({"$defs", "definitions", "dependentSchemas", "patternProperties", "properties"})
KEYWORDS = frozenset({*_PLAIN, *_ONE, *_SEVERAL, *_NAMED, "pattern", "const", "default", "$schema", "$vocabulary"})


class _Walk:
    """One look at a schema and at everything in it that is used as one."""

    def __init__(self, root: JSON) -> None:
        self._root = root
        self._faults: list[Fault] = []
        self._anchors: dict[str, Path] = {}
        self._references: list[tuple[Path, str]] = []  # places of `$ref`, without the keyword itself
        self._in_place: dict[Path, set[Path]] = {}
        self._seen: set[Path] = set()
        self._unevaluated: Path | None = None
        self._patterns = False

    def faults(self) -> list[Fault]:
        self._schema(self._root, ())
        while self._references:
            self._resolve(*self._references.pop())
        if self._unevaluated is not None and self._patterns:
            self._fault(self._unevaluated, "unevaluatedProperties cannot stand beside patternProperties here")
        if not self._faults:
            self._refuse_endless()
        return self._faults

    def _fault(self, path: Path, message: str) -> None:
        self._faults.append(Fault(path, message))

    def _schema(self, schema: JSON, path: Path) -> None:
        if path in self._seen:
            return
        self._seen.add(path)
        if isinstance(schema, bool):
            return
        if not isinstance(schema, dict):
            self._fault(path, "a schema is a mapping, true or false")
            return
        for keyword, value in schema.items():
            self._keyword(keyword, value, path)

    def _keyword(self, keyword: str, value: JSON, path: Path) -> None:
        here = (*path, keyword)
        if keyword in _PLAIN:
            right, words = _PLAIN[keyword]
            if right(value):
                self._identifier(keyword, value, path)
            else:
                self._fault(here, f"{keyword} must be {words}")
        elif keyword in _ONE:
            self._inner(value, here, path if keyword in _ONE_IN_PLACE else None)
        elif keyword in _SEVERAL:
            if not isinstance(value, list) or not value:
                self._fault(here, f"{keyword} must be a list of schemas with something in it")
                return
            for index, schema in enumerate(value):
                self._inner(schema, (*here, index), path if keyword in _SEVERAL_IN_PLACE else None)
        elif keyword in _NAMED:
            self._named(keyword, value, path)
        elif keyword == "pattern":
            self._pattern(value, here)
        elif keyword == "$schema" and (path or value != DIALECT):
            self._fault(here, f"the dialect is {DIALECT}, and it may be named at the top only")
        if keyword == "unevaluatedProperties" and self._unevaluated is None:
            self._unevaluated = here

    def _inner(self, schema: JSON, path: Path, in_place_of: Path | None) -> None:
        if in_place_of is not None:
            self._in_place.setdefault(in_place_of, set()).add(path)
        self._schema(schema, path)

    def _named(self, keyword: str, value: JSON, path: Path) -> None:
        here = (*path, keyword)
        if not isinstance(value, dict):
            self._fault(here, f"{keyword} must be a mapping of schemas")
            return
        for name, schema in value.items():
            if keyword == "patternProperties":
                self._patterns = True
                self._pattern(name, (*here, name))
            self._inner(schema, (*here, name), path if keyword == "dependentSchemas" else None)

    def _pattern(self, pattern: JSON, path: Path) -> None:
        why = unusable(pattern) if isinstance(pattern, str) else "a pattern is a string"
        if why:
            self._fault(path, why)

    def _identifier(self, keyword: str, value: JSON, path: Path) -> None:
        text = str(value)
        if keyword in ("$ref", "$dynamicRef"):
            self._references.append(((*path, keyword), text))
        elif keyword in ("$anchor", "$dynamicAnchor"):
            self._anchors.setdefault(text, path)
        elif keyword == "$id" and path:
            self._fault((*path, keyword), "only the whole schema may have an $id")

    def _resolve(self, place: Path, reference: str) -> None:
        if not reference.startswith("#"):
            self._fault(place, "only references within the schema are followed: they begin with #")
            return
        target = _pointed_at(self._root, reference) if reference[1:2] in ("", "/") else self._anchors.get(reference[1:])
        if target is None:
            self._fault(place, "nothing in the schema has this name")
            return
        self._inner(_value_at(self._root, target), target, place[:-1])

    def _refuse_endless(self) -> None:
        try:
            TopologicalSorter(self._in_place).prepare()
        except CycleError as error:
            cycle: list[Path] = error.args[1]
            self._fault(min(cycle, key=len), "the schema refers to itself without end")


def _pointed_at(root: JSON, reference: str) -> Path | None:
    """The path that a `#/…` reference names, if there is anything."""
    path: list[str | int] = []
    value = root
    for part in _segments(reference):
        if isinstance(value, dict) and part in value:
            value = value[part]
            path.append(part)
        elif isinstance(value, list) and part.isdecimal() and part.isascii() and int(part[:9]) < len(value):
            value = value[int(part)]
            path.append(int(part))
        else:
            return None
    return tuple(path)


def _segments(reference: str) -> Iterator[str]:
    for part in reference[2:].split("/") if len(reference) > 1 else ():
        yield (
            re.sub("%([0-9A-Fa-f]{2})", lambda hexa: chr(int(hexa[1], 16)), part).replace("~1", "/").replace("~0", "~")
        )


def _value_at(root: JSON, path: Path) -> JSON:
    value = root
    for segment in path:
        value = value[segment]  # type: ignore[index]
    return value
