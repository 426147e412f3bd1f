"""What a worker that stops has taken and not begun, on a real queue: each pool's way to tell, and the order."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from celery.concurrency import prefork, thread
from celery.worker import state
from kombu import Consumer, Queue
from redis import Redis

from cordum.execution.broker import BrokerConnection
from cordum.execution.config import celery_config
from cordum.execution.handback import hand_back
from cordum.execution.takeoff.flight import Flight
from cordum.redis_address import RedisAddress
from cordum.store.envelope import job_message

JOBS = [f"r:s{n}@1" for n in range(4)]


class Request:
    """As much of Celery's as is looked at."""

    name = "job.a"

    def __init__(self, message: Any) -> None:
        self.id = message.headers["id"]
        self.message = message
        self._apply_result: Any = None


@pytest.fixture
def redis(redis_address: RedisAddress) -> Iterator[Any]:
    with Redis(**redis_address.redis_py_kwargs(), decode_responses=True) as client:
        yield client


@pytest.fixture
def taken(redis_address: RedisAddress, redis: Any) -> Iterator[tuple[Any, list[Request]]]:
    """A consumer that has taken four jobs, and their requests, oldest first; one more has been sent since."""
    config = celery_config(redis_address)
    connection = BrokerConnection(config["broker_url"], transport_options=dict(config["broker_transport_options"]))
    requests: list[Request] = []

    def on_message(message: Any) -> None:
        requests.append(Request(message))
        state.task_reserved(requests[-1])

    tasks = Consumer(connection.default_channel, [Queue("job.a", routing_key="job.a")], on_message=on_message)
    tasks.consume()
    redis.lpush("job.a", *(job_message(job_id, "job.a", 0) for job_id in JOBS))
    while len(requests) < len(JOBS):
        connection.drain_events(timeout=5)
    redis.lpush("job.a", job_message("r:newer@1", "job.a", 0))
    consumer = SimpleNamespace(
        task_consumer=tasks,
        connection_errors=connection.connection_errors,
        controller=SimpleNamespace(semaphore=SimpleNamespace(clear=lambda: None)),
    )
    yield consumer, requests
    connection.release()
    state.reset_state()


def queued(redis: Any) -> list[str]:
    """Oldest first."""
    texts = redis.lrange("job.a", 0, -1)
    return [text.split('"id":"', 1)[1].split('"', 1)[0] for text in reversed(texts)]


def test_threads_give_back_what_no_thread_has_begun(
    taken: tuple[Any, list[Request]], redis: Any, eventually: Callable[..., Any]
) -> None:
    consumer, requests = taken
    consumer.pool = thread.TaskPool(1)
    gate, ran = threading.Event(), []

    def work(request: Request) -> None:
        state.task_accepted(request)
        ran.append(request.id)
        gate.wait(30)

    for request in requests:
        consumer.pool.executor.submit(work, request)
    eventually(lambda: ran, "the first job")
    hand_back(consumer)
    gate.set()
    consumer.pool.executor.shutdown()
    assert ran == JOBS[:1]
    assert queued(redis) == [*JOBS[1:], "r:newer@1"]


def test_prefork_gives_back_what_has_not_been_written_to_a_child(taken: tuple[Any, list[Request]], redis: Any) -> None:
    consumer, requests = taken
    discarded: list[str] = []

    class Result:
        def __init__(self, job_id: str) -> None:
            self.job_id = job_id

        def discard(self) -> None:
            discarded.append(self.job_id)

    running, written, outbound, no_slot = requests
    results = {request: Result(request.id) for request in (running, written, outbound)}
    for request in results:
        request._apply_result = partial(results.get, request)
    state.task_accepted(running)
    consumer.pool = prefork.TaskPool.__new__(prefork.TaskPool)
    consumer.pool._pool = SimpleNamespace(outbound_buffer=deque([results[outbound]]))
    hand_back(consumer)
    assert discarded == [outbound.id]
    assert list(consumer.pool._pool.outbound_buffer) == []
    assert queued(redis) == [outbound.id, no_slot.id, "r:newer@1"]


def test_a_claimed_job_is_not_given_back_as_a_message(taken: tuple[Any, list[Request]], redis: Any) -> None:
    consumer, requests = taken
    for request in requests:
        state.task_accepted(request)
    flight = Flight.__new__(Flight)
    flight.id, flight._message = "r:claimed@1", None
    state.task_reserved(flight)
    consumer.pool = SimpleNamespace()
    hand_back(consumer)
    assert queued(redis) == ["r:newer@1"]
    assert state.requests["r:claimed@1"] is flight


def test_nothing_is_taken_any_more(taken: tuple[Any, list[Request]], redis: Any) -> None:
    consumer, _ = taken
    consumer.pool = SimpleNamespace()
    hand_back(consumer)
    connection = consumer.task_consumer.channel.connection.client
    with pytest.raises(TimeoutError):
        connection.drain_events(timeout=0.3)
    assert queued(redis) == [*JOBS, "r:newer@1"]


def test_a_broker_that_is_away_does_not_keep_the_worker(
    taken: tuple[Any, list[Request]], caplog: pytest.LogCaptureFixture
) -> None:
    consumer, _ = taken
    consumer.pool = SimpleNamespace()

    def away() -> None:
        raise consumer.connection_errors[0]("away")

    consumer.task_consumer = SimpleNamespace(cancel=away)
    hand_back(consumer)
    assert "could not be handed back: away" in caplog.text
