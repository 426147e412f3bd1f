"""JSON Schemas from users: what is refused, what a value violates, and that nothing takes for ever."""

from __future__ import annotations

import re
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from cordum.domain.definition import load_workflow
from cordum.domain.schemas import MAX_VIOLATIONS, checking, faults, violations
from cordum.domain.schemas.form import DIALECT, KEYWORDS, TYPES
from cordum.errors import DefinitionInvalid

# --- what is refused ---


@pytest.mark.parametrize(
    ("schema", "path"),
    [
        ({"type": "text"}, ("type",)),
        ({"type": []}, ("type",)),
        ({"properties": {"x": 3}}, ("properties", "x")),
        ({"properties": []}, ("properties",)),
        ({"required": "x"}, ("required",)),
        ({"required": ["x", "x"]}, ("required",)),
        ({"minLength": -1}, ("minLength",)),
        ({"anyOf": []}, ("anyOf",)),
        ({"$ref": "https://example.com/schema.json"}, ("$ref",)),
        ({"$ref": "file:///etc/passwd"}, ("$ref",)),
        ({"$ref": "other.json#/x"}, ("$ref",)),
        ({"items": {"$dynamicRef": "http://127.0.0.1/"}}, ("items", "$dynamicRef")),
        ({"$ref": "#/$defs/x"}, ("$ref",)),
        ({"$ref": "#x"}, ("$ref",)),
        ({"$ref": "#"}, ()),
        ({"allOf": [{"$ref": "#/$defs/a"}], "$defs": {"a": {"not": {"$ref": "#/$defs/a"}}}}, ("$defs", "a")),
        ({"$defs": {"x": {"$id": "http://example.com/x"}}}, ("$defs", "x", "$id")),
        ({"$schema": "http://json-schema.org/draft-07/schema#"}, ("$schema",)),
        ({"items": {"$schema": DIALECT}}, ("items", "$schema")),
        ({"x-unknown": {"type": "text"}, "$ref": "#/x-unknown"}, ("x-unknown", "type")),
        ({"pattern": "("}, ("pattern",)),
        ({"pattern": "(?=a)"}, ("pattern",)),
        ({"pattern": r"(a)\1"}, ("pattern",)),
        ({"pattern": "a" * 1001}, ("pattern",)),
        ({"pattern": "((a{100}){100}){100}"}, ("pattern",)),
        ({"patternProperties": {"(": True}}, ("patternProperties", "(")),
        ({"unevaluatedProperties": False, "allOf": [{"patternProperties": {"a": True}}]}, ("unevaluatedProperties",)),
    ],
)
def test_schemas_that_cannot_be_used_are_refused_at_their_place(schema: Any, path: tuple[str, ...]) -> None:
    assert [fault.path for fault in faults(schema)] == [path]


@pytest.mark.parametrize(
    "schema",
    [
        *(True, False, {}, {"$schema": DIALECT, "$id": "https://example.com/mine"}),
        {"properties": {"tree": {"$ref": "#"}}},
        {"$ref": "#/$defs/a%20b~1c", "$defs": {"a b/c": {"type": "string"}}},
        {"$ref": "#name", "$defs": {"x": {"$anchor": "name"}}},
        {"prefixItems": [{"$ref": "#/prefixItems/1"}, {"type": "integer"}]},
        {"properties": {"$ref": {"type": "string"}}, "const": {"$ref": "https://example.com"}},
        {"unheard-of": 1, "format": "email"},
    ],
)
def test_schemas_that_can_be_used(schema: Any) -> None:
    assert faults(schema) == ()


def test_a_definition_names_the_place_of_a_wrong_schema() -> None:
    text = (
        "id: wf\ninput_schema: {type: objekt}\nsteps:\n  a:\n    output_schema:\n      properties:\n"
        "        x: {$ref: 'http://x'}"
    )
    with pytest.raises(DefinitionInvalid) as refused:
        load_workflow(text.encode(), "yaml")
    found = [(problem.code, problem.path, problem.line) for problem in refused.value.problems]
    assert found == [
        ("schema_invalid", "/input_schema/type", 2),
        ("schema_invalid", "/steps/a/output_schema/properties/x/$ref", 7),
    ]


# --- in step with the meta-schema ---

_WRONG: list[Any] = [
    None,
    True,
    -1,
    0,
    1.5,
    2.0,
    "x",
    "string",
    [],
    ["x"],
    ["x", "x"],
    [{}],
    [3],
    {},
    {"x": 3},
    {"x": {}},
]
_WRONG += [{"x": ["y"]}, {"x": ["y", "y"]}, ["null", "string"], {"x": True}, [True], {"x": []}]
# Judged more strictly than the meta-schema does, on purpose, or only together with others.
_STRICTER = {"$ref", "$dynamicRef", "$schema", "$id", "pattern", "patternProperties", "$vocabulary"}


def test_the_keywords_are_those_of_the_meta_schema() -> None:
    registry = Draft202012Validator(Draft202012Validator.META_SCHEMA)._resolver._registry  # type: ignore[attr-defined]
    names = {
        keyword
        for uri in registry
        if uri.startswith("https://json-schema.org/draft/2020-12/")
        for keyword in registry[uri].contents.get("properties", {})
    }
    assert names <= KEYWORDS | {"$recursiveAnchor", "$recursiveRef", "dependencies"}
    assert set(Draft202012Validator.VALIDATORS) <= KEYWORDS
    assert set(TYPES) == set(Draft202012Validator.TYPE_CHECKER._type_checkers)  # type: ignore[attr-defined]


@pytest.mark.parametrize("keyword", sorted(KEYWORDS - _STRICTER))
@pytest.mark.parametrize("value", _WRONG, ids=repr)
def test_a_keyword_is_judged_as_the_meta_schema_judges_it(keyword: str, value: Any) -> None:
    schema = {keyword: value}
    assert (not faults(schema)) == Draft202012Validator(Draft202012Validator.META_SCHEMA).is_valid(schema)


# --- what a value violates ---


@pytest.mark.parametrize(
    ("schema", "value", "message"),
    [
        ({"type": "object", "required": ["q"]}, {}, "/: 'q' is a required property"),
        ({"type": ["object", "null"]}, 3, '/: expected ["object", "null"], found integer'),
        ({"properties": {"a/b": {"type": "string"}}}, {"a/b": 1}, "/a~1b: expected string, found integer"),
        ({"items": {"enum": [1, 2]}}, [1, 3], "/1: is none of [1, 2]"),
        ({"additionalProperties": False}, {"x": 1}, "/x: is not allowed"),
        ({"properties": {"x": False}}, {"x": 1}, "/x: is not allowed"),
        ({"pattern": "^a"}, "b", "/: does not match ^a"),
        ({"uniqueItems": True}, [{"a": 1}, {"a": 1.0}], "/: must not have the same item twice"),
        ({"patternProperties": {"^x": {"type": "string"}}}, {"x1": 1}, "/x1: expected string, found integer"),
        ({"$ref": "#/$defs/n", "$defs": {"n": {"minimum": 3}}}, 1, "/: must be at least 3"),
        ({"dependentRequired": {"a": ["b"]}}, {"a": 1}, "/: is against dependentRequired"),
    ],
)
def test_a_violation_names_place_and_rule(schema: Any, value: Any, message: str) -> None:
    assert violations(schema, value) == (message,)


def test_violations_are_few_and_short() -> None:
    found = violations({"items": {"type": "string"}}, list(range(1000)))
    assert len(found) == MAX_VIOLATIONS + 1
    (long,) = violations({"properties": {"k" * 5000: {"const": "v" * 5000}}}, {"k" * 5000: "secret"})
    assert len(long) < 300
    assert "secret" not in long


def test_a_secret_in_the_value_is_not_repeated() -> None:
    for schema in (
        {"type": "integer"},
        {"const": 1},
        {"enum": [1]},
        {"pattern": "^x"},
        {"not": {}},
        {"oneOf": [True, True]},
    ):
        assert "hunter2" not in violations(schema, "hunter2")[0]


def test_numbers_are_equal_by_value_and_booleans_are_none() -> None:
    assert violations({"uniqueItems": True}, [1, True, "1", [1], {"a": 1}]) == ()
    assert violations({"uniqueItems": True}, [1, 1.0]) != ()
    assert violations({"type": "integer"}, 2**60) == ()


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(), st.lists))
def test_own_keywords_agree_with_the_library(value: Any) -> None:
    for schema in ({"uniqueItems": True}, {"items": {"uniqueItems": True}}, {"contains": {"pattern": "a|b"}}):
        assert (violations(schema, value) == ()) == Draft202012Validator(schema).is_valid(value)


# --- bounds ---


def steps_of(schema: Any, value: Any) -> tuple[tuple[str, ...], int]:
    """What is violated, and how many steps the check took."""
    spent: list[int] = []
    pay = checking._pay

    def counted(steps: int) -> None:
        spent.append(steps)
        pay(steps)

    checking._pay = counted
    try:
        return violations(schema, value), sum(spent)
    finally:
        checking._pay = pay


DOUBLING = {
    "$ref": "#/$defs/d0",
    "$defs": {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(40)} | {"d40": {"type": "null"}},
}


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        (DOUBLING, None),
        ({"items": {"enum": list(range(10_000))}}, [9_999] * 10_000),
        ({"patternProperties": {f"{'a?' * 300}{n}$": True for n in range(300)}}, {f"{n:0200}": 1 for n in range(300)}),
    ],
    ids=["doubling references", "long enum", "many patterns"],
)
def test_a_check_that_would_take_for_ever_is_given_up(schema: Any, value: Any) -> None:
    found, steps = steps_of(schema, value)
    assert found == ("/: the check takes too many steps; simplify the schema",)
    assert steps <= 2 * checking.MAX_STEPS


def test_a_pattern_that_backtracks_for_ever_elsewhere_is_linear_here() -> None:
    """Were it Python's engine, these would not end: 2^100,000 ways to split the text."""
    text = "a" * 100_000 + "b"
    for schema in (
        {"pattern": "^(a+)+$"},
        {"propertyNames": {"pattern": "^(a+)+$"}},
        {"patternProperties": {"^(a+)+$": False}, "additionalProperties": False},
    ):
        assert violations(schema, text if "pattern" in schema else {text: 1})


def test_python_s_own_engine_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("a pattern of a user on Python's engine")

    monkeypatch.setattr(re, "search", refuse)
    assert violations({"pattern": "a"}, "a") == ()
    assert violations({"patternProperties": {"a": True}, "additionalProperties": False}, {"a": 1}) == ()
    with pytest.raises(AssertionError):
        list(Draft202012Validator({"pattern": "a"}).iter_errors("a"))


def test_endless_recursion_is_a_violation() -> None:
    schema: Any = {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}
    assert faults(schema)
    assert violations(schema, 1) == ("/: the schema refers to itself too deeply",)


def test_nothing_is_ever_fetched() -> None:
    opened: list[str] = []

    def listen(event: str, _args: Any) -> None:
        if watching and event.startswith(("socket.", "urllib.", "open", "subprocess.")):
            opened.append(event)

    watching = True
    sys.addaudithook(listen)
    for reference in ("http://127.0.0.1:9/x", "file:///etc/hostname", "other"):
        assert violations({"$ref": reference}, 1) == ("/: the schema cannot be applied to this value",)
        assert violations({"$ref": reference, "$schema": DIALECT}, 1) == (
            "/: the schema cannot be applied to this value",
        )
    watching = False
    assert opened == []
