from __future__ import annotations

import json
from typing import Any

import pytest

from cordum.domain.policy_secrets import holds_secrets
from cordum.domain.redaction import HIDDEN, redacted, shown_to_people

SECRET = "ck_abcdefgh_" + "A" * 43


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ({"password": "x", "user": "ann"}, {"password": HIDDEN, "user": "ann"}),
        ({"db": [{"apiKey": {"deep": 1}}]}, {"db": [{"apiKey": HIDDEN}]}),
        ({"note": f"use {SECRET}"}, {"note": HIDDEN}),
        ({"password": "", "token": None}, {"password": "", "token": None}),
        (["postgres://u:p@h/db", 1, True, None], [HIDDEN, 1, True, None]),
        ({"tokens_used": 7, "secretary": "bob"}, {"tokens_used": 7, "secretary": "bob"}),
    ],
)
def test_secrets_are_hidden_and_the_rest_is_as_it_was(value: Any, shown: Any) -> None:
    assert redacted(value) == shown


def test_what_is_shown_holds_no_secret_that_the_policy_would_find() -> None:
    held: Any = {"a": [SECRET, {"client_secret": [1, 2]}], "b": "fine"}
    assert holds_secrets(held)
    assert SECRET not in json.dumps(redacted(held))
    assert not holds_secrets(redacted([held["a"][0], held["b"]]))


def test_a_large_value_is_shown_by_its_beginning_and_without_its_secrets() -> None:
    shown: Any = shown_to_people({"password": "hunter2", "rows": ["x" * 100] * 1000}, 1000)
    assert (shown["truncated"], len(shown["beginning"])) == (True, 1000)
    assert shown["chars"] > 100_000
    assert "hunter2" not in shown["beginning"]
    assert shown_to_people({"a": 1}, 1000) == {"a": 1}
