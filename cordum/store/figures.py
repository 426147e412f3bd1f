"""What /metrics is made of, read in two round trips: bounded by the number of topics and workers, not of runs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from redis import Redis

from cordum.domain.routing import PRIORITIES, queue_list
from cordum.store import codec, keys, stats
from cordum.store.connection import Connection


@dataclass(frozen=True, slots=True)
class TopicFigures:
    """Jobs of one topic: ready, on its queue, unfinished (queued or running); since when the oldest is unclaimed."""

    ready: int
    queued: int
    unfinished: int
    oldest_at: int | None


@dataclass(frozen=True, slots=True)
class Figures:
    """One look at a cell. `counters` by their fields (see `stats`); times are milliseconds by Redis' clock."""

    now: int
    counters: Mapping[str, int]
    topics: Mapping[str, TopicFigures]
    workers: int
    slots: int
    runs_due: int
    approvals: int
    oldest_approval_at: int | None
    letters_over_limit: int


class FigureReader:
    def __init__(self, connection: Connection, cell: keys.CellKeys) -> None:
        self._connection = connection
        self._cell = cell

    def counters(self) -> dict[str, int]:
        """How often what happened."""
        found: Any = self._connection.read(lambda client: client.hgetall(self._cell.stats))
        return stats.told_apart(found)

    def read(self) -> Figures:
        cell = self._cell
        reply = self._connection.run(
            "read_figures",
            {
                "clock": cell.clock,
                "stats": cell.stats,
                "topics": cell.topics,
                "workers": cell.workers,
                "wakeups": cell.wakeups,
                "asked": cell.asked,
                "letter_tenants": cell.letter_tenants,
            },
        )
        topics, workers = sorted(reply[3]), reply[4]
        answers = iter(self._details(topics, workers))
        return Figures(
            now=int(reply[1]),
            counters=stats.told_apart(codec.pairs(reply[2])),
            topics={topic: _topic_figures(answers) for topic in topics},
            workers=len(workers),
            slots=sum(json.loads(text).get("slots", 0) for text in answers if text),
            runs_due=reply[5],
            approvals=reply[6],
            oldest_approval_at=int(reply[7][1]) if reply[7] else None,
            letters_over_limit=sum(map(int, reply[8])),
        )

    def _details(self, topics: Sequence[str], workers: Sequence[str]) -> list[Any]:
        """Answers in the order in which `_topic_figures` and then the workers take them."""

        def ask(client: Redis) -> list[Any]:
            with client.pipeline(transaction=False) as pipe:
                for topic in topics:
                    pipe.hlen(self._cell.parked(topic))
                    pipe.scard(self._cell.window(topic))
                    for queue in (queue_list(topic, priority) for priority in PRIORITIES):
                        pipe.llen(queue)
                        pipe.zrange(self._cell.sent(queue), 0, 0, withscores=True)
                for worker in workers:
                    pipe.hget(self._cell.worker(worker), "info")
                return pipe.execute()

        return self._connection.read(ask)


def _topic_figures(answers: Iterator[Any]) -> TopicFigures:
    ready, unfinished, queued = next(answers), next(answers), 0
    oldest: list[int] = []
    for _ in PRIORITIES:
        queued += next(answers)
        oldest += [int(sent_at) for _, sent_at in next(answers)]
    return TopicFigures(ready, queued, unfinished, min(oldest, default=None))
