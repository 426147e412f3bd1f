"""Who holds and who waits for what limits the jobs of many runs together. Reads only: the scripts of jobs write it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from redis import Redis
from redis.client import Pipeline

from cordum.domain.quotas import Quota
from cordum.store import keys
from cordum.store.connection import Connection

_MOST_NAMED = 20  # of a quota's holders and waiters
_MOST_AT_ONCE = 500  # commands of one round trip


class Standing(NamedTuple):
    """For what a job waits. `ahead`: how many are before it; `until`: when a rate has room for it, in milliseconds."""

    quota: Quota
    taken: int
    holders: tuple[str, ...]
    ahead: int
    until: int | None


class Usage(NamedTuple):
    """One quota of a tenant. `holders` and `waiters` (job ids, in their order) are some of them when they are many."""

    id: str
    kind: str
    name: str
    most: int
    held: int
    waiting: int
    holders: tuple[str, ...]
    waiters: tuple[str, ...]


class Quotas:
    def __init__(self, connection: Connection, cell: keys.CellKeys) -> None:
        self._connection = connection
        self._cell = cell

    def standings(self, jobs: Mapping[str, Iterable[Quota]]) -> dict[str, Standing]:
        """Of these jobs, those that wait for one of their quotas."""
        asked = [(job_id, quota) for job_id, quotas in jobs.items() for quota in quotas]
        ranks = self._ask(asked, lambda pipe, one: pipe.zrank(self._cell.waiters(one[1].id), one[0]))
        lined_up = [
            (job, quota, int(rank)) for (job, quota), rank in zip(asked, ranks, strict=True) if rank is not None
        ]
        rates = [(job, quota, ahead) for job, quota, ahead in lined_up if quota.window_ms]
        begun = self._ask(rates, self._room_maker)
        found = {
            job: Standing(quota, quota.most, (), ahead, _until(quota, ahead, oldest))
            for (job, quota, ahead), oldest in zip(rates, begun, strict=True)
        }
        places = {quota.id: quota for _, quota, _ in lined_up if not quota.window_ms}
        holders = dict(zip(places, self._holders(list(places)), strict=True))
        for job, quota, ahead in lined_up:
            if not quota.window_ms:
                found[job] = Standing(quota, *holders[quota.id], ahead, None)
        return found

    def _room_maker(self, pipe: Pipeline, one: tuple[str, Quota, int]) -> None:
        """What has to leave the window before it is this job's turn."""
        _, quota, ahead = one
        from_end = ahead % quota.most - quota.most
        pipe.zrange(self._cell.places(quota.id), from_end, from_end, withscores=True)

    def of_tenant(self, tenant: str, after: str | None, count: int) -> list[Usage]:
        """What somebody holds or waits for, but for rates; in the order of their ids, from `after` on."""
        names: Any = self._connection.read(lambda client: client.hgetall(self._cell.quotas(tenant)))
        ids = sorted(one for one in names if after is None or one > after)[:count]
        holders = self._holders(ids)
        counts = self._ask(ids, lambda pipe, one: pipe.zcard(self._cell.waiters(one)))
        lines = self._ask(ids, lambda pipe, one: pipe.zrange(self._cell.waiters(one), 0, _MOST_NAMED - 1))
        found = []
        for one, (held, some), waiting, line in zip(ids, holders, counts, lines, strict=True):
            kind, name, most = json.loads(names[one])
            found.append(Usage(one, kind, name, most, held, int(waiting), some, tuple(line)))
        return found

    def _holders(self, ids: list[str]) -> list[tuple[int, tuple[str, ...]]]:
        counts = self._ask(ids, lambda pipe, one: pipe.scard(self._cell.places(one)))
        some = self._ask(ids, lambda pipe, one: pipe.srandmember(self._cell.places(one), _MOST_NAMED))
        return [(int(count), tuple(sorted(named))) for count, named in zip(counts, some, strict=True)]

    def _ask(self, things: list[Any], command: Any) -> list[Any]:
        """The answer to one command about each, in order."""

        def ask(client: Redis) -> list[Any]:
            answers: list[Any] = []
            for group in _in_groups(things):
                pipe = client.pipeline(transaction=False)
                for thing in group:
                    command(pipe, thing)
                answers += pipe.execute()
            return answers

        return self._connection.read(ask) if things else []


def _in_groups(things: list[Any]) -> Iterator[list[Any]]:
    for first in range(0, len(things), _MOST_AT_ONCE):
        yield things[first : first + _MOST_AT_ONCE]


def _until(quota: Quota, ahead: int, oldest: list[tuple[str, float]]) -> int | None:
    """Each that begins leaves the window after its length, and makes room for one more."""
    return int(oldest[0][1]) + quota.window_ms * (1 + ahead // quota.most) if oldest else None
