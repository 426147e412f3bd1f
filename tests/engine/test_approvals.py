"""Approvals: one decision, by somebody else, under any number of people who press at once."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from cordum.engine import Caller, Engine
from cordum.engine.approval_figures import waiting_times
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


# --- what people are shown ---

RESTS = """
steps:
  look: {topic: job.look}
  fan: {type: parallel, steps: [x, y]}
  x: {topic: job.x}
  y: {topic: job.y}
  ask:
    type: approval
    depends_on: [look, fan]
    input: {approval_reason: Roll back, next_effect: Traffic shifts, token: "${input.token}"}
  act: {name: Do it, topic: job.act, depends_on: [ask]}
  tell: {type: notify, depends_on: [act], input: {level: INFO, message: done}}
"""


def test_an_approval_shows_what_it_rests_on_and_what_goes_on_after_it(engine: Engine, hands: Hands) -> None:
    run_id = hands.start(RESTS, {"token": "t0ps3cret", "host": "db1"})
    hands.work(run_id, "look", {"severity": "high", "password": "hunter2"})
    hands.work(run_id, "x", ["a"])
    hands.work(run_id, "y", {"rows": ["z" * 100] * 1000})
    shown = engine.approval("default", f"{run_id}:ask@1")
    assert (shown["reason"], shown["next_effect"]) == ("Roll back", "Traffic shifts")
    assert [one["step_id"] for one in shown["evidence"]] == ["look", "x", "y"]
    look, x, y = (one["output"] for one in shown["evidence"])
    assert (look, x) == ({"severity": "high", "password": "[hidden]"}, ["a"])
    assert (y["truncated"], len(y["beginning"])) == (True, 8 * 1024)
    assert shown["run_input"] == {"token": "[hidden]", "host": "db1"}
    assert [(one["step_id"], one["topic"], one["status"]) for one in shown["downstream"]] == [
        ("act", "job.act", "pending"),
        ("tell", None, "pending"),
    ]
    text = json.dumps(shown)
    assert "hunter2" not in text
    assert "t0ps3cret" not in text
    # What is shown is not what is done: the job itself gets everything.
    assert engine.run("default", run_id)["input"]["token"] == "t0ps3cret"


def test_a_gate_of_the_policy_shows_the_same_and_a_loop_s_result_counts(engine: Engine, hands: Hands) -> None:
    engine.publish_policy(
        b"{default_decision: allow, rules: [{id: ask, match: {topics: [job.act]}, decision: require_approval}]}", "ann"
    )
    run_id = hands.start(
        "steps: {f: {topic: job.f, for_each: '${[1]}'}, act: {topic: job.act, depends_on: [f]},"
        " end: {topic: job.e, depends_on: [act]}}"
    )
    hands.claim(run_id, "f[0]")
    hands.finish(run_id, "f[0]", "seen")
    engine.coordinate()
    shown = engine.approval("default", f"{run_id}:act@1")
    assert (shown["gate"], shown["policy_rule_id"]) == ("policy", "ask")
    assert [(one["step_id"], one["output"]) for one in shown["evidence"]] == [("f", ["seen"])]
    assert [one["step_id"] for one in shown["downstream"]] == ["end"]


def test_all_evidence_together_is_bounded(engine: Engine, hands: Hands) -> None:
    many = "".join(f"s{number}: {{topic: job.s}}, " for number in range(20))
    names = ", ".join(f"s{number}" for number in range(20))
    run_id = hands.start(f"steps: {{{many} ask: {{type: approval, depends_on: [{names}]}}}}")
    for number in range(20):
        hands.work(run_id, f"s{number}", "x" * 7000)
    shown = engine.approval("default", f"{run_id}:ask@1")
    assert len(shown["evidence"]) == 20
    left_out = [one["step_id"] for one in shown["evidence"] if one["left_out"]]
    assert left_out
    assert left_out == [f"s{number}" for number in range(20 - len(left_out), 20)]
    assert len(json.dumps(shown)) < 80 * 1024


def test_waiting_times_come_from_the_records_of_the_tenant(engine: Engine, hands: Hands) -> None:
    gate = "steps: {ask: {type: approval}}"
    empty = engine.approval_stats("default")
    assert (empty["open"], empty["wait_sec"], empty["outcomes"]) == (0, None, {})
    runs = [hands.start(gate) for _ in range(4)]
    engine.approve(BOB, f"{runs[0]}:ask@1")
    engine.reject(BOB, f"{runs[1]}:ask@1", "no")
    engine.cancel_run(ALICE, runs[2])
    found = engine.approval_stats("default")
    assert (found["open"], found["outcomes"]) == (1, {"approved": 1, "rejected": 1, "closed": 1})
    assert found["oldest_open_sec"] >= 0
    assert sum(one["count"] for one in found["histogram"]) == 2
    assert engine.approval_stats("acme")["outcomes"] == {}


def test_quantiles_are_waits_that_happened() -> None:
    records = [{"state": "approved", "at": "0", "decided_at": str(1000 * sec)} for sec in (*range(1, 100), 700_000)]
    found = waiting_times(records, 5_000, 2_000, 3)
    assert found["wait_sec"] == {"p50": 50.0, "p90": 90.0, "p99": 99.0, "max": 700_000.0}
    assert found["oldest_open_sec"] == 3
    assert [one["count"] for one in found["histogram"] if one["count"]] == [60, 39, 1]
    assert found["histogram"][-1] == {"up_to_sec": None, "count": 1}
