"""Many jobs in one round trip: what is recorded, claimed and taken, and in which order."""

from __future__ import annotations

from typing import Any

import pytest

from cordum.domain.ids import JobId
from cordum.domain.routing import queue_list
from cordum.domain.run import OutcomeClass
from cordum.store.jobs import ClaimReply, Delivered, Recording, RecordReply
from tests.store.world import TOPIC, World

THREE = "steps: {a: {topic: job.t}, b: {topic: job.t}, c: {topic: job.t}}"


def taken(world: World, topics: tuple[str, ...], want: int) -> list[tuple[str, str]]:
    return world.store.jobs.exchange("w1", [], [], topics, want).taken


def send(world: World, topic: str, priority: int, *texts: str) -> None:
    world.client.lpush(queue_list(topic, priority), *texts)


def test_the_oldest_come_first_and_no_more_than_wanted(world: World) -> None:
    send(world, "job.a", 3, "1", "2", "3")
    assert taken(world, ("job.a",), 2) == [("job.a", "1"), ("job.a", "2")]
    assert taken(world, ("job.a",), 2) == [("job.a", "3")]
    assert taken(world, ("job.a",), 2) == []


def test_a_higher_priority_goes_first_whatever_the_topic(world: World) -> None:
    send(world, "job.a", 6, "late")
    send(world, "job.b", 3, "middle")
    send(world, "job.b", 0, "urgent")
    assert [text for _, text in taken(world, ("job.a", "job.b"), 9)] == ["urgent", "middle", "late"]


def test_topics_of_one_priority_take_turns(world: World) -> None:
    send(world, "job.a", 3, "a1", "a2", "a3")
    send(world, "job.b", 3, "b1")
    found = taken(world, ("job.b", "job.a"), 9)
    assert found == [("job.b", "b1"), ("job.a", "a1"), ("job.a", "a2"), ("job.a", "a3")]


@pytest.mark.parametrize(("topics", "want"), [((), 5), (("job.a",), 0)])
def test_nothing_is_taken_by_who_wants_nothing(world: World, topics: tuple[str, ...], want: int) -> None:
    send(world, "job.a", 3, "1")
    assert taken(world, topics, want) == []
    assert world.messages(queue_list("job.a", 3)) == ["1"]


def test_one_exchange_records_claims_and_takes_each_for_itself(world: World) -> None:
    world.create(THREE)
    world.claim("a", nonce="na")
    record: Any = Recording(JobId("r1", "a", 1), TOPIC, "na", OutcomeClass.SUCCESS, "[]")
    late: Any = Recording(JobId("r1", "b", 1), TOPIC, "nobody's", OutcomeClass.SUCCESS, "[]")
    claims = [Delivered(JobId("r1", "b", 1), TOPIC, 3, "nb"), Delivered(JobId("r1", "nowhere", 1), TOPIC, 3, "nx")]
    reply = world.store.jobs.exchange("w1", [record, late], claims, (TOPIC,), 1)
    assert reply.recorded == [RecordReply.ADVANCE, RecordReply.STALE]
    assert [one.word for one in reply.claimed if not isinstance(one, Exception)] == [
        ClaimReply.CLAIMED,
        ClaimReply.STALE,
    ]
    assert len(reply.taken) == 1
    assert world.marks() == {"a": "succeeded:1", "b": "running:1", "c": "queued:1"}


def test_an_exchange_may_be_repeated(world: World) -> None:
    world.create(THREE)
    world.claim("a", nonce="na")
    record: Any = Recording(JobId("r1", "a", 1), TOPIC, "na", OutcomeClass.SUCCESS, "[]")
    claim = Delivered(JobId("r1", "b", 1), TOPIC, 3, "nb")
    first = world.store.jobs.exchange("w1", [record], [claim], (), 0)
    again = world.store.jobs.exchange("w1", [record], [claim], (), 0)
    assert again.claimed == first.claimed
    assert again.recorded == [RecordReply.RECORDED]
    assert world.events().count("step.succeeded") == world.events().count("step.started") - 1 == 1
