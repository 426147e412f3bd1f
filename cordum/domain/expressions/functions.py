"""The built-in functions: their names, how many arguments they take, what they do. `default` is `??`, see the parser.

Null stands for an empty list or object where one is wanted, so that a missing list is one without items; it never
stands for a text or a number.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import NoReturn

from cordum.domain.expressions.budget import Budget, Refused
from cordum.domain.expressions.operators import compute, is_number, ordered
from cordum.domain.expressions.tokens import to_number
from cordum.domain.expressions.values import Value, compact_json, kind, plain, text_of

MAX_PARSED = 1024 * 1024
MAX_DIGITS = 15

_EXACT = 2**53
_WIDE = Context(prec=400)

Arguments = Sequence[Value]


@dataclass(frozen=True, slots=True)
class Function:
    """`arity` is (least, most), most None for any number. `call` may count on it."""

    arity: tuple[int, int | None]
    call: Callable[[Arguments, Budget], Value]


def items_of(name: str, value: Value, budget: Budget) -> Sequence[Value]:
    """The items of a list to be walked by `name`; paid for here."""
    if value is None:
        return ()
    if not isinstance(value, list):
        raise Refused(f"{name} takes a list, not {kind(value)}")
    budget.step(len(value))
    return value


def _text(name: str, value: Value) -> str:
    if not isinstance(value, str):
        raise Refused(f"{name} takes a string, not {kind(value)}")
    return value


def _object(name: str, value: Value, budget: Budget) -> Mapping[str, Value]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise Refused(f"{name} takes an object, not {kind(value)}")
    budget.step(len(value))
    return value


def _length(arguments: Arguments, budget: Budget) -> Value:
    value = arguments[0]
    if value is None:
        return 0
    if isinstance(value, str | list | Mapping):
        return len(value)
    raise Refused(f"length takes a string, a list or an object, not {kind(value)}")


def _first(arguments: Arguments, budget: Budget) -> Value:
    return _end_of("first", arguments[0], 0)


def _last(arguments: Arguments, budget: Budget) -> Value:
    return _end_of("last", arguments[0], -1)


def _end_of(name: str, value: Value, position: int) -> Value:
    if value is None:
        return None
    if not isinstance(value, list | str):
        raise Refused(f"{name} takes a list or a string, not {kind(value)}")
    return value[position] if len(value) > 0 else None


def _keys(arguments: Arguments, budget: Budget) -> Value:
    return list(_object("keys", arguments[0], budget))


def _values(arguments: Arguments, budget: Budget) -> Value:
    return list(_object("values", arguments[0], budget).values())


def _lower(arguments: Arguments, budget: Budget) -> Value:
    return _made(_text("lower", arguments[0]).lower(), budget)


def _upper(arguments: Arguments, budget: Budget) -> Value:
    return _made(_text("upper", arguments[0]).upper(), budget)


def _trim(arguments: Arguments, budget: Budget) -> Value:
    return _made(_text("trim", arguments[0]).strip(), budget)


def _made(text: str, budget: Budget) -> str:
    budget.text(len(text))
    return text


def _split(arguments: Arguments, budget: Budget) -> Value:
    text, separator = (_text("split", argument) for argument in arguments)
    if not separator:
        raise Refused("split takes a separator that is not empty")
    budget.text(len(text))
    budget.step(text.count(separator) + 1)
    return list(text.split(separator))


def _join(arguments: Arguments, budget: Budget) -> Value:
    items = items_of("join", arguments[0], budget)
    separator = _text("join", arguments[1]) if len(arguments) > 1 else ""
    budget.text(len(separator) * max(len(items) - 1, 0))
    return separator.join([text_of(item, budget) for item in items])


def _min(arguments: Arguments, budget: Budget) -> Value:
    return _extreme("min", "<", arguments, budget)


def _max(arguments: Arguments, budget: Budget) -> Value:
    return _extreme("max", ">", arguments, budget)


def _extreme(name: str, symbol: str, arguments: Arguments, budget: Budget) -> Value:
    """Of one list, or of the arguments; null when there is none."""
    items = items_of(name, arguments[0], budget) if len(arguments) == 1 else arguments
    if not items:
        return None
    best = items[0]
    ordered(symbol, best, best, budget)  # refuses a lone item that has no order
    for item in items[1:]:
        if ordered(symbol, item, best, budget):
            best = item
    return best


def _sum(arguments: Arguments, budget: Budget) -> Value:
    total: Value = 0
    for item in items_of("sum", arguments[0], budget):
        total = compute("+", total, item, budget)
    return total


def _round(arguments: Arguments, budget: Budget) -> Value:
    """Half away from zero, of the decimal digits one sees: round(2.675, 2) is 2.68."""
    value = _number("round", arguments[0])
    digits = _number("round", arguments[1]) if len(arguments) > 1 else 0
    if digits not in range(MAX_DIGITS + 1):
        raise Refused(f"round takes 0 to {MAX_DIGITS} digits")
    if isinstance(value, int):
        return value
    if abs(value) >= _EXACT:
        return int(value) if digits == 0 else value
    rounded = Decimal(repr(value)).quantize(Decimal(1).scaleb(-int(digits)), ROUND_HALF_UP, _WIDE)
    return int(rounded) if digits == 0 else float(rounded) or 0.0  # never -0.0


def _int(arguments: Arguments, budget: Budget) -> Value:
    """A number without its fraction, or the integer that a text spells."""
    value = arguments[0]
    if not isinstance(value, str):
        return int(_number("int", value))
    found = to_number(value)
    if not isinstance(found, int):
        raise Refused("int takes a string that spells an integer")
    return found


def _float(arguments: Arguments, budget: Budget) -> Value:
    value = arguments[0]
    found = to_number(value) if isinstance(value, str) else _number("float", value)
    if found is None:
        raise Refused("float takes a string that spells a number")
    try:
        return float(found)
    except OverflowError:
        raise Refused("makes a number that is too large") from None


def _number(name: str, value: Value) -> int | float:
    if not is_number(value):
        raise Refused(f"{name} takes a number, not {kind(value)}")
    if isinstance(value, float) and not math.isfinite(value):
        raise Refused("reads a number that is not finite")
    return value


def _string(arguments: Arguments, budget: Budget) -> Value:
    return text_of(arguments[0], budget)


def _json(arguments: Arguments, budget: Budget) -> Value:
    return compact_json(arguments[0], budget)


def _parse_json(arguments: Arguments, budget: Budget) -> Value:
    text = _text("parse_json", arguments[0])
    if len(text) > MAX_PARSED:
        raise Refused(f"parse_json takes at most {MAX_PARSED} characters")
    budget.text(len(text))
    try:
        parsed: Value = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):  # the C parser counts its own depth and raises RecursionError in time
        raise Refused("parse_json takes a string that is JSON") from None
    return plain(parsed, budget)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


EACH = frozenset({"any", "all", "filter", "map"})
"""The functions that take `x -> …`: the evaluator's own, since only it can evaluate a body."""

FUNCTIONS: Mapping[str, Function] = {
    # any size
    "length": Function((1, 1), _length),
    "first": Function((1, 1), _first),
    "last": Function((1, 1), _last),
    "keys": Function((1, 1), _keys),
    "values": Function((1, 1), _values),
    # text
    "lower": Function((1, 1), _lower),
    "upper": Function((1, 1), _upper),
    "trim": Function((1, 1), _trim),
    "split": Function((2, 2), _split),
    "join": Function((1, 2), _join),
    # numbers
    "min": Function((1, None), _min),
    "max": Function((1, None), _max),
    "sum": Function((1, 1), _sum),
    "round": Function((1, 2), _round),
    # from one kind to another
    "int": Function((1, 1), _int),
    "float": Function((1, 1), _float),
    "string": Function((1, 1), _string),
    "json": Function((1, 1), _json),
    "parse_json": Function((1, 1), _parse_json),
}
