"""What is refused when a definition is read, and where the error points."""

from __future__ import annotations

import pytest

from cordum.domain.expressions import MAX_DEPTH, MAX_LENGTH, Expression, ExpressionSyntaxError

REFUSED = [
    ("", 1, "an expression is missing"),
    ("   ", 4, "an expression is missing"),
    ("${}", 3, "an expression is missing"),
    ("${ }", 4, "an expression is missing"),
    ("1 +", 4, "expected a value, found the end"),
    ("${1 + }", 7, "expected a value, found the end"),
    ("a b", 3, "expected an operator or the end, found `b`"),
    ("a 'b'", 3, "expected an operator or the end, found a string"),
    ("a 1", 3, "expected an operator or the end, found a number"),
    ("(a", 3, "expected `)`, found the end"),
    ("a)", 2, "expected an operator or the end, found `)`"),
    ("a}", 2, "expected an operator or the end, found `}`"),
    ("[1, 2", 6, "expected `,` or `]`, found the end"),
    ("[1,]", 4, "expected a value, found `]`"),
    ("{a 1}", 4, "expected `:`, found a number"),
    ("{1: 2}", 2, "expected a key, found a number"),
    ("{a: 1, a: 2}", 8, "the same key twice"),
    ("{a: 1, 'a': 2}", 8, "the same key twice"),
    ("a ? b", 6, "expected `:`, found the end"),
    ("a[1", 4, "expected `]`, found the end"),
    ("a[]", 3, "expected a value, found `]`"),
    ("a..b", 3, 'expected a name after `.` (other keys are written `["a-b"]`, positions `[0]`), found `.`'),
    ("a.0", 3, 'expected a name after `.` (other keys are written `["a-b"]`, positions `[0]`), found a number'),
    ("a = 1", 3, "`=` is no operator, equality is `==`"),
    ("a & b", 3, "`&` is no operator, and is `&&`"),
    ("a | b", 3, "`|` is no operator, or is `||`"),
    ("a + ${b}", 5, "`${` cannot stand inside an expression"),
    ("1 < x < 9", 7, "`<` and `<` do not chain: use `&&` or parentheses"),
    ("a == b == c", 8, "`==` and `==` do not chain: use `&&` or parentheses"),
    ("a in b in c", 8, "`in` and `in` do not chain: use `&&` or parentheses"),
    ("in", 1, "expected a value, found `in`"),
    ("1 + or", 5, "expected a value, found `or`"),
    ("'open", 1, "the string that starts here is never closed"),
    ("x + \"open'", 5, "the string that starts here is never closed"),
    (r"'\x'", 2, "unknown escape in a string, a backslash is written `\\\\`"),
    (r"'\u12'", 2, "unknown escape in a string, a backslash is written `\\\\`"),
    ("'\\", 2, "unknown escape in a string, a backslash is written `\\\\`"),
    (r"'\ud800'", 1, "half of a surrogate pair in a string"),
    ("1.", 1, "malformed number"),
    ("1.x", 1, "malformed number"),
    ("1e", 1, "malformed number"),
    ("1e+", 1, "malformed number"),
    ("12abc", 1, "malformed number"),
    ("007", 1, "malformed number"),
    ("0x10", 1, "malformed number"),
    ("1_000", 1, "malformed number"),
    ("1.2.3", 1, "malformed number"),
    (".5", 1, "expected a value, found `.`"),
    ("1e999", 1, "number too large"),
    ("größe", 3, "unexpected character '\\xf6'"),
    ("a\u00a0b", 2, "unexpected character '\\xa0'"),
    ("a;b", 2, "unexpected character ';'"),
    ("size(x)", 1, "unknown function `size`, known are all any default filter first float int join json keys last"),
    ("len(x)", 1, "unknown function `len`, did you mean `length`?"),
    ("parseJson(x)", 1, "unknown function `parseJson`, did you mean `parse_json`?"),
    ("x.length()", 9, "only a function can be called, as `f(x)`"),
    ("x[0](1)", 5, "only a function can be called, as `f(x)`"),
    ("'a'(1)", 4, "only a function can be called, as `f(x)`"),
    ("length(x)(y)", 10, "only a function can be called, as `f(x)`"),
    ("length()", 1, "length takes 1 argument, not 0"),
    ("length(a, b)", 1, "length takes 1 argument, not 2"),
    ("split(a)", 1, "split takes 2 arguments, not 1"),
    ("join(a, b, c)", 1, "join takes 1 to 2 arguments, not 3"),
    ("default(a)", 1, "default takes 2 arguments, not 1"),
    ("min()", 1, "min takes at least 1 arguments, not 0"),
    ("map(a)", 6, "expected `,`, found `)`"),
    ("map(a, b)", 9, "expected `->`, found `)`"),
    ("map(a, 1)", 8, "expected `x -> …` as second argument of map, found a number"),
    ("map(a, in -> 1)", 8, "expected `x -> …` as second argument of map, found `in`"),
    ("map(a, x -> x, 1)", 14, "expected `)`, found `,`"),
    ("x -> x", 3, "expected an operator or the end, found `->`"),
    ("length(x -> x)", 10, "expected `,` or `)`, found `->`"),
    ("${a} == ${b}", 5, "nothing may follow `${...}` here: write one expression"),
    ("${a}}", 5, "nothing may follow `${...}` here: write one expression"),
    ("${a", 1, "`${` is never closed"),
    ("  ${ {a: 1} ", 3, "`${` is never closed"),
    ("${'}", 3, "the string that starts here is never closed"),
    ("$${a}", 1, "`${` cannot stand inside an expression"),
]


@pytest.mark.parametrize(("text", "column", "message"), REFUSED, ids=[ascii(text) for text, _, _ in REFUSED])
def test_refused_with_its_column(text: str, column: int, message: str) -> None:
    with pytest.raises(ExpressionSyntaxError) as refused:
        Expression.parse(text)
    assert refused.value.message.startswith(message)
    assert (refused.value.column, refused.value.code, refused.value.path) == (column, "expr_syntax", ())


HOSTILE = [
    "().__class__.__mro__[1].__subclasses__()",
    "[].__class__.__base__.__subclasses__()",
    "''.__class__.__mro__[1]()",
    "input.__class__.__init__.__globals__['os'].system('id')",
    "getattr(input, '__class__')",
    "__import__('os').system('id')",
    "import os",
    "eval('1')",
    "exec('1')",
    "open('/etc/passwd')",
    "(lambda: 1)()",
    "lambda x: x",
    "[x for x in input]",
    "(x for x in input).gi_frame",
    "(x := 1)",
    "f'{input}'",
    "'{0.__globals__}'.format(input)",
    "'%s' % {'a': 1}.keys()",
    "input.constructor.constructor('return process')()",
    "{{ config.items() }}",
    "{{7*7}}",
    "#{7*7}",
    "<%= 7*7 %>",
    "9**9**9",
    "1 << 1000000000",
    "1 >> 1",
    "~1",
    "a @ b",
    "a if b else c",
    "a; b",
    "a\\b",
    "`id`",
    "$(id)",
    "a?.b",
    "a =~ 'x'",
    "a matches '(a+)+$'",
    "function() { return 1 }",
    "() => 1",
    "x => x",
    "new Date()",
    "now()",
    "random()",
    "env('HOME')",
    "input.x++",
    "input.x += 1",
    "delete input.x",
    "/* */ 1",
    "1 // 2",
    "1 # 2",
    "\x00",
    "a\x00b",
    "\u202einput",
    "\ud800",
    "1️⃣",
    "∞",
    "\ufeffinput",
]


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_what_belongs_to_other_languages_is_refused(text: str) -> None:
    for given in (text, "${" + text + "}"):
        with pytest.raises(ExpressionSyntaxError):
            Expression.parse(given)


def test_message_of_a_syntax_error_has_its_column() -> None:
    with pytest.raises(ExpressionSyntaxError, match=r"^expected a value, found the end \(column 4\)$"):
        Expression.parse("1 +")


def test_longest_expression_is_read_and_one_character_more_is_not() -> None:
    longest = "'" + "x" * (MAX_LENGTH - 2) + "'"
    assert Expression.parse(longest).evaluate({}) == "x" * (MAX_LENGTH - 2)
    assert Expression.parse("${" + longest + "}").evaluate({}) == "x" * (MAX_LENGTH - 2)
    for text, column in [(longest + " ", 1), ("${" + longest + " }", 3), ("${" + longest * 9, 3), ("'" * 9999, 1)]:
        with pytest.raises(ExpressionSyntaxError, match="at most 4096 characters") as refused:
            Expression.parse(text)
        assert (refused.value.code, refused.value.column) == ("limit_exceeded", column)


NESTINGS = [
    ("(", "1", ")"),
    ("[", "", "]"),
    ("!", "1", ""),
    ("-", "1", ""),
    ("not ", "1", ""),
    ("{a:", "1", "}"),
    ("a[", "1", "]"),
    ("length(", "1", ")"),
    ("1?", "1", ":1"),
    ("0?1:", "1", ""),
    ("1+(", "1", ")"),
    ("map(l,x->", "1", ")"),
    ("any(", "1", ",x->x)"),
]


@pytest.mark.parametrize(("before", "middle", "after"), NESTINGS, ids=[before for before, _, _ in NESTINGS])
def test_nesting_is_bounded(before: str, middle: str, after: str) -> None:
    fits = MAX_DEPTH // 2 - 1
    Expression.parse(before * fits + middle + after * fits)
    for levels in (MAX_DEPTH + 1, 400):
        with pytest.raises(ExpressionSyntaxError, match=f"nests at most {MAX_DEPTH} deep"):
            Expression.parse(before * levels + middle + after * levels)


UNITS = ["(", "[", "!", "-", "not ", "{a:", "a[", "a.", "1+", "a?", "'", "${", "}", "map(a,x->"]


@pytest.mark.parametrize("unit", UNITS)
def test_ten_thousand_of_anything_is_refused(unit: str) -> None:
    with pytest.raises(ExpressionSyntaxError):
        Expression.parse(unit * 10_000)


@pytest.mark.parametrize("joint", ["+", "*", "-", "||", "&&", "??", " or "])
def test_long_chain_is_not_nesting(joint: str) -> None:
    count = (MAX_LENGTH - 1) // (len(joint) + 1)
    Expression.parse("1" + f"{joint}1" * count).evaluate({})


def test_long_path_is_not_nesting() -> None:
    assert Expression.parse("a" + ".a" * 2000).evaluate({}) is None
    assert Expression.parse("a" + "[0]" * 1300).evaluate({}) is None
