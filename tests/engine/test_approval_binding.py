"""An approval answers the question that was asked, under the policy that asked it, and nothing else."""

from __future__ import annotations

import pytest

from cordum.engine import Caller, Engine
from cordum.errors import StateConflict

ALICE, BOB = Caller("default", "alice"), Caller("default", "bob")
ASK = (
    b"{version: '1', default_decision: allow, rules: [{id: ask, match: {topics: [job.t]}, decision: require_approval}]}"
)
ASK_ELSE = ASK.replace(b"id: ask", b"id: ask-else")
ALLOW = b"{version: '1', default_decision: allow}"
DENY = b"{version: '1', default_decision: deny}"


@pytest.fixture
def asked(engine: Engine) -> tuple[Engine, str]:
    """A run that waits for a person, because a rule says so."""
    engine.policies.publish(ASK, "test")
    engine.save_workflow("default", b"{id: w, steps: {a: {topic: job.t}}}", "yaml")
    run_id = engine.start_run(ALICE, "w", {}).id
    assert engine.run("default", run_id)["steps"]["a"]["status"] == "waiting"
    return engine, run_id


def test_an_answer_under_another_policy_is_stale_and_the_step_asks_again(asked: tuple[Engine, str]) -> None:
    engine, run_id = asked
    engine.policies.publish(ASK_ELSE, "test")
    with pytest.raises(StateConflict) as refused:
        engine.approve(BOB, f"{run_id}:a@1")
    assert refused.value.code == "approval_stale_snapshot"
    again = engine.approval("default", f"{run_id}:a@1")
    assert (again["state"], again["policy_rule_id"]) == ("pending", "ask-else")
    assert engine.approve(BOB, f"{run_id}:a@1")["state"] == "approved"
    assert engine.run("default", run_id)["steps"]["a"]["status"] in ("pending", "queued")


def test_a_policy_that_allows_without_a_person_supersedes_the_question(asked: tuple[Engine, str]) -> None:
    engine, run_id = asked
    engine.policies.publish(ALLOW, "test")
    engine._core.advance(run_id)
    assert engine.approval("default", f"{run_id}:a@1")["state"] == "superseded"
    step = engine.run("default", run_id)["steps"]["a"]
    assert (step["status"], step["attempts"], step["job_id"]) == ("queued", 1, f"{run_id}:a@1")


def test_a_question_that_is_asked_anew_and_not_needed_any_more_is_closed(engine: Engine) -> None:
    """Both in one look: the policy asks about one step again, and its denial of the other ends the run."""
    engine.policies.publish(ASK.replace(b"[job.t]", b"[job.t, job.u]"), "test")
    engine.save_workflow("default", b"{id: w, steps: {a: {topic: job.t}, b: {topic: job.u}}}", "yaml")
    run_id = engine.start_run(ALICE, "w", {}).id
    engine.policies.publish(ASK_ELSE.replace(b"default_decision: allow", b"default_decision: deny"), "test")
    engine._core.advance(run_id)
    assert engine.run("default", run_id)["status"] == "denied"
    assert engine.approval("default", f"{run_id}:a@1")["state"] == "closed"
    assert engine.approvals("default").items == []


def test_a_policy_that_denies_ends_the_step(asked: tuple[Engine, str]) -> None:
    engine, run_id = asked
    engine.policies.publish(DENY, "test")
    engine._core.advance(run_id)
    run = engine.run("default", run_id)
    assert (run["status"], run["steps"]["a"]["status"]) == ("denied", "denied")
    with pytest.raises(StateConflict) as refused:
        engine.approve(BOB, f"{run_id}:a@1")
    assert refused.value.code == "run_terminal"
