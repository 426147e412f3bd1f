"""In whose turn waiting jobs are sent: who comes late is not kept by those who came with much before."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable
from dataclasses import replace

import pytest
import redis

from cordum.domain.ids import JobId
from cordum.engine.jobs import window_of
from cordum.store import Store
from cordum.store.connection import Connection
from cordum.store.scripts import Library
from tests.store.world import TOPIC, World

QUEUE = TOPIC + "\x06\x163"
FLOOD, BURST = 300, 20


def many(count: int) -> str:
    return "steps: {" + ", ".join(f"s{i:03}: {{topic: job.t}}" for i in range(count)) + "}"


class Workers:
    """So many slots that take messages in order; all jobs take equally long, so they end in the order they began."""

    def __init__(self, world: World, slots: int, window: int) -> None:
        self.world = world
        world.store.queues.set_windows({TOPIC: window})
        self._slots = slots
        self._running: list[JobId] = []
        self.order: list[str] = []  # the first letters of the runs of those that have begun
        self._fill()

    def _fill(self) -> None:
        while len(self._running) < self._slots and (text := self.world.client.rpop(QUEUE)):
            job = JobId.parse(json.loads(str(text))["headers"]["id"])
            assert job is not None
            self.world.claim(job.step, run_id=job.run_id)
            self._running.append(job)
            self.order.append(job.run_id[0])

    def end(self, count: int) -> None:
        for _ in range(count):
            if not self._running:
                self._fill()
            job = self._running.pop(0)
            self.world.record(job.step, run_id=job.run_id)
            self._fill()


@pytest.mark.parametrize("slots", [1, 4, 10, 16])
def test_a_burst_after_a_flood_starts_about_as_late_as_if_there_were_twice_as_much_of_it(
    world: World, slots: int
) -> None:
    """In order of starts, which is what the clock would say if the jobs took equally long: `slots` starts are one job
    time. The median delay is at most twice that without the flood, and one job time.
    """
    world.store.queues.set_windows({TOPIC: window_of(slots, 0)})
    world.create(many(FLOOD), "a", "first")
    workers = Workers(world, slots, window_of(slots, 0))
    workers.end(3 * window_of(slots, 0))
    begun = len(workers.order)
    world.create(many(BURST), "b", "second")
    workers.end(3 * BURST)
    starts = [place for place, run in enumerate(workers.order[begun:]) if run == "b"]
    assert len(starts) == BURST
    alone = statistics.median(number // slots for number in range(BURST))
    # The next slot is free half a start's distance from now.
    assert statistics.median((place + 0.5) / slots for place in starts) <= 2 * alone + 1


def test_who_is_new_comes_first_for_one_window_and_then_in_turn(world: World) -> None:
    world.store.queues.set_windows({TOPIC: 4})
    world.create(many(FLOOD), "a", "first")
    workers = Workers(world, 3, 4)
    workers.end(20)
    begun = len(workers.order)
    world.create(many(8), "b", "second")
    world.create(many(6), "c", "third")
    workers.end(30)
    # What lay on the queue; both that are new, in turn, four each; then all three.
    assert "".join(workers.order[begun : begun + 18]) == "a" + "bcbcbcbc" + "abcabcaba"


def submit_again_and_again(world: World) -> float:
    """The share of a tenant that submits four jobs whenever none of its own waits, beside one with a long line."""
    world.store.queues.set_windows({TOPIC: 4})
    world.create(many(FLOOD), "a", "first")
    workers = Workers(world, 3, 4)
    workers.end(20)
    begun = len(workers.order)
    for number in range(40):
        ready = world.client.keys("*ready*second*")
        if not any(world.client.llen(key) for key in ready):
            world.create(many(4), f"b{number}", "second")
        workers.end(4)
    return workers.order[begun:].count("b") / len(workers.order[begun:])


def test_who_submits_little_and_often_gets_no_more_than_its_half(world: World) -> None:
    assert 0.4 < submit_again_and_again(world) <= 0.55


def test_without_a_memory_of_who_has_waited_it_would_get_all(
    client: redis.Redis, world_without: Callable[..., World]
) -> None:
    library = Library(virtual_clock=True)
    keeps = "or redis.call('ZCARD', turns) == 1 then"
    library.scripts = {
        name: replace(script, source=script.source.replace(keeps, "or true then"))
        for name, script in library.scripts.items()
    }
    world = World(Store(Connection(client, library), "c1", 32), client)
    assert submit_again_and_again(world) > 0.7


def test_nobody_is_remembered_when_nothing_waits(world: World) -> None:
    world.store.queues.set_windows({TOPIC: 4})
    world.create(many(20), "a", "first")
    world.create(many(20), "b", "second")
    workers = Workers(world, 3, 4)
    workers.end(40)
    assert world.client.exists(world.store.keys.parked(TOPIC), world.store.keys.turns(TOPIC)) == 0
