"""The messages cordum writes, held against those Celery and kombu would write for the same tasks."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery
from redis import Redis

from cordum.execution.config import celery_config
from cordum.execution.tasks import add_coordinator_task, add_job_task
from cordum.redis_address import RedisAddress
from cordum.store.envelope import COORDINATOR_TASK, coordinator_message, job_message
from cordum.store.keys import COORDINATOR_QUEUE

JOB_ID, TOPIC = "c1-01:step@1", "job.sre.classify"
# Ours alone: who sent it, and an id by which a duplicate is known. Celery answers none of our messages.
OF_ONE_MESSAGE = {"origin", "delivery_tag", "reply_to"}
# Celery hands these on to kombu among its options; the worker looks for them in the headers only.
LEFT_OVERS = {"argsrepr", "body_encoding"}
# What Celery writes though a worker assumes it anyway (celery/worker/request.py; Context in celery/app/task.py).
ASSUMED = {
    "shadow": None,
    "group_index": None,
    "replaced_task_nesting": 0,
    "stamped_headers": None,
    "stamps": {},
}


@pytest.fixture
def app(redis_address: RedisAddress) -> Iterator[Celery]:
    one = Celery("envelope", amqp="cordum.execution.broker:Amqp", set_as_current=False)
    one.conf.update(celery_config(redis_address))
    add_job_task(one, TOPIC)
    add_coordinator_task(one)
    yield one
    one.close()


@pytest.fixture
def redis(redis_address: RedisAddress) -> Iterator[Any]:
    with Redis(**redis_address.redis_py_kwargs(), decode_responses=True) as client:
        yield client


def celery_writes(app: Celery, redis: Any, queue_list: str, **sending: Any) -> dict[str, Any]:
    app.send_task(**sending)
    (text,) = redis.lrange(queue_list, 0, -1)
    message: dict[str, Any] = json.loads(text)
    return message


def meaning(message: dict[str, Any]) -> dict[str, Any]:
    """The message as a worker takes it: body decoded, encodings resolved, defaults filled in."""
    body = message["body"]
    if message["properties"].get("body_encoding") == "base64":
        body = base64.b64decode(body).decode()
    args, kwargs, embed = json.loads(body)
    headers = {key: value for key, value in message["headers"].items() if key not in OF_ONE_MESSAGE}
    properties = {key: value for key, value in message["properties"].items() if key not in OF_ONE_MESSAGE | LEFT_OVERS}
    return {
        "body": (list(args), kwargs, embed),
        "content": (message["content-type"], message["content-encoding"]),
        "headers": {**ASSUMED, **headers},
        "properties": properties,
    }


@pytest.mark.parametrize(("priority", "suffix"), [(0, ""), (3, "\x06\x163"), (6, "\x06\x166")])
def test_a_job_message_means_what_celerys_would(app: Celery, redis: Any, priority: int, suffix: str) -> None:
    theirs = celery_writes(
        app,
        redis,
        TOPIC + suffix,
        name=TOPIC,
        args=[JOB_ID],
        task_id=JOB_ID,
        queue=TOPIC,
        priority=priority,
        ignore_result=True,
        argsrepr=f"({JOB_ID})",
    )
    assert meaning(json.loads(job_message(JOB_ID, TOPIC, priority))) == meaning(theirs)


def test_a_coordinator_message_means_what_celerys_would(app: Celery, redis: Any) -> None:
    ours = json.loads(coordinator_message())
    theirs = celery_writes(
        app,
        redis,
        COORDINATOR_QUEUE,
        name=COORDINATOR_TASK,
        task_id=ours["headers"]["id"],
        queue=COORDINATOR_QUEUE,
        priority=0,
        ignore_result=True,
        argsrepr="()",
    )
    assert meaning(ours) == meaning(theirs)


def test_a_message_shows_no_payload_and_no_two_calls_share_a_tag() -> None:
    first, second = (json.loads(coordinator_message()) for _ in range(2))
    assert first["properties"]["delivery_tag"] != second["properties"]["delivery_tag"]
    headers = json.loads(job_message(JOB_ID, TOPIC, 0))["headers"]
    assert (headers["argsrepr"], headers["kwargsrepr"]) == (f"({JOB_ID})", "{}")
