"""Strings with `${...}` in any JSON: types, joining, escapes, and that results are data."""

from __future__ import annotations

from typing import Any

import pytest

from cordum.domain.expressions import JSON, MAX_TEXT, Expression, ExpressionSyntaxError, Template
from cordum.errors import ExpressionError

SCOPE: dict[str, Any] = {
    "input": {
        "count": 42,
        "active": True,
        "name": "bo",
        "none": None,
        "l": ["a", {"k": "é"}],
        "o": {"b": 1, "a": [1.5, None]},
        "big": 2**53 + 1,
        "empty": [],
        "evil": "${input.name} $${x} {{7*7}}",
    }
}


@pytest.mark.parametrize(
    ("template", "rendered"),
    [
        # exactly one expression: the value itself
        ("${input.count}", 42),
        ("${ input.count }", 42),
        ("${input.active}", True),
        ("${input.none}", None),
        ("${input.missing}", None),
        ("${input.l}", ["a", {"k": "é"}]),
        ("${input.empty}", []),
        ("${input.big}", 2**53 + 1),
        ("${{a: {b: '}'}}}", {"a": {"b": "}"}}),
        ("${'${'}", "${"),
        ("${'}'}", "}"),
        # text around or between: joined
        ("hi ${input.name}", "hi bo"),
        (" ${input.count}", " 42"),
        ("${input.count} ", "42 "),
        ("${input.name}${input.count}", "bo42"),
        ("${input.active}/${input.none}/${input.missing}/${false}", "true///false"),
        ("o=${input.o} l=${input.l}", 'o={"b":1,"a":[1.5,null]} l=["a",{"k":"é"}]'),
        ("${input.big}!", "9007199254740993!"),
        ("${10 / 4}%", "2.5%"),
        ("${10 / 5}%", "2%"),
        ("${'\"'}.", '".'),
        ("${[]}${{}}", "[]{}"),
        # no expression
        ("", ""),
        ("static", "static"),
        ("$", "$"),
        ("$$", "$$"),
        ("a $ b {x} }", "a $ b {x} }"),
        ("costs 5$", "costs 5$"),
        ("$ {input.name}", "$ {input.name}"),
        # the literal `${`
        ("$${input.name}", "${input.name}"),
        ("$${", "${"),
        ("$$${x}", "$${x}"),
        ("a $${b} ${input.name} $${", "a ${b} bo ${"),
        ("${'$'}${input.count}", "$42"),
        # what a value says is never read again
        ("${input.evil}", "${input.name} $${x} {{7*7}}"),
        ("<${input.evil}>", "<${input.name} $${x} {{7*7}}>"),
        ("${'$' + '{input.name}'}", "${input.name}"),
        # structures
        (None, None),
        (False, False),
        (0, 0),
        (1.5, 1.5),
        (2**70, 2**70),
        ([], []),
        ({}, {}),
        ({"a": ["${input.count}", "k", {"b": "x${input.name}"}]}, {"a": [42, "k", {"b": "xbo"}]}),
        ({"${input.name}": "${input.name}"}, {"${input.name}": "bo"}),
    ],
    ids=ascii,
)
def test_rendered(template: JSON, rendered: JSON) -> None:
    compiled = Template.compile(template)
    assert repr(compiled.render(SCOPE)) == repr(rendered)
    assert compiled.source == template


def test_rendering_never_hands_out_the_template_or_the_scope() -> None:
    source: JSON = {"a": [1], "b": "${input.l}"}
    template = Template.compile(source)
    first = template.render(SCOPE)
    assert isinstance(first, dict)
    first["a"] = first["b"] = None
    assert template.render(SCOPE) == {"a": [1], "b": ["a", {"k": "é"}]}


@pytest.mark.parametrize(
    ("template", "path", "column", "message"),
    [
        ("${ }", (), 4, "an expression is missing"),
        ({"v": "${ }"}, ("v",), 4, "an expression is missing"),
        ({"a": [1, {"b": "hi ${1 +}"}]}, ("a", 1, "b"), 9, "expected a value, found the end"),
        (["ok", "${a} and ${b"], (1,), 10, "`${` is never closed"),
        ("${a} }} ${", (), 9, "`${` is never closed"),
        ("$${ok} ${", (), 8, "`${` is never closed"),
        ("${${a}}", (), 3, "`${` cannot stand inside an expression"),
        ({"a/b": "${secret:NAME}"}, ("a/b",), 9, "expected an operator or the end, found `:`"),
        ({"n": float("nan")}, ("n",), 1, "a value that is not JSON"),
        ([b"x"], (0,), 1, "a value that is not JSON"),
        ({"o": {1: 2}}, ("o",), 1, "a key that is not a string"),
    ],
)
def test_refused_with_the_path_of_the_string(
    template: Any, path: tuple[str | int, ...], column: int, message: str
) -> None:
    with pytest.raises(ExpressionSyntaxError) as refused:
        Template.compile(template)
    assert (refused.value.path, refused.value.column, refused.value.message) == (path, column, message)


def test_template_nested_too_deep_is_refused() -> None:
    value: JSON = "${input.name}"
    for _ in range(64):
        value = [value]
    Template.compile(value).render(SCOPE)
    with pytest.raises(ExpressionSyntaxError, match="nest at most 64 deep"):
        Template.compile([value])


def test_failure_names_the_string_the_part_and_its_column() -> None:
    template = Template.compile({"a": [{"b/c": "n is ${1 + input.name}"}]})
    with pytest.raises(ExpressionError) as failed:
        template.render(SCOPE)
    assert failed.value.detail == "/a/0/b~1c: `+` cannot take number and string in `1 + input.name` at column 8"


def test_failure_in_a_lone_string_has_no_path() -> None:
    for text in ("${1 / 0}", "${1 / 0}."):
        with pytest.raises(ExpressionError) as failed:
            Template.compile(text).render(SCOPE)
        assert failed.value.detail == "divides by zero in `1 / 0` at column 3"


def test_length_of_an_expression_is_counted_without_its_surroundings() -> None:
    text = "x" * 5000 + "${'" + "y" * 4094 + "'}" + "z" * 5000
    assert Template.compile(text).render({}) == "x" * 5000 + "y" * 4094 + "z" * 5000
    with pytest.raises(ExpressionSyntaxError) as refused:
        Template.compile(text.replace("${", "${ "))
    assert (refused.value.code, refused.value.column) == ("limit_exceeded", 5003)


def test_all_expressions_of_a_template_share_one_budget() -> None:
    scope = {"big": "x" * (MAX_TEXT // 4)}
    assert len(str(Template.compile(["${big}"] * 3).render(scope))) > MAX_TEXT // 2
    over: list[JSON] = [["${big}"] * 5, "${big} " * 5]
    for template in over:
        with pytest.raises(ExpressionError, match="characters of text"):
            Template.compile(template).render(scope)
    assert Expression.parse("big").evaluate(scope) == scope["big"]
