"""What differs between two definitions."""

from __future__ import annotations

from typing import Any

import pytest

from cordum.domain.definition import Change, canonical, differences, parse_document, read_json

OLD: dict[str, Any] = {
    "id": "w",
    "timeout_sec": 60,
    "steps": {"a": {"topic": "job.a", "retry": {"max_retries": 1}}, "b": {"depends_on": ["a"]}, "c": {}},
}


def test_equal_definitions_do_not_differ() -> None:
    assert differences(OLD, OLD) == []


def test_the_stored_form_does_not_differ_from_the_text() -> None:
    text = b"id: w\nsteps:\n  b: {type: job, input: {n: 1}}\n  a: {}\n"
    document = parse_document(text, "yaml")
    stored: Any = read_json(canonical(document, "w"))
    written: Any = document.value
    assert differences(written, stored) == []
    assert differences({"steps": {"a": {"type": "worker"}}}, {"steps": [{"id": "a"}]}) == []


@pytest.mark.parametrize(
    ("new", "change"),
    [
        ({**OLD, "timeout_sec": 90}, Change(("timeout_sec",), "changed", 60, 90)),
        ({**OLD, "name": "N"}, Change(("name",), "added", None, "N")),
        ({"id": "w", "steps": OLD["steps"]}, Change(("timeout_sec",), "removed", 60)),
        (
            {**OLD, "steps": {**OLD["steps"], "a": {"topic": "job.a", "retry": {"max_retries": 2}}}},
            Change(("steps", "a", "retry", "max_retries"), "changed", 1, 2),
        ),
        ({**OLD, "steps": {**OLD["steps"], "d": {}}}, Change(("steps", "d"), "added", None, {"type": "worker"})),
        (
            {**OLD, "steps": {name: OLD["steps"][name] for name in "ab"}},
            Change(("steps", "c"), "removed", {"type": "worker"}),
        ),
        (
            {**OLD, "steps": {name: OLD["steps"][name] for name in "bac"}},
            Change(("steps",), "moved", ["a", "b", "c"], ["b", "a", "c"]),
        ),
        (
            {**OLD, "steps": {**OLD["steps"], "b": {"depends_on": ["a", "c"]}}},
            Change(("steps", "b", "depends_on"), "changed", ["a"], ["a", "c"]),
        ),
        ({**OLD, "timeout_sec": True}, Change(("timeout_sec",), "changed", 60, True)),
    ],
)
def test_a_change_names_step_and_key(new: dict[str, Any], change: Change) -> None:
    assert differences(OLD, new) == [change]


def test_one_is_not_true() -> None:
    assert len(differences({"x": [1, {"y": 1}]}, {"x": [1, {"y": True}]})) == 1
    assert differences({"x": [1, 2.0]}, {"x": [1.0, 2]}) == []
