"""Ended runs are removed whole: by age, by number, by hand; and never while somebody needs them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from cordum.domain.run import OutcomeClass
from cordum.engine import Engine
from cordum.errors import NotFound, StateConflict
from cordum.redis_address import RedisAddress
from cordum.settings import load_settings
from tests.engine.hands import ALICE, ALLOW, BOB, Hands

ONE = "{steps: {a: {topic: job.t}}}"
# A bit of everything that leaves a key: own inputs, context, fan-out, loop, approval, signal, delay, subworkflow, once.
MANY = """
steps:
  a: {topic: job.t, input: {x: "${input.x}"}, output_path: seen}
  each: {topic: job.t, for_each: input.items, depends_on: [a]}
  again: {type: loop, body_step: body, max_iterations: 2, depends_on: [a]}
  body: {topic: job.t}
  call: {type: subworkflow, workflow_id: inner, depends_on: [a]}
  gate: {type: approval, depends_on: [a]}
  event: {type: signal, name: go, depends_on: [a]}
  later: {type: delay, delay_sec: 0, depends_on: [a]}
"""


@pytest.fixture
def client(redis_address: RedisAddress) -> Iterator[redis.Redis]:
    with redis.Redis(**{**redis_address.redis_py_kwargs(), "decode_responses": True}) as client:
        yield client


@pytest.fixture
def keeping(redis_address: RedisAddress) -> Iterator[Callable[..., Hands]]:
    """An engine that keeps ended runs so long, and so many."""
    engines = []

    def make(sec: int = 0, runs: int = 1000) -> Hands:
        env = {"CORDUM_RETENTION_SEC": str(sec), "CORDUM_RETENTION_RUNS": str(runs)}
        engines.append(Engine.connect(load_settings(env=env), redis_address))
        engines[-1].publish_policy(ALLOW, "test")
        return Hands(engines[-1])

    yield make
    for engine in engines:
        engine.close()


def without_what_stays(found: list[str]) -> list[str]:
    """An idempotency key stays until its time, the audit for good."""
    return [key for key in found if ":idempotency:" not in key and ":audit:" not in key]


def keys_of(client: redis.Redis, *run_ids: str) -> list[str]:
    """Every key of cordum's that is of a run, or holds the id of one; messages are Celery's, and nobody takes them."""
    found = []
    for key in map(str, client.scan_iter("cordum:*", count=1000)):
        kind = str(client.type(key))
        held: Any = {
            "string": lambda key: [client.get(key)],
            "hash": lambda key: [part for pair in client.hgetall(key).items() for part in pair],
            "list": lambda key: client.lrange(key, 0, -1),
            "set": lambda key: client.smembers(key),
            "zset": lambda key: client.zrange(key, 0, -1),
        }[kind](key)
        if any(run_id in text for run_id in run_ids for text in (key, *held)):
            found.append(key)
    return sorted(found)


def succeeded(hands: Hands) -> str:
    run_id = hands.start(ONE)
    hands.work(run_id, "a")
    return run_id


def full_run(hands: Hands) -> tuple[str, str]:
    """One of everything, to its end; its id and its child run's."""
    hands.engine.save_workflow("default", b"id: inner\nsteps: {i: {topic: job.t}}", "yaml")
    run_id = hands.start(MANY, {"x": 1, "items": [1, 2, 3]}, idempotency_key="k-1")
    assert hands.claim(run_id, "a").word == "CLAIMED"
    hands.engine.jobs.once(f"{run_id}:a@1", "mail")
    hands.finish(run_id, "a", {"big": [1]})
    for step in ("each[0]", "each[1]", "each[2]", "again[0]", "again[1]"):
        hands.claim(run_id, step)
        hands.finish(run_id, step)
    inner = str(hands.engine.run("default", run_id)["steps"]["call"]["child_run_id"])
    hands.work(inner, "i")
    hands.engine.approve(BOB, f"{run_id}:gate@1", None)
    hands.engine.signal_run(ALICE, run_id, "go", {"n": 1}, None, "token")
    assert hands.engine.run("default", run_id)["status"] == "succeeded"
    hands.engine.coordinate()  # where nothing is kept, it may be gone by now
    return run_id, inner


def test_a_run_is_removed_whole_and_its_idempotency_key_stays(
    keeping: Callable[..., Hands], client: redis.Redis
) -> None:
    hands = keeping(sec=3600)
    run_id, inner = full_run(hands)
    assert len(keys_of(client, run_id)) > 15
    hands.engine.delete_run(ALICE, run_id, "not needed")
    left = keys_of(client, run_id, inner)
    told = hands.engine.audit.list("default", limit=1, after=None, order="desc").items
    assert [(one["type"], one["actor"], one["run_id"]) for one in told] == [("run.removed", "alice", run_id)]
    assert without_what_stays(left) == []
    assert len(left) == 2
    with pytest.raises(NotFound):
        hands.engine.run("default", run_id)


def test_what_has_been_kept_long_enough_goes_by_itself(keeping: Callable[..., Hands], client: redis.Redis) -> None:
    hands = keeping(sec=0)
    run_id, inner = full_run(hands)
    hands.engine.coordinate()
    hands.engine.expire_runs("default")
    assert without_what_stays(keys_of(client, run_id, inner)) == []


def test_too_many_are_too_many_however_young(keeping: Callable[..., Hands]) -> None:
    hands = keeping(sec=3600, runs=2)
    run_ids = [succeeded(hands) for _ in range(5)]
    assert hands.engine.expire_runs("default") == 3
    assert [one["id"] for one in hands.engine.runs("default").items] == run_ids[:-3:-1]


def test_a_run_that_goes_on_stays(keeping: Callable[..., Hands]) -> None:
    hands = keeping(sec=0, runs=0)
    run_id = hands.start(ONE)
    assert hands.engine.expire_runs("default") == 0
    with pytest.raises(StateConflict) as refused:
        hands.engine.delete_run(ALICE, run_id, "not needed")
    assert refused.value.code == "run_active"


def test_a_dead_letter_keeps_its_run_until_somebody_has_handled_it(keeping: Callable[..., Hands]) -> None:
    hands = keeping(sec=0)
    run_id = hands.start(ONE)
    hands.claim(run_id, "a")
    hands.finish(run_id, "a", kind=OutcomeClass.FATAL)
    for _ in range(3):  # it is set aside, and looked at again each time
        assert hands.engine.expire_runs("default") == 0
    with pytest.raises(StateConflict) as refused:
        hands.engine.delete_run(ALICE, run_id, "not needed")
    assert refused.value.code == "run_needed"
    hands.engine.retry_run(ALICE, run_id, "mended")
    hands.claim(run_id, "a", 2)
    hands.finish(run_id, "a", attempt=2)
    assert hands.engine.expire_runs("default") == 1
    assert [letter["job_id"] for letter in hands.engine.dead_letters("default").items] == [f"{run_id}:a@1"]


def test_a_child_run_stays_with_its_parent_and_goes_with_it(keeping: Callable[..., Hands]) -> None:
    hands = keeping(sec=0)
    hands.engine.save_workflow("default", b"id: inner\nsteps: {i: {topic: job.t}}", "yaml")
    parent = hands.start(
        "{steps: {call: {type: subworkflow, workflow_id: inner}, z: {topic: job.t, depends_on: [call]}}}"
    )
    inner = str(hands.engine.run("default", parent)["steps"]["call"]["child_run_id"])
    hands.work(inner, "i")
    assert hands.engine.expire_runs("default") == 0
    with pytest.raises(StateConflict) as refused:
        hands.engine.delete_run(ALICE, inner, "not needed")
    assert refused.value.code == "run_needed"
    hands.engine.coordinate()
    hands.work(parent, "z")
    assert hands.engine.expire_runs("default") == 2


def test_a_run_stays_until_it_is_undone_and_goes_with_its_undoing(keeping: Callable[..., Hands]) -> None:
    hands = keeping(sec=0)
    run_id = hands.start("{steps: {a: {topic: job.t, compensate: {topic: job.u}}, b: {topic: job.t, depends_on: [a]}}}")
    hands.work(run_id, "a")
    hands.engine.cancel_run(ALICE, run_id, compensate=True)
    hands.engine.coordinate()
    assert hands.engine.expire_runs("default") == 0
    undoing = str(hands.engine.run("default", run_id)["compensation"]["run_id"])
    hands.work(undoing, "1-a")
    assert hands.engine.expire_runs("default") == 2
    assert hands.engine.runs("default").items == []


def test_the_texts_of_a_deleted_workflow_go_with_its_last_run(
    keeping: Callable[..., Hands], client: redis.Redis
) -> None:
    hands = keeping(sec=0)
    succeeded(hands)
    hands.engine.delete_workflow("default", "wf")
    stored = hands.engine.store.keys.workflow("default", "wf")
    assert any(field.startswith("document:") for field in client.hkeys(stored))
    hands.engine.expire_runs("default")
    assert client.hkeys(stored) == ["retired"]


def test_who_is_called_between_a_root_and_what_belonged_to_it_finds_it_later(
    keeping: Callable[..., Hands], monkeypatch: pytest.MonkeyPatch, client: redis.Redis
) -> None:
    """A death after the first script: the rest is noted, and goes with the next sweep."""
    hands = keeping(sec=0)
    run_id, inner = full_run(hands)
    retention = hands.engine._retention
    with monkeypatch.context() as dying:
        dying.setattr(retention, "_remove_orphans", lambda: 0)
        assert retention.expire("default") == 1
    assert keys_of(client, inner)
    assert retention.expire("default") == 1
    assert without_what_stays(keys_of(client, run_id, inner)) == []
