"""A flight shows what Celery's own request of the same message would, though it makes most of it only when asked."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery
from celery.app.task import Context
from celery.worker import state
from kombu.transport.virtual import Message

from cordum.domain.ids import JobId
from cordum.execution.request import JobRequest
from cordum.execution.takeoff.flight import Flight
from cordum.execution.takeoff.in_pool import _Request
from cordum.store.envelope import job_message

JOB, TOPIC = JobId("r", "a", 1), "job.t.one"


@pytest.fixture
def consumer() -> Any:
    app = Celery("flight", set_as_current=False)

    @app.task(name=TOPIC, acks_late=True, shared=False)
    def run(job_id: str) -> None: ...

    return SimpleNamespace(app=app, hostname="w@h", event_dispatcher=None, connection_errors=())


def message() -> dict[str, Any]:
    read: dict[str, Any] = json.loads(job_message(str(JOB), TOPIC, 3))
    return read


def celerys(consumer: Any) -> JobRequest:
    raw = message()
    raw["properties"]["delivery_info"] |= {"redelivered": False}
    channel = SimpleNamespace(decode_body=lambda body, encoding: body)
    return JobRequest(Message(raw, channel=channel), hostname="w@h", app=consumer.app, eventer=None)


def flights(consumer: Any) -> list[Flight]:
    tower: Any = SimpleNamespace(consumer=consumer, crew=None, begun=lambda flight: None)
    task = consumer.app.tasks[TOPIC]
    return [Flight(JOB, 3, TOPIC, task, tower, headers=headers) for headers in (None, message()["headers"])]


def test_inspect_shows_the_same(consumer: Any) -> None:
    theirs = celerys(consumer)
    for flight in flights(consumer):
        for safe in (False, True):
            assert flight.info(safe=safe) == theirs.info(safe=safe)
        for name in ("root_id", "parent_id", "argsrepr", "kwargsrepr", "args", "kwargs", "type", "hostname", "app"):
            assert getattr(flight, name) == getattr(theirs, name)
        assert (str(flight), flight.humaninfo()) == (str(theirs), theirs.humaninfo())
        assert not flight.revoked()


def test_receivers_of_signals_are_shown_the_same_request(consumer: Any) -> None:
    theirs = dict(celerys(consumer).request_dict)
    for name in ("properties", "reply_to"):
        del theirs[name]  # of a message that this one has left behind
    for flight in flights(consumer):
        assert {name: flight.request_dict[name] for name in theirs} == theirs
        assert flight._context.id == str(JOB)


def test_celery_may_change_what_it_changes_of_its_own(consumer: Any) -> None:
    """After the broker was away: another dispatcher of events."""
    for flight in flights(consumer):
        flight.eventer = events = SimpleNamespace(enabled=True)
        assert (flight.eventer, flight._told_of) == (events, True)
        flight.on_reject = print
        assert flight.on_reject is print


def test_a_job_that_begins_is_counted_and_active(consumer: Any) -> None:
    state.reset_state()
    flight, _ = flights(consumer)
    flight.on_accepted(7, 0.0)
    assert (flight.worker_pid, flight in state.active_requests) == (7, True)
    assert (state.total_count[TOPIC], state.all_total_count[0]) == (1, 1)
    state.reset_state()


def test_the_request_of_a_handler_is_celerys_context() -> None:
    given = vars(_Request(str(JOB), TOPIC))
    assert vars(Context(**given)) == given
    assert _Request(str(JOB), TOPIC).hostname is None
