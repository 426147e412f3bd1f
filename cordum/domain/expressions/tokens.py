"""Text to tokens, by hand: no regular expression sees what a user wrote. It also finds where a `${...}` ends."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum, auto

MAX_LENGTH = 4096

_SYMBOLS = ("&&", "||", "??", "==", "!=", "<=", ">=", "->", *"?:!<>+-*/%.,()[]{}")
_DIGITS = frozenset("0123456789")
_NAME_START = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_")
_NAME = _NAME_START | _DIGITS
_HEX = frozenset("0123456789abcdefABCDEF")
_SPACE = frozenset(" \t\r\n")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "\\": "\\", "/": "/", "'": "'", '"': '"'}
_HINTS = {
    "=": "`=` is no operator, equality is `==`",
    "&": "`&` is no operator, and is `&&`",
    "|": "`|` is no operator, or is `||`",
    "$": "`${` cannot stand inside an expression",
}


class ExpressionSyntaxError(ValueError):
    """A text is no expression. `column` counts from 1 within the text given; in a template `path` leads to that text.

    `code` is the problem's code in CONTRACT.md section 2.
    """

    def __init__(
        self, message: str, column: int, *, code: str = "expr_syntax", path: tuple[str | int, ...] = ()
    ) -> None:
        super().__init__(f"{message} (column {column})")
        self.message = message
        self.column = column
        self.code = code
        self.path = path


class TokenKind(Enum):
    NAME = auto()
    NUMBER = auto()
    STRING = auto()
    SYMBOL = auto()
    END = auto()


@dataclass(frozen=True, slots=True)
class Token:
    """`text` is a name, a symbol, or what a string says; `number` is set on numbers. `start` and `end` are offsets."""

    kind: TokenKind
    start: int
    end: int
    text: str = ""
    number: int | float = 0


def scan(text: str, start: int = 0, *, braced: bool = False) -> list[Token]:
    """The tokens of `text` from `start` on, the last one END.

    `braced`: `start` lies behind a `${`; the expression ends at the brace that closes it, which is where END starts.
    """
    return _Scanner(text, start, braced).tokens()


def to_number(text: str) -> int | float | None:
    """The number that `text` spells the way JSON does, space around it allowed, or None."""
    if len(text) > MAX_LENGTH:
        return None
    text = text.strip()
    start = 1 if text.startswith("-") else 0
    if len(text) == start or _number_end(text, start, len(text)) != len(text):
        return None
    return _convert(text)


def _convert(digits: str) -> int | float | None:
    """`digits` is a well-formed number. None when it is too large for a float."""
    if "." not in digits and "e" not in digits and "E" not in digits:
        return int(digits)
    number = float(digits)
    return number if math.isfinite(number) else None


def _run_of(accepted: frozenset[str], text: str, start: int, stop: int) -> int:
    while start < stop and text[start] in accepted:
        start += 1
    return start


def _number_end(text: str, start: int, stop: int) -> int:
    """Where the unsigned number that begins at `start` ends; `start` itself if there is none."""
    end = _run_of(_DIGITS, text, start, stop)
    if end == start or (text[start] == "0" and end > start + 1):
        return start
    if end < stop and text[end] == ".":
        fraction = _run_of(_DIGITS, text, end + 1, stop)
        end = fraction if fraction > end + 1 else end
    if end < stop and text[end] in "eE":
        first = end + 2 if end + 1 < stop and text[end + 1] in "+-" else end + 1
        exponent = _run_of(_DIGITS, text, first, stop)
        end = exponent if exponent > first else end
    return end


class _Scanner:
    def __init__(self, text: str, start: int, braced: bool) -> None:
        self._text = text
        self._start = start
        self._braced = braced
        self._position = start
        # One past the limit, so that a closing brace right behind the longest expression is still seen.
        self._stop = min(len(text), start + MAX_LENGTH + (1 if braced else 0))

    def tokens(self) -> list[Token]:
        if not self._braced and self._stop < len(self._text):
            raise self._too_long()
        found: list[Token] = []
        open_braces = 0
        while True:
            self._position = _run_of(_SPACE, self._text, self._position, self._stop)
            if self._position == self._stop:
                break
            token = self._read(self._text[self._position])
            if token.text == "{" and token.kind is TokenKind.SYMBOL:
                open_braces += 1
            elif token.text == "}" and token.kind is TokenKind.SYMBOL:
                open_braces -= 1
                if open_braces < 0 and self._braced:
                    return [*found, Token(TokenKind.END, token.start, token.start)]
            found.append(token)
            self._position = token.end
        if self._braced:
            raise self._unclosed("`${` is never closed", self._start - 2)
        return [*found, Token(TokenKind.END, self._stop, self._stop)]

    def _read(self, first: str) -> Token:
        if first in _NAME_START:
            return self._name()
        if first in _DIGITS:
            return self._number()
        if first in "'\"":
            return self._string(first)
        return self._symbol()

    def _name(self) -> Token:
        start = self._position
        end = _run_of(_NAME, self._text, start, self._stop)
        return Token(TokenKind.NAME, start, end, self._text[start:end])

    def _number(self) -> Token:
        start = self._position
        end = _number_end(self._text, start, self._stop)
        if end == start or (end < self._stop and (self._text[end] in _NAME or self._text[end] == ".")):
            raise ExpressionSyntaxError("malformed number", start + 1)
        number = _convert(self._text[start:end])
        if number is None:
            raise ExpressionSyntaxError("number too large", start + 1)
        return Token(TokenKind.NUMBER, start, end, number=number)

    def _symbol(self) -> Token:
        start = self._position
        for symbol in _SYMBOLS:
            if self._text.startswith(symbol, start, self._stop):
                return Token(TokenKind.SYMBOL, start, start + len(symbol), symbol)
        found = self._text[start]
        raise ExpressionSyntaxError(_HINTS.get(found, f"unexpected character {found!a}"), start + 1)

    def _string(self, quote: str) -> Token:
        start = self._position
        position = start + 1
        pieces: list[str] = []
        while position < self._stop:
            found = self._text[position]
            if found == quote:
                return Token(TokenKind.STRING, start, position + 1, _joined(pieces, start))
            if found == "\\":
                piece, position = self._escape(position)
            else:
                piece, position = found, position + 1
            pieces.append(piece)
        raise self._unclosed("the string that starts here is never closed", start)

    def _escape(self, start: int) -> tuple[str, int]:
        letter = self._text[start + 1 : start + 2]
        if letter == "u":
            digits = self._text[start + 2 : start + 6]
            if len(digits) == 4 and _HEX.issuperset(digits):
                return chr(int(digits, 16)), start + 6
        elif letter in _ESCAPES:
            return _ESCAPES[letter], start + 2
        raise ExpressionSyntaxError("unknown escape in a string, a backslash is written `\\\\`", start + 1)

    def _unclosed(self, message: str, start: int) -> ExpressionSyntaxError:
        return self._too_long() if self._stop < len(self._text) else ExpressionSyntaxError(message, start + 1)

    def _too_long(self) -> ExpressionSyntaxError:
        message = f"an expression has at most {MAX_LENGTH} characters"
        return ExpressionSyntaxError(message, self._start + 1, code="limit_exceeded")


def _joined(pieces: list[str], start: int) -> str:
    """The content of a string literal, its surrogate pairs put together."""
    content = "".join(pieces)
    if content.isascii():
        return content
    try:
        return content.encode("utf-16-le", "surrogatepass").decode("utf-16-le")
    except UnicodeDecodeError:
        raise ExpressionSyntaxError("half of a surrogate pair in a string", start + 1) from None
