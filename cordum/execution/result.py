"""Whether what a handler returned may leave the worker: JSON, and not too large."""

from __future__ import annotations

import json
from typing import NoReturn

from cordum.domain.definition.json_reader import read_json
from cordum.domain.workflow import JSON
from cordum.errors import InvalidInput

__all__ = ["ResultRefused", "checked_result"]


class ResultRefused(Exception):
    """`code` is a reason code of CONTRACT.md 3.5."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def checked_result(value: object, max_bytes: int) -> JSON:
    """`value` as the JSON that will be kept (tuples are lists, keys are text), or ResultRefused."""
    try:
        data = _ENCODER.encode(value).encode()
    except (TypeError, ValueError) as error:
        raise ResultRefused("result_not_serializable", f"the result is not JSON: {_reason(error)}") from None
    except RecursionError:
        raise ResultRefused("result_not_serializable", "the result is not JSON: it is nested too deeply") from None
    if len(data) > max_bytes:
        raise ResultRefused("result_too_large", f"the result has {len(data)} bytes, {max_bytes} are allowed")
    try:
        return read_json(data)
    except InvalidInput as error:
        raise ResultRefused("result_not_serializable", f"the result cannot be kept: {error.detail}") from None


def _refuse(value: object) -> NoReturn:
    raise TypeError(f"it holds a value of type {type(value).__name__}")


# json.dumps would make one for each call.
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=_refuse)


def _reason(error: Exception) -> str:
    if isinstance(error, UnicodeEncodeError):
        return "it holds text with half of a surrogate pair"
    return str(error)
