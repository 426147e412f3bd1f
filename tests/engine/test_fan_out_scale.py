"""What a child of a fan-out costs does not depend on how many there are: it is counted, put away, and planned for by
windows.
"""

from __future__ import annotations

from typing import NamedTuple

import orjson
from redis import Redis

from cordum.domain.limits import Limits
from cordum.domain.routing import queue_list
from cordum.domain.run import OutcomeClass
from cordum.domain.turn import MOST_CHILDREN
from cordum.engine import Engine, Outcome
from cordum.redis_address import RedisAddress
from cordum.settings import Settings
from cordum.store import Store
from cordum.store.connection import Connection
from cordum.store.keys import RunKeys
from tests.engine.hands import ALLOW, Hands

FAN = """
steps:
  fan: {topic: job.t, for_each: input.hosts, input: {host: "${item}"}}
"""
QUEUE = queue_list("job.t", 3)


class Cost(NamedTuple):
    """For each child: commands Redis carried out, bytes of the run's keys, results that woke nobody."""

    commands: float
    bytes: float
    recorded: float


def hosts(count: int) -> list[str]:
    """Items of a usual size, all of one length: Redis packs a small hash of tiny values tighter than any other."""
    return [f"web-{n:06}.eu-central-1.compute.shop.example.internal/var/lib/app" for n in range(count)]


def fan_out(address: RedisAddress, size: int) -> tuple[Cost, Redis, str]:
    client = Redis(**address.redis_py_kwargs(), decode_responses=True)
    client.flushall()
    settings = Settings()
    store = Store(Connection.open(address), settings.cell, settings.window_minimum)
    engine = Engine(store, settings, Limits(max_items=size))
    engine.publish_policy(ALLOW, "test")
    hands = Hands(engine)
    client.config_resetstat()
    run_id = hands.start(FAN, {"hosts": hosts(size)})
    words = []
    while engine.store.runs.snapshot(run_id).run.status.value not in ("succeeded", "failed"):
        engine.coordinate()
        while message := client.rpop(QUEUE):
            job_id = orjson.loads(message)["headers"]["id"]
            claim = engine.jobs.claim(job_id, "job.t", 3, hands.worker.incarnation, "n")
            outcome = Outcome(OutcomeClass.SUCCESS, claim.input)
            words.append(engine.jobs.record(job_id, "job.t", hands.worker.incarnation, "n", outcome).value)
            if words[-1] == "ADVANCE":
                engine.jobs.renew(hands.worker)
                engine.coordinate()
    stats = client.info("commandstats")
    calls = sum(stat["calls"] for name, stat in stats.items() if name not in ("cmdstat_rpop", "cmdstat_lpop"))
    output = engine.run("default", run_id)["steps"]["fan"]["output"]
    assert output == [{"host": host} for host in hosts(size)]
    engine.close()
    own = sum(client.memory_usage(key, samples=0) for key in client.scan_iter(f"*{run_id}*"))
    cost = Cost(calls / size, own / size, words.count("RECORDED") / size)
    return cost, client, run_id


def test_a_child_costs_no_more_among_many_than_among_few(redis_address: RedisAddress) -> None:
    """More than Redis packs into one piece in both cases: packed they take less."""
    few, many = fan_out(redis_address, 200)[0], fan_out(redis_address, 1_000)[0]
    for measure in ("commands", "bytes"):
        assert getattr(many, measure) <= 1.05 * getattr(few, measure), measure
    assert many.commands < 53


def test_most_results_wake_nobody(redis_address: RedisAddress) -> None:
    cost = fan_out(redis_address, 400)[0]
    assert cost.recorded > 0.97


def test_children_that_are_counted_leave_the_open_state(redis_address: RedisAddress) -> None:
    _, client, run_id = fan_out(redis_address, 5 * MOST_CHILDREN)
    own = RunKeys.of(run_id)
    assert client.hkeys(own.steps) == ["fan"]
    assert {field.partition("#")[0] for field in client.hkeys(own.facts)} == {"fan"}
    assert client.hlen(own.children) == client.hlen(own.child_outputs) == 5 * MOST_CHILDREN


def test_a_window_of_children_is_open_at_most(engine: Engine, redis_address: RedisAddress) -> None:
    run_id = Hands(engine).start(FAN, {"hosts": hosts(10 * MOST_CHILDREN)})
    engine.coordinate()
    with Redis(**redis_address.redis_py_kwargs()) as client:
        assert client.hlen(RunKeys.of(run_id).steps) == MOST_CHILDREN + 1
