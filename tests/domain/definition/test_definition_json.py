"""Strict JSON, the quick way and the way that knows places: both say yes to the same texts."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cordum.domain.definition import parse_document, read_json
from cordum.errors import DefinitionInvalid, InvalidInput


def refusal(data: bytes) -> InvalidInput:
    with pytest.raises(InvalidInput) as refused:
        read_json(data)
    assert refused.value.problems[0].code == refused.value.code
    return refused.value


def place(data: bytes) -> tuple[str, int | None, int | None]:
    problem = refusal(data).problems[0]
    return problem.path, problem.line, problem.column


@pytest.mark.parametrize(
    ("data", "line", "column"),
    [
        (b"", 1, 1),
        (b" \n ", 2, 2),
        (b"not-json", 1, 1),
        (b'{"a": 1,}', 1, 9),
        (b"[1,]", 1, 4),
        (b"[1 2]", 1, 4),
        (b"[,1]", 1, 2),
        (b'{"a" 1}', 1, 6),
        (b"{a: 1}", 1, 2),
        (b"{'a': 1}", 1, 2),
        (b'{"a": 1\n', 2, 1),
        (b"[1] 2", 1, 5),
        (b"01", 1, 2),
        (b"1.", 1, 2),
        (b"-", 1, 1),
        (b"+1", 1, 1),
        (b"True", 1, 1),
        (b'"a\nb"', 1, 3),
        (b'"a', 1, 1),
        (b'"\\x"', 1, 2),
        (b"\xef\xbb\xbf{}", 1, 1),
        (b'{"a":\n "\xff"}', 2, 3),
        ("{}".encode("utf-16"), 1, 1),
        ("{}".encode("utf-32"), 1, 1),
        (b"1\x00", 1, 2),
        ("[\u0661]".encode(), 1, 2),
        ("[\u00a01]".encode(), 1, 2),
    ],
)
def test_what_is_no_json_is_refused_with_its_place(data: bytes, line: int, column: int) -> None:
    error = refusal(data)
    assert (error.code, error.status) == ("json_syntax", 400)
    assert place(data)[1:] == (line, column)


@pytest.mark.parametrize("word", [b"NaN", b"Infinity", b"-Infinity", b"1e999", b"-1e999"])
def test_numbers_that_are_not_finite_are_refused(word: bytes) -> None:
    assert refusal(b'{"v": [0, ' + word + b"]}").code == "number_not_finite"
    assert place(b'{"v": [0, ' + word + b"]}") == ("/v/1", 1, 11)


@pytest.mark.parametrize("number", [b"1" * 5000, b"-" + b"1" * 5000, b"0." + b"1" * 5000])
def test_numbers_of_thousands_of_digits_are_refused(number: bytes) -> None:
    assert refusal(b"[" + number + b"]").code == "number_range"


def test_integers_keep_all_their_digits() -> None:
    assert read_json(b"[9007199254740993, %s]" % (b"9" * 999)) == [2**53 + 1, 10**999 - 1]


def test_a_duplicate_key_is_refused_at_its_second_place() -> None:
    data = b'{"a": {"b": 1},\n "c": [{"x": 1, "y": 2, "x": 3}]}'
    assert refusal(data).code == "duplicate_key"
    assert place(data) == ("/c/0/x", 2, 25)


def test_keys_that_differ_only_in_their_spelling_are_duplicates() -> None:
    assert refusal(b'{"a": 1, "\\u0061": 2}').code == "duplicate_key"


@pytest.mark.parametrize("text", [rb'"\ud800"', rb'{"\udfff": 1}', rb'["\udc00\ud800"]', rb'[["a\uDABCb"]]'])
def test_half_of_a_surrogate_pair_is_refused(text: bytes) -> None:
    assert refusal(text).code == "text_invalid"


def test_whole_pairs_and_escaped_backslashes_are_text() -> None:
    assert read_json(rb'["\ud83d\ude00", "\\ud800", "\u0000"]') == ["\U0001f600", "\\ud800", "\0"]


@pytest.mark.parametrize("text", [b"[" * 100_000, b'{"a":' * 100_000, b"[" * 500 + b"]" * 500, b"[" * 65 + b"]" * 65])
def test_deep_nesting_is_refused(text: bytes) -> None:
    assert refusal(text).code == "too_deep"


def test_depth_counts_containers() -> None:
    assert read_json(b"[" * 64 + b"1" + b"]" * 64)
    assert read_json(b'{"a": [1]}', max_depth=2)
    with pytest.raises(InvalidInput):
        read_json(b'{"a": [[]]}', max_depth=2)
    with pytest.raises(InvalidInput):
        read_json(rb'[["\ud800"]]', max_depth=2)


@pytest.mark.parametrize(
    ("flaw", "code"),
    [
        (b"NaN", "number_not_finite"),
        (b'{"a": 1, "a": 2}', "duplicate_key"),
        (rb'"\ud800"', "text_invalid"),
        (b"[" * 70 + b"]" * 70, "too_deep"),
        (b"1" * 2000, "number_range"),
        (b"oops", "json_syntax"),
    ],
)
def test_a_large_text_is_refused_with_the_same_code(flaw: bytes, code: str) -> None:
    filler = b"1," * 500_000
    assert refusal(b"[" + filler + flaw + b"]").code == code
    assert refusal(b"[" + flaw + b"]").code == code


def test_every_flaw_of_a_small_text_is_reported() -> None:
    found = [(problem.code, problem.path) for problem in refusal(b'{"a": NaN, "b": [1e999], "a": 1}').problems]
    assert found == [("number_not_finite", "/a"), ("number_not_finite", "/b/0"), ("duplicate_key", "/a")]


_SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
_VALUES = st.recursive(
    _SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4), max_leaves=20
)


@given(_VALUES, st.sampled_from([None, 0, 2]), st.booleans())
def test_both_ways_read_what_was_written(value: object, indent: int | None, ascii_only: bool) -> None:
    data = json.dumps(value, indent=indent, ensure_ascii=ascii_only).encode()
    assert read_json(data) == value
    assert parse_document(data, "json").value == value


_JSON_PIECES = st.sampled_from(
    [*'{}[],:" \n\\-+.eE01', '"a"', '"a":', "true", "null", "NaN", "1.5", "1e999", "\\ud800", "\\u", "é", "/", "\x01"]
)


@given(st.lists(_JSON_PIECES, max_size=12).map("".join))
@example('{"a":1,"a":')
@example('[1,NaN,"')
def test_both_ways_refuse_the_same_texts(text: str) -> None:
    data = text.encode()
    assert _read_or_refused(lambda: read_json(data)) == _read_or_refused(lambda: parse_document(data, "json").value)


def _read_or_refused(read: Callable[[], object]) -> object:
    """The value, or the places of what is wrong with it."""
    try:
        return read()
    except (InvalidInput, DefinitionInvalid) as refused:
        return sorted((problem.line, problem.column, problem.code) for problem in refused.problems)


def test_values_know_their_places() -> None:
    document = parse_document(b'{"a": [1,\n  {"b": true}]}', "json")
    assert document.position(["a"]) == (1, 2)
    assert document.position(["a", 1, "b"]) == (2, 9)
    assert document.key_position(["a", 1, "b"]) == (2, 4)
