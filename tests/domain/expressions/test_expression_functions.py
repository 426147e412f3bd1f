"""What each built-in function gives and refuses."""

from __future__ import annotations

from typing import Any

import pytest

from cordum.domain.expressions import Expression
from cordum.domain.expressions.functions import EACH, FUNCTIONS
from cordum.errors import ExpressionError

SCOPE: dict[str, Any] = {"l": ["b", "a"], "o": {"k": 1, "j": [2]}, "n": [3, 1.5, 2], "big": 2**53 + 1, "huge": 10**400}

VALUES = [
    ("length('héllo')", 5),
    ("length(l)", 2),
    ("length(o)", 2),
    ("length(null)", 0),
    ("length('')", 0),
    ("first(l)", "b"),
    ("first([])", None),
    ("first(null)", None),
    ("first('xyz')", "x"),
    ("last(l)", "a"),
    ("last([])", None),
    ("last(null)", None),
    ("last('')", None),
    ("keys(o)", ["k", "j"]),
    ("keys(null)", []),
    ("values(o)", [1, [2]]),
    ("values(null)", []),
    ("lower('ÀbC')", "àbc"),
    ("upper('àbC')", "ÀBC"),
    ("trim(' \t a b\n')", "a b"),
    ("split('a,b,,c', ',')", ["a", "b", "", "c"]),
    ("split('', ',')", [""]),
    ("split('a--b', '--')", ["a", "b"]),
    ("join(l, '-')", "b-a"),
    ("join(['a', 1, null, true, [2]], ' ')", "a 1  true [2]"),
    ("join(l)", "ba"),
    ("join([], ',')", ""),
    ("join(null, ',')", ""),
    ("join(split('a.b.c', '.'), '/')", "a/b/c"),
    ("default(null, 1)", 1),
    ("default(nothing.at.all, 'x')", "x"),
    ("default(false, 1)", False),
    ("default('', 1)", ""),
    ("min(n)", 1.5),
    ("max(n)", 3),
    ("min(3, 1, 2)", 1),
    ("max('a', 'b')", "b"),
    ("min([])", None),
    ("max(null)", None),
    ("max([7])", 7),
    ("max(big, 1)", 2**53 + 1),
    ("sum(n)", 6.5),
    ("sum([1, 2])", 3),
    ("sum([])", 0),
    ("sum(null)", 0),
    ("sum([big, 1])", 2**53 + 2),
    ("round(2.5)", 3),
    ("round(3.5)", 4),
    ("round(-2.5)", -3),
    ("round(2.4)", 2),
    ("round(2)", 2),
    ("round(2.675, 2)", 2.68),
    ("round(1.005, 2)", 1.01),
    ("round(-0.001, 2)", 0.0),
    ("round(7, 2)", 7),
    ("round(big)", 2**53 + 1),
    ("round(1e300)", int(1e300)),
    ("round(1e300, 2)", 1e300),
    ("round(1234.5, 15)", 1234.5),
    ("int(2.9)", 2),
    ("int(-2.9)", -2),
    ("int('42')", 42),
    ("int(' -7 ')", -7),
    ("int('9007199254740993')", 9007199254740993),
    ("int(5)", 5),
    ("float(1)", 1.0),
    ("float('2.5')", 2.5),
    ("float('1e2')", 100.0),
    ("string('a')", "a"),
    ("string(1)", "1"),
    ("string(1.5)", "1.5"),
    ("string(true)", "true"),
    ("string(null)", ""),
    ("string(big)", "9007199254740993"),
    ("string([1, 'é'])", '[1,"é"]'),
    ("json('a')", '"a"'),
    ("json(null)", "null"),
    ("json(o)", '{"k":1,"j":[2]}'),
    ("json([])", "[]"),
    ("parse_json('[1, {\"a\": null}]')", [1, {"a": None}]),
    ("parse_json('9007199254740993')", 9007199254740993),
    ("parse_json(json(o)) == o", True),
    ("any(n, x -> x > 2)", True),
    ("any(n, x -> x > 9)", False),
    ("any([], x -> true)", False),
    ("any(null, x -> true)", False),
    ("all(n, x -> x > 1)", True),
    ("all(n, x -> x > 2)", False),
    ("all([], x -> false)", True),
    ("all(null, x -> false)", True),
    ("filter(n, x -> x >= 2)", [3, 2]),
    ("filter(['', 'a', null], x -> x)", ["a"]),
    ("filter(null, x -> x)", []),
    ("map(n, x -> x * 2)", [6, 3.0, 4]),
    ("map(null, x -> x)", []),
    ("map([1, 2], x -> map([10, 20], y -> x * y))", [[10, 20], [20, 40]]),
    ("map([1, 2], x -> map([x], x -> x + 1)[0] * x)", [2, 6]),
    ("map(filter(n, l -> l > 1.5), n -> n)", [3, 2]),
    ("[map(['inner'], l -> l)[0], l[0]]", ["inner", "b"]),
    ("[any(['inner'], l -> l == 'inner'), l[0]]", [True, "b"]),
    ("map([{v: 1}, {}], x -> x.v ?? 0)", [1, 0]),
]


@pytest.mark.parametrize(("text", "expected"), VALUES, ids=[ascii(text) for text, _ in VALUES])
def test_value_of(text: str, expected: object) -> None:
    assert repr(Expression.parse(text).evaluate(SCOPE)) == repr(expected)


REFUSED = [
    ("length(1)", "length takes a string, a list or an object, not number"),
    ("first(o)", "first takes a list or a string, not object"),
    ("last(1)", "last takes a list or a string, not number"),
    ("keys(l)", "keys takes an object, not list"),
    ("values('x')", "values takes an object, not string"),
    ("lower(null)", "lower takes a string, not null"),
    ("upper(1)", "upper takes a string, not number"),
    ("trim([])", "trim takes a string, not list"),
    ("split(null, ',')", "split takes a string, not null"),
    ("split('a', 1)", "split takes a string, not number"),
    ("split('a', '')", "split takes a separator that is not empty"),
    ("join('ab', ',')", "join takes a list, not string"),
    ("join([], 1)", "join takes a string, not number"),
    ("min(1, 'a')", "`<` cannot take string and number"),
    ("max([1, null])", "`>` cannot take null and number"),
    ("max([true])", "`>` cannot take boolean and boolean"),
    ("min('abc')", "min takes a list, not string"),
    ("sum(['a'])", "`+` cannot take number and string"),
    ("sum([true])", "`+` cannot take number and boolean"),
    ("sum(1)", "sum takes a list, not number"),
    ("sum([1e308, 1e308])", "makes a number that is too large"),
    ("round('1')", "round takes a number, not string"),
    ("round(true)", "round takes a number, not boolean"),
    ("round(1.5, 16)", "round takes 0 to 15 digits"),
    ("round(1.5, -1)", "round takes 0 to 15 digits"),
    ("round(1.5, 0.5)", "round takes 0 to 15 digits"),
    ("int('4.2')", "int takes a string that spells an integer"),
    ("int('')", "int takes a string that spells an integer"),
    ("int('-')", "int takes a string that spells an integer"),
    ("int('1_000')", "int takes a string that spells an integer"),
    ("int('٣')", "int takes a string that spells an integer"),
    ("int('0x10')", "int takes a string that spells an integer"),
    ("int(null)", "int takes a number, not null"),
    ("int(true)", "int takes a number, not boolean"),
    ("float('nan')", "float takes a string that spells a number"),
    ("float('Infinity')", "float takes a string that spells a number"),
    ("float('1e999')", "float takes a string that spells a number"),
    ("float([])", "float takes a number, not list"),
    ("float(huge)", "makes a number that is too large"),
    ("huge + 1", "makes a number that is too large"),
    ("huge * 1.5", "makes a number that is too large"),
    ("huge % 1.5", "makes a number that is too large"),
    ("parse_json('{')", "parse_json takes a string that is JSON"),
    ("parse_json('NaN')", "parse_json takes a string that is JSON"),
    ("parse_json('1e999')", "reads a number that is not finite"),
    ("parse_json('\"\\\\ud800\"')", "reads text that is not Unicode"),
    ("parse_json(null)", "parse_json takes a string, not null"),
    ("any(o, x -> x)", "any takes a list, not object"),
    ("all('ab', x -> x)", "all takes a list, not string"),
    ("filter(1, x -> x)", "filter takes a list, not number"),
    ("map({}, x -> x)", "map takes a list, not object"),
]


@pytest.mark.parametrize(("text", "message"), REFUSED, ids=[ascii(text) for text, _ in REFUSED])
def test_refused(text: str, message: str) -> None:
    with pytest.raises(ExpressionError) as failed:
        Expression.parse(text).evaluate(SCOPE)
    assert failed.value.detail == f"{message} in `{text}` at column 1"


def test_integer_of_any_size_stays_itself() -> None:
    assert Expression.parse("huge").evaluate(SCOPE) == 10**400
    assert Expression.parse("huge == huge && huge > 1.5").evaluate(SCOPE) is True
    assert Expression.parse("string(huge)").evaluate(SCOPE) == "1" + "0" * 400


def test_integer_too_long_for_python_to_write_is_refused_as_text() -> None:
    assert Expression.parse("n").evaluate({"n": 10**5000}) == 10**5000
    for text in ("string(n)", "json([n])"):
        with pytest.raises(ExpressionError, match="writes a number that is too long for text"):
            Expression.parse(text).evaluate({"n": 10**5000})


def test_functions_are_those_of_the_contract() -> None:
    contract = (
        "length first last keys values lower upper trim split join default min max sum round int float string json "
        "parse_json any all filter map"
    )
    assert {*FUNCTIONS, *EACH, "default"} == set(contract.split())


@pytest.mark.parametrize("name", sorted([*FUNCTIONS, *EACH, "default"]))
def test_name_of_a_function_is_free_for_keys_and_names(name: str) -> None:
    assert Expression.parse(f"{name} + input.{name}").evaluate({name: 1, "input": {name: 2}}) == 3
