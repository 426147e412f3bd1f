"""Turns that take several short jobs for each slot, beside an engine and a pool that remember."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery.worker import state

from cordum.execution import lease
from cordum.execution.takeoff.batch import Batch
from cordum.execution.takeoff.board import Board
from cordum.execution.takeoff.flight import Flight
from tests.execution.test_takeoff_pump import TOPIC, Place, message

LONG = "job.t.long"


@pytest.fixture
def place() -> Iterator[Callable[..., Place]]:
    def make(slots: int, *topics: str) -> Place:
        here = Place(slots)
        here.topics = (TOPIC, *topics)
        here.pump._board = Board(2)
        for _ in range(10):
            here.pump._pace.note(TOPIC, 0.0001)
            here.pump._pace.note(LONG, 0.1)
        return here

    yield make
    state.reset_state()
    lease._losses.clear()


def sent(here: Place) -> list[int]:
    """How many jobs were in each of the pool's tasks."""
    flying: list[Flight | Batch] = list(here.flying)
    return [one.aboard if isinstance(one, Batch) else 1 for one in flying]


def asked(here: Place) -> list[tuple[tuple[str, ...], int]]:
    """Records, from here on, the topics that turns ask for and how many jobs of them."""
    found: list[tuple[tuple[str, ...], int]] = []
    exchange = here.engine.exchange

    def told(incarnation: str, recordings: Any, deliveries: Any, topics: Any, want: int, *more: Any) -> Any:
        found.append((tuple(sorted(topics)), want))
        return exchange(incarnation, recordings, deliveries, topics, want, *more)

    here.engine.exchange = told  # type: ignore[method-assign]
    return found


def names(count: int) -> list[str]:
    return [message(f"s{number}") for number in range(count)]


def test_each_slot_is_given_several_short_jobs(place: Callable[..., Place]) -> None:
    here = place(2)
    here.engine.queue = names(20)
    here.settle()
    assert sent(here) == [8, 8]
    assert not here.pump.has_room


def test_few_jobs_are_spread_over_the_slots(place: Callable[..., Place]) -> None:
    here = place(2)
    here.engine.queue = names(5)
    here.settle()
    assert sent(here) == [3, 2]


def test_what_celery_limits_in_time_goes_alone(place: Callable[..., Place]) -> None:
    here = place(2)
    here.consumer.app.tasks[TOPIC].time_limit = 5
    here.engine.queue = names(5)
    here.settle()
    assert sent(here) == [1, 1]
    assert len(here.engine.queue) == 3


def test_of_long_jobs_one_is_taken_for_each_slot(place: Callable[..., Place]) -> None:
    here = place(2, LONG)
    turns = asked(here)
    here.settle()
    assert turns == [((TOPIC,), 16)]
    # So kombu listens to all lists, and hears a message. There was nothing short, so all are asked for.
    assert here.pump.dry
    here.hear("a")
    assert turns[1] == ((LONG, TOPIC), 1)


def test_what_waits_on_a_route_is_asked_for_by_an_idle_worker(place: Callable[..., Place]) -> None:
    here = place(2, LONG)
    here.settle()
    here.listening, here.routes = True, ("route",)
    here.engine.waiting_on["route"] = [message("routed")]
    turns = asked(here)
    here.pump.call()
    here.settle()
    assert turns[0] == ((LONG, TOPIC), 1)
    assert here.in_flight() == ["r:routed@1"]


def test_turns_for_short_jobs_leave_routes_alone(place: Callable[..., Place]) -> None:
    """More would be reserved there for this worker than it has slots."""
    here = place(2, LONG)
    here.routes = ("route",)
    here.engine.waiting_on["route"] = names(20)
    here.settle()
    assert sent(here) == [1, 1]
    assert len(here.engine.waiting_on["route"]) == 18


def test_long_jobs_have_their_turn_beside_many_short_ones(place: Callable[..., Place]) -> None:
    here = place(1, LONG)
    turns = asked(here)
    for _ in range(8):
        here.engine.queue = names(8)
        here.pump._aloft.clear()
        here.pump._batches.clear()
        state.reset_state()
        here.pump.call()
        here.loop()
    assert [len(topics) for topics, _ in turns[:8]] == [1, 1, 1, 2, 1, 1, 1, 2]


def test_what_has_not_begun_goes_out_again_or_is_given_back(place: Callable[..., Place]) -> None:
    here = place(1)
    here.engine.queue = names(4)
    here.settle()
    (batch,) = here.flying
    assert isinstance(batch, Batch)
    here.flying.clear()
    rest = batch._flights[2:]
    del batch._flights[2:]
    batch._landed = 1
    here.pump.unbegun(rest, "too late")
    assert [(loss.job_id, loss.left) for loss in lease._losses] == [("r:s2@1", True), ("r:s3@1", True)]
    assert not here.flying
    # Its process is free, and the next one takes what is left.
    here.pump.over(batch)
    here.pump._aloft.difference_update(batch._flights)
    for flight in batch._flights:
        state.task_ready(flight)
    here.pump.unbegun(rest, "its process is dead")
    assert sent(here) == [2]
