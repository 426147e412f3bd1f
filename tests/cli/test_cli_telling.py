"""A timeline is read at night: one event is a few words."""

from __future__ import annotations

from typing import Any

import pytest

from cordum.cli.telling import details


@pytest.mark.parametrize(
    ("event", "told"),
    [
        ({}, "-"),
        ({"from": "queued", "to": "running", "actor": "w1"}, "queued -> running  by w1"),
        ({"data": {"decision": "deny", "rule_id": "r", "reason": "no", "policy_snapshot": "x"}}, "deny by rule r, no"),
        (
            {"data": {"decision": "allow", "rule_id": None, "reason": "no rule matched"}},
            "allow by no rule, no rule matched",
        ),
        ({"data": {"error": {"code": "fatal", "message": "disk full"}, "retry": 1}}, 'fatal: disk full, {"retry": 1}'),
        ({"data": {"fraction": 0.25, "note": "reading"}}, "25%, reading"),
        ({"data": {"topic": "job.t", "comment": ""}}, "-"),
    ],
)
def test_an_event_in_a_few_words(event: dict[str, Any], told: str) -> None:
    assert details(event) == told
