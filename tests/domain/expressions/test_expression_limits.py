"""What one evaluation may spend, and that it ends with an error of its own whatever it is given."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from cordum.domain.expressions import JSON, MAX_STEPS, MAX_TEXT, MAX_VALUE_DEPTH, MAX_VALUES, Expression
from cordum.errors import ExpressionError


def nested(depth: int) -> JSON:
    value: JSON = 1
    for _ in range(depth):
        value = [value]
    return value


SCOPE: dict[str, Any] = {
    "l": list(range(1000)),
    "long": [0] * (MAX_STEPS + 1),
    "wide": [0] * 500_000,
    "text": "x" * 1_000_000,
    "other": "x" * 999_999 + "y",
    "commas": "," * (MAX_STEPS + 1),
    "controls": "\x00" * 1_000_000,
    "keys": {str(n): n for n in range(MAX_STEPS + 1)},
    "deep": nested(MAX_VALUE_DEPTH + 1),
    "deep_json": "[" * 100_000,
    "digits": "9" * 100_000,
    "many_digits": "[" + "9" * 5_000 + "]",
}

EXHAUSTING = [
    ("map(l, x -> map(l, y -> x * y))", "steps"),
    ("map(l, x -> map(l, y -> map(l, z -> 1)))", "steps"),
    ("filter(long, x -> x)", "steps"),
    ("any(long, x -> x)", "steps"),
    ("sum(long)", "steps"),
    ("min(long)", "steps"),
    ("join(long, '')", "steps"),
    ("keys(keys)", "steps"),
    ("values(keys)", "steps"),
    ("long + l", "steps"),
    ("1 in long", "steps"),
    ("long == long", "steps"),
    ("split(commas, ',')", "steps"),
    ("map(l, x -> text == other)", "steps"),
    ("map(l, x -> text < other)", "steps"),
    ("map(l, x -> text contains 'yy')", "steps"),
    ("map(l, x -> text endsWith other)", "steps"),
    ("map(l, x -> text + text)", "characters of text"),
    ("map(l, x -> upper(text))", "characters of text"),
    ("map(l, x -> trim(text))", "characters of text"),
    ("map(l, x -> split(text, 'z'))", "characters of text"),
    ("map(l, x -> json(text))", "characters of text"),
    ("map(l, x -> text)", "characters of text"),
    ("join(map(l, x -> text), '')", "characters of text"),
    ("join(l, text)", "characters of text"),
    ("json([controls, controls, controls])", "characters of text"),
    ("[wide, wide, wide]", "values"),
    ("json([wide, wide, wide])", "values"),
    ("string({a: wide, b: wide, c: wide})", "values"),
    ("deep", "nested deeper"),
    ("json(deep)", "nested deeper"),
    ("deep == [deep]", "nested deeper"),
    ("parse_json(deep_json)", "takes a string that is JSON"),
    ("parse_json(many_digits)", "takes a string that is JSON"),
    ("parse_json(text + text)", "at most 1048576 characters"),
    ("int(digits)", "spells an integer"),
    ("map(l, x -> int(text))", "spells an integer"),
]


@pytest.mark.parametrize(("text", "reason"), EXHAUSTING, ids=[text for text, _ in EXHAUSTING])
def test_expression_over_its_budget_fails(text: str, reason: str) -> None:
    with pytest.raises(ExpressionError, match=reason):
        Expression.parse(text).evaluate(SCOPE)


@pytest.mark.parametrize(
    "text",
    [
        "map(l, x -> x * 2 + 1)",
        "filter(map(l, x -> {v: x}), x -> x.v % 2 == 0 && x.v > 10)",
        "wide",
        "[wide, l]",
        "text + text + text",
        "length(long) + length(keys)",
    ],
)
def test_everyday_sizes_are_within_the_budget(text: str) -> None:
    Expression.parse(text).evaluate(SCOPE)


def test_failure_of_an_exhausted_budget_names_where_it_ran_out() -> None:
    with pytest.raises(ExpressionError, match=f"takes more than {MAX_STEPS} steps in `.+` at column [0-9]+$"):
        Expression.parse("map(l, x -> map(l, y -> x * y))").evaluate(SCOPE)


def test_budget_is_fresh_for_each_evaluation() -> None:
    expression = Expression.parse("map(l, x -> length(map([1, 2, 3], y -> x * y)))")
    for _ in range(5):
        expression.evaluate(SCOPE)


def test_deepest_expression_evaluates_beside_a_deep_caller() -> None:
    """The recursion of parser and evaluator together stays far below what Python allows a thread."""
    text = "map(l, x -> " * 60 + "json(deep)" + ")" * 60
    scope = {"l": [1], "deep": nested(MAX_VALUE_DEPTH - 1)}

    def below(frames: int) -> JSON:
        return below(frames - 1) if frames else Expression.parse(text).evaluate(scope)

    assert sys.getrecursionlimit() <= 1000
    assert str(below(250)).count("1") == 1


def test_shared_values_are_paid_for_each_time_they_are_written() -> None:
    level = "[x, x, x, x, x, x, x, x, x, x]"
    text = "1"
    for _ in range(7):
        text = f"map([{text}], x -> {level})[0]"
    with pytest.raises(ExpressionError, match=f"makes more than {MAX_VALUES} values"):
        Expression.parse(text).evaluate({})


def test_largest_text_is_allowed_once() -> None:
    assert Expression.parse("input").evaluate({"input": "x" * MAX_TEXT}) == "x" * MAX_TEXT
    with pytest.raises(ExpressionError, match=f"makes more than {MAX_TEXT} characters of text in `input` at column 1"):
        Expression.parse("input").evaluate({"input": "x" * (MAX_TEXT + 1)})
