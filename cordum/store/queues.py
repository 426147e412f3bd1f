"""A topic's queue as operators handle it: paused, resumed, looked at."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import redis

from cordum.domain.audit import Act
from cordum.domain.ids import JobId
from cordum.domain.plan import Event
from cordum.domain.routing import PRIORITIES, queue_list
from cordum.store import keys
from cordum.store.audit import audit_keys
from cordum.store.commit import event_text
from cordum.store.connection import Connection
from cordum.store.envelope import coordinator_message

RESUMED = "queue_resumed"
_MOST_LISTS = 200  # ready lists (one a tenant and priority) of one topic that are looked at


@dataclass(frozen=True, slots=True)
class Pause:
    """Since when (milliseconds), by whom and why a queue is paused."""

    at: int
    by: str
    reason: str


class Queues:
    def __init__(self, connection: Connection, cell: keys.CellKeys, window: int) -> None:
        self._connection = connection
        self._cell = cell
        self._window = window

    def pause(self, topic: str, act: Act) -> bool:
        """Let nothing of this topic begin; False when it is paused already. What has been claimed runs on."""
        pairs = [key for queue in _lists(topic) for key in (queue, self._cell.aside(queue))]
        reply = self._connection.run(
            "pause_queue",
            {"windows": self._cell.windows, "paused": self._cell.paused, **audit_keys(self._cell, act.tenant)},
            pairs,
            topic=topic,
            by=act.by,
            reason=act.reason.replace("\n", " "),
            tenant=act.tenant,
            event=event_text("", act.event("queue.paused", topic=topic)),
        )
        return bool(reply[0] == "PAUSED")

    def resume(self, topic: str, act: Act) -> bool:
        """Send what may be sent now; False when it was not paused."""
        cell, lists = self._cell, _lists(topic)
        # What lies aside neither grows nor changes its order until this very script brings it back.
        messages: Any = self._connection.read(lambda client: [client.lrange(cell.aside(q), 0, -1) for q in lists])
        cause = {"reason": RESUMED, "by": act.by}
        timelines: list[str] = []
        told: list[str | int | bytes] = []
        for number, texts in enumerate(messages, 1):
            for job in filter(None, map(_job_of, reversed(texts))):
                timelines.append(keys.RunKeys.of(job.run_id).timeline)
                told += [
                    str(job),
                    number,
                    event_text(job.run_id, Event("step.ready", job.step, job.attempt, data=cause)),
                ]
        threes = [key for queue in lists for key in (queue, cell.aside(queue), cell.sent(queue))]
        reply = self._connection.run(
            "resume_queue",
            {
                "windows": cell.windows,
                "paused": cell.paused,
                **audit_keys(cell, act.tenant),
                "turns": cell.turns(topic),
                "parked": cell.parked(topic),
                "window": cell.window(topic),
                "policy": cell.policy,
                "wakeups": cell.wakeups,
                "coordinator": cell.coordinator,
            },
            [*threes, *timelines],
            told,
            topic=topic,
            minimum=self._window,
            cause=json.dumps(cause),
            message=coordinator_message(),
            lists=len(lists),
            tenant=act.tenant,
            event=event_text("", act.event("queue.resumed", topic=topic)),
        )
        return bool(reply[0] == "RESUMED")

    def paused(self) -> dict[str, Pause]:
        """The topics whose queues are paused."""
        found: Any = self._connection.read(lambda client: client.hgetall(self._cell.paused))
        return {topic: _pause(mark) for topic, mark in found.items()}

    def set_windows(self, windows: Mapping[str, int]) -> None:
        """How many unfinished messages each of these topics may have; a paused one stays as it is."""
        if windows:
            said = [part for topic, window in windows.items() for part in (topic, window)]
            self._connection.run(
                "set_windows", {"windows": self._cell.windows, "paused": self._cell.paused}, more_args=said
            )

    def aside(self, topics: Sequence[str]) -> dict[str, int]:
        """How many messages of these topics are put aside."""

        def ask(client: redis.Redis) -> Any:
            with client.pipeline(transaction=False) as pipe:
                for topic in topics:
                    for queue in _lists(topic):
                        pipe.llen(self._cell.aside(queue))
                return pipe.execute()

        lengths, each = self._connection.read(ask), len(PRIORITIES)
        return {topic: sum(lengths[i * each : (i + 1) * each]) for i, topic in enumerate(topics)}

    def oldest_ready(self, topic: str) -> int | None:
        """Since when (milliseconds) the oldest job waits that has not been sent."""

        def ask(client: redis.Redis) -> Any:
            ready: Any = client.zrange(self._cell.turns(topic), 0, _MOST_LISTS - 1)
            with client.pipeline(transaction=False) as pipe:
                for one in ready:
                    pipe.lindex(one, -1)
                jobs = [job for text in pipe.execute() if text and (job := JobId.parse(text))]
                for job in jobs:
                    pipe.hget(keys.RunKeys.of(job.run_id).facts, f"{job.step}#ready_at")
                return pipe.execute()

        return min((int(at) for at in self._connection.read(ask) if at), default=None)


def _lists(topic: str) -> list[str]:
    return [queue_list(topic, priority) for priority in PRIORITIES]


def _job_of(message: str) -> JobId | None:
    return JobId.parse(str(json.loads(message)["headers"]["id"]))


def _pause(mark: str) -> Pause:
    at, by, _, reason = mark.split("\n", 3)
    return Pause(int(at), by, reason)
