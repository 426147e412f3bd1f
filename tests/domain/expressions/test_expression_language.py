"""What each literal, path and operator means: the rules of CONTRACT.md section 4, one row each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from cordum.domain.expressions import Expression
from cordum.errors import ExpressionError, Unavailable

SCOPE: dict[str, Any] = {
    "input": {
        "x": 10,
        "y": 4,
        "s": "hello",
        "l": ["a", "b", "c"],
        "empty": [],
        "none": None,
        "flag": True,
        "big": 2**53 + 1,
        "half": 0.5,
        "a-b": {"c d": 1},
        "in": 1,
        "default": 2,
        "nested": {"list": [{"v": 1}, {"v": 2}]},
    },
    "steps": {"a": {"output": {"ok": True}}, "b-c": {"output": 7}},
    "item": "scoped",
}


def evaluate(text: str) -> object:
    return Expression.parse(text).evaluate(SCOPE)


def same(found: object, expected: object) -> bool:
    """Equal and of the same types all the way down: 2 is not 2.0 here, and 1 is not true."""
    return repr(found) == repr(expected)


LITERALS = [
    ("0", 0),
    ("42", 42),
    ("1.5", 1.5),
    ("1e3", 1000.0),
    ("2E-2", 0.02),
    ("9007199254740993", 9007199254740993),
    ("'x'", "x"),
    ('"x"', "x"),
    ("''", ""),
    (r"'it\'s \"\\ \n\t\u00e9 \ud83d\ude00'", "it's \"\\ \n\té 😀"),
    ("'ünï 😀'", "ünï 😀"),
    ("true", True),
    ("false", False),
    ("null", None),
    ("[]", []),
    ("[1, 'a', [null]]", [1, "a", [None]]),
    ("{}", {}),
    ("{a: 1, 'b-c': {d: []}}", {"a": 1, "b-c": {"d": []}}),
    ("{in: 1, true: 2, not: 3}", {"in": 1, "true": 2, "not": 3}),
]

PATHS = [
    ("input.x", 10),
    ("input . x", 10),
    ("input['x']", 10),
    ('input["a-b"]["c d"]', 1),
    ("input.l[0]", "a"),
    ("input.l[-1]", "c"),
    ("input.l[input.y - 3]", "b"),
    ("input.l[1.0]", "b"),
    ("input.in + input.default", 3),
    ("input.nested.list[1].v", 2),
    ("steps['b-c'].output", 7),
    ("[1, 2, 3][1]", 2),
    ("{a: {b: 5}}.a.b", 5),
    ("(input.nested).list[0]['v']", 1),
    ("'abc'[1]", "b"),
]

NULLS = [
    ("nothing", None),
    ("nothing.at.all", None),
    ("nothing[0]['x'].y", None),
    ("nothing[1 / 0]", None),
    ("input.missing", None),
    ("input.missing.deeper[3]", None),
    ("input.none.x", None),
    ("input.l[3]", None),
    ("input.l[-4]", None),
    ("input.l[0.5]", None),
    ("input.l['x']", None),
    ("input.l.x", None),
    ("input.x.y", None),
    ("input.flag[0]", None),
    ("input.nested[0]", None),
    ("input.l[true]", None),
    ("null.x", None),
    ("null == null", True),
    ("null == false", False),
    ("null == 0", False),
    ("input.missing == null", True),
    ("input.missing != 'x'", True),
    ("'x' in input.missing", False),
    ("input.missing contains 'x'", False),
]

EQUALITY = [
    ("1 == 1.0", True),
    ("1 != 1.0", False),
    ("0 == -0.0", True),
    ("true == 1", False),
    ("false == 0", False),
    ("'1' == 1", False),
    ("'' == null", False),
    ("[1, [2]] == [1.0, [2.0]]", True),
    ("[1] == [true]", False),
    ("[1] == [1, 2]", False),
    ("[] == {}", False),
    ("{a: 1, b: 2} == {b: 2, a: 1.0}", True),
    ("{a: 1} == {a: 1, b: 2}", False),
    ("{a: 1} == {b: 1}", False),
    ("input == input", True),
    ("input.big == 9007199254740993", True),
    ("input.big == 9007199254740992.0", False),
]

ORDER = [
    ("1 < 2", True),
    ("2 < 2", False),
    ("2 <= 2.0", True),
    ("3 > 2.5", True),
    ("2 >= 3", False),
    ("'a' < 'b'", True),
    ("'a' >= 'a'", True),
    ("'B' < 'a'", True),
    ("input.big > 9007199254740992", True),
]

MEMBERSHIP = [
    ("'a' in input.l", True),
    ("1.0 in [1]", True),
    ("true in [1]", False),
    ("null in [null]", True),
    ("[1] in [[1]]", True),
    ("'ell' in 'hello'", True),
    ("'x' in {x: null}", True),
    ("'y' in {x: 1}", False),
    ("1 in {x: 1}", False),
    ("input.s contains 'ell'", True),
    ("input.s contains ''", True),
    ("input.l contains 'z'", False),
    ("input contains 'x'", True),
    ("input.s startsWith 'he'", True),
    ("input.s startsWith 'el'", False),
    ("input.s endsWith 'lo'", True),
    ("input.s endsWith 'he'", False),
]

ARITHMETIC = [
    ("1 + 2", 3),
    ("'a' + 'b'", "ab"),
    ("[1] + [2]", [1, 2]),
    ("1 + 0.5", 1.5),
    ("7 - 10", -3),
    ("6 * 7", 42),
    ("10 / 4", 2.5),
    ("10 / 5", 2),
    ("10 / 4.0", 2.5),
    ("input.big / 1", 2**53 + 1),
    ("input.big + 1", 2**53 + 2),
    ("7 % 3", 1),
    ("-7 % 3", -1),
    ("7 % -3", 1),
    ("7.5 % 2", 1.5),
    ("-7.5 % 2", -1.5),
    ("-5", -5),
    ("--5", 5),
    ("-input.x", -10),
    ("2 - -3", 5),
]

PRECEDENCE = [
    ("1 + 2 * 3", 7),
    ("(1 + 2) * 3", 9),
    ("10 - 3 - 2", 5),
    ("24 / 4 / 2", 3),
    ("24 / 4 * 2", 12),
    ("7 % 4 * 2", 6),
    ("-2 * 3", -6),
    ("-[3][0]", -3),
    ("1 + 2 == 3", True),
    ("1 + 1 > 1 && 2 * 2 == 4", True),
    ("'a' in input.l == true", True),
    ("true == 'a' in input.l", True),
    ("'a' + 'b' in ['ab']", True),
    ("true || false && false", True),
    ("(true || false) && false", False),
    ("true or false and false", True),
    ("not 1 == 2", True),
    ("not 'z' in input.l", True),
    ("not true or true", True),
    ("!input.missing == true", True),
    ("!(input.x > 100)", True),
    ("!input.flag", False),
    ("!!'x'", True),
    ("1 == not 0 == 1", False),
    ("null ?? false || true", True),
    ("null ?? 1 + 1", 2),
    ("null ?? null ? 'a' : 'b'", "b"),
    ("true ? 1 : false ? 2 : 3", 1),
    ("false ? 1 : false ? 2 : 3", 3),
    ("true ? false ? 1 : 2 : 3", 2),
    ("true ? null ?? 1 : 2", 1),
    ("input.x > 5 && input.s == 'hello' ? 'big' : 'small'", "big"),
]

SHORT_CIRCUITS = [
    ("false && 1 / 0", False),
    ("0 and 1 / 0", 0),
    ("true || 1 / 0", True),
    ("'x' or 1 / 0", "x"),
    ("1 ?? 1 / 0", 1),
    ("false ?? 1 / 0", False),
    ("default(1, 1 / 0)", 1),
    ("true ? 1 : 1 / 0", 1),
    ("false ? 1 / 0 : 2", 2),
    ("null || '' || 0", 0),
    ("'' || 'fallback'", "fallback"),
    ("1 && 'last'", "last"),
    ("1 && '' && 1 / 0", ""),
    ("null ?? null ?? 3", 3),
    ("any([1, 0], x -> 1 / x == 1)", True),
    ("all([2, 0], x -> 1 / x == 1)", False),
]

ALL = [
    *LITERALS,
    *PATHS,
    *NULLS,
    *EQUALITY,
    *ORDER,
    *MEMBERSHIP,
    *ARITHMETIC,
    *PRECEDENCE,
    *SHORT_CIRCUITS,
]


@pytest.mark.parametrize(("text", "expected"), ALL, ids=[text for text, _ in ALL])
def test_value_of(text: str, expected: object) -> None:
    found = evaluate(text)
    assert same(found, expected), found


@pytest.mark.parametrize(("text", "expected"), ALL[::7])
def test_braces_around_an_expression_change_nothing(text: str, expected: object) -> None:
    assert same(evaluate(f" ${{ {text} }} "), expected)


FAILURES = [
    ("1 + 'a'", "`+` cannot take number and string in `1 + 'a'` at column 1"),
    ("true + 1", "`+` cannot take boolean and number in `true + 1` at column 1"),
    ("null + 1", "`+` cannot take null and number in `null + 1` at column 1"),
    ("[1] + 1", "`+` cannot take list and number in `[1] + 1` at column 1"),
    ("'a' * 3", "`*` cannot take string and number in `'a' * 3` at column 1"),
    ("[0] * 3", "`*` cannot take list and number in `[0] * 3` at column 1"),
    ("{} - {}", "`-` cannot take object and object in `{} - {}` at column 1"),
    ("-'a'", "`-` takes a number, not string in `-'a'` at column 1"),
    ("-true", "`-` takes a number, not boolean in `-true` at column 1"),
    ("1 < 'a'", "`<` cannot take number and string in `1 < 'a'` at column 1"),
    ("true < false", "`<` cannot take boolean and boolean in `true < false` at column 1"),
    ("null >= null", "`>=` cannot take null and null in `null >= null` at column 1"),
    ("[1] < [2]", "`<` cannot take list and list in `[1] < [2]` at column 1"),
    ("input.missing > 3", "`>` cannot take null and number in `input.missing > 3` at column 1"),
    ("1 in 'abc'", "`in` cannot look for number in string in `1 in 'abc'` at column 1"),
    ("1 in 2", "`in` cannot look for number in number in `1 in 2` at column 1"),
    ("true contains 2", "`contains` cannot look for number in boolean in `true contains 2` at column 1"),
    ("1 startsWith '1'", "`startsWith` cannot take number and string in `1 startsWith '1'` at column 1"),
    ("null endsWith ''", "`endsWith` cannot take null and string in `null endsWith ''` at column 1"),
    ("1 / 0", "divides by zero in `1 / 0` at column 1"),
    ("1 / 0.0", "divides by zero in `1 / 0.0` at column 1"),
    ("1 % 0", "divides by zero in `1 % 0` at column 1"),
    ("1.5 % 0", "divides by zero in `1.5 % 0` at column 1"),
    ("1e308 * 10", "makes a number that is too large in `1e308 * 10` at column 1"),
    ("1 / 5e-324", "makes a number that is too large in `1 / 5e-324` at column 1"),
    ("-1e308 - 1e308", "makes a number that is too large in `-1e308 - 1e308` at column 1"),
    ("true && (2 + 3 - 'x' + 4) == 1", "`-` cannot take number and string in `2 + 3 - 'x'` at column 10"),
    ("${ 1 + input.s }", "`+` cannot take number and string in `1 + input.s` at column 4"),
    ("map([1, 0], x -> 1 / x)", "divides by zero in `1 / x` at column 18"),
    ("'\n' + 1", "`+` cannot take string and number in `'\\n' + 1` at column 1"),
]


@pytest.mark.parametrize(("text", "detail"), FAILURES, ids=[ascii(text) for text, _ in FAILURES])
def test_failure_names_the_part_and_its_column(text: str, detail: str) -> None:
    with pytest.raises(ExpressionError) as failed:
        evaluate(text)
    assert failed.value.detail == detail


def test_failure_shows_a_long_part_shortened() -> None:
    with pytest.raises(ExpressionError) as failed:
        evaluate("1 + '" + "x" * 3000 + "'")
    assert len(failed.value.detail) < 200


@pytest.mark.parametrize(
    ("text", "truth"),
    [
        ("null", False),
        ("false", False),
        ("0", False),
        ("0.0", False),
        ("-0.0", False),
        ("''", False),
        ("input.missing", False),
        ("true", True),
        ("1", True),
        ("-0.5", True),
        ("'0'", True),
        ("'false'", True),
        ("' '", True),
        ("[]", True),
        ("{}", True),
        ("length([]) > 0", False),
    ],
)
def test_truth_of(text: str, truth: bool) -> None:
    expression = Expression.parse(text)
    assert expression.truth(SCOPE) is truth
    assert Expression.parse(f"!({text})").evaluate(SCOPE) is not truth
    assert Expression.parse(f"({text}) ? 1 : 0").evaluate(SCOPE) == int(truth)


def test_names_of_python_attributes_are_only_missing_keys() -> None:
    for name in ("__class__", "__mro__", "__globals__", "keys", "items", "get", "format"):
        for base in ("input", "input.l", "input.s", "input.x", "input.none", "steps"):
            assert evaluate(f"{base}.{name}") is None
            assert evaluate(f"{base}['{name}']") is None


def test_words_that_hold_a_forbidden_word_are_ordinary_names() -> None:
    scope: dict[str, Any] = {
        "steps": {"execute": {"output": {"ok": True}}},
        "input": {"important": True, "required_by": "x"},
    }
    text = "steps.execute.output.ok && input.important && input.required_by == 'x'"
    assert Expression.parse(text).evaluate(scope) is True


def test_result_shares_nothing_with_the_scope() -> None:
    scope: dict[str, Any] = {"input": {"l": [1]}}
    found = Expression.parse("input").evaluate(scope)
    assert isinstance(found, dict)
    found["l"] = []
    assert scope == {"input": {"l": [1]}}


def test_expression_is_a_value_that_can_be_used_again() -> None:
    expression = Expression.parse("map(input, x -> x + 1)")
    assert expression == Expression.parse("map(input, x -> x + 1)")
    assert expression.text == "map(input, x -> x + 1)"
    assert [expression.evaluate({"input": [n]}) for n in (1, 2)] == [[2], [3]]
    untyped: Any = expression
    with pytest.raises(AttributeError):
        untyped.text = "1"


class Lazy(Mapping[str, Any]):
    """A mapping that counts what it loads, and may be unable to."""

    def __init__(self, content: Mapping[str, Any], broken: bool = False) -> None:
        self.content = content
        self.broken = broken
        self.loaded: list[str] = []

    def __getitem__(self, key: str) -> Any:
        if self.broken:
            raise Unavailable("the store is away")
        self.loaded.append(key)
        return self.content[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.content)

    def __len__(self) -> int:
        return len(self.content)


def test_lazy_scope_loads_only_what_is_read() -> None:
    steps = Lazy({"a": Lazy({"output": {"v": 1}}), "b": Lazy({"output": {"v": 2}})})
    scope = Lazy({"steps": steps, "input": {}})
    assert Expression.parse("steps.b.output.v").evaluate(scope) == 2
    assert (scope.loaded, steps.loaded) == (["steps"], ["b"])


def test_lazy_mapping_comes_out_as_plain_objects() -> None:
    scope: dict[str, Any] = {"steps": Lazy({"a": Lazy({"output": [1]})})}
    expected = {"a": {"output": [1]}}
    for text, value in [
        ("steps", expected),
        ("[steps]", [expected]),
        ("json(steps)", '{"a":{"output":[1]}}'),
        ("keys(steps)", ["a"]),
        ("values(steps)", [{"output": [1]}]),
        ("length(steps)", 1),
        ("'a' in steps", True),
        ("steps == {a: {output: [1]}}", True),
    ]:
        assert same(Expression.parse(text).evaluate(scope), value), text


def test_store_that_is_away_is_not_a_wrong_expression() -> None:
    with pytest.raises(Unavailable):
        Expression.parse("input.x").evaluate(Lazy({"input": {}}, broken=True))


@pytest.mark.parametrize("foreign", [float("nan"), float("inf"), b"x", {1}, object(), (1,), {1: 2}, "\ud800"])
def test_value_that_is_not_json_is_refused(foreign: Any) -> None:
    for text in ("input", "[input]", "{a: input}", "json(input)"):
        with pytest.raises(ExpressionError):
            Expression.parse(text).evaluate({"input": foreign})


@pytest.mark.parametrize("text", ["input == 1", "input < 1", "input in 1", "-input", "length(input)", "keys(input)"])
def test_value_that_is_not_json_cannot_be_computed_with(text: str) -> None:
    scope: dict[str, Any] = {"input": (1,)}
    with pytest.raises(ExpressionError, match="reads something that is not JSON"):
        Expression.parse(text).evaluate(scope)


@pytest.mark.parametrize("text", ["round(input)", "int(input)", "float(input)", "input % 2"])
def test_number_that_is_not_finite_cannot_be_computed_with(text: str) -> None:
    for number in (float("inf"), float("nan")):
        with pytest.raises(ExpressionError):
            Expression.parse(text).evaluate({"input": number})
