"""Approvals: one decision, by somebody else, under any number of people who press at once."""

from __future__ import annotations

from collections import Counter

import pytest

from cordum.engine import Caller, Engine
from cordum.errors import CordumError, Forbidden, NotFound, StateConflict
from tests.engine.hands import ALICE, BOB, Hands
from tests.engine.test_runs import at_once

GATED = """
steps:
  gate: {type: approval, input: {approval_reason: Roll back, next_effect: Traffic shifts}}
  act: {topic: job.t, depends_on: [gate]}
"""
POLICY = b"""
default_decision: allow
rules: [{id: ask, match: {risk_tags: [prod]}, decision: require_approval, reason: Prod}]
"""


def gate_of(hands: Hands, definition: str = GATED) -> tuple[str, str]:
    run_id = hands.start(definition)
    return run_id, hands.engine.approvals("default").items[0]["job_id"]


def test_an_approval_shows_what_it_will_do(hands: Hands) -> None:
    run_id, job_id = gate_of(hands)
    shown = hands.engine.approval("default", job_id)
    assert (shown["reason"], shown["next_effect"]) == ("Roll back", "Traffic shifts")
    assert shown["job"] == {"id": job_id, "state": "pending", "topic": "sys.approval.gate", "tenant": "default"}
    assert hands.engine.run("default", run_id)["steps"]["gate"]["job_id"] == job_id


def test_an_approval_lets_the_run_go_on(hands: Hands) -> None:
    run_id, job_id = gate_of(hands)
    shown = hands.engine.approve(BOB, job_id, "looks right")
    assert (shown["decision"], shown["decided_by"], shown["comment"]) == ("approved", "bob", "looks right")
    assert hands.statuses(run_id) == {"gate": "succeeded", "act": "queued"}
    assert hands.engine.approvals("default").items == []
    assert [one["job_id"] for one in hands.engine.approvals("default", include_resolved=True).items] == [job_id]


def test_a_rejection_denies_the_step_with_its_reason(hands: Hands) -> None:
    run_id, job_id = gate_of(hands)
    hands.engine.reject(BOB, job_id, "not on a Friday")
    run = hands.engine.run("default", run_id)
    assert (run["status"], run["steps"]["gate"]["status"]) == ("denied", "denied")
    assert run["steps"]["gate"]["error"]["message"] == "not on a Friday"
    assert run["steps"]["act"]["status"] == "skipped"


def test_twenty_people_at_once_take_one_decision(hands: Hands) -> None:
    run_id, job_id = gate_of(hands)

    def press(number: int) -> str:
        caller = Caller("default", f"person{number}")
        try:
            shown = hands.engine.approve(caller, job_id) if number % 2 else hands.engine.reject(caller, job_id, "no")
            return str(shown["decision"])
        except StateConflict as conflict:
            return conflict.code

    answers = Counter(at_once(20, press))
    decided = hands.engine.approval("default", job_id)["decision"]
    assert answers == {decided: 10, "approval_already_resolved": 10}
    hands.engine.coordinate()
    events = hands.events(run_id)
    assert events.count("approval.approved") + events.count("approval.rejected") == 1
    assert events.count("step.queued") == (1 if decided == "approved" else 0)


def test_the_same_decision_again_gets_the_first_answer(hands: Hands) -> None:
    _, job_id = gate_of(hands)
    first = hands.engine.approve(BOB, job_id)
    assert hands.engine.approve(Caller("default", "carol"), job_id) == first


def test_the_other_decision_is_a_conflict(hands: Hands) -> None:
    _, job_id = gate_of(hands)
    hands.engine.approve(BOB, job_id)
    with pytest.raises(StateConflict) as conflict:
        hands.engine.reject(BOB, job_id, "changed my mind")
    assert conflict.value.code == "approval_already_resolved"


def test_the_submitter_cannot_approve(hands: Hands) -> None:
    run_id, job_id = gate_of(hands)
    with pytest.raises(Forbidden) as refused:
        hands.engine.approve(ALICE, job_id)
    assert refused.value.code == "self_approval_denied"
    assert hands.statuses(run_id)["gate"] == "waiting"


@pytest.mark.parametrize("allowed", [False, True])
def test_anonymous_approves_anonymous_only_where_a_setting_says_so(engine: Engine, allowed: bool) -> None:
    settings = engine.settings.with_overrides("test", allow_anonymous_approval=allowed)
    engine = Engine(engine.store, settings)
    engine.save_workflow("default", GATED.encode(), "yaml", default_id="wf")
    nobody = Caller("default", "anonymous")
    engine.start_run(nobody, "wf", {})
    job_id = engine.approvals("default").items[0]["job_id"]
    if allowed:
        assert engine.approve(nobody, job_id)["unverified"] is True
    else:
        with pytest.raises(CordumError, match="X-Principal-Id"):
            engine.approve(nobody, job_id)
        assert engine.approve(BOB, job_id)["unverified"] is False


def test_an_approval_after_the_run_has_ended_is_a_conflict(hands: Hands) -> None:
    run_id, job_id = gate_of(hands)
    hands.engine.cancel_run(BOB, run_id)
    with pytest.raises(StateConflict) as conflict:
        hands.engine.approve(BOB, job_id)
    assert conflict.value.code == "run_terminal"
    assert hands.engine.approvals("default").items == []


def test_another_tenant_s_approval_looks_like_a_missing_one(hands: Hands) -> None:
    _, job_id = gate_of(hands)
    with pytest.raises(NotFound):
        hands.engine.approve(Caller("other", "eve"), job_id)
    assert hands.engine.approvals("other").items == []


def test_policy_asks_for_a_person_and_the_approved_request_is_sent(engine: Engine) -> None:
    engine.publish_policy(POLICY, "test")
    hands = Hands(engine)
    run_id, job_id = gate_of(hands, "steps: {a: {topic: job.t, meta: {risk_tags: [prod]}}}")
    shown = engine.approval("default", job_id)
    assert (shown["gate"], shown["policy_rule_id"], shown["policy_reason"]) == ("policy", "ask", "Prod")
    assert hands.claim(run_id, "a").word == "STALE"
    engine.approve(BOB, job_id)
    assert hands.statuses(run_id) == {"a": "queued"}
    hands.work(run_id, "a", 1)
    run = engine.run("default", run_id)
    assert (run["status"], run["steps"]["a"]["attempts"]) == ("succeeded", 1)


def test_a_changed_policy_asks_again(engine: Engine) -> None:
    engine.publish_policy(POLICY, "test")
    hands = Hands(engine)
    run_id, job_id = gate_of(hands, "steps: {a: {topic: job.t, meta: {risk_tags: [prod]}}}")
    engine.approve(BOB, job_id)
    engine.publish_policy(POLICY.replace(b"Prod", b"Production"), "test")
    assert hands.claim(run_id, "a").word == "POLICY_CHANGED"
    engine.coordinate()
    assert hands.statuses(run_id) == {"a": "waiting"}


def test_the_gate_s_input_is_what_people_are_asked(hands: Hands) -> None:
    run_id, _ = gate_of(hands)
    asked = hands.engine.run("default", run_id)["steps"]["gate"]["input"]
    assert asked == {"approval_reason": "Roll back", "next_effect": "Traffic shifts"}
