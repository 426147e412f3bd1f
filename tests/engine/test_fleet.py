"""Workers and queues as operators see and handle them. On a real Redis, with workers moved by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cordum.domain.routing import queue_list
from cordum.domain.run import OutcomeClass
from cordum.engine import Engine
from cordum.errors import NotFound
from tests.engine.hands import ALICE, BOB, Hands

ONE = "steps: {a: {topic: job.t}}"


@pytest.fixture
def worker(engine: Engine) -> Hands:
    hands = Hands(engine, "w1")
    hands.worker = replace(
        hands.worker, topics=("job.t",), pools=("gpu",), labels={"region": "eu"}, capabilities=("cuda",)
    )
    engine.jobs.renew(hands.worker)
    return hands


def test_a_worker_shows_what_it_said_and_what_it_holds_at_this_moment(worker: Hands) -> None:
    run_id = worker.start(ONE)
    worker.claim(run_id, "a")
    (shown,) = worker.engine.fleet.workers()
    assert shown["name"] == "w1@elsewhere"
    said = ("pools", "topics", "labels", "capabilities", "slots", "active", "load", "status")
    assert [shown[key] for key in said] == [["gpu"], ["job.t"], {"region": "eu"}, ["cuda"], 8, 1, 0.125, "ready"]
    assert worker.engine.fleet.worker("w1@elsewhere") == shown
    worker.finish(run_id, "a")
    assert worker.engine.fleet.worker(shown["id"])["active"] == 0


def test_a_worker_that_has_left_is_not_shown(worker: Hands) -> None:
    worker.engine.jobs.leave("w1")
    assert worker.engine.fleet.workers() == []
    with pytest.raises(NotFound):
        worker.engine.fleet.worker("w1@elsewhere")


def test_a_drained_worker_hears_of_it_and_is_done_when_it_holds_nothing(worker: Hands) -> None:
    engine, run_id = worker.engine, worker.start(ONE)
    worker.claim(run_id, "a")
    assert not engine.jobs.renew(worker.worker).draining
    assert engine.fleet.drain(ALICE, "w1@elsewhere", "an update")["status"] == "draining"
    assert engine.jobs.renew(replace(worker.worker, topics=())).draining
    assert engine.fleet.worker("w1@elsewhere")["status"] == "draining"
    worker.finish(run_id, "a")
    shown = engine.fleet.worker("w1@elsewhere")
    assert (shown["status"], shown["draining"]["by"]) == ("drained", "alice")
    engine.fleet.drain(BOB, "w1@elsewhere", "an update", draining=False)
    assert not engine.jobs.renew(worker.worker).draining


def test_a_drained_pool_drains_its_workers_of_now_and_later(worker: Hands) -> None:
    engine, other = worker.engine, Hands(worker.engine, "w2")
    shown = engine.fleet.drain_pool(ALICE, "gpu", "an update")
    assert [one["id"] for one in shown["workers"]] == ["w1"]
    assert not shown["drained"]  # it has not heard of it
    engine.jobs.renew(replace(worker.worker, topics=()))
    assert engine.fleet.drain_pool(ALICE, "gpu", "an update")["drained"]
    later = replace(other.worker, incarnation="w3", name="w3", pools=("gpu",))
    both = replace(other.worker, incarnation="w4", name="w4", pools=("gpu", "cpu"))
    for one in (later, both):
        engine.jobs.register(one)
    assert [engine.jobs.renew(one).draining for one in (later, both, other.worker)] == [True, False, False]
    engine.fleet.drain_pool(ALICE, "gpu", "an update", draining=False)
    assert not engine.jobs.renew(later).draining
    with pytest.raises(NotFound):
        engine.fleet.drain_pool(ALICE, "nobody", "an update")


def test_a_queue_shows_what_waits_who_serves_it_and_why_it_stands(worker: Hands) -> None:
    engine = worker.engine
    engine.fleet.pause(ALICE, "job.t", "the disk is full")
    run_id = worker.start("steps: {a: {topic: job.t}, b: {topic: job.t}}")
    wait = engine.run("default", run_id)["steps"]["a"]["wait"]
    assert wait["reason"] == "queue_paused"
    assert (
        wait["message"]
        == "alice has paused the queue job.t (the disk is full): `cordum queues resume job.t --reason …`"
    )
    (shown,) = engine.fleet.queues()
    assert [shown[key] for key in ("name", "depth", "ready", "queued", "running", "consumers", "slots")] == [
        *("job.t", 2, 2, 0, 0, 1, 8),
    ]
    assert shown["oldest_age_sec"] is not None
    assert (shown["paused"]["by"], shown["paused"]["reason"]) == ("alice", "the disk is full")
    resumed = engine.fleet.resume(BOB, "job.t", "there is room")
    assert (resumed["ready"], resumed["queued"], resumed["paused"]) == (0, 2, None)
    engine.store.connection.read(lambda client: client.rpop(queue_list("job.t", 3)))
    worker.claim(run_id, "a")
    assert engine.fleet.queue("job.t")["running"] == 1
    events = [e for e in engine.timeline("default", run_id).items if e["step_id"] == "a"]
    assert [event["type"] for event in events] == [
        *("step.ready", "step.decision", "step.ready", "step.queued", "step.started"),
    ]
    assert events[2]["data"] == {"reason": "queue_resumed", "by": "bob"}


@pytest.mark.parametrize("topic", ["t", "job.", "job.*", "cordum.coordinator"])
def test_only_topics_have_queues_that_can_be_paused(engine: Engine, topic: str) -> None:
    with pytest.raises(NotFound):
        engine.fleet.pause(ALICE, topic, "why not")


def test_dead_letters_are_a_queue_of_their_topic(hands: Hands) -> None:
    run_id = hands.start("steps: {s: {topic: job.bad}}")
    hands.claim(run_id, "s")
    hands.finish(run_id, "s", kind=OutcomeClass.FATAL)
    shown = {one["name"]: one for one in hands.engine.fleet.queues()}
    assert (shown["dlq.job.bad"]["depth"], shown["dlq.job.bad"]["consumers"]) == (1, None)
    hands.engine.letters.discard(ALICE, f"{run_id}:s@1", "known")
    assert "dlq.job.bad" not in {one["name"] for one in hands.engine.fleet.queues()}
