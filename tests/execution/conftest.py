"""Real workers on a real Redis, and a port that remembers for the tests that need neither."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import kombu.pools
import pytest
from celery import Celery

from cordum.domain.pools import NO_POOLS, PoolMap
from cordum.engine import Claim, Orders, Outcome, WorkerInfo
from cordum.execution.config import celery_config
from cordum.redis_address import RedisAddress
from cordum.store.jobs import ClaimReply
from tests.cells import FAST, Cell, eventually

HANDLERS = "handlers_for_tests"
Events = dict[str, set[str]]


def cell_at(address: RedisAddress, directory: Path) -> Cell:
    return Cell(address, directory, HANDLERS, Path(__file__).parent)


@dataclass
class FakePort:
    """Answers like the engine's jobs and keeps what it was told; `away` makes that many next calls fail."""

    claim_words: list[ClaimReply] = field(default_factory=list)
    away: list[Exception] = field(default_factory=list)
    running: bool = True
    draining: bool = False
    stops: list[str] = field(default_factory=list)
    told: list[tuple[Any, ...]] = field(default_factory=list)
    changed: threading.Event = field(default_factory=threading.Event)

    def _tell(self, *what: Any) -> None:
        if self.away:
            raise self.away.pop(0)
        self.told.append(what)
        self.changed.set()

    def names(self) -> list[str]:
        return [what[0] for what in self.told]

    def register(self, worker: WorkerInfo) -> None:
        self._tell("register", worker)

    def renew(self, worker: WorkerInfo, heard: Sequence[str]) -> Orders:
        self._tell("renew", worker)
        self.stops = [job_id for job_id in self.stops if job_id not in heard]
        return Orders(list(self.stops), self.draining)

    def routes(self, worker: WorkerInfo) -> list[str]:
        return []

    def pools(self) -> PoolMap:
        return NO_POOLS

    def leave(self, incarnation: str) -> None:
        self._tell("leave", incarnation)

    def claim(
        self, job_id: str, topic: str, priority: int, incarnation: str, nonce: str, *, direct: bool = False
    ) -> Claim:
        self._tell("claim", job_id, nonce)
        word = self.claim_words.pop(0) if self.claim_words else ClaimReply.CLAIMED
        return claim(word=word)

    def record(self, job_id: str, topic: str, incarnation: str, nonce: str, outcome: Outcome) -> str:
        self._tell("record", outcome, nonce)
        return "ADVANCE"

    def still_running(self, job_id: str, incarnation: str) -> bool:
        self._tell("still_running")
        return self.running

    def progress(self, job_id: str, incarnation: str, fraction: float | None, note: str | None) -> bool:
        self._tell("progress", fraction, note)
        return self.running

    def lost(self, job_id: str, topic: str, incarnation: str, reason: str, *, left: bool = False) -> str:
        self._tell("left" if left else "lost", job_id, reason)
        return "ADVANCE"

    def once(self, job_id: str, name: str) -> bool:
        self._tell("once", name)
        return True


def claim(word: ClaimReply = ClaimReply.CLAIMED, input: Any = None, timeout_ms: int = 60_000) -> Claim:
    return Claim(word, {} if input is None else input, "r1", "s", 1, "acme", "w", {"team": "sre"}, timeout_ms)


@pytest.fixture
def fake_port() -> FakePort:
    return FakePort()


@pytest.fixture
def make_claim() -> Callable[..., Claim]:
    return claim


@pytest.fixture(name="eventually")
def eventually_fixture() -> Callable[[Callable[[], Any], str], Any]:
    return eventually


@pytest.fixture
def cell(redis_address: RedisAddress, tmp_path: Path) -> Iterator[Cell]:
    one = cell_at(redis_address, tmp_path)
    yield one
    one.end()


@pytest.fixture
def cell_on(tmp_path: Path) -> Iterator[Callable[[RedisAddress], Cell]]:
    """A cell on a Redis of the test's own."""
    cells: list[Cell] = []

    def make(address: RedisAddress) -> Cell:
        cells.append(cell_at(address, tmp_path))
        return cells[-1]

    yield make
    for one in cells:
        one.end()


@pytest.fixture
def ending_cell(redis_address: RedisAddress, tmp_path: Path) -> Iterator[Callable[..., Cell]]:
    """Makes the test's cell, with the handlers that do not end well; keywords are settings, in place of fast ones."""
    cells: list[Cell] = []

    def make(**settings: float) -> Cell:
        timing = {**FAST, **{f"CORDUM_{key.upper()}": str(value) for key, value in settings.items()}}
        cells.append(Cell(redis_address, tmp_path, "ending_handlers", Path(__file__).parent, timing))
        return cells[-1]

    yield make
    for one in cells:
        one.end()


@pytest.fixture
def control(redis_address: RedisAddress) -> Iterator[Any]:
    """Celery's remote control, as Flower and the command line use it.

    kombu keeps pools of connections for the whole process, by address. They are forgotten first: an earlier test
    may have cut every connection of this server, and the pool would hand out a dead one.
    """
    kombu.pools.reset()
    app = Celery("control", amqp="cordum.execution.broker:Amqp", set_as_current=False)
    app.conf.update(celery_config(redis_address))
    yield app.control
    app.close()


@pytest.fixture
def events(redis_address: RedisAddress) -> Iterator[Events]:
    """Types of Celery's events by task id, as Flower would see them."""
    seen: Events = defaultdict(set)
    watcher = Celery("watcher", amqp="cordum.execution.broker:Amqp", set_as_current=False)
    watcher.conf.update(celery_config(redis_address))
    with watcher.connection_for_read() as connection:
        note = {"*": lambda event: seen[event.get("uuid", "")].add(event["type"])}
        receiver = watcher.events.Receiver(connection, handlers=note)
        thread = threading.Thread(target=receiver.capture, kwargs={"limit": None, "timeout": None, "wakeup": False})
        thread.start()
        yield seen
        receiver.should_stop = True
        thread.join()
