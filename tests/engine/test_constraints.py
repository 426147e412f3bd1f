"""What the policy demands of a job that it lets run is what happens to it."""

from __future__ import annotations

import pytest

from cordum.domain.run import OutcomeClass
from cordum.engine import Engine
from cordum.execution.result import ResultRefused, checked_result
from cordum.store import codec
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


def test_a_result_that_is_larger_than_allowed_is_not_taken_from_any_worker(engine: Engine, hands: Hands) -> None:
    """These hands check nothing, like a worker of another version; what they record is held against the decision."""
    engine.publish_policy(TIGHT, "test")
    run_id = hands.start("steps: {a: {topic: job.t, retry: {max_retries: 5}}}")
    hands.claim(run_id, "a")
    assert hands.finish(run_id, "a", "ä" * 5) == "ADVANCE"
    shown = engine.run("default", run_id)
    assert (shown["status"], shown["steps"]["a"]["output"], shown["steps"]["a"]["attempts"]) == ("failed", None, 1)
    assert shown["error"]["code"] == "result_too_large"
    assert shown["error"]["message"] == "the result has 12 bytes, 10 are allowed"
    (letter,) = engine.dead_letters("default").items
    assert letter["reason_code"] == "result_too_large"
    assert engine.store.figures.counters()["attempts_ended:fatal:job.t"] == 1


@pytest.mark.parametrize("topic", ["job.t", "job.u"])
def test_what_fits_or_has_no_limit_is_taken(engine: Engine, hands: Hands, topic: str) -> None:
    engine.publish_policy(TIGHT, "test")
    run_id = hands.start(f"steps: {{a: {{topic: {topic}}}}}")
    hands.work(run_id, "a", "ä" * 4 if topic == "job.t" else "ä" * 400)
    assert hands.statuses(run_id) == {"a": "succeeded"}


def test_a_limit_is_not_read_out_of_what_people_wrote(engine: Engine, hands: Hands) -> None:
    reason = "say \\\"max_result_bytes\\\":1, and 'max_result_bytes':1"
    help_ = 'remediations: [{id: x, add_labels: {max_result_bytes: "1"}}]'
    rules = f'rules: [{{id: all, decision: allow, reason: "{reason}", {help_}}}]'
    engine.publish_policy(rules.encode(), "test")
    run_id = hands.start("steps: {a: {topic: job.t}}")
    hands.work(run_id, "a", "long enough")
    assert hands.statuses(run_id) == {"a": "succeeded"}


def test_the_worker_and_the_record_count_the_same_bytes() -> None:
    for value in ("ä" * 5, {"a": [1, 2.5, None, "\u2028"]}, ["x", {"y": '"\\'}]):
        size = len(codec.to_json(value).encode())
        assert checked_result(value, size).value == value
        with pytest.raises(ResultRefused):
            checked_result(value, size - 1)


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
