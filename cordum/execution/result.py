"""Whether what a handler returned may leave the worker: JSON, and not too large."""

from __future__ import annotations

import json
from types import NoneType
from typing import NamedTuple, NoReturn

import orjson

from cordum.domain.definition.document import MAX_DEPTH
from cordum.domain.definition.json_reader import read_json
from cordum.domain.workflow import JSON
from cordum.errors import InvalidInput
from cordum.store import codec

__all__ = ["Result", "ResultRefused", "checked_result"]


class Result(NamedTuple):
    """A result as it is kept: a value that is nobody else's, and its JSON text."""

    value: JSON
    text: str


class ResultRefused(Exception):
    """`code` is a reason code of CONTRACT.md 3.5."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def checked_result(value: object, max_bytes: int) -> Result:
    """`value` as the JSON that will be kept (tuples are lists, keys are text), or ResultRefused."""
    data = _quickly(value)
    if data is not None and len(data) <= max_bytes:
        return Result(orjson.loads(data), data.decode())
    try:
        data = _ENCODER.encode(value).encode()
    except (TypeError, ValueError) as error:
        raise ResultRefused("result_not_serializable", f"the result is not JSON: {_reason(error)}") from None
    except RecursionError:
        raise ResultRefused("result_not_serializable", "the result is not JSON: it is nested too deeply") from None
    if len(data) > max_bytes:
        raise ResultRefused("result_too_large", f"the result has {len(data)} bytes, {max_bytes} are allowed")
    try:
        kept = read_json(data)
    except InvalidInput as error:
        raise ResultRefused("result_not_serializable", f"the result cannot be kept: {error.detail}") from None
    return Result(kept, codec.to_json(kept))


def _quickly(value: object) -> bytes | None:
    """The text of a value that reads as it is and cannot be refused; None: look at it closely.

    Without numbers whose form orjson would change: fractions, and integers over 64 bits, which it refuses.
    """
    if not _is_plain(value):
        return None
    try:
        return orjson.dumps(value)
    except TypeError:
        return None


def _is_plain(value: object) -> bool:
    """Level by level, and the types of each at once: most of a large value is not looked at one by one."""
    level: list[object] = [value]
    for _ in range(MAX_DEPTH + 1):
        kinds = set(map(type, level))
        if not kinds <= _PLAIN:
            return False
        if kinds <= _SCALARS:
            return True
        below: list[object] = []
        for item in level:
            if isinstance(item, dict):
                if not _TEXT.issuperset(map(type, item)):
                    return False
                below += item.values()
            elif isinstance(item, list):
                below += item
        level = below
    return False


def _refuse(value: object) -> NoReturn:
    raise TypeError(f"it holds a value of type {type(value).__name__}")


_TEXT = frozenset({str})
_SCALARS = frozenset({str, int, bool, NoneType})
_PLAIN = _SCALARS | {dict, list}

# json.dumps would make one for each call.
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=_refuse)


def _reason(error: Exception) -> str:
    if isinstance(error, UnicodeEncodeError):
        return "it holds text with half of a surrogate pair"
    return str(error)
