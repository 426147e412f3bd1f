"""Who holds and who waits for what limits the jobs of many runs together. Reads only: the scripts of jobs write it."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from redis import Redis
from redis.client import Pipeline

from cordum.domain.quotas import Quota, QuotaKind
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

    def standings(self, tenant: str, jobs: Mapping[str, Iterable[Quota]]) -> dict[str, Standing]:
        """Of these jobs of a tenant, those that wait for one of their quotas."""
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
        pools = {one for one, quota in places.items() if quota.kind is QuotaKind.POOL}
        holders = dict(zip(places, self._holders(list(places), tenant, pools), strict=True))
        limits = self._limits(sorted(pools))
        for job, quota, ahead in lined_up:
            if not quota.window_ms:
                now = replace(quota, most=limits.get(quota.id, quota.most))
                found[job] = Standing(now, *holders[quota.id], ahead, None)
        return found

    def _limits(self, pools: list[str]) -> dict[str, int]:
        """The limits of pools as they are now, which is not always what a job was decided with."""
        said = self._ask(pools, lambda pipe, one: pipe.hget(self._cell.pools, f"most:{one}"))
        return {one: int(most) for one, most in zip(pools, said, strict=True) if most}

    def _room_maker(self, pipe: Pipeline, one: tuple[str, Quota, int]) -> None:
        """What has to leave the window before it is this job's turn."""
        _, quota, ahead = one
        from_end = ahead % quota.most - quota.most
        pipe.zrange(self._cell.places(quota.id), from_end, from_end, withscores=True)

    def of_tenant(self, tenant: str, after: str | None, count: int) -> list[Usage]:
        """What somebody holds or waits for, but for rates; in the order of their ids, from `after` on.

        Pools are shared by all tenants: of their holders and waiters only this tenant's are named.
        """
        own: Any = self._connection.read(lambda client: client.hgetall(self._cell.quotas(tenant)))
        shared: Any = self._connection.read(lambda client: client.hgetall(self._cell.pool_quotas))
        names = {**own, **shared}
        ids = sorted(one for one in names if after is None or one > after)[:count]
        holders = self._holders(ids, tenant, shared.keys())
        counts = self._ask(ids, lambda pipe, one: pipe.zcard(self._cell.waiters(one)))
        lines = self._ask(ids, lambda pipe, one: pipe.zrange(self._cell.waiters(one), 0, _MOST_NAMED - 1))
        lines = [self._own(tenant, line) if one in shared else line for one, line in zip(ids, lines, strict=True)]
        limits = self._limits([one for one in ids if one in shared])
        found = []
        for one, (held, some), waiting, line in zip(ids, holders, counts, lines, strict=True):
            kind, name, most = json.loads(names[one])
            found.append(Usage(one, kind, name, limits.get(one, most), held, int(waiting), some, tuple(line)))
        return found

    def _holders(self, ids: list[str], tenant: str, shared: Collection[str]) -> list[tuple[int, tuple[str, ...]]]:
        """How many there are, and some of them; of what is `shared` only the tenant's own."""
        counts = self._ask(ids, lambda pipe, one: pipe.scard(self._cell.places(one)))
        some = self._ask(ids, lambda pipe, one: pipe.srandmember(self._cell.places(one), _MOST_NAMED))
        some = [self._own(tenant, named) if one in shared else named for one, named in zip(ids, some, strict=True)]
        return [(int(count), tuple(sorted(named))) for count, named in zip(counts, some, strict=True)]

    def _own(self, tenant: str, job_ids: list[str]) -> list[str]:
        runs = [keys.RunKeys.of(job_id.partition(":")[0]).run for job_id in job_ids]
        owners = self._ask(runs, lambda pipe, run: pipe.hget(run, "tenant"))
        return [job_id for job_id, owner in zip(job_ids, owners, strict=True) if owner == tenant]

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
