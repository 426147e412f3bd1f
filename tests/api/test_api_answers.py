from __future__ import annotations

import pytest

from cordum.api.answers import encoded


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_number_that_json_does_not_have_never_leaves(number):
    with pytest.raises(ValueError, match="JSON compliant"):
        encoded({"a": [number]})


def test_text_and_large_numbers_survive():
    assert encoded({"é": [2**53 + 1, 10**40, []]}) == '{"é":[9007199254740993,1%s,[]]}'.encode() % (b"0" * 40)


def test_half_a_surrogate_pair_breaks_no_answer():
    assert encoded("\ud800") == b'"?"'
