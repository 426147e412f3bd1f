"""Checking a value against a schema, by the jsonschema library, within bounds.

The library's own keywords that match patterns or compare items are replaced, because they can take for ever; every
keyword pays for what it looks at, from one budget per check.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from functools import lru_cache
from typing import Any, TypeAlias

import re2
import referencing
from jsonschema import Draft202012Validator, ValidationError
from jsonschema.validators import extend

from cordum.domain.schemas.patterns import matches
from cordum.domain.workflow import JSON

MAX_VIOLATIONS = 10
MAX_STEPS = 500_000
_MAX_TEXT = 120

_Keyword: TypeAlias = Callable[[Any, Any, Any, Mapping[str, Any]], Iterator[ValidationError]]
_steps_left: ContextVar[int] = ContextVar("steps_left")


class _TooLong(Exception):
    """The check has used up its steps."""


def violations(schema: JSON, value: JSON) -> tuple[str, ...]:
    """What in `value` is against `schema`, as `<JSON pointer>: <what is wrong>`; at most `MAX_VIOLATIONS`.

    Empty when the value conforms. Never raises: a check that cannot be finished is a violation. The value itself is not
    repeated, only its keys.
    """
    token = _steps_left.set(MAX_STEPS)
    try:
        return tuple(_found(_checker(json.dumps(schema)), value))
    except _TooLong:
        return ("/: the check takes too many steps; simplify the schema",)
    except RecursionError:
        return ("/: the schema refers to itself too deeply",)
    except (referencing.exceptions.Unresolvable, re2.error, ArithmeticError, UnicodeError):
        return ("/: the schema cannot be applied to this value",)
    finally:
        _steps_left.reset(token)


def _found(checker: Any, value: JSON) -> Iterator[str]:
    for number, error in enumerate(checker.iter_errors(value)):
        if number == MAX_VIOLATIONS:
            yield "/: and more"
            return
        yield f"{_pointer(error)}: {_words(error)}"


@lru_cache(maxsize=512)
def _checker(text: str) -> Any:
    schema = json.loads(text)
    if isinstance(schema, dict):
        # The library would take its own, unbounded class for a schema that names its dialect.
        schema.pop("$schema", None)
        schema.pop("$id", None)
    return _Bounded(schema, registry=referencing.Registry())


# --- words ---


def _pointer(error: ValidationError) -> str:
    path = "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in error.absolute_path)
    return _short(path) or "/"


def _words(error: ValidationError) -> str:
    keyword, wanted = str(error.validator), error.validator_value
    if keyword in _PLAIN_WORDS:
        return _PLAIN_WORDS[keyword].format(_short(_text(wanted)))
    if keyword == "required":
        return f"{_short(error.message)}"
    if keyword == "type":
        return f"expected {_short(_text(wanted))}, found {_type_of(error.instance)}"
    return "is not allowed" if keyword in ("None", "false") else f"is against {keyword}"


_PLAIN_WORDS = {
    "enum": "is none of {}",
    "const": "must be {}",
    "pattern": "does not match {}",
    "minimum": "must be at least {}",
    "maximum": "must be at most {}",
    "exclusiveMinimum": "must be greater than {}",
    "exclusiveMaximum": "must be less than {}",
    "multipleOf": "must be a multiple of {}",
    "minLength": "must have at least {} characters",
    "maxLength": "must have at most {} characters",
    "minItems": "must have at least {} items",
    "maxItems": "must have at most {} items",
    "minProperties": "must have at least {} keys",
    "maxProperties": "must have at most {} keys",
    "uniqueItems": "must not have the same item twice",
    "anyOf": "fits none of the alternatives",
    "oneOf": "must fit exactly one of the alternatives",
    "not": "must not be so",
}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _short(text: str) -> str:
    cut = text if len(text) <= _MAX_TEXT else text[: _MAX_TEXT - 1] + "…"
    return "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in cut)


def _type_of(value: Any) -> str:
    names = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}
    return names.get(type(value), "null")


# --- keywords ---


def _pay(steps: int) -> None:
    left = _steps_left.get() - steps
    if left < 0:
        raise _TooLong
    _steps_left.set(left)


def _size(value: Any) -> int:
    if isinstance(value, dict | list):
        return len(value)
    return len(value) >> 6 if isinstance(value, str) else 0


def _paid(keyword: _Keyword) -> _Keyword:
    def check(validator: Any, wanted: Any, instance: Any, schema: Mapping[str, Any]) -> Iterator[ValidationError]:
        _pay(1 + _size(wanted) + _size(instance))
        yield from keyword(validator, wanted, instance, schema) or ()

    return check


def _matches(pattern: str, text: str) -> bool:
    _pay(1 + len(pattern) * len(text) // 4096)
    return matches(pattern, text)


def _pattern(_validator: Any, pattern: Any, instance: Any, _schema: Mapping[str, Any]) -> Iterator[ValidationError]:
    if isinstance(instance, str) and not _matches(pattern, instance):
        yield ValidationError("pattern")


def _pattern_properties(
    validator: Any, properties: Any, instance: Any, _schema: Mapping[str, Any]
) -> Iterator[ValidationError]:
    if isinstance(instance, dict):
        for pattern, schema in properties.items():
            for key, value in instance.items():
                if _matches(pattern, key):
                    yield from _descend(validator, value, schema, key)


def _additional_properties(
    validator: Any, allowed: Any, instance: Any, schema: Mapping[str, Any]
) -> Iterator[ValidationError]:
    if not isinstance(instance, dict):
        return
    known, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    for key, value in instance.items():
        if key not in known and not any(_matches(pattern, key) for pattern in patterns):
            yield from _descend(validator, value, allowed, key)


def _properties(
    validator: Any, properties: Any, instance: Any, _schema: Mapping[str, Any]
) -> Iterator[ValidationError]:
    if isinstance(instance, dict):
        for key, schema in properties.items():
            if key in instance:
                yield from _descend(validator, instance[key], schema, key)


def _descend(validator: Any, value: Any, schema: Any, key: str) -> Iterator[ValidationError]:
    """The library forgets the path where the schema is `false`."""
    if schema is False:
        yield ValidationError("false", path=[key], validator="false")
    else:
        yield from validator.descend(value, schema, path=key)


def _unique_items(_validator: Any, wanted: Any, instance: Any, _schema: Mapping[str, Any]) -> Iterator[ValidationError]:
    if wanted and isinstance(instance, list):
        different = {json.dumps(_comparable(item), sort_keys=True) for item in instance}
        if len(different) < len(instance):
            yield ValidationError("uniqueItems")


def _comparable(value: Any) -> Any:
    """Equal for what JSON Schema calls equal: 1 and 1.0 are, 1 and true are not."""
    _pay(1)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {key: _comparable(member) for key, member in value.items()}
    return [_comparable(item) for item in value] if isinstance(value, list) else value


_OWN: Mapping[str, _Keyword] = {
    "pattern": _pattern,
    "patternProperties": _pattern_properties,
    "properties": _properties,
    "additionalProperties": _additional_properties,
    "uniqueItems": _unique_items,
}
_Bounded = extend(  # type: ignore[no-untyped-call]
    Draft202012Validator,
    {name: _paid(_OWN.get(name, keyword)) for name, keyword in Draft202012Validator.VALIDATORS.items()},
)
