"""Kinds of fields of requests: each refuses what is not plainly its own, with a code and a mend.

Messages are written `code: sentence`, because marshmallow carries nothing but text from a field to its error.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from marshmallow import RAISE, Schema, fields, validate

from cordum.domain.times import milliseconds

UNKNOWN = "unknown_field: unknown"

SAID: dict[str, str | list[Any] | dict[Any, Any]] = {
    "required": "missing_field: required",
    "null": "type: must not be null",
    "type": "type: wrong type",
    "invalid": "type: must be text",
    "invalid_utf8": "type: must be text",
    "validator_failed": "type: not allowed",
}
SCHEMA_SAID = {"unknown": UNKNOWN, "type": "type: must be an object"}
_WHOLE = re.compile(r"-?[0-9]{1,18}\Z")
MAX_LABELS = 32
MAX_LABEL_CHARS = 256
_LABEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,62}\Z")
MAX_REASON_CHARS = 2_000


class Strict(Schema):
    """Knows its fields and refuses all others."""

    error_messages = SCHEMA_SAID

    class Meta:
        unknown = RAISE


class Text(fields.String):
    default_error_messages = SAID


class WholeNumber(fields.Integer):
    """Digits and nothing else: `int()` alone would take underscores, blanks and other scripts' digits."""

    default_error_messages = SAID | {"invalid": "type: must be a whole number", "too_large": "number_range: too large"}

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> int:
        if not isinstance(value, str) or not _WHOLE.match(value):
            raise self.make_error("invalid", input=value)
        return int(value)


class Switch(fields.Boolean):
    default_error_messages = SAID | {"invalid": "type: must be true or false"}


class Flag(fields.Boolean):
    """A truth value of a JSON body, and nothing that looks like one."""

    default_error_messages = SAID | {"invalid": "type: must be true or false"}

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> bool:
        if not isinstance(value, bool):
            raise self.make_error("invalid", input=value)
        return value


class Count(fields.Integer):
    """A number of a JSON body: a number there, too, and no text that looks like one."""

    default_error_messages = SAID | {"invalid": "type: must be a whole number", "too_large": "number_range: too large"}

    def __init__(self, least: int, most: int) -> None:
        said = f"number_range: must be from {least} to {most}"
        super().__init__(strict=True, validate=validate.Range(least, most, error=said))

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.make_error("invalid", input=value)
        return value


class Label(fields.Field[tuple[str, str]]):
    """`name=value`."""

    default_error_messages = SAID | {
        "invalid": "type: must be name=value, with a plain name and at most 256 characters"
    }

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> tuple[str, str]:
        name, equals, text = str(value).partition("=")
        if not equals or not _LABEL_NAME.match(name) or len(text) > MAX_LABEL_CHARS:
            raise self.make_error("invalid", input=value)
        return name, text


class Mapped(fields.Raw):
    """A JSON object."""

    default_error_messages = SAID

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> Any:
        if not isinstance(value, dict):
            raise self.make_error("type", input=value)
        return value


class Labels(Mapped):
    default_error_messages = SAID | {
        "invalid": f"type: must map at most {MAX_LABELS} plain names to texts of at most {MAX_LABEL_CHARS} characters"
    }

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> Any:
        labels = super()._deserialize(value, attr, data, **kwargs)
        plain = all(
            _LABEL_NAME.match(name) and isinstance(text, str) and len(text) <= MAX_LABEL_CHARS
            for name, text in labels.items()
        )
        if not plain or len(labels) > MAX_LABELS:
            raise self.make_error("invalid", input=value)
        return labels


class Moment(fields.Field[int]):
    """An RFC 3339 time, as milliseconds."""

    default_error_messages = SAID | {"invalid": "time_format: must be an RFC 3339 time"}

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> int:
        found = milliseconds(value) if isinstance(value, str) else None
        if found is None:
            raise self.make_error("invalid", input=value)
        return found


class Anything(fields.Raw):
    """Any JSON value, null too."""


def one_of(choices: Iterable[str], **how: Any) -> Text:
    names = list(choices)
    return Text(validate=validate.OneOf(names, error=f"invalid_choice: must be one of {', '.join(names)}"), **how)


def shaped(pattern: str | re.Pattern[str], said: str, **how: Any) -> Text:
    """Text of this pattern, which the refusal calls `said`."""
    return Text(validate=validate.Regexp(pattern, error=f"id_format: not {said}"), **how)


def up_to(most: int, refusal: str, *, least: int | None = None, **how: Any) -> Text:
    """Text of at most so many characters."""
    return Text(validate=validate.Length(least, most, error=refusal), **how)
