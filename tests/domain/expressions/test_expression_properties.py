"""For any text and any scope: plain JSON, a syntax error with its place, or an expression error. Nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from cordum.domain.expressions import JSON, Expression, ExpressionSyntaxError, Template
from cordum.domain.expressions.functions import EACH, FUNCTIONS
from cordum.errors import ExpressionError

BINARY = ["+", "-", "*", "/", "%", "==", "!=", "<", "<=", ">", ">=", "&&", "||", "??", "in", "contains", "startsWith"]
OF_ONE = sorted(name for name, function in FUNCTIONS.items() if function.arity[0] == 1)
OF_TWO = ["split", "join", "default", "round", "min", "max"]
OF_EACH = sorted(EACH)
LITERALS = ["0", "2", "-1", "2.5", "1e308", "'a'", "''", "true", "null", "[]", "'a,b'", "'[1]'", "9007199254740993"]
ROOTS = ["input", "steps.a", "item", "x", "input.b[0]", "[1, 'a', null]", "{a: 1, b: [2]}"]
MARKS = ["!", "not", "?", ":", ".", ",", "(", ")", "[", "]", "{", "}", "->", "${", "$${", "$", "=", "&", "'open", "\\"]
WORDS = [*BINARY, *OF_ONE, *OF_TWO, *OF_EACH, *LITERALS, *ROOTS, *MARKS, "endsWith", "and", "or", "y"]

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=10**300, max_value=10**320)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
)
values: st.SearchStrategy[JSON] = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["a", "b", "x", "output"]), inner),
    max_leaves=12,
)
scopes = st.dictionaries(st.sampled_from(["input", "steps", "item", "index", "x"]), values)
texts = st.text(max_size=60) | st.text(alphabet="inputx.[]()'\"\\${}?:|&+-*/%<>=!,0123456789eu ", max_size=60)
soups = st.lists(st.sampled_from(WORDS), max_size=25).map(" ".join) | st.lists(st.sampled_from(WORDS)).map("".join)


def _bigger(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.builds("({} {} {})".format, inner, st.sampled_from(BINARY), inner),
        st.builds("{}({})".format, st.sampled_from(OF_ONE), inner),
        st.builds("{}({}, {})".format, st.sampled_from(OF_TWO), inner, inner),
        st.builds("{}({}, x -> {})".format, st.sampled_from(OF_EACH), inner, inner),
        st.builds("({} ? {} : {})".format, inner, inner, inner),
        st.builds("({})[{}]".format, inner, inner),
        st.builds("[{}, {}]".format, inner, inner),
        st.builds("{{a: {}, b: {}}}".format, inner, inner),
        st.builds("({}{})".format, st.sampled_from(["!", "-", "not "]), inner),
    )


wellformed = st.recursive(st.sampled_from(ROOTS + LITERALS), _bigger, max_leaves=12)


def is_plain_json(value: object) -> bool:
    return bool(json.loads(json.dumps(value, allow_nan=False)) == value)


def result_of(act: Callable[[], object]) -> object:
    """What `act` returns, or which of the two errors it raises."""
    try:
        return act()
    except (ExpressionSyntaxError, ExpressionError) as error:
        return error


def evaluated(text: str, scope: dict[str, JSON]) -> JSON:
    return Expression.parse(text).evaluate(scope)


def check_outcome(text: str, scope: dict[str, JSON]) -> None:
    expression = result_of(lambda: Expression.parse(text))
    if isinstance(expression, ExpressionSyntaxError):
        assert 1 <= expression.column <= len(text) + 1
        return
    assert isinstance(expression, Expression)
    assert all(isinstance(part, str) for path in expression.references() for part in path)
    value = result_of(lambda: expression.evaluate(scope))
    if isinstance(value, ExpressionError):
        assert "at column" in value.detail
        return
    assert is_plain_json(value)
    assert expression.truth(scope) == (value not in (None, "") and (isinstance(value, list | dict) or bool(value)))


@settings(max_examples=250, deadline=None)
@given(texts | soups, scopes)
def test_any_text_has_one_of_three_outcomes(text: str, scope: dict[str, JSON]) -> None:
    check_outcome(text, scope)
    check_outcome("${" + text + "}", scope)


@settings(max_examples=250, deadline=None)
@given(wellformed, scopes)
def test_any_wellformed_expression_is_read_and_has_one_of_two_outcomes(text: str, scope: dict[str, JSON]) -> None:
    Expression.parse(text)
    check_outcome(text, scope)


@settings(max_examples=100, deadline=None)
@given(wellformed, scopes)
def test_reading_again_with_other_spacing_gives_the_same_value(text: str, scope: dict[str, JSON]) -> None:
    spaced, bracketed = f"  ${{\n{text}\t}} ", f"({text})"
    plain, *others = (result_of(partial(evaluated, form, scope)) for form in (text, spaced, bracketed))
    for other in others:
        assert type(other) is type(plain)
        assert isinstance(other, ExpressionError) or repr(other) == repr(plain)


@settings(max_examples=100, deadline=None)
@given(st.recursive(texts | soups | scalars, lambda inner: st.lists(inner) | st.dictionaries(texts, inner)), scopes)
def test_any_template_has_one_of_three_outcomes(source: JSON, scope: dict[str, JSON]) -> None:
    rendered = result_of(lambda: Template.compile(source).render(scope))
    if isinstance(rendered, ExpressionSyntaxError):
        found: Any = source
        for key in rendered.path:
            found = found[key]
        assert isinstance(found, str)
        assert 1 <= rendered.column <= len(found) + 1
    elif isinstance(rendered, ExpressionError):
        assert "at column" in rendered.detail
    else:
        assert type(rendered) is type(source) or isinstance(source, str)


@settings(max_examples=100, deadline=None)
@given(values)
def test_value_passes_through_unchanged(value: JSON) -> None:
    assert repr(Template.compile("${input}").render({"input": value})) == repr(value)


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=40))
def test_result_is_never_rendered_again(text: str) -> None:
    evil = "${1 + 1}" + text + "$${input}"
    assert Template.compile(["${input}", "<${input}>"]).render({"input": evil}) == [evil, f"<{evil}>"]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(max_size=10).filter(lambda text: "$" not in text)))
def test_escaped_openings_render_to_openings(pieces: list[str]) -> None:
    assert Template.compile("$${".join(pieces)).render({}) == "${".join(pieces)


@settings(max_examples=100, deadline=None)
@given(values, values)
def test_equality_is_symmetric_and_never_fails(left: JSON, right: JSON) -> None:
    scope = {"a": left, "b": right}
    forth, back, unequal = (Expression.parse(text).evaluate(scope) for text in ("a == b", "b == a", "a != b"))
    assert forth is back
    assert unequal is not forth
    assert Expression.parse("a == a && b == b").evaluate(scope) is True


@settings(max_examples=100, deadline=None)
@given(values)
def test_json_of_a_value_parses_to_the_value(value: JSON) -> None:
    assert repr(Expression.parse("parse_json(json(v))").evaluate({"v": value})) == repr(value)
