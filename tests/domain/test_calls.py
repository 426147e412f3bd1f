"""Workflows that run one another: no cycle, not too deep."""

from __future__ import annotations

import pytest

from cordum.domain.calls import MAX_DEPTH, Finding, check_calls
from cordum.domain.definition import Document, build_workflow
from cordum.domain.workflow import JSON, Workflow


def workflow(name: str, *calls: str) -> Workflow:
    """One that runs the others; `b@2` is a pinned version."""
    steps: dict[str, JSON] = {}
    for number, call in enumerate(calls):
        called, _, version = call.partition("@")
        pinned: dict[str, JSON] = {"version": int(version)} if version else {}
        steps[f"s{number}"] = {"type": "subworkflow", "workflow_id": called, **pinned}
    return build_workflow(Document({"id": name, "steps": steps}))


def check(new: Workflow, *stored: Workflow, pinned: dict[tuple[str, int], Workflow] | None = None) -> list[Finding]:
    latest = {one.id: one for one in stored}

    def load(name: str, version: int | None) -> Workflow | None:
        return latest.get(name) if version is None else (pinned or {}).get((name, version))

    return list(check_calls(new, 3, load))


@pytest.mark.parametrize(
    ("calls", "stored", "chain"),
    [
        (["a"], [], "a -> a"),
        (["b"], [("b", "a")], "a -> b -> a"),
        (["b"], [("b", "c", "d"), ("c",), ("d", "a")], "a -> b -> d -> a"),
        (["a@3"], [], "a -> a"),
        (["b"], [("b", "a@3")], "a -> b -> a"),
    ],
)
def test_what_closes_a_cycle_is_refused(calls: list[str], stored: list[tuple[str, ...]], chain: str) -> None:
    (finding,) = check(workflow("a", *calls), *(workflow(*one) for one in stored))
    assert (finding.step, finding.code, finding.fatal) == ("s0", "subworkflow_cycle", True)
    assert finding.message.endswith(chain)


def test_an_earlier_version_of_itself_is_another_workflow() -> None:
    assert check(workflow("a", "b"), workflow("b", "a@1"), pinned={("a", 1): workflow("a")}) == []


def test_a_workflow_that_is_not_stored_yet_is_a_warning() -> None:
    findings = check(workflow("a", "ghost", "b@7"), workflow("b"))
    assert [(one.step, one.code, one.fatal) for one in findings] == [
        ("s0", "workflow_not_stored", False),
        ("s1", "workflow_not_stored", False),
    ]


def test_depth_has_a_limit() -> None:
    chain = [workflow(f"w{n}", f"w{n + 1}") for n in range(1, MAX_DEPTH + 1)]
    deepest = workflow(f"w{MAX_DEPTH}")
    assert check(workflow("w0", "w1"), *chain[:-1], deepest) == []
    (finding,) = check(workflow("w0", "w1"), *chain, workflow(f"w{MAX_DEPTH + 1}"))
    assert finding.code == "limit_exceeded"


def test_calls_that_spread_and_meet_again_are_looked_at_once() -> None:
    """2^40 ways lead to the bottom."""
    levels = [workflow(f"w{n}", f"w{n + 1}", f"w{n + 1}") for n in range(1, 40)]
    (first, second) = check(workflow("w0", "w1", "w1"), *levels, workflow("w40"))
    assert (first.code, second.code) == ("limit_exceeded", "limit_exceeded")


def test_a_cycle_that_is_stored_already_ends_the_search() -> None:
    findings = check(workflow("a", "b"), workflow("b", "c"), workflow("c", "b"))
    assert all(one.code != "subworkflow_cycle" for one in findings)
