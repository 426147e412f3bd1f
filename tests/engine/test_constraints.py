"""What the policy demands of a job that it lets run is what happens to it."""

from __future__ import annotations

from cordum.domain.run import OutcomeClass
from cordum.engine import Engine
from tests.engine.hands import Hands

TIGHT = b"""
rules:
  - id: tight
    match: {topics: [job.t]}
    decision: allow_with_constraints
    constraints: {budgets: {max_runtime_ms: 1500, max_retries: 1, max_result_bytes: 10}}
  - {id: rest, decision: allow}
"""
LONG = "steps: {a: {topic: job.t, timeout_sec: 60, retry: {max_retries: 5, initial_backoff_sec: 0}}}"
SHORT = "steps: {a: {topic: job.t, timeout_sec: 1}}"


def test_the_tighter_of_policy_and_definition_holds(engine: Engine, hands: Hands) -> None:
    engine.publish_policy(TIGHT, "test")
    claimed = hands.claim(hands.start(LONG), "a")
    assert (claimed.timeout_ms, claimed.retries_left) == (1500, 1)
    assert claimed.constraints.document() == {
        "budgets": {"max_runtime_ms": 1500, "max_retries": 1, "max_result_bytes": 10}
    }
    claimed = hands.claim(hands.start(SHORT), "a")
    assert (claimed.timeout_ms, claimed.retries_left) == (1000, 0)


def test_without_constraints_the_definition_holds(engine: Engine, hands: Hands) -> None:
    claimed = hands.claim(hands.start(LONG), "a")
    assert (claimed.timeout_ms, claimed.retries_left) == (60_000, 5)
    assert not claimed.constraints


def test_no_more_retries_than_the_policy_allows(engine: Engine, hands: Hands) -> None:
    engine.publish_policy(TIGHT, "test")
    run_id = hands.start(LONG)
    for attempt in (1, 2):
        assert hands.claim(run_id, "a", attempt).word == "CLAIMED"
        hands.finish(run_id, "a", attempt=attempt, kind=OutcomeClass.RETRYABLE)
    step = engine.run("default", run_id)["steps"]["a"]
    assert (step["status"], step["attempts"], step["error"]["code"]) == ("failed", 2, "max_retries_exceeded")


def test_constraints_stand_on_the_timeline_before_the_job(engine: Engine, hands: Hands) -> None:
    engine.publish_policy(TIGHT, "test")
    events = engine.timeline("default", hands.start(LONG)).items
    decided = next(event for event in events if event["type"] == "step.decision")
    assert decided["data"]["constraints"]["budgets"]["max_runtime_ms"] == 1500
    assert decided["data"]["decision"] == "allow_with_constraints"
