"""Signals by correlation: their sender knows what they are about, not which run waits."""

from __future__ import annotations

from typing import Any

import pytest

from cordum.engine import Caller, Engine
from cordum.engine import signals as engine_signals
from cordum.errors import IdempotencyKeyReused, StateConflict
from tests.engine.hands import ALICE, BOB, Hands

PAID = """
steps:
  ask: {topic: job.ask}
  paid: {type: signal, name: paid, correlation: "order-${input.order}", depends_on: [ask]}
"""


@pytest.fixture
def send(engine: Engine) -> Any:
    def send(correlation: str, payload: Any = None, key: str | None = None, caller: Caller = BOB) -> list[str]:
        return list(engine.signals.send(caller, "paid", correlation, payload, key).run_ids)

    return send


def waiting(hands: Hands, order: int) -> str:
    run_id = hands.start(PAID, {"order": order})
    hands.work(run_id, "ask")
    return run_id


def test_it_finds_the_runs_that_wait_and_no_others(hands: Hands, send: Any) -> None:
    first, second, other = waiting(hands, 1), waiting(hands, 1), waiting(hands, 2)
    assert sorted(send("order-1", {"sum": 3})) == sorted([first, second])
    for run_id in (first, second):
        run = hands.engine.run("default", run_id)
        assert (run["status"], run["steps"]["paid"]["output"]) == ("succeeded", {"sum": 3})
    assert hands.statuses(other)["paid"] == "waiting"
    received = [e for e in hands.engine.timeline("default", first).items if e["type"] == "signal.received"]
    assert [(e["actor"], e["data"]) for e in received] == [("bob", {"name": "paid", "correlation": "order-1"})]


def test_one_that_comes_first_is_kept_for_the_first_who_asks(hands: Hands, send: Any) -> None:
    run_id = hands.start(PAID, {"order": 1})
    assert send("order-1", "early") == []
    hands.work(run_id, "ask")
    assert hands.engine.run("default", run_id)["steps"]["paid"]["output"] == "early"
    later = waiting(hands, 1)
    assert hands.statuses(later)["paid"] == "waiting"


def test_one_that_comes_before_its_run_is_kept_too(hands: Hands, send: Any) -> None:
    send("order-1", "early")
    definition = "steps: {paid: {type: signal, name: paid, correlation: order-1}}"
    run_id = hands.start(definition)
    hands.engine.coordinate()
    assert hands.engine.run("default", run_id)["status"] == "succeeded"


def test_a_delivery_counts_once_and_its_key_is_for_one_signal(hands: Hands, send: Any) -> None:
    first = waiting(hands, 1)
    assert send("order-1", 1, key="d1") == [first]
    second = waiting(hands, 1)
    for _ in range(4):
        assert send("order-1", 1, key="d1") == [first]
    assert hands.statuses(second)["paid"] == "waiting"
    with pytest.raises(IdempotencyKeyReused):
        send("order-1", 2, key="d1")


def test_another_tenant_hears_nothing(hands: Hands, send: Any) -> None:
    run_id = waiting(hands, 1)
    assert send("order-1", caller=Caller("other", "bob")) == []
    assert hands.statuses(run_id)["paid"] == "waiting"


def test_a_run_that_has_ended_waits_no_more(hands: Hands, send: Any) -> None:
    hands.engine.cancel_run(ALICE, waiting(hands, 1))
    assert send("order-1") == []


def test_so_many_are_kept_and_no_more(send: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_signals, "MAX_KEPT", 2)
    send("a")
    send("b")
    with pytest.raises(StateConflict) as refused:
        send("c")
    assert refused.value.code == "too_many_signals"


def test_an_expired_one_is_nobodys(hands: Hands, send: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_signals, "KEEP_MS", 1)
    send("order-1", "old")
    monkeypatch.setattr(engine_signals, "KEEP_MS", 60_000)
    send("order-1", "new")
    run_id = waiting(hands, 1)
    assert hands.engine.run("default", run_id)["steps"]["paid"]["output"] == "new"
