"""Dead letters: what failed for good, with the evidence. Written by the plan that ends the step; read and trimmed here.

Open ones, which nobody has dealt with, lie by group and time in one sorted set ordered by text, so that a group is a
range of it: counted in logarithmic time, and read page by page.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import redis

from cordum.domain.ids import JobId
from cordum.domain.routing import dead_letter_queue
from cordum.store import keys
from cordum.store.connection import Connection
from cordum.store.indexed import Indexed


@dataclass(frozen=True, slots=True)
class Group:
    """Open dead letters of one signature. Times are milliseconds, of the oldest and the newest."""

    id: str
    about: Mapping[str, Any]  # {class, message, topic, reason_code, governance}
    count: int
    first_at: int
    last_at: int
    latest: str  # job id of the newest


class DeadLetters:
    def __init__(self, connection: Connection, cell: keys.CellKeys) -> None:
        self._connection = connection
        self._cell = cell
        self._records = Indexed(connection, keys.dead_letter)

    def get(self, tenant: str, job_id: str) -> dict[str, str] | None:
        return self._records.get(self._cell.dead_letters(tenant), job_id)

    def page(self, tenant: str, before: str | None, count: int) -> list[dict[str, str]]:
        return self._records.page(self._cell.dead_letters(tenant), before, count)

    def unhandled(self, job_ids: Sequence[str]) -> list[str]:
        """Those of these dead letters that nobody has replayed or discarded and no handler has made good."""

        def ask(client: redis.Redis) -> list[Any]:
            pipeline = client.pipeline(transaction=False)
            for job_id in job_ids:
                pipeline.hmget(keys.dead_letter(job_id.partition(":")[0], job_id), ["state", "rescued"])
            return pipeline.execute()

        found = self._connection.read(ask) if job_ids else []
        return [
            job_id for job_id, (state, rescued) in zip(job_ids, found, strict=True) if state == "open" and not rescued
        ]

    def count_open(self, tenant: str) -> int:
        return int(self._ask(lambda client: client.zcard(self._cell.open_letters(tenant))))

    def groups(self, tenant: str) -> list[Group]:
        """The groups that have open letters, the largest first."""
        key = self._cell.open_letters(tenant)
        known: dict[str, str] = self._ask(lambda client: client.hgetall(self._cell.letter_groups(tenant)))

        def ask(client: Any) -> list[Any]:
            with client.pipeline(transaction=False) as pipe:
                for group in known:
                    pipe.zlexcount(key, *_bounds(group))
                    pipe.zrangebylex(key, *_bounds(group), start=0, num=1)
                    pipe.zrevrangebylex(key, *reversed(_bounds(group)), start=0, num=1)
                answers: list[Any] = pipe.execute()
                return answers

        answers = iter(self._ask(ask))
        found = []
        for group, text in known.items():
            count, first, last = next(answers), next(answers), next(answers)
            if first and last:
                _, first_at, _ = first[0].split("|", 2)
                _, last_at, latest = last[0].split("|", 2)
                found.append(Group(group, json.loads(text), count, int(first_at), int(last_at), latest))
        return sorted(found, key=lambda one: (-one.count, one.id))

    def open_of(self, tenant: str, group: str, most: int) -> list[str]:
        """Job ids of a group's open letters, the oldest first."""
        key = self._cell.open_letters(tenant)
        found: list[str] = self._ask(lambda client: client.zrangebylex(key, *_bounds(group), start=0, num=most))
        return [entry.split("|", 2)[2] for entry in found]

    def newest_of(self, tenant: str, group: str, before: str | None, count: int) -> list[dict[str, str]]:
        """A group's open letters newest first, after that with job id `before`."""
        key, (low, high) = self._cell.open_letters(tenant), _bounds(group)
        if before is not None:
            record = self.get(tenant, before)
            if record is None:
                return []
            high = f"({record['entry']}"
        found: list[str] = self._ask(lambda client: client.zrevrangebylex(key, high, low, start=0, num=count))
        records = (self.get(tenant, entry.split("|", 2)[2]) for entry in found)
        return [record for record in records if record is not None]

    def take(self, job: JobId, topic: str, nonce: str, worker: str) -> bool:
        """Hand a letter that was forwarded over to code; False when it has been handed over before, or is gone."""
        reply = self._connection.run(
            "take_dead_letter",
            {
                "letter": keys.dead_letter(job.run_id, str(job)),
                "sent": self._cell.sent(dead_letter_queue(topic)),
                "clock": self._cell.clock,
            },
            job_id=str(job),
            nonce=nonce,
            worker=worker,
        )
        return str(reply[0]) == "TAKEN"

    # -- retention -----------------------------------------------------------------------------------------------

    def tenants(self) -> dict[str, int]:
        """Tenants that have dead letters: by how many those that are open are more than are kept."""
        found: dict[str, str] = self._ask(lambda client: client.hgetall(self._cell.letter_tenants))
        return {tenant: int(count) for tenant, count in found.items()}

    def outdated(self, tenant: str, until_ms: int, keep: int, most: int) -> list[str]:
        """Letters that were dealt with at `until_ms` or before, and the oldest of those that are more than `keep`.

        Those that nobody has dealt with count, and are never among them.
        """
        handled = self._cell.handled_letters(tenant)
        old: list[str] = self._ask(lambda client: client.zrangebyscore(handled, "-inf", until_ms, start=0, num=most))
        excess = int(self._ask(lambda client: client.zcard(self._cell.dead_letters(tenant)))) - keep
        if excess <= len(old):
            return old
        return list(self._ask(lambda client: client.zrange(handled, 0, min(excess, most) - 1)))

    def trim(self, tenant: str, job_ids: Sequence[str], keep: int) -> None:
        """Forget letters that were dealt with, and note by how many the open ones are more than `keep`."""
        jobs = [job for job in map(JobId.parse, job_ids) if job is not None]
        self._connection.run(
            "trim_dead_letters",
            {
                "dead_letters": self._cell.dead_letters(tenant),
                "open_letters": self._cell.open_letters(tenant),
                "handled_letters": self._cell.handled_letters(tenant),
                "letter_tenants": self._cell.letter_tenants,
            },
            [keys.dead_letter(job.run_id, str(job)) for job in jobs],
            [str(job) for job in jobs],
            tenant=tenant,
            keep=keep,
        )

    def _ask(self, ask: Any) -> Any:
        return self._connection.read(ask)


def _bounds(group: str) -> tuple[str, str]:
    """The range of a group in the set of open letters; `}` comes after `|`."""
    return f"[{group}|", f"({group}}}"
