"""What a handler returns is kept the same whichever way its text is made."""

from __future__ import annotations

import json
from enum import Enum
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cordum.domain.definition.document import MAX_DEPTH
from cordum.execution.result import ResultRefused, checked_result
from cordum.store import codec

ANY = 10**9
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
)


class Colour(Enum):
    RED = "red"


class Text(str):
    pass


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


@given(VALUES)
def test_the_text_is_that_of_json(value: Any) -> None:
    kept, text = checked_result(value, ANY)
    assert text == codec.to_json(value) == codec.to_json(kept)
    assert kept == json.loads(text)


@pytest.mark.parametrize(
    "value",
    [2**53 + 1, -(2**63), 2**64, 10**40, 1e16, 1e-7, -0.0, 1.5, '\x00\x1f\x7f\u2028\U0001f600"\\/', Text("x"), {1: 2}],
)
def test_numbers_texts_and_keys_keep_their_form(value: Any) -> None:
    assert checked_result(value, ANY).text == json.dumps(value, ensure_ascii=False, separators=(",", ":"))


@pytest.mark.parametrize(
    "value",
    [
        float("nan"),
        [float("inf")],
        "\ud800",
        {"\ud800": 1},
        {1: 1, "1": 2},
        Colour.RED,
        UUID(int=1),
        b"x",
        {1, 2},
        object(),
    ],
)
def test_what_is_no_json_is_refused(value: Any) -> None:
    for one in (value, [value], {"a": value}):
        with pytest.raises(ResultRefused) as refused:
            checked_result(one, ANY)
        assert refused.value.code == "result_not_serializable"


def test_a_result_may_be_nested_as_deeply_as_it_can_be_read() -> None:
    assert checked_result(nested(MAX_DEPTH), ANY).value == nested(MAX_DEPTH)
    with pytest.raises(ResultRefused):
        checked_result(nested(MAX_DEPTH + 1), ANY)


def test_a_result_that_contains_itself_is_refused() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(ResultRefused):
        checked_result(value, ANY)


def test_what_is_kept_is_not_the_handlers_own() -> None:
    value = {"a": [1]}
    kept = checked_result(value, ANY).value
    value["a"].append(2)
    assert kept == {"a": [1]}
