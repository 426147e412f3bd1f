"""Whether a step that waits for a worker is told the truth: nobody there, or nobody free. On a real Redis."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest

from cordum.engine import Engine
from cordum.redis_address import RedisAddress
from cordum.settings import load_settings
from tests.cells import eventually
from tests.engine.hands import ALLOW, Hands

TWO = "steps: {first: {topic: job.t}, second: {topic: job.t}}"


@pytest.fixture
def narrow(redis_address: RedisAddress) -> Any:
    """An engine whose topics have room for one message, so that the second step stays ready; leases are short."""
    timing = {"CORDUM_WINDOW_MINIMUM": "1", "CORDUM_LEASE_MS": "200", "CORDUM_LEASE_RENEW_MS": "50"}
    engine = Engine.connect(load_settings(env=timing), redis_address)
    engine.publish_policy(ALLOW, "test")
    return engine


def waits(hands: Hands, run_id: str) -> dict[str, Any]:
    steps = hands.engine.run("default", run_id)["steps"]
    return {step: shown["wait"] for step, shown in steps.items()}


def reasons(hands: Hands, run_id: str) -> set[str]:
    return {wait["reason"] for wait in waits(hands, run_id).values()}


def serve(hands: Hands, *topics: str) -> None:
    hands.engine.jobs.renew(replace(hands.worker, topics=topics))


def test_without_a_worker_of_its_topic_a_step_names_topic_and_mend(narrow: Engine) -> None:
    hands = Hands(narrow)
    serve(hands, "job.other", "job.t.sub")
    run_id = hands.start(TWO)
    shown = waits(hands, run_id)
    assert narrow.run("default", run_id)["wait"] == shown["first"]
    for wait in shown.values():
        assert wait["reason"] == "no_worker"
        assert "no living worker takes jobs of job.t:" in wait["message"]
        assert "`celery -A cordum worker -Q job.t -I <module>`" in wait["message"]


def test_with_a_worker_of_its_topic_a_step_waits_for_room(narrow: Engine) -> None:
    hands = Hands(narrow)
    run_id = hands.start(TWO)
    serve(hands, "job.t")
    shown = waits(hands, run_id)
    assert {step: wait["reason"] for step, wait in shown.items()} == dict.fromkeys(shown, "pool_overloaded")
    assert "a free slot" in shown["first"]["message"]
    assert "waits for room on job.t" in shown["second"]["message"]


def test_a_worker_whose_lease_is_over_counts_as_nobody(narrow: Engine) -> None:
    hands = Hands(narrow)
    run_id = hands.start(TWO)
    serve(hands, "job.t")
    # Nobody sweeps here: the worker is still known, and only the time says that it is gone.
    eventually(lambda: reasons(hands, run_id) == {"no_worker"}, "the end of the lease")
    assert narrow.store.workers.known()["w1"]["topics"] == ["job.t"]
    serve(hands, "job.t")
    assert reasons(hands, run_id) == {"pool_overloaded"}


def test_a_worker_that_stops_taking_a_topic_counts_no_more(hands: Hands) -> None:
    run_id = hands.start(TWO)
    serve(hands, "job.t", "job.u")
    assert reasons(hands, run_id) == {"pool_overloaded"}
    serve(hands, "job.u")
    assert reasons(hands, run_id) == {"no_worker"}


def test_one_worker_of_many_is_enough(hands: Hands) -> None:
    run_id = hands.start(TWO)
    others = [Hands(hands.engine, name) for name in ("w2", "w3")]
    serve(others[0], "job.u")
    serve(others[1], "job.t")
    assert reasons(hands, run_id) == {"pool_overloaded"}


def test_a_lease_ends_by_redis_time_not_by_this_machine_s(hands: Hands, monkeypatch: pytest.MonkeyPatch) -> None:
    run_id = hands.start(TWO)
    serve(hands, "job.t")
    now = time.time()
    for jump in (-86_400, 86_400):
        monkeypatch.setattr(time, "time", lambda jump=jump: now + jump)
        assert reasons(hands, run_id) == {"pool_overloaded"}


def test_workers_are_asked_about_only_for_steps_that_wait_for_one(
    hands: Hands, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    serving = hands.engine.store.workers.served_topics

    def count(now_ms: int) -> frozenset[str]:
        asked.append(now_ms)
        return serving(now_ms)

    monkeypatch.setattr(hands.engine.store.workers, "served_topics", count)
    run_id = hands.start("steps: {gate: {type: approval}, after: {topic: job.t, depends_on: [gate]}}")
    assert reasons(hands, run_id) == {"approval", "dependencies"}
    assert asked == []
    hands.start(TWO)
    assert len(asked) == 1


def test_topics_are_those_of_all_stored_workflows(hands: Hands) -> None:
    assert hands.engine.topics() == []
    for tenant, topic in (("default", "job.t"), ("other", "job.u"), ("other", "job.t")):
        hands.engine.save_workflow(tenant, f"steps: {{a: {{topic: {topic}}}}}".encode(), "yaml", default_id="wf")
    assert hands.engine.topics() == ["job.t", "job.u"]
