"""Strict JSON: what a checker sees and what a worker sees must be the same value.

Refused beside what the grammar refuses: duplicate keys, NaN and infinities (also by overflow, `1e999`), lone
surrogates, numbers of more than `MAX_NUMBER_CHARS` characters, nesting deeper than asked for, anything but UTF-8.
"""

from __future__ import annotations

import json
import math
import re
from bisect import bisect_right
from collections import Counter
from contextlib import suppress
from typing import NoReturn

from cordum.domain.definition.document import MAX_DEPTH, Position, TreeBuilder
from cordum.domain.definition.problems import Problems, ReadingStopped, shown
from cordum.domain.workflow import JSON
from cordum.errors import InvalidInput, Problem

MAX_NUMBER_CHARS = 1000

# A longer text is not worth reading again, slowly, only to name the place of what is wrong.
_MAX_EXPLAINED = 64 * 1024

_TOO_LONG = f"a number may have {MAX_NUMBER_CHARS} characters"
_TOO_LARGE = "the number is too large"
_HALF_PAIR = "half of a surrogate pair is not a character"

_BLANK = re.compile(r"[ \t\r\n]*")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?P<decimal>(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?)")
_WORD = re.compile(r"-?[A-Za-z]+")
_WORDS: dict[str, JSON] = {"true": True, "false": False, "null": None}
_NOT_FINITE = frozenset({"NaN", "Infinity", "-Infinity"})
_SURROGATE = re.compile("[\ud800-\udfff]")
_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")


def read_json(data: bytes, *, max_depth: int = MAX_DEPTH) -> JSON:
    """The value of a JSON text.

    Raises InvalidInput with code json_syntax, too_deep, duplicate_key, number_not_finite, number_range or text_invalid;
    its problems name the places, except in large texts.
    """
    problems = Problems()
    with suppress(ReadingStopped):
        text = utf8(data, "json_syntax", problems)
        try:
            return _quick(text, max_depth)
        except _Flaw as flaw:
            if len(text) <= _MAX_EXPLAINED:
                read_json_text(text, TreeBuilder(problems, max_depth))
            if not problems:
                problems.stop(flaw.problem)
    first, *_ = problems
    raise InvalidInput(f"the JSON cannot be used: {first}", code=first.code, problems=tuple(problems))


def utf8(data: bytes, code: str, problems: Problems) -> str:
    """`data` as text; stops the reading when it is not UTF-8."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8")
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        problems.stop(Problem("", code, "the text is not UTF-8", line, column))


# --- the quick way: the standard library's scanner, which is fast and says no, but not where ---


class _Flaw(Exception):
    """The text is refused."""

    def __init__(self, code: str, message: str, line: int | None = None, column: int | None = None) -> None:
        super().__init__(message)
        self.problem = Problem("", code, message, line, column)


def _quick(text: str, max_depth: int) -> JSON:
    """The value of `text`. Raises _Flaw."""
    try:
        value: JSON = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise _Flaw("json_syntax", _lower(error.msg), error.lineno, error.colno) from None
    except RecursionError:
        raise _Flaw("too_deep", _too_deep(max_depth)) from None
    _check_nesting(value, max_depth, _SURROGATE_ESCAPE.search(text) is not None)
    return value


def _unique(pairs: list[tuple[str, JSON]]) -> dict[str, JSON]:
    members = dict(pairs)
    if len(members) != len(pairs):
        [(name, _), *_] = Counter(name for name, _ in pairs).most_common(1)
        raise _Flaw("duplicate_key", f"{shown(name)} is given twice")
    return members


def _integer(digits: str) -> int:
    if len(digits) > MAX_NUMBER_CHARS:
        raise _Flaw("number_range", _TOO_LONG)
    return int(digits)


def _decimal(digits: str) -> float:
    if len(digits) > MAX_NUMBER_CHARS:
        raise _Flaw("number_range", _TOO_LONG)
    number = float(digits)
    if not math.isfinite(number):
        raise _Flaw("number_not_finite", _TOO_LARGE)
    return number


def _constant(word: str) -> NoReturn:
    raise _Flaw("number_not_finite", f"{word} is not a JSON value")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique, parse_int=_integer, parse_float=_decimal, parse_constant=_constant
)


def _check_nesting(value: JSON, max_depth: int, surrogates_possible: bool) -> None:
    """Level by level, because a recursive walk has the very limit that is being checked."""
    level: list[JSON] = [value]
    depth = 0
    while level:
        if surrogates_possible and any(isinstance(item, str) and _SURROGATE.search(item) for item in level):
            raise _Flaw("text_invalid", _HALF_PAIR)
        if depth == max_depth and any(isinstance(item, dict | list) for item in level):
            raise _Flaw("too_deep", _too_deep(max_depth))
        level = _contents(level)
        depth += 1


def _contents(level: list[JSON]) -> list[JSON]:
    """The keys and values in the mappings, and the items of the lists."""
    below: list[JSON] = []
    for item in level:
        if isinstance(item, dict):
            below += item
            below += item.values()
        elif isinstance(item, list):
            below += item
    return below


# --- the strict way: every value with its place ---


def read_json_text(text: str, tree: TreeBuilder) -> None:
    """Read `text` into `tree`. Raises ReadingStopped when it is no JSON."""
    _Reader(text, tree).read()


class _Reader:
    def __init__(self, text: str, tree: TreeBuilder) -> None:
        self._text = text
        self._tree = tree
        self._at = 0
        self._line_starts = [0, *(match.end() for match in re.finditer("\n", text))]
        self._decode_string = json.JSONDecoder().raw_decode

    def read(self) -> None:
        self._value()
        while self._tree.inside:
            if self._tree.in_mapping:
                self._member()
            else:
                self._element()
        if self._peek():
            self._fail("more text after the end of the document")

    def _element(self) -> None:
        if not self._closed_by("]"):
            self._value()

    def _member(self) -> None:
        if self._closed_by("}"):
            return
        if self._peek() != '"':
            self._fail("expected a key in double quotes")
        at = self._position()
        name = self._string()
        if self._peek() != ":":
            self._fail('expected ":" after the key')
        self._at += 1
        self._tree.key(name, at)
        self._value()

    def _closed_by(self, bracket: str) -> bool:
        """Step over the end of the innermost container (true), or over the comma in front of its next entry."""
        char = self._peek()
        if char == bracket:
            self._at += 1
            self._tree.close()
            return True
        if not self._tree.empty:
            if char != ",":
                self._fail(f'expected "," or "{bracket}"')
            self._at += 1
        return False

    def _value(self) -> None:
        char = self._peek()
        at = self._position()
        if char == "{":
            self._at += 1
            self._tree.open_mapping(at)
        elif char == "[":
            self._at += 1
            self._tree.open_list(at)
        elif char == '"':
            self._tree.scalar(self._string(), at)
        else:
            self._tree.scalar(self._number(at) if char in "-0123456789" and char else self._word(at), at)

    def _string(self) -> str:
        at = self._position()
        try:
            text, self._at = self._decode_string(self._text, self._at)
        except json.JSONDecodeError as error:
            self._at = error.pos
            self._fail(_lower(error.msg))
        if _SURROGATE.search(text):
            self._tree.refuse("text_invalid", _HALF_PAIR, at)
        return str(text)

    def _number(self, at: Position) -> JSON:
        match = _NUMBER.match(self._text, self._at)
        if match is None:
            return self._word(at)
        self._at = match.end()
        digits = match.group()
        if len(digits) > MAX_NUMBER_CHARS:
            self._tree.refuse("number_range", _TOO_LONG, at)
            return 0
        if not match["decimal"]:
            return int(digits)
        number = float(digits)
        if not math.isfinite(number):
            self._tree.refuse("number_not_finite", _TOO_LARGE, at)
        return number

    def _word(self, at: Position) -> JSON:
        match = _WORD.match(self._text, self._at)
        word = match.group() if match else ""
        if word in _NOT_FINITE:
            self._tree.refuse("number_not_finite", f"{word} is not a JSON value", at)
        elif word not in _WORDS:
            self._fail("expected a value" if self._text.strip(" \t\r\n") else "the document is empty")
        self._at += len(word)
        return _WORDS.get(word)

    def _peek(self) -> str:
        """The next character that is not blank, or nothing at the end."""
        match = _BLANK.match(self._text, self._at)
        self._at = match.end() if match else self._at
        return self._text[self._at : self._at + 1]

    def _position(self) -> Position:
        line = bisect_right(self._line_starts, self._at)
        return Position(line, self._at - self._line_starts[line - 1] + 1)

    def _fail(self, message: str) -> NoReturn:
        self._tree.stop("json_syntax", message, self._position())


def _too_deep(max_depth: int) -> str:
    return f"nested deeper than {max_depth} levels"


def _lower(message: str) -> str:
    return message[:1].lower() + message[1:]
