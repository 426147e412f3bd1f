"""The rules of JSON values: kinds, truth, equality, text, and the copy that leaves an evaluation. No operators here."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from cordum.domain.expressions.budget import Budget, Refused

JSON: TypeAlias = bool | int | float | str | list["JSON"] | dict[str, "JSON"] | None
"""What comes out: plain data."""

Value: TypeAlias = bool | int | float | str | Sequence["Value"] | Mapping[str, "Value"] | None
"""What goes in: plain data, or a mapping that loads its items when they are asked for."""

# 64 levels of a JSON document (CONTRACT.md section 1) inside 64 levels of an expression.
MAX_VALUE_DEPTH = 128


def kind(value: Value) -> str:
    """The JSON name of what `value` is, as error messages put it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "string"
    if isinstance(value, list):
        return "list"
    if isinstance(value, Mapping):
        return "object"
    raise Refused("reads something that is not JSON")


def truthy(value: Value) -> bool:
    """Null, false, 0 and "" are false; an empty list or object is true."""
    return value is not None and (not isinstance(value, bool | int | float | str) or bool(value))


def equal(left: Value, right: Value, budget: Budget, depth: int = 0) -> bool:
    """Equal as JSON: 1 and 1.0 are, true and 1 are not, unlike kinds never are."""
    budget.step()
    if depth > MAX_VALUE_DEPTH:
        raise Refused(f"compares values nested deeper than {MAX_VALUE_DEPTH}")
    if kind(left) != kind(right):
        return False
    if isinstance(left, str):
        budget.scan(left)
    if isinstance(left, list) and isinstance(right, list):
        if len(left) != len(right):
            return False
        return all(equal(a, b, budget, depth + 1) for a, b in zip(left, right, strict=True))
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        if left.keys() != right.keys():
            return False
        return all(equal(item, right[key], budget, depth + 1) for key, item in left.items())
    return left == right


def plain(value: Value, budget: Budget, depth: int = 0) -> JSON:
    """A copy of `value` made of JSON only, safe to encode; what is lazy gets loaded here."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        budget.text(len(value))
        return _encodable(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise Refused("reads a number that is not finite")
        return value
    if depth >= MAX_VALUE_DEPTH:
        raise Refused(f"makes values nested deeper than {MAX_VALUE_DEPTH}")
    if isinstance(value, list):
        return _plain_list(value, budget, depth)
    if isinstance(value, Mapping):
        return _plain_object(value, budget, depth)
    raise Refused("reads something that is not JSON")


def _plain_list(value: Sequence[Value], budget: Budget, depth: int) -> JSON:
    budget.values(len(value))
    items: list[JSON] = []
    for item in value:
        items.append(plain(item, budget, depth + 1))
    return items


def _plain_object(value: Mapping[str, Value], budget: Budget, depth: int) -> JSON:
    budget.values(len(value))
    members: dict[str, JSON] = {}
    for key, item in value.items():
        if not isinstance(key, str):
            raise Refused("reads something that is not JSON")
        budget.text(len(key))
        members[_encodable(key)] = plain(item, budget, depth + 1)
    return members


def _encodable(text: str) -> str:
    """`text` itself; half of a surrogate pair would fail only later, where the result is written."""
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise Refused("reads text that is not Unicode") from None
    return text


def compact_json(value: Value, budget: Budget) -> str:
    """`value` as JSON without spaces, keys in their own order."""
    try:
        written = json.dumps(plain(value, budget), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except ValueError:  # Python writes no integer of more than 4,300 digits
        raise Refused("writes a number that is too long for text") from None
    budget.text(len(written))
    return written


def text_of(value: Value, budget: Budget) -> str:
    """What `value` looks like inside a text: null is empty, a string is itself, the rest is compact JSON."""
    if value is None:
        return ""
    if isinstance(value, str):
        budget.text(len(value))
        return _encodable(value)
    return compact_json(value, budget)
