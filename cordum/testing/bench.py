"""The private Redis of a scenario, as a test bench handles it: its virtual clock, its timers, and Celery's lists.

The only module of this package that holds a Redis client. It stands in for what is not cordum's own code: time, and the
broker side of a Celery worker, which pops messages. It changes nothing else.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import redis

from cordum.domain.routing import PRIORITIES, queue_list
from cordum.errors import ConfigurationRefused
from cordum.redis_address import RedisAddress
from cordum.store.keys import CellKeys

START_MS = 1_767_225_600_000  # 2026-01-01T00:00:00Z; any moment would do, but zero looks like "never"


@dataclass(frozen=True, slots=True)
class Message:
    """What a Celery worker sees of a job."""

    job_id: str
    topic: str
    priority: int


class Bench:
    """Takes an empty database and leaves it empty; one that holds anything is refused, because a scenario clears it."""

    def __init__(self, address: RedisAddress, keys: CellKeys) -> None:
        self._client: redis.Redis = redis.Redis(**address.redis_py_kwargs(), decode_responses=True)
        self._keys = keys

    def __enter__(self) -> Bench:
        if self._client.dbsize():
            self._client.close()
            raise ConfigurationRefused("scenarios need a Redis of their own: this one holds data")
        self.set_clock(START_MS)
        return self

    def __exit__(self, *_: object) -> None:
        self._client.flushdb()
        self._client.close()

    @property
    def now(self) -> int:
        text: Any = self._client.get(self._keys.clock)
        return int(text)

    def set_clock(self, now_ms: int) -> None:
        self._client.set(self._keys.clock, now_ms)

    def next_timer(self) -> int | None:
        """The earliest moment at which something happens to a run by time alone."""
        due: Any = self._client.zrange(self._keys.timers, 0, 0, withscores=True)
        marked: Any = self._client.zrange(self._keys.wakeups, 0, 0, withscores=True)
        alarms: Any = self._client.zrange(self._keys.alarms, 0, 0, withscores=True)
        return min((int(score) for _, score in (*due, *marked, *alarms)), default=None)

    def take_messages(self) -> list[Message]:
        """Every job message on any topic's queue, taken off its list the way kombu does it."""
        topics: Any = self._client.smembers(self._keys.topics)
        taken: list[Message] = []
        for topic in sorted(topics):
            for priority in PRIORITIES:
                while text := self._pop(queue_list(topic, priority)):
                    taken.append(Message(json.loads(text)["headers"]["id"], topic, priority))
        return taken

    def _pop(self, queue: str) -> str | None:
        text: Any = self._client.rpop(queue)
        return text if text is None else str(text)
