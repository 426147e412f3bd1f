"""Compensations: what a run has done is undone when it comes to a bad end, once, the latest first (CONTRACT.md 3.9)."""

from __future__ import annotations

from typing import Any

import pytest

from cordum.domain.run import OutcomeClass
from cordum.engine import Engine
from cordum.errors import StateConflict
from tests.engine.hands import ALICE, Hands

ORDER = """
steps:
  reserve:
    topic: job.stock.reserve
    input: {item: "${input.item}"}
    compensate: {topic: job.stock.release, input: {item: "${step.input.item}", reservation: "${step.output.id}"}}
  charge:
    topic: job.money.charge
    depends_on: [reserve]
    compensate: {topic: job.money.refund, input: {payment: "${step.output.id}", why: "${error.code}"}}
  note: {topic: job.note, depends_on: [charge]}
  ship:
    topic: job.ship
    depends_on: [note]
    compensate: {topic: job.ship.recall}
"""
TWO = """
steps:
  a: {topic: job.t, compensate: {topic: job.undo}}
  b: {topic: job.t, depends_on: [a], compensate: {topic: job.undo}}
"""


def failed_order(hands: Hands) -> str:
    run_id = hands.start(ORDER, {"item": "lamp"})
    hands.work(run_id, "reserve", {"id": "r-7"})
    hands.work(run_id, "charge", {"id": "p-9"})
    hands.work(run_id, "note", {})
    hands.claim(run_id, "ship")
    hands.finish(run_id, "ship", kind=OutcomeClass.FATAL)
    return run_id


def undoing(hands: Hands, run_id: str) -> str:
    hands.engine.coordinate()
    return str(hands.engine.run("default", run_id)["compensation"]["run_id"])


def test_a_failed_run_is_undone_from_the_last_success_back(hands: Hands) -> None:
    run_id = failed_order(hands)
    undo = undoing(hands, run_id)
    shown = hands.engine.run("default", undo)
    assert shown["compensates"] == run_id
    assert hands.statuses(undo) == {"1-charge": "queued", "2-reserve": "pending"}
    assert hands.claim(undo, "1-charge").input == {"payment": "p-9", "why": "error"}
    hands.finish(undo, "1-charge", {})
    assert hands.claim(undo, "2-reserve").input == {"item": "lamp", "reservation": "r-7"}
    hands.finish(undo, "2-reserve", {})
    assert hands.engine.run("default", undo)["status"] == "succeeded"
    assert hands.events(run_id)[-3:] == ["run.failed", "compensation.started", "compensation.finished"]


def test_the_run_shows_what_is_undone_and_how_far_that_is(hands: Hands) -> None:
    run_id = failed_order(hands)
    undo = undoing(hands, run_id)
    hands.work(undo, "1-charge")
    shown = hands.engine.run("default", run_id)["compensation"]
    assert (shown["run_id"], shown["status"]) == (undo, "running")
    assert [(one["compensates"], one["status"]) for one in shown["steps"]] == [
        ("charge", "succeeded"),
        ("reserve", "queued"),
    ]


def test_it_goes_through_policy_and_is_retried_five_times(engine: Engine, hands: Hands) -> None:
    run_id = failed_order(hands)
    undo = undoing(hands, run_id)
    assert hands.engine.run("default", undo)["steps"]["1-charge"]["decision"]["decision"] == "allow"
    assert hands.claim(undo, "1-charge").retries_left == 5
    rule = "{id: no, match: {topics: [job.stock.release]}, decision: deny}"
    engine.publish_policy(f"{{version: '1', default_decision: allow, rules: [{rule}]}}".encode(), "test")
    hands.finish(undo, "1-charge", {})
    assert hands.engine.run("default", undo)["status"] == "denied"
    assert hands.engine.timeline("default", run_id, limit=200).items[-1]["data"]["status"] == "denied"


def test_an_undone_run_cannot_be_retried_but_its_undoing_can(hands: Hands) -> None:
    run_id = failed_order(hands)
    undo = undoing(hands, run_id)
    with pytest.raises(StateConflict) as refused:
        hands.engine.retry_run(ALICE, run_id, "again")
    assert refused.value.code == "run_compensated"
    hands.claim(undo, "1-charge")
    hands.finish(undo, "1-charge", kind=OutcomeClass.FATAL)
    assert hands.engine.run("default", undo)["status"] == "failed"
    hands.engine.retry_run(ALICE, undo, "the bank is back")
    assert hands.claim(undo, "1-charge", 2).input == {"payment": "p-9", "why": "error"}
    hands.finish(undo, "1-charge", {}, attempt=2)
    hands.work(undo, "2-reserve", {})
    assert hands.events(run_id).count("compensation.finished") == 2


def test_nothing_done_is_nothing_undone_and_the_run_can_be_retried(hands: Hands) -> None:
    run_id = hands.start(TWO)
    hands.claim(run_id, "a")
    hands.finish(run_id, "a", kind=OutcomeClass.FATAL)
    assert hands.engine.run("default", run_id)["compensation"] is None
    hands.engine.retry_run(ALICE, run_id, "again")
    assert hands.engine.run("default", run_id)["status"] == "running"


@pytest.mark.parametrize("compensate", [True, False])
def test_a_cancelled_run_is_undone_where_somebody_asks_for_it(hands: Hands, compensate: bool) -> None:
    run_id = hands.start(TWO)
    hands.work(run_id, "a")
    hands.engine.cancel_run(ALICE, run_id, "wrong order", compensate=compensate)
    hands.engine.coordinate()
    shown = hands.engine.run("default", run_id)["compensation"]
    assert (shown is not None) is compensate
    if compensate:
        assert [one["compensates"] for one in shown["steps"]] == ["a"]


def test_a_run_that_succeeds_keeps_what_it_has_done(hands: Hands) -> None:
    run_id = hands.start(TWO)
    hands.work(run_id, "a")
    hands.work(run_id, "b")
    assert hands.engine.run("default", run_id)["compensation"] is None


def test_each_child_that_succeeded_is_undone_with_its_own_item(hands: Hands) -> None:
    run_id = hands.start(
        """
steps:
  each:
    for_each: input.names
    max_parallel: 1
    topic: job.t
    compensate: {topic: job.undo, input: {name: "${item}", of: "${step.id}", made: "${step.output}"}}
""",
        {"names": ["x", "y", "z"]},
    )
    for index in (0, 1):
        hands.claim(run_id, f"each[{index}]")
        hands.finish(run_id, f"each[{index}]", index)
    hands.claim(run_id, "each[2]")
    hands.finish(run_id, "each[2]", kind=OutcomeClass.FATAL)
    undo = undoing(hands, run_id)
    given = []
    for step in ("1-each.1", "2-each.0"):
        given.append(hands.claim(undo, step).input)
        hands.finish(undo, step)
    assert given == [{"name": "y", "of": "each[1]", "made": 1}, {"name": "x", "of": "each[0]", "made": 0}]


def test_what_a_rerun_has_taken_over_is_not_undone_by_it_and_what_is_undone_is_not_taken_over(hands: Hands) -> None:
    run_id = hands.start(TWO)
    hands.work(run_id, "a")
    hands.claim(run_id, "b")
    hands.engine.cancel_run(ALICE, run_id)
    again = hands.engine.rerun(ALICE, run_id, "b", "again").run["id"]
    hands.claim(again, "b")
    hands.finish(again, "b", kind=OutcomeClass.FATAL)
    assert hands.engine.run("default", again)["compensation"] is None
    undone = hands.start(TWO)
    hands.work(undone, "a")
    hands.engine.cancel_run(ALICE, undone, compensate=True)
    with pytest.raises(StateConflict) as refused:
        hands.engine.rerun(ALICE, undone, "b", "again")
    assert refused.value.code == "run_compensated"


def child_and_parent(hands: Hands) -> tuple[str, str]:
    """A parent whose child has done `a` and is at `b`."""
    child = TWO.replace("steps:", "id: inner\nsteps:")
    hands.engine.save_workflow("default", child.encode(), "yaml")
    parent = hands.start(
        "{steps: {call: {type: subworkflow, workflow_id: inner}, after: {topic: job.t, depends_on: [call]}}}"
    )
    hands.engine.coordinate()
    inner = str(hands.engine.run("default", parent)["steps"]["call"]["child_run_id"])
    hands.work(inner, "a")
    return parent, inner


def test_a_child_run_that_fails_is_undone_and_its_parent_s_retry_begins_another(hands: Hands) -> None:
    parent, inner = child_and_parent(hands)
    hands.claim(inner, "b")
    hands.finish(inner, "b", kind=OutcomeClass.FATAL)
    hands.engine.coordinate()
    assert hands.engine.run("default", parent)["status"] == "failed"
    assert undoing(hands, inner)
    hands.engine.retry_run(ALICE, parent, "again")
    hands.engine.coordinate()
    assert hands.engine.run("default", parent)["steps"]["call"]["child_run_id"] != inner


@pytest.mark.parametrize("compensate", [True, False])
def test_a_child_run_that_ends_with_its_parent_follows_it_in_this_too(hands: Hands, compensate: bool) -> None:
    parent, inner = child_and_parent(hands)
    hands.engine.cancel_run(ALICE, parent, compensate=compensate)
    hands.engine.coordinate()
    shown: Any = hands.engine.run("default", inner)
    assert shown["status"] == "cancelled"
    assert (shown["compensation"] is not None) is compensate


def test_an_input_that_cannot_be_put_together_is_the_compensation_s_failure(hands: Hands) -> None:
    run_id = hands.start(
        """
steps:
  a: {topic: job.t, compensate: {topic: job.undo, input: {n: "${step.output + 1}"}}}
  b: {topic: job.t, depends_on: [a]}
"""
    )
    hands.work(run_id, "a", "text")
    hands.claim(run_id, "b")
    hands.finish(run_id, "b", kind=OutcomeClass.FATAL)
    undo = undoing(hands, run_id)
    assert hands.engine.run("default", undo)["error"]["code"] == "expression_error"
