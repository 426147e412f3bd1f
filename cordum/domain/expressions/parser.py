"""Tokens to a syntax tree. From loosest to tightest:

    a ? b : c        right to left
    ??               the first operand that is not null
    ||  or           the first truthy operand, else the last
    &&  and          the first falsy operand, else the last
    not              `not a == b` is `not (a == b)`, as in Python
    == != < <= > >=  do not chain: `1 < x < 9` is refused, not misread
    in contains startsWith endsWith
    + -              left to right
    * / %            left to right
    ! -x             `!a == b` is `(!a) == b`, as in C
    a.b  a["b"]  a[0]  f(x)

Whatever is not in this grammar is refused here, when the definition is read. Nothing is evaluated.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from enum import IntEnum
from typing import TypeVar

from cordum.domain.expressions.functions import EACH, FUNCTIONS
from cordum.domain.expressions.syntax import (
    Access,
    Arithmetic,
    Call,
    Conditional,
    Constant,
    Each,
    ListOf,
    Name,
    Negate,
    Node,
    Not,
    ObjectOf,
    ShortCircuit,
    Test,
)
from cordum.domain.expressions.tokens import ExpressionSyntaxError, Token, TokenKind

MAX_DEPTH = 64

_T = TypeVar("_T")

_LITERALS: dict[str, bool | None] = {"true": True, "false": False, "null": None}
_SAME_AS = {"or": "||", "and": "&&"}
_DEFAULT = "default"


class _Rung(IntEnum):
    """Precedence: a higher rung binds tighter."""

    CONDITIONAL = 1
    COALESCE = 2
    OR = 3
    AND = 4
    NOT = 5
    COMPARISON = 6
    MEMBERSHIP = 7
    SUM = 8
    PRODUCT = 9
    UNARY = 10


_INFIX = {
    "?": _Rung.CONDITIONAL,
    "??": _Rung.COALESCE,
    "||": _Rung.OR,
    "or": _Rung.OR,
    "&&": _Rung.AND,
    "and": _Rung.AND,
    **dict.fromkeys(("==", "!=", "<", "<=", ">", ">="), _Rung.COMPARISON),
    **dict.fromkeys(("in", "contains", "startsWith", "endsWith"), _Rung.MEMBERSHIP),
    **dict.fromkeys("+-", _Rung.SUM),
    **dict.fromkeys("*/%", _Rung.PRODUCT),
}
_RESERVED = frozenset(word for word in (*_INFIX, *_LITERALS, "not") if word.isalpha())


def parse(tokens: list[Token]) -> Node:
    """The tree of one whole expression. Raises ExpressionSyntaxError at the first token that does not fit."""
    parser = _Parser(tokens)
    root = parser.expression()
    parser.expect_end()
    return root


class _Parser:
    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._index = 0
        self._depth = 0

    def expression(self, rung: _Rung = _Rung.CONDITIONAL) -> Node:
        """One expression whose operators are all on `rung` or tighter. Every recursion comes through here."""
        if self._depth == MAX_DEPTH:
            raise ExpressionSyntaxError(f"an expression nests at most {MAX_DEPTH} deep", self._token.start + 1)
        self._depth += 1
        node = self._operand()
        while (found := self._infix_rung()) is not None and found >= rung:
            node = self._infix(node, found)
        self._depth -= 1
        return node

    def expect_end(self) -> None:
        if self._token.kind is not TokenKind.END:
            raise self._unexpected("an operator or the end")

    # Reading tokens

    @property
    def _token(self) -> Token:
        return self._tokens[self._index]

    def _next(self) -> Token:
        token = self._token
        self._index += 1
        return token

    def _at(self, symbol: str) -> bool:
        return self._token.kind is TokenKind.SYMBOL and self._token.text == symbol

    def _taken(self, symbol: str) -> bool:
        if not self._at(symbol):
            return False
        self._index += 1
        return True

    def _expect(self, symbol: str) -> Token:
        if not self._at(symbol):
            raise self._unexpected(f"`{symbol}`")
        return self._next()

    def _unexpected(self, wanted: str) -> ExpressionSyntaxError:
        token = self._token
        match token.kind:
            case TokenKind.END:
                found = "the end"
            case TokenKind.NUMBER:
                found = "a number"
            case TokenKind.STRING:
                found = "a string"
            case _:
                found = f"`{token.text[:40]}`"
        return ExpressionSyntaxError(f"expected {wanted}, found {found}", token.start + 1)

    # Operators

    def _infix_rung(self) -> _Rung | None:
        if self._token.kind in (TokenKind.SYMBOL, TokenKind.NAME):
            return _INFIX.get(self._token.text)
        return None

    def _infix(self, left: Node, rung: _Rung) -> Node:
        if rung is _Rung.CONDITIONAL:
            return self._conditional(left)
        if rung in (_Rung.COALESCE, _Rung.OR, _Rung.AND):
            return self._short_circuit(left, rung)
        if rung in (_Rung.COMPARISON, _Rung.MEMBERSHIP):
            return self._test(left, rung)
        return self._arithmetic(left, rung)

    def _conditional(self, test: Node) -> Node:
        self._next()
        then = self.expression()
        self._expect(":")
        otherwise = self.expression()
        return Conditional(test.start, otherwise.end, test, then, otherwise)

    def _short_circuit(self, first: Node, rung: _Rung) -> Node:
        operator = _SAME_AS.get(self._token.text, self._token.text)
        operands = [first]
        while self._infix_rung() is rung:
            self._next()
            operands.append(self.expression(_Rung(rung + 1)))
        return ShortCircuit(first.start, operands[-1].end, operator, tuple(operands))

    def _test(self, left: Node, rung: _Rung) -> Node:
        operator = self._next().text
        right = self.expression(_Rung(rung + 1))
        if self._infix_rung() is rung:
            message = f"`{operator}` and `{self._token.text}` do not chain: use `&&` or parentheses"
            raise ExpressionSyntaxError(message, self._token.start + 1)
        return Test(left.start, right.end, operator, left, right)

    def _arithmetic(self, first: Node, rung: _Rung) -> Node:
        rest: list[tuple[str, Node]] = []
        while self._infix_rung() is rung:
            operator = self._next().text
            rest.append((operator, self.expression(_Rung(rung + 1))))
        return Arithmetic(first.start, rest[-1][1].end, first, tuple(rest))

    # Operands

    def _operand(self) -> Node:
        token = self._token
        if token.kind is TokenKind.NAME and token.text == "not":
            self._next()
            operand = self.expression(_Rung.NOT)
            return Not(token.start, operand.end, operand)
        if self._taken("!"):
            operand = self.expression(_Rung.UNARY)
            return Not(token.start, operand.end, operand)
        if self._taken("-"):
            operand = self.expression(_Rung.UNARY)
            return Negate(token.start, operand.end, operand)
        return self._with_keys(self._primary())

    def _with_keys(self, base: Node) -> Node:
        keys: list[Node] = []
        while True:
            if self._taken("."):
                keys.append(self._key())
            elif self._taken("["):
                keys.append(self.expression())
                self._expect("]")
            else:
                break
        if self._at("("):
            raise ExpressionSyntaxError("only a function can be called, as `f(x)`", self._token.start + 1)
        return Access(base.start, self._tokens[self._index - 1].end, base, tuple(keys)) if keys else base

    def _key(self) -> Node:
        if self._token.kind is not TokenKind.NAME:
            raise self._unexpected('a name after `.` (other keys are written `["a-b"]`, positions `[0]`)')
        token = self._next()
        return Constant(token.start, token.end, token.text)

    def _primary(self) -> Node:
        token = self._token
        match token.kind:
            case TokenKind.NUMBER:
                self._next()
                return Constant(token.start, token.end, token.number)
            case TokenKind.STRING:
                self._next()
                return Constant(token.start, token.end, token.text)
            case TokenKind.NAME:
                return self._word()
        if self._taken("("):
            inner = self.expression()
            self._expect(")")
            return inner
        if self._at("["):
            return self._list()
        if self._at("{"):
            return self._object()
        raise self._unexpected("a value")

    def _word(self) -> Node:
        token = self._token
        if token.text in _LITERALS:
            self._next()
            return Constant(token.start, token.end, _LITERALS[token.text])
        if token.text in _RESERVED:
            raise self._unexpected("a value")
        self._next()
        return self._call(token) if self._at("(") else Name(token.start, token.end, token.text)

    def _list(self) -> Node:
        start = self._next().start
        items = self._until("]", self.expression)
        return ListOf(start, self._tokens[self._index - 1].end, tuple(items))

    def _object(self) -> Node:
        start = self._next().start
        members: dict[str, Node] = {}

        def member() -> None:
            token = self._token
            if token.kind not in (TokenKind.NAME, TokenKind.STRING):
                raise self._unexpected("a key")
            if token.text in members:
                raise ExpressionSyntaxError("the same key twice", token.start + 1)
            self._next()
            self._expect(":")
            members[token.text] = self.expression()

        self._until("}", member)
        return ObjectOf(start, self._tokens[self._index - 1].end, tuple(members), tuple(members.values()))

    def _until(self, closing: str, item: Callable[[], _T]) -> list[_T]:
        """Items between commas, up to and with the `closing` symbol."""
        items: list[_T] = []
        if self._taken(closing):
            return items
        while True:
            items.append(item())
            if self._taken(closing):
                return items
            if not self._taken(","):
                raise self._unexpected(f"`,` or `{closing}`")

    # Calls

    def _call(self, name: Token) -> Node:
        self._expect("(")
        if name.text in EACH:
            return self._each(name)
        if name.text != _DEFAULT and name.text not in FUNCTIONS:
            raise ExpressionSyntaxError(_unknown_function(name.text), name.start + 1)
        arguments = tuple(self._until(")", self.expression))
        end = self._tokens[self._index - 1].end
        least, most = (2, 2) if name.text == _DEFAULT else FUNCTIONS[name.text].arity
        if not least <= len(arguments) <= (most or len(arguments)):
            raise ExpressionSyntaxError(_wrong_arity(name.text, least, most, len(arguments)), name.start + 1)
        if name.text == _DEFAULT:
            return ShortCircuit(name.start, end, "??", arguments)
        return Call(name.start, end, name.text, arguments)

    def _each(self, name: Token) -> Node:
        items = self.expression()
        self._expect(",")
        parameter = self._token
        if parameter.kind is not TokenKind.NAME or parameter.text in _RESERVED:
            raise self._unexpected(f"`x -> …` as second argument of {name.text}")
        self._next()
        self._expect("->")
        body = self.expression()
        end = self._expect(")").end
        return Each(name.start, end, name.text, items, parameter.text, body)


def _unknown_function(name: str) -> str:
    known = sorted((*FUNCTIONS, *EACH, _DEFAULT))
    close = difflib.get_close_matches(name[:40], known, n=1)
    hint = f"did you mean `{close[0]}`?" if close else f"known are {' '.join(known)}"
    return f"unknown function `{name[:40]}`, {hint}"


def _wrong_arity(name: str, least: int, most: int | None, given: int) -> str:
    if most is None:
        wanted = f"at least {least}"
    elif least == most:
        wanted = str(least)
    else:
        wanted = f"{least} to {most}"
    return f"{name} takes {wanted} argument{'' if wanted == '1' else 's'}, not {given}"
