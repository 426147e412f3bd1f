"""Which paths of the scope an expression or template reads, as far as the text tells."""

from __future__ import annotations

import pytest

from cordum.domain.expressions import Expression, Template


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ("1 + 2", set()),
        ("input", {("input",)}),
        ("steps.a.output.x", {("steps", "a", "output", "x")}),
        ("steps['b-c']['output']", {("steps", "b-c", "output")}),
        ("steps.a.output[0].x", {("steps", "a", "output")}),
        ("steps.a.output[-1].x", {("steps", "a", "output")}),
        ("steps[input.which].output", {("steps",), ("input", "which")}),
        ("(steps).a", {("steps", "a")}),
        ("first(steps.a.output).x", {("steps", "a", "output")}),
        ("steps.a.output == true && !input.x", {("steps", "a", "output"), ("input", "x")}),
        ("a ? b : c", {("a",), ("b",), ("c",)}),
        ("a ?? b || -c + d * e % f", {("a",), ("b",), ("c",), ("d",), ("e",), ("f",)}),
        ("[a, {k: b}]", {("a",), ("b",)}),
        ("{k: v}.k", {("v",)}),
        ("default(a, b)", {("a",), ("b",)}),
        ("length('input.x')", set()),
        ("map(input.l, x -> x.a + item)", {("input", "l"), ("item",)}),
        ("map(x, x -> x.a)", {("x",)}),
        ("map(l, x -> map(x.m, y -> x.n + y.o + z.p))", {("l",), ("z", "p")}),
        ("map(l, x -> x) == x.y", {("l",), ("x", "y")}),
        ("map(l, x -> steps[x].output)", {("l",), ("steps",)}),
        ("map(l, x -> x[input.i])", {("l",), ("input", "i")}),
    ],
)
def test_references_of(text: str, paths: set[tuple[str, ...]]) -> None:
    assert Expression.parse(text).references() == paths
    assert Template.compile({"k": [f"text ${{{text}}}"]}).references() == paths


def test_references_of_a_template_are_those_of_all_its_strings() -> None:
    template = Template.compile({"a": "${input.x}", "b": ["-${steps.s.output} ${item}", 1, "$${no}"], "${key}": None})
    assert template.references() == {("input", "x"), ("steps", "s", "output"), ("item",)}
