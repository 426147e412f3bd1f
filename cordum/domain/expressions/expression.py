"""One expression: read once, evaluated as often as wanted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from cordum.domain.expressions import syntax
from cordum.domain.expressions.budget import Budget, Refused
from cordum.domain.expressions.evaluator import Evaluation, failure
from cordum.domain.expressions.parser import parse
from cordum.domain.expressions.tokens import ExpressionSyntaxError, Token, TokenKind, scan
from cordum.domain.expressions.values import JSON, Value, plain, text_of, truthy

_OPENING = "${"

_Form = TypeVar("_Form")


@dataclass(frozen=True, slots=True)
class Expression:
    """Made by `parse`. Columns in errors count from 1 within `text`, `${` included where it is written."""

    text: str
    _root: syntax.Node = field(repr=False, compare=False)

    @classmethod
    def parse(cls, text: str) -> Expression:
        """`text` is bare (`steps.c.output == true`) or exactly one `${...}`. Raises ExpressionSyntaxError."""
        start = len(text) - len(text.lstrip())
        if not text.startswith(_OPENING, start):
            return cls(text, _parsed(text, scan(text)))
        expression, end = cls.embedded(text, start)
        if text[end:].strip():
            raise ExpressionSyntaxError("nothing may follow `${...}` here: write one expression", end + 1)
        return expression

    @classmethod
    def embedded(cls, text: str, start: int) -> tuple[Expression, int]:
        """The `${...}` that begins at offset `start` of `text`, and the offset behind it."""
        tokens = scan(text, start + len(_OPENING), braced=True)
        return cls(text, _parsed(text, tokens)), tokens[-1].start + 1

    def evaluate(self, scope: Mapping[str, Value], budget: Budget | None = None) -> JSON:
        """The value, as plain JSON that shares nothing with `scope`. Raises ExpressionError."""
        return self._finished(plain, scope, budget or Budget())

    def evaluate_text(self, scope: Mapping[str, Value], budget: Budget) -> str:
        """The value as it reads inside a text: null is empty, a list is compact JSON. Raises ExpressionError."""
        return self._finished(text_of, scope, budget)

    def truth(self, scope: Mapping[str, Value]) -> bool:
        """False for null, false, 0 and "", true for all else. Raises ExpressionError."""
        return truthy(Evaluation(self.text, scope, Budget()).value(self._root))

    def references(self) -> frozenset[tuple[str, ...]]:
        """The paths read, each as far as it is known beforehand: `steps[x].y` reads ("steps",) and ("x",)."""
        return frozenset(syntax.references(self._root))

    @property
    def output_of(self) -> str | None:
        """The step whose whole output this is (`steps.<id>.output`); None of any other expression."""
        root = self._root
        if not isinstance(root, syntax.Access) or not isinstance(root.base, syntax.Name) or root.base.name != "steps":
            return None
        keys = [key.value for key in root.keys if isinstance(key, syntax.Constant)]
        return str(keys[0]) if len(root.keys) == 2 and keys[1:] == ["output"] else None

    def _finished(self, form: Callable[[Value, Budget], _Form], scope: Mapping[str, Value], budget: Budget) -> _Form:
        value = Evaluation(self.text, scope, budget).value(self._root)
        try:
            return form(value, budget)
        except Refused as refused:
            raise failure(self.text, self._root.start, self._root.end, refused) from None


def _parsed(text: str, tokens: list[Token]) -> syntax.Node:
    if tokens[0].kind is TokenKind.END:
        raise ExpressionSyntaxError("an expression is missing", tokens[0].start + 1)
    return parse(tokens)
