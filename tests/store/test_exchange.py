"""Many jobs in one round trip: what is recorded, claimed and taken, in which order, and what a repetition finds."""

from __future__ import annotations

import threading
from itertools import count
from typing import Any

import pytest
import redis

from cordum.domain.ids import JobId
from cordum.domain.routing import direct_queue, queue_list
from cordum.domain.run import OutcomeClass
from cordum.errors import Unavailable
from cordum.redis_address import RedisAddress
from cordum.store import Store
from cordum.store.connection import Connection
from cordum.store.envelope import job_message
from cordum.store.jobs import Claimed, ClaimReply, Delivered, Exchanged, Recording, RecordReply
from cordum.store.keys import RunKeys
from cordum.store.scripts import Library
from tests.cells import eventually
from tests.store.world import TOPIC, World

QUEUE = queue_list(TOPIC, 3)
THREE = "steps: {a: {topic: job.t}, b: {topic: job.t}, c: {topic: job.t}}"


_turns = count(1)


def turn(world: World, number: int, topics: tuple[str, ...] = (TOPIC,), want: int = 9, worker: str = "w1") -> Exchanged:
    return world.store.jobs.exchange(worker, [], [], topics, want, turn=number)


def taken(world: World, topics: tuple[str, ...], want: int) -> list[tuple[str, str]]:
    return turn(world, next(_turns), topics, want).taken


def begun(answer: Exchanged) -> list[str]:
    return [str(delivered.job) for delivered, _ in answer.begun]


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
    world.client.rpop(QUEUE)  # the message of `a`, which was claimed above
    reply = world.store.jobs.exchange("w1", [record, late], claims, (TOPIC,), 2, turn=1)
    assert reply.recorded == [RecordReply.ADVANCE, RecordReply.STALE]
    assert [one.word for one in reply.claimed if not isinstance(one, Exception)] == [
        ClaimReply.CLAIMED,
        ClaimReply.STALE,
    ]
    assert begun(reply) == ["r1:c@1"]
    assert reply.taken == [(TOPIC, job_message("r1:b@1", TOPIC, 3))], "claimed just before, so its message is stale"
    assert world.marks() == {"a": "succeeded:1", "b": "running:1", "c": "running:1"}


def test_what_goes_wrong_with_one_result_is_its_own_trouble(world: World) -> None:
    for run_id in ("r1", "r2", "r3"):
        world.create("steps: {a: {topic: job.t}}", run_id)
    turn(world, 1)
    world.client.set(RunKeys.of("r2").outputs, "no hash")
    records = [Recording(JobId(r, "a", 1), TOPIC, "w1#1", OutcomeClass.SUCCESS, "1") for r in ("r1", "r2", "r3")]
    first, second, third = world.store.jobs.exchange("w1", records, [], (), 0).recorded
    assert (first, third) == (RecordReply.ADVANCE, RecordReply.ADVANCE)
    assert isinstance(second, redis.ResponseError) and "WRONGTYPE" in str(second)
    assert world.client.scard(world.store.keys.window(TOPIC)) == 0
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        world.store.jobs.record(*records[1][:2], "w1", "w1#1", OutcomeClass.SUCCESS, "1", None, None)


@pytest.mark.parametrize("client", ["real"], indirect=True)  # fakeredis has no limit
def test_results_that_redis_has_no_room_for_are_written_when_it_has(world: World) -> None:
    for run_id in ("r1", "r2"):
        world.create("steps: {a: {topic: job.t}}", run_id)
    turn(world, 1)
    records = [Recording(JobId(r, "a", 1), TOPIC, "w1#1", OutcomeClass.SUCCESS, "1") for r in ("r1", "r2")]
    before = world.everything()
    world.client.config_set("maxmemory", 1)
    try:
        with pytest.raises(Unavailable) as refused:
            world.store.jobs.exchange("w1", records, [], (), 0)
    finally:
        world.client.config_set("maxmemory", 0)
    assert refused.value.code == "storage_full"
    assert world.everything() == before
    assert world.store.jobs.exchange("w1", records, [], (), 0).recorded == [RecordReply.ADVANCE] * 2


# -- taken and claimed -------------------------------------------------------------------------------------------


def test_a_job_is_claimed_as_it_is_taken(world: World) -> None:
    world.create(THREE)
    ((delivered, claimed),) = turn(world, 1, want=1).begun
    assert delivered == Delivered(JobId("r1", "a", 1), TOPIC, 3, "w1#1")
    assert claimed == Claimed(ClaimReply.CLAIMED, "default", "wf", "{}", '{"x":[]}', *claimed[5:])
    assert world.marks() == {"a": "running:1", "b": "queued:1", "c": "queued:1"}
    assert world.store.workers.held("w1") == ["r1:a@1"]
    record = Recording(delivered.job, TOPIC, delivered.nonce, OutcomeClass.SUCCESS, "1")
    assert world.store.jobs.exchange("w1", [record], [], (), 0).recorded == [RecordReply.ADVANCE]


def test_it_is_told_the_same_as_by_a_claim_of_its_own(world: World) -> None:
    for run_id, step in (("r1", "a"), ("r2", "b")):
        world.create(f"steps: {{{step}: {{topic: job.t, timeout_sec: 7, retry: {{max_retries: 2}}}}}}", run_id)
    single = world.claim("a")
    ((_, claimed),) = turn(world, 1).begun
    assert claimed._replace(decision="") == single._replace(decision="")
    runs = [world.client.hgetall(RunKeys.of(run_id).facts) for run_id in ("r1", "r2")]
    assert {name[2:] for name in runs[0]} == {name[2:] for name in runs[1]}
    told = [world.store.runs.timeline(run_id, 1, 99)[-1] for run_id in ("r1", "r2")]
    assert told[0]["type"] == "step.started"
    strip = {"step_id": "", "job_id": ""}
    assert told[0] | strip == told[1] | strip
    assert world.client.zscore(world.store.keys.timers, "r2") == world.client.zscore(world.store.keys.timers, "r1")
    assert not world.client.exists(world.store.keys.sent(QUEUE))


def test_the_keys_that_the_script_puts_together_are_the_run_s(world: World) -> None:
    world.create(THREE)
    keys = set(world.client.scan_iter())
    turn(world, 1)
    assert set(world.client.scan_iter()) - keys == {world.store.keys.held("w1"), world.store.keys.timers}


def test_a_turn_whose_answer_was_lost_is_answered_again(world: World) -> None:
    world.create(THREE)
    first = turn(world, 1, want=2)
    before = world.everything()
    again = turn(world, 1, want=2)
    assert sorted(again.begun) == sorted(first.begun)
    assert world.everything() == before
    assert begun(turn(world, 2)) == ["r1:c@1"]


def test_a_repeated_turn_does_not_bring_back_what_was_taken_away_meanwhile(world: World) -> None:
    world.create(THREE)
    turn(world, 1, want=2)
    world.record("a", nonce="w1#1")
    assert begun(turn(world, 1)) == ["r1:b@1"]
    world.claim("c", nonce="another")
    assert begun(turn(world, 1)) == ["r1:b@1"]


def test_a_turn_that_comes_after_its_successor_takes_nothing(world: World) -> None:
    """Its first sending was slower than its second one and all that followed."""
    world.create(THREE)
    turn(world, 2, want=1)
    before = world.everything()
    assert turn(world, 1) == Exchanged([], [], [], [])
    assert world.everything() == before


def test_what_a_record_sends_is_taken_by_who_made_it(redis_address: RedisAddress) -> None:
    """And not by who waits at the empty list: to wake that one takes longer than everything else."""
    with redis.Redis(**{**redis_address.redis_py_kwargs(), "decode_responses": True}) as real:
        library = Library(virtual_clock=True)
        real.script_load(library["record_result"].source)
        world = World(Store(Connection(real, library), "c1", 1), real)
        world.create("steps: {a: {topic: job.t}, b: {topic: job.t}}")
        ((first, _),) = turn(world, 1).begun
        heard: list[object] = []
        waiter = threading.Thread(target=lambda: heard.append(real.brpop([QUEUE], 1)))
        waiter.start()
        eventually(lambda: any(one["cmd"] == "brpop" for one in real.client_list()), "somebody who waits")
        record = Recording(first.job, TOPIC, first.nonce, OutcomeClass.SUCCESS, "1")
        answer = world.store.jobs.exchange("w1", [record], [], (TOPIC,), 1, turn=2)
        waiter.join()
    assert begun(answer) == ["r1:b@1"]
    assert heard == [None]


def test_a_message_that_lies_there_twice_begins_once(world: World) -> None:
    world.create("steps: {a: {topic: job.t}}")
    (text,) = world.messages()
    send(world, TOPIC, 3, text)
    answer = turn(world, 1)
    assert begun(answer) == ["r1:a@1"]
    assert answer.taken == [(TOPIC, text)]


def test_without_a_lease_nothing_begins(world: World) -> None:
    world.create("steps: {a: {topic: job.t}}")
    answer = turn(world, 1, worker="stranger")
    assert answer.begun == []
    assert len(answer.taken) == 1
    assert world.marks() == {"a": "queued:1"}


@pytest.mark.parametrize("change", ["policy", "pause"])
def test_what_may_not_begin_is_left_to_the_single_claim(world: World, change: str) -> None:
    world.create("steps: {a: {topic: job.t}}")
    if change == "policy":
        world.store.policies.publish("other", "{default_decision: deny, rules: []}", "test")
    else:
        world.client.hset(RunKeys.of("r1").run, "status", "paused")
    before = world.store.runs.timeline("r1", 1, 99)
    answer = turn(world, 1)
    assert (answer.begun, len(answer.taken)) == ([], 1)
    assert world.store.runs.timeline("r1", 1, 99) == before
    assert world.store.workers.held("w1") == []


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace('"eta":null', '"eta":"2030-01-01T00:00:00Z"'),
        lambda text: text.replace('"retries":0', '"retries":1'),
        lambda text: text.replace("r1:a@1", "r1:a@2"),
        lambda text: text.replace("r1:a@1", "r1:nowhere@1"),
        lambda text: text.replace("r1:a@1", "no job"),
        lambda text: text + " ",
        lambda text: "{no json",
        lambda text: "",
    ],
)
def test_what_is_not_plainly_a_job_is_given_as_it_came(world: World, change: Any) -> None:
    world.create("steps: {a: {topic: job.t}}")
    text = change(world.client.rpop(QUEUE))
    send(world, TOPIC, 3, text)
    assert turn(world, 1) == Exchanged([], [], [], [(TOPIC, text)])
    assert world.marks() == {"a": "queued:1"}


def test_a_job_on_the_list_of_another_topic_is_given_as_it_came(world: World) -> None:
    world.create("steps: {a: {topic: job.t}}")
    (text,) = world.messages()
    send(world, "job.other", 3, text)
    assert turn(world, 1, topics=("job.other",)).taken == [("job.other", text)]


def test_what_came_to_a_worker_alone_is_left_to_the_single_claim(world: World) -> None:
    world.create("steps: {a: {topic: job.t}}")
    text = world.client.rpop(QUEUE)
    queue = direct_queue("w1")
    send(world, queue, 0, text)
    assert turn(world, 1, topics=(TOPIC, queue)).taken == [(queue, text)]


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
