"""What the binary operators do to two values. Unlike kinds are unequal, and refused by everything else.

Null stands for an empty list where a list is wanted (`in`, `contains`); it never stands for a text or a number.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from typing import Any, TypeGuard

from cordum.domain.expressions.budget import Budget, Refused
from cordum.domain.expressions.values import Value, equal, kind

MAX_NUMBER_BITS = 1024  # as far as a float reaches

_Number = int | float


def is_number(value: Value) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def number(value: _Number) -> _Number:
    """`value` as the result of a computation: finite, and no larger than a float can be."""
    if isinstance(value, int):
        if value.bit_length() > MAX_NUMBER_BITS:
            raise Refused("makes a number that is too large")
    elif not math.isfinite(value):
        raise Refused("makes a number that is too large")
    return value


def compute(symbol: str, left: Value, right: Value, budget: Budget) -> Value:
    """`left symbol right` for `+ - * / %`."""
    if is_number(left) and is_number(right):
        try:
            return number(_ARITHMETIC[symbol](left, right))
        except OverflowError:
            raise Refused("makes a number that is too large") from None
    if symbol == "+" and isinstance(left, str) and isinstance(right, str):
        budget.text(len(left) + len(right))
        return left + right
    if symbol == "+" and isinstance(left, list) and isinstance(right, list):
        budget.step(len(left) + len(right))
        return [*left, *right]
    raise _unlike(symbol, left, right)


def test(symbol: str, left: Value, right: Value, budget: Budget) -> bool:
    """`left symbol right` for comparisons and `in contains startsWith endsWith`."""
    match symbol:
        case "==":
            return equal(left, right, budget)
        case "!=":
            return not equal(left, right, budget)
        case "in":
            return _holds(right, left, budget, symbol)
        case "contains":
            return _holds(left, right, budget, symbol)
        case "startsWith" | "endsWith":
            if isinstance(left, str) and isinstance(right, str):
                budget.scan(right)
                return left.startswith(right) if symbol == "startsWith" else left.endswith(right)
            raise _unlike(symbol, left, right)
    return ordered(symbol, left, right, budget)


def negate(value: Value) -> Value:
    if not is_number(value):
        raise Refused(f"`-` takes a number, not {kind(value)}")
    return -value


def member(container: Value, key: Value) -> Value:
    """`container[key]`. What is not there is null, and so is every key of what has no keys."""
    # A dict first: it is nearly always one, and asking whether it is a Mapping takes far longer.
    if isinstance(container, dict) or isinstance(container, Mapping):  # noqa: SIM101
        return container.get(key) if isinstance(key, str) else None
    if isinstance(container, list | str) and is_number(key) and key == key // 1:
        position = int(key)
        return container[position] if -len(container) <= position < len(container) else None
    return None


def _divide(left: _Number, right: _Number) -> _Number:
    """An integer where integers divide evenly, so that `${input.total / 2}` reads 21 and not 21.0."""
    if right == 0:
        raise Refused("divides by zero")
    if isinstance(left, int) and isinstance(right, int) and left % right == 0:
        return left // right
    return left / right


def _remainder(left: _Number, right: _Number) -> _Number:
    """With the sign of `left`, as in JavaScript, Go and jq (Python's `%` takes the sign of `right`)."""
    if right == 0:
        raise Refused("divides by zero")
    if isinstance(left, int) and isinstance(right, int):
        rest = abs(left) % abs(right)
        return -rest if left < 0 else rest
    if math.isinf(left):
        raise Refused("reads a number that is not finite")
    return math.fmod(left, right)


_ARITHMETIC: dict[str, Callable[[_Number, _Number], _Number]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": _divide,
    "%": _remainder,
}

_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def ordered(symbol: str, left: Value, right: Value, budget: Budget) -> bool:
    """`left symbol right` for `< <= > >=`: two numbers, or two texts by code point."""
    if is_number(left) and is_number(right):
        return _ORDER[symbol](left, right)
    if isinstance(left, str) and isinstance(right, str):
        budget.scan(left)
        return _ORDER[symbol](left, right)
    raise _unlike(symbol, left, right)


def _holds(container: Value, item: Value, budget: Budget, symbol: str) -> bool:
    """Is `item` an element of a list, a key of an object, a part of a text?"""
    if container is None:
        return False
    if isinstance(container, str) and isinstance(item, str):
        budget.scan(container)
        return item in container
    if isinstance(container, list):
        return any(equal(element, item, budget) for element in container)
    if isinstance(container, Mapping):
        return isinstance(item, str) and item in container
    raise Refused(f"`{symbol}` cannot look for {kind(item)} in {kind(container)}")


def _unlike(symbol: str, left: Value, right: Value) -> Refused:
    return Refused(f"`{symbol}` cannot take {kind(left)} and {kind(right)}")
