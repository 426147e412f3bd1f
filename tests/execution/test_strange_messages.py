"""Messages that a worker cannot work on: dropped or handed back, never a loop, never the worker's end."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from kombu import Consumer, Queue
from redis import Redis

from cordum.execution.broker import BrokerConnection
from cordum.execution.config import celery_config
from cordum.execution.strange_messages import StrangeMessages
from cordum.redis_address import RedisAddress
from cordum.store.envelope import job_message

BATCH = "\x06\x166"
JOB = "c1-x:s@1"


def message_of(queue: str, task: Any, task_id: Any = JOB, priority: int = 0) -> str:
    message = json.loads(job_message(JOB, queue, priority))
    message["headers"] |= {"task": task, "id": task_id}
    return json.dumps(message)


def without(part: str) -> str:
    message = json.loads(job_message(JOB, "job.t.echo", 0))
    del message["headers"][part]
    return json.dumps(message)


# -- where a message goes ----------------------------------------------------------------------------------------


@pytest.fixture
def redis(redis_address: RedisAddress) -> Iterator[Any]:
    with Redis(**redis_address.redis_py_kwargs(), decode_responses=True) as client:
        yield client


class Receiver:
    """A kombu consumer of two topics whose messages nobody here knows."""

    def __init__(self, connection: BrokerConnection) -> None:
        self.connection_errors, self.channel_errors = connection.connection_errors, connection.channel_errors
        self.taken: list[Any] = []
        queues = [Queue(topic, routing_key=topic) for topic in ("job.a", "job.b")]
        self._connection = connection
        self._consumer = Consumer(connection.default_channel, queues, on_message=self._on_message, accept=["json"])
        StrangeMessages(self)
        self._handle = self.create_task_handler()

    def create_task_handler(self) -> Callable[[Any], None]:
        """As Celery's, which knows no task here."""

        def handle(message: Any) -> None:
            strategies: dict[str, Any] = {}
            try:
                strategies[message.headers["task"]]
            except KeyError as error:
                self.on_unknown_task(None, message, error)

        return handle

    def on_unknown_task(self, body: Any, message: Any, error: KeyError) -> None:
        raise AssertionError("Celery's own answer")

    def _on_message(self, message: Any) -> None:
        self.taken.append(message)
        self._handle(message)

    def cancel_task_queue(self, topic: str) -> None:
        self._consumer.cancel_by_queue(topic)

    def receive(self, count: int) -> None:
        self._consumer.consume()
        while len(self.taken) < count:
            self._connection.drain_events(timeout=5)

    def hear_nothing_more(self) -> None:
        self._connection.transport.brpop_timeout = 0.05
        with pytest.raises(TimeoutError):
            self._connection.drain_events(timeout=0.5)


@pytest.fixture
def receiver(redis_address: RedisAddress) -> Iterator[Receiver]:
    config = celery_config(redis_address)
    options = dict(config["broker_transport_options"])
    with BrokerConnection(config["broker_url"], transport_options=options) as connection:
        yield Receiver(connection)


@pytest.mark.parametrize(("priority", "suffix"), [(0, ""), (6, BATCH)])
def test_a_job_for_another_worker_goes_back_as_the_oldest_and_does_not_return(
    redis: Any, receiver: Receiver, caplog: pytest.LogCaptureFixture, priority: int, suffix: str
) -> None:
    messages = [job_message(f"c1-x:{name}@1", "job.a", priority) for name in ("old", "new", "newest")]
    redis.lpush("job.a" + suffix, *messages)
    receiver.receive(1)
    receiver.hear_nothing_more()
    assert redis.lrange("job.a" + suffix, 0, -1) == messages[::-1]
    assert len(receiver.taken) == 1
    (record,) = caplog.records
    assert "c1-x:old@1 goes back" in record.getMessage()
    assert "no function here for job.a" in record.getMessage()


@pytest.mark.parametrize(
    ("task", "task_id"),
    [
        ("proj.tasks.send", "6a2f9c3e"),
        ("proj.tasks.send", JOB),
        ("job.b", JOB),
        ("job.a", "6a2f9c3e"),
        ("job.a", None),
        (None, JOB),
        (["a"], JOB),
        ({}, {}),
    ],
)
def test_what_is_no_job_of_this_queue_is_dropped_and_the_queue_consumed_on(
    redis: Any, receiver: Receiver, caplog: pytest.LogCaptureFixture, task: Any, task_id: Any
) -> None:
    for _ in range(2):
        redis.lpush("job.a", message_of("job.a", task, task_id))
    receiver.receive(2)
    receiver.hear_nothing_more()
    assert not redis.exists("job.a", "job.b")
    assert [record.getMessage()[:28] for record in caplog.records] == ["dropped a message on 'job.a'"] * 2


def test_the_line_about_a_dropped_message_is_short_and_one_line(
    redis: Any, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    redis.lpush("job.a", message_of("job.a", "forged\nline " + "x" * 10_000))
    receiver.receive(1)
    (record,) = caplog.records
    assert len(record.getMessage()) < 300
    assert "\n" not in record.getMessage()


def test_a_broken_connection_is_not_the_message_s_fault(receiver: Receiver) -> None:
    def handle(message: Any) -> None:
        raise receiver.connection_errors[0]

    receiver.create_task_handler = lambda: handle  # type: ignore[method-assign]
    StrangeMessages(receiver)
    with pytest.raises(receiver.connection_errors[0]):
        receiver.create_task_handler()(SimpleNamespace())


# -- real workers ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pool", ["solo", "threads", "prefork"])
def test_a_worker_goes_on_after_messages_it_cannot_work_on(cell: Any, pool: str) -> None:
    worker = cell.worker("job.t.echo", pool=pool, concurrency=1)
    strange = [
        message_of("job.t.echo", "proj.tasks.send", "6a2f9c3e"),
        message_of("job.t.echo", "job.t.nobody"),
        message_of("job.t.echo", ["a"]),
        without("task"),
        without("id"),
        without("root_id"),
    ]
    for message in strange:
        cell.engine.store.connection.read(lambda client, text=message: client.lpush("job.t.echo", text))
    assert cell.ended(cell.start("a: {topic: job.t.echo}"))["status"] == "succeeded"
    assert worker.poll() is None
    assert not cell.engine.store.connection.read(lambda client: client.exists("job.t.echo"))
    assert cell.logs().count("dropped a message on") == 4
    assert "Connection to broker lost" not in cell.logs()
    assert "Unrecoverable" not in cell.logs()
