"""Walks a syntax tree over a scope. Here a broken rule becomes an ExpressionError that knows its place in the text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from cordum.domain.expressions.budget import Budget, Refused
from cordum.domain.expressions.functions import FUNCTIONS, items_of
from cordum.domain.expressions.operators import compute, member, negate, test
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
    Operation,
    ShortCircuit,
    Test,
)
from cordum.domain.expressions.values import Value, truthy
from cordum.errors import ExpressionError

_SHOWN = 80


def failure(text: str, start: int, end: int, refused: Refused) -> ExpressionError:
    """The error of `text[start:end]`. It names that part as its author wrote it, and shows no value that was read."""
    part = text[start:end] if end - start <= _SHOWN else text[start : start + _SHOWN] + "…"
    shown = "".join(found if found.isprintable() else ascii(found)[1:-1] for found in part)
    return ExpressionError(f"{refused} in `{shown}` at column {start + 1}")


class Evaluation:
    """One walk over one text, on a budget that may be shared."""

    __slots__ = ("_budget", "_parameters", "_scope", "_text")

    def __init__(self, text: str, scope: Mapping[str, Value], budget: Budget) -> None:
        self._text = text
        self._scope = scope
        self._budget = budget
        self._parameters: dict[str, Value] = {}

    def value(self, node: Node) -> Value:
        """What `node` evaluates to. Raises ExpressionError, which names the innermost part that failed."""
        try:
            self._budget.step()
            return self._value(node)
        except Refused as refused:
            raise failure(self._text, node.start, node.end, refused) from None

    def _value(self, node: Node) -> Value:
        match node:
            case Constant():
                return node.value
            case Access():
                return self._access(node)
            case Name():
                return self._name(node.name)
            case ShortCircuit():
                return self._short_circuit(node)
            case Conditional():
                return self.value(node.then if truthy(self.value(node.test)) else node.otherwise)
            case Call():
                return self._call(node)
            case Each():
                return self._each(node)
            case ListOf():
                return [self.value(item) for item in node.items]
            case ObjectOf():
                return {key: self.value(item) for key, item in zip(node.keys, node.values, strict=True)}
        return self._operation(node)

    def _operation(self, node: Operation) -> Value:
        match node:
            case Test():
                return test(node.operator, self.value(node.left), self.value(node.right), self._budget)
            case Arithmetic():
                return self._arithmetic(node)
            case Not():
                return not truthy(self.value(node.operand))
            case Negate():
                return negate(self.value(node.operand))

    def _name(self, name: str) -> Value:
        return self._parameters[name] if name in self._parameters else self._scope.get(name)

    def _access(self, node: Access) -> Value:
        value = self.value(node.base)
        for key in node.keys:
            if value is None:
                return None
            value = member(value, key.value if isinstance(key, Constant) else self.value(key))
        return value

    def _short_circuit(self, node: ShortCircuit) -> Value:
        *others, last = node.operands
        for operand in others:
            value = self.value(operand)
            if _decides(node.operator, value):
                return value
        return self.value(last)

    def _arithmetic(self, node: Arithmetic) -> Value:
        value = self.value(node.first)
        for symbol, operand in node.rest:
            right = self.value(operand)
            try:
                value = compute(symbol, value, right, self._budget)
            except Refused as refused:
                raise failure(self._text, node.start, operand.end, refused) from None
        return value

    def _call(self, node: Call) -> Value:
        arguments = [self.value(argument) for argument in node.arguments]
        return FUNCTIONS[node.function].call(arguments, self._budget)

    def _each(self, node: Each) -> Value:
        items = items_of(node.function, self.value(node.items), self._budget)
        outer = self._parameters
        try:
            pairs = self._applied(node, items)
            match node.function:
                case "map":
                    return [found for _, found in pairs]
                case "filter":
                    return [item for item, found in pairs if truthy(found)]
                case "any":
                    return any(truthy(found) for _, found in pairs)
            return all(truthy(found) for _, found in pairs)
        finally:
            self._parameters = outer

    def _applied(self, node: Each, items: Iterable[Value]) -> Iterator[tuple[Value, Value]]:
        """Each item with what the body makes of it."""
        outer = self._parameters
        for item in items:
            self._parameters = {**outer, node.parameter: item}
            yield item, self.value(node.body)


def _decides(operator: str, value: Value) -> bool:
    """Is `value` the result, whatever the operands behind it are?"""
    match operator:
        case "??":
            return value is not None
        case "||":
            return truthy(value)
    return not truthy(value)
