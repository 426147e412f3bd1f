"""How kombu behaves on our transport: order, blocking, and what becomes of messages at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from kombu import Consumer, Queue
from redis import Redis

from cordum.errors import ConfigurationRefused
from cordum.execution.broker import BrokerConnection, Channel
from cordum.execution.config import celery_config, refuse_other_brokers
from cordum.redis_address import RedisAddress
from cordum.store.connection import SOCKET_TIMEOUT_SEC
from cordum.store.envelope import job_message

BATCH = "\x06\x166"


@pytest.fixture
def redis(redis_address: RedisAddress) -> Iterator[Any]:
    with Redis(**redis_address.redis_py_kwargs(), decode_responses=True) as client:
        yield client


@pytest.fixture
def connect(redis_address: RedisAddress) -> Iterator[Callable[[], BrokerConnection]]:
    config = celery_config(redis_address)
    made: list[BrokerConnection] = []

    def make() -> BrokerConnection:
        made.append(BrokerConnection(config["broker_url"], transport_options=dict(config["broker_transport_options"])))
        return made[-1]

    yield make
    for one in made:
        one.release()


def consume(connection: BrokerConnection, *topics: str) -> list[str]:
    """A list that fills with the ids of the jobs that arrive."""
    arrived: list[str] = []

    def on_message(message: Any) -> None:
        arrived.append(message.headers["id"])
        message.ack()

    queues = [Queue(topic, routing_key=topic) for topic in topics]
    Consumer(connection.default_channel, queues, on_message=on_message, accept=["json"]).consume()
    return arrived


def test_critical_jobs_come_first_and_topics_take_turns(redis: Any, connect: Callable[..., Any]) -> None:
    for n in range(4):
        redis.lpush("job.a" + BATCH, job_message(f"a{n}", "job.a", 6))
        redis.lpush("job.b" + BATCH, job_message(f"b{n}", "job.b", 6))
    redis.lpush("job.b", job_message("critical", "job.b", 0))
    connection = connect()
    arrived = consume(connection, "job.a", "job.b")
    while len(arrived) < 9:
        connection.drain_events(timeout=5)
    assert arrived[0] == "critical"
    assert [job for job in arrived if job[0] == "a"] == ["a0", "a1", "a2", "a3"]
    assert {job[0] for job in arrived[1:3]} == {"a", "b"}


def test_a_blocking_pop_may_wait_longer_than_the_state_client(connect: Callable[..., Any]) -> None:
    connection = connect()
    channel = connection.default_channel
    assert isinstance(channel, Channel)
    for client in (channel.client, channel._create_client()):
        waits = client.connection_pool.connection_kwargs["socket_timeout"]
        assert waits > max(connection.transport.brpop_timeout, SOCKET_TIMEOUT_SEC)


def test_an_idle_consumer_outlives_many_blocking_pops(connect: Callable[..., Any]) -> None:
    connection = connect()
    connection.transport.brpop_timeout = 0.05
    arrived = consume(connection, "job.a")
    with pytest.raises(TimeoutError):
        connection.drain_events(timeout=0.5)
    assert arrived == []


def test_what_a_pop_brings_at_the_end_goes_back_where_it_was(redis: Any, connect: Callable[..., Any]) -> None:
    connection = connect()
    consume(connection, "job.a")
    connection.transport.cycle._register_BRPOP(connection.default_channel)
    messages = [job_message(f"r:s{n}@1", "job.a", 0) for n in range(3)]
    redis.lpush("job.a", *messages)
    connection.release()
    assert redis.lrange("job.a", 0, -1) == messages[::-1]


def test_running_jobs_are_not_put_back(redis: Any, connect: Callable[..., Any]) -> None:
    connection = connect()
    taken: list[Any] = []
    queue = Queue("job.a", routing_key="job.a")
    Consumer(connection.default_channel, [queue], on_message=taken.append, accept=["json"]).consume()
    redis.lpush("job.a", job_message("r:s@1", "job.a", 0))
    while not taken:
        connection.drain_events(timeout=5)
    connection.release()
    assert redis.llen("job.a") == 0
    assert not redis.exists("unacked", "unacked_index")


@pytest.mark.parametrize(("priority", "suffix"), [(0, ""), (6, BATCH)])
def test_a_rejected_message_goes_back_to_the_oldest_end(
    redis: Any, connect: Callable[..., Any], priority: int, suffix: str
) -> None:
    connection = connect()
    taken: list[Any] = []
    queue = Queue("job.a", routing_key="job.a")
    Consumer(connection.default_channel, [queue], on_message=taken.append, accept=["json"]).consume()
    old, new = (job_message(name, "job.a", priority) for name in ("old", "new"))
    redis.lpush("job.a" + suffix, old)
    while not taken:
        connection.drain_events(timeout=5)
    redis.lpush("job.a" + suffix, new)
    connection.default_channel.qos.reject(taken[0].delivery_tag, requeue=True)
    assert redis.lrange("job.a" + suffix, 0, -1) == [new, old]


@pytest.mark.parametrize("name", ["CELERY_BROKER_URL", "CELERY_BROKER_WRITE_URL", "CELERY_RESULT_BACKEND"])
def test_a_second_broker_is_refused(name: str) -> None:
    refuse_other_brokers({name: ""})
    with pytest.raises(ConfigurationRefused, match=name):
        refuse_other_brokers({name: "redis://elsewhere/0"})
