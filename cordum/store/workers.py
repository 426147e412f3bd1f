"""Workers: one lease per incarnation, what it holds, and what it must stop."""

from __future__ import annotations

import json
from collections.abc import Sequence
from enum import StrEnum
from typing import Any, NamedTuple

import redis

from cordum.domain.audit import Act
from cordum.domain.ids import JobId
from cordum.domain.routing import direct_queue
from cordum.store import keys
from cordum.store.audit import audit_keys
from cordum.store.commit import event_text
from cordum.store.connection import Connection


class DrainReply(StrEnum):
    CHANGED = "CHANGED"
    UNCHANGED = "UNCHANGED"
    NOT_FOUND = "NOT_FOUND"


class Drained(NamedTuple):
    """Since when (milliseconds) and by whom."""

    at: int
    by: str


class Registered(NamedTuple):
    """One incarnation: until when its lease holds, what it said of itself, how many jobs it holds.

    `reserved`: those on their way to it alone.
    """

    incarnation: str
    lease_until: int
    registered_at: int
    info: dict[str, Any]
    active: int
    reserved: int
    draining: Drained | None


class Workers:
    def __init__(self, connection: Connection, cell: keys.CellKeys) -> None:
        self._connection = connection
        self._cell = cell

    def renew(
        self, incarnation: str, info: dict[str, Any], lease_ms: int, heard: Sequence[str] = ()
    ) -> tuple[list[str], bool]:
        """Hold the lease for another `lease_ms`; the reply names jobs that must stop, until they are in `heard`, and
        says whether the worker is being drained.
        """
        reply = self._connection.run(
            "renew_lease",
            {
                "workers": self._cell.workers,
                "worker": self._cell.worker(incarnation),
                "stops": self._cell.stops(incarnation),
                "clock": self._cell.clock,
            },
            more_args=heard,
            incarnation=incarnation,
            lease_ms=lease_ms,
            fields=json.dumps(info),
        )
        return list(reply[1]), reply[2] != ""

    def end_lease(self, incarnation: str) -> None:
        self._connection.run("end_lease", {"workers": self._cell.workers}, incarnation=incarnation)

    def forget(self, incarnation: str) -> bool:
        """Remove a dead worker that holds nothing any more."""
        reply = self._connection.run(
            "forget_worker",
            {
                "workers": self._cell.workers,
                "worker": self._cell.worker(incarnation),
                "held": self._cell.held(incarnation),
                "sent": self._cell.sent(direct_queue(incarnation)),
                "list": direct_queue(incarnation),
                "binding": keys.binding(direct_queue(incarnation)),
                "permanent": keys.permanent_binding(direct_queue(incarnation)),
                "stops": self._cell.stops(incarnation),
                "clock": self._cell.clock,
                "stats": self._cell.stats,
            },
            incarnation=incarnation,
        )
        return bool(reply[0] == "FORGOTTEN")

    def held(self, incarnation: str) -> list[str]:
        """Job ids that a worker has claimed and not settled."""
        found: Any = self._connection.read(lambda client: client.smembers(self._cell.held(incarnation)))
        return sorted(found)

    def reserved(self, incarnation: str) -> list[tuple[JobId, str]]:
        """Jobs on their way to this worker alone and not claimed, oldest first, and when they were sent."""
        key = self._cell.sent(direct_queue(incarnation))
        found: Any = self._connection.read(lambda client: client.zrange(key, 0, -1, withscores=True))
        parsed = ((JobId.parse(text), f"{at:.0f}") for text, at in found)
        return [(job, at) for job, at in parsed if job is not None]

    def known(self) -> dict[str, dict[str, Any]]:
        """Every incarnation that has a lease, also one that ran out: what it said of itself."""
        return self._infos(self._connection.read(lambda client: client.zrange(self._cell.workers, 0, -1)))

    def served_topics(self, now_ms: int) -> frozenset[str]:
        """The topics that workers whose lease holds at `now_ms` take jobs of."""
        alive: Any = self._connection.read(lambda client: client.zrangebyscore(self._cell.workers, now_ms, "+inf"))
        return frozenset(topic for info in self._infos(alive).values() for topic in info.get("topics", ()))

    def _infos(self, incarnations: Any) -> dict[str, dict[str, Any]]:
        def ask(client: redis.Redis) -> Any:
            with client.pipeline(transaction=False) as pipe:
                for incarnation in incarnations:
                    pipe.hget(self._cell.worker(incarnation), "info")
                return pipe.execute()

        texts = self._connection.read(ask)
        return {name: json.loads(text) if text else {} for name, text in zip(incarnations, texts, strict=True)}

    # -- what operators see and do -------------------------------------------------------------------------------

    def census(self) -> list[Registered]:
        """Every worker that has not been forgotten, and how many jobs it holds at this moment."""

        def ask(client: redis.Redis) -> Any:
            leases: Any = client.zrange(self._cell.workers, 0, -1, withscores=True)
            with client.pipeline(transaction=False) as pipe:
                for incarnation, _ in leases:
                    pipe.hgetall(self._cell.worker(incarnation))
                    pipe.scard(self._cell.held(incarnation))
                    pipe.zcard(self._cell.sent(direct_queue(incarnation)))
                return leases, pipe.execute()

        leases, answers = self._connection.read(ask)
        return [
            _registered(incarnation, int(until), fields, active, reserved)
            for (incarnation, until), fields, active, reserved in zip(
                leases, answers[::3], answers[1::3], answers[2::3], strict=True
            )
            if "info" in fields  # else it is being forgotten
        ]

    def drain(self, incarnation: str, act: Act, *, draining: bool = True, told: bool = True) -> DrainReply:
        """Have a worker take nothing new, or take jobs again. `told`: it is an act of its own for the audit."""
        event = act.event("worker.drained" if draining else "worker.opened", worker=incarnation)
        reply = self._connection.run(
            "drain_worker",
            {
                "workers": self._cell.workers,
                "worker": self._cell.worker(incarnation),
                **audit_keys(self._cell, act.tenant),
            },
            incarnation=incarnation,
            by=act.by,
            draining="1" if draining else "0",
            tenant=act.tenant,
            event=event_text("", event) if told else "",
        )
        return DrainReply(reply[0])

    def drain_pool(self, pool: str, act: Act, *, draining: bool = True) -> DrainReply:
        """Remember it for workers of this pool that start later, or forget it."""
        event = act.event("pool.drained" if draining else "pool.opened", pool=pool)
        reply = self._connection.run(
            "drain_pool",
            {"drained_pools": self._cell.drained_pools, **audit_keys(self._cell, act.tenant)},
            pool=pool,
            by=act.by,
            draining="1" if draining else "0",
            tenant=act.tenant,
            event=event_text("", event),
        )
        return DrainReply(reply[0])

    def drained_pools(self) -> dict[str, Drained]:
        found: Any = self._connection.read(lambda client: client.hgetall(self._cell.drained_pools))
        return {pool: _drained(mark) for pool, mark in found.items()}


def _drained(mark: str) -> Drained:
    at, _, by = mark.partition(" ")
    return Drained(int(at), by)


def _registered(incarnation: str, until: int, fields: dict[str, str], active: int, reserved: int) -> Registered:
    mark = fields.get("draining")
    return Registered(
        incarnation,
        until,
        int(fields["registered_at"]),
        json.loads(fields["info"]),
        active,
        reserved,
        _drained(mark) if mark else None,
    )
