"""JSON whose strings may hold `${...}`. Compiled once; what an expression gives is data and is never looked at again.

A string that is exactly one `${...}` becomes its value, whatever the kind; in other strings values are joined as text.
`$${` is a literal `${`. Keys of objects are literal.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from cordum.domain.expressions.budget import Budget
from cordum.domain.expressions.expression import Expression
from cordum.domain.expressions.tokens import ExpressionSyntaxError
from cordum.domain.expressions.values import JSON, Value
from cordum.errors import ExpressionError

MAX_TEMPLATE_DEPTH = 64
# What expressions can see, less what a run has from its beginning to its end.
_CHANGING = frozenset({"steps", "ctx", "item", "index", "loop"})

_Path: TypeAlias = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class _Literal:
    """A scalar without expressions."""

    value: bool | int | float | str | None


@dataclass(frozen=True, slots=True)
class _Whole:
    """A string that is exactly one `${...}`."""

    path: _Path
    expression: Expression


@dataclass(frozen=True, slots=True)
class _Joined:
    """A string with text around or between its expressions."""

    path: _Path
    parts: tuple[str | Expression, ...]


@dataclass(frozen=True, slots=True)
class _List:
    items: tuple[_Part, ...]


@dataclass(frozen=True, slots=True)
class _Object:
    members: tuple[tuple[str, _Part], ...]


_Part: TypeAlias = _Literal | _Whole | _Joined | _List | _Object


@dataclass(frozen=True, slots=True)
class Template:
    """Made by `compile`; `source` is the value it was made from."""

    source: JSON
    _root: _Part = field(repr=False, compare=False)

    @classmethod
    def compile(cls, value: JSON) -> Template:
        """Raises ExpressionSyntaxError, whose `path` leads to the string at fault and whose column counts within it."""
        return cls(value, _compiled(value, ()))

    def render(self, scope: Mapping[str, Value]) -> JSON:
        """New plain JSON with every expression evaluated, all on one budget. Raises ExpressionError."""
        return _rendered(self._root, scope, Budget())

    @property
    def dynamic(self) -> bool:
        """Whether rendering evaluates anything; if not, it gives the same value always."""
        return next(_expressions(self._root), None) is not None

    def whole_outputs(self) -> frozenset[str] | None:
        """The steps whose outputs are put in as they are.

        None: something else is read that may change while a run goes on, so that rendering has to wait for it.
        """
        whole = {part.expression: step for part in _wholes(self._root) if (step := part.expression.output_of)}
        others = (expression for expression in _expressions(self._root) if expression not in whole)
        if any(path[0] in _CHANGING for expression in others for path in expression.references()):
            return None
        return frozenset(whole.values())

    def references(self) -> frozenset[tuple[str, ...]]:
        """The paths read from the scope by any of the expressions (see `Expression.references`)."""
        return frozenset(path for expression in _expressions(self._root) for path in expression.references())


def _compiled(value: JSON, path: _Path) -> _Part:
    if len(path) > MAX_TEMPLATE_DEPTH:
        raise ExpressionSyntaxError(f"values nest at most {MAX_TEMPLATE_DEPTH} deep", 1, path=path)
    if isinstance(value, str):
        return _compiled_text(value, path)
    if isinstance(value, list):
        return _List(tuple(_compiled(item, (*path, index)) for index, item in enumerate(value)))
    if isinstance(value, dict):
        return _Object(tuple(_member(key, item, path) for key, item in value.items()))
    if value is None or isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)):
        return _Literal(value)
    raise ExpressionSyntaxError("a value that is not JSON", 1, path=path)


def _member(key: str, value: JSON, path: _Path) -> tuple[str, _Part]:
    if not isinstance(key, str):
        raise ExpressionSyntaxError("a key that is not a string", 1, path=path)
    return key, _compiled(value, (*path, key))


def _compiled_text(text: str, path: _Path) -> _Part:
    try:
        parts = tuple(_parts(text))
    except ExpressionSyntaxError as error:
        raise ExpressionSyntaxError(error.message, error.column, code=error.code, path=path) from None
    match parts:
        case ():
            return _Literal("")
        case (str() as literal,):
            return _Literal(literal)
        case (Expression() as expression,):
            return _Whole(path, expression)
    return _Joined(path, parts)


def _parts(text: str) -> Iterator[str | Expression]:
    """`text` as literal pieces and expressions, in order; neighbouring literal pieces are one."""
    literal: list[str] = []
    position = 0
    while (dollar := text.find("$", position)) >= 0:
        literal.append(text[position:dollar])
        if text.startswith("$${", dollar):
            literal.append("${")
            position = dollar + 3
        elif text.startswith("${", dollar):
            if before := "".join(literal):
                yield before
            literal.clear()
            expression, position = Expression.embedded(text, dollar)
            yield expression
        else:
            literal.append("$")
            position = dollar + 1
    literal.append(text[position:])
    if rest := "".join(literal):
        yield rest


def _rendered(part: _Part, scope: Mapping[str, Value], budget: Budget) -> JSON:
    match part:
        case _Literal():
            return part.value
        case _Whole():
            try:
                return part.expression.evaluate(scope, budget)
            except ExpressionError as error:
                raise _placed(part.path, error) from None
        case _Joined():
            return _joined(part, scope, budget)
        case _List():
            return [_rendered(item, scope, budget) for item in part.items]
        case _Object():
            return {key: _rendered(member, scope, budget) for key, member in part.members}


def _joined(joined: _Joined, scope: Mapping[str, Value], budget: Budget) -> str:
    try:
        return "".join([part if isinstance(part, str) else part.evaluate_text(scope, budget) for part in joined.parts])
    except ExpressionError as error:
        raise _placed(joined.path, error) from None


def _placed(path: _Path, error: ExpressionError) -> ExpressionError:
    """The error with the place of the string before what went wrong in it."""
    return ExpressionError(f"{_pointer(path)}: {error.detail}" if path else error.detail)


def _pointer(path: _Path) -> str:
    return "".join("/" + str(key).replace("~", "~0").replace("/", "~1") for key in path)


def _wholes(part: _Part) -> Iterator[_Whole]:
    match part:
        case _Whole():
            yield part
        case _List():
            for item in part.items:
                yield from _wholes(item)
        case _Object():
            for _, member in part.members:
                yield from _wholes(member)


def _expressions(part: _Part) -> Iterator[Expression]:
    match part:
        case _Whole():
            yield part.expression
        case _Joined():
            yield from (piece for piece in part.parts if isinstance(piece, Expression))
        case _List():
            for item in part.items:
                yield from _expressions(item)
        case _Object():
            for _, member in part.members:
                yield from _expressions(member)
