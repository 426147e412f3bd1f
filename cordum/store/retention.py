"""Ended runs: which have been kept long enough, and their removal, each whole in one script."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import redis

from cordum.domain.audit import Act
from cordum.domain.run import RunState
from cordum.store import keys
from cordum.store.commit import event_text
from cordum.store.connection import Connection


class RemoveReply(StrEnum):
    REMOVED = "REMOVED"
    NOT_FOUND = "NOT_FOUND"
    CONFLICT = "CONFLICT"


@dataclass(frozen=True, slots=True)
class Removal:
    """A run as it was looked at, runs that belong to it and go after it, and the job ids of its approvals.

    `act`: of the person who removes it; None: it has been kept long enough.
    """

    run: RunState
    relatives: Sequence[str] = ()
    approvals: Sequence[str] = ()
    act: Act | None = None


@dataclass(frozen=True, slots=True)
class Expired:
    """`over`: kept long enough. `needed`: set aside earlier."""

    over: list[str]
    needed: list[str]


class Retention:
    def __init__(self, connection: Connection, cell: keys.CellKeys) -> None:
        self._connection = connection
        self._cell = cell

    def tenants(self, now: int, again_ms: int, limit: int) -> list[str]:
        """Tenants whose ended runs nobody has looked at for `again_ms`."""

        def ask(client: redis.Redis) -> list[str]:
            found: Any = client.zrange(self._cell.keepers, "-inf", now, byscore=True, offset=0, num=limit)
            if found:
                client.zadd(self._cell.keepers, dict.fromkeys(found, now + again_ms), xx=True)
            return list(found)

        return self._connection.read(ask)

    def expired(self, tenant: str, keep_ms: int, keep_count: int, limit: int) -> Expired:
        """At most `limit` of each; the first to have ended, or to have been set aside, first."""
        reply = self._connection.run(
            "find_expired",
            {"ended": self._cell.ended(tenant), "needed": self._cell.needed(tenant), "clock": self._cell.clock},
            keep_ms=keep_ms,
            keep_count=keep_count,
            limit=limit,
        )
        return Expired(list(reply[1]), list(reply[2]))

    def set_aside(self, tenant: str, run_ids: Sequence[str]) -> None:
        names = {"ended": self._cell.ended(tenant), "needed": self._cell.needed(tenant), "clock": self._cell.clock}
        self._connection.run_all([self._connection.call("keep_run", names, run_id=run_id) for run_id in run_ids])

    def orphans(self, limit: int) -> list[str]:
        """Runs whose parent, or whose original, has been removed."""
        found: Any = self._connection.read(lambda client: client.srandmember(self._cell.orphans, limit))
        return list(found)

    def remove(self, removals: Sequence[Removal]) -> list[RemoveReply]:
        """Each for itself, and only while it is what was looked at."""
        replies = self._connection.run_all([self._call(one) for one in removals])
        return [RemoveReply(reply[0]) for reply in replies]

    def _call(self, removal: Removal) -> Any:
        run, cell = removal.run, self._cell
        own = keys.RunKeys.of(run.id)
        return self._connection.call(
            "remove_run",
            {
                "run": own.run,
                "runs": cell.runs(run.tenant),
                "runs_of": cell.runs_of(run.tenant, run.workflow_id),
                "ended": cell.ended(run.tenant),
                "needed": cell.needed(run.tenant),
                "orphans": cell.orphans,
                "wakeups": cell.wakeups,
                "timers": cell.timers,
                "fired": cell.fired,
                "workflow": cell.workflow(run.tenant, run.workflow_id),
                "approvals": cell.approvals(run.tenant),
                "clock": cell.clock,
                "audit": cell.audit(run.tenant),
                "audited": cell.audited,
            },
            [*own.parts, *(keys.approval(run.id, job_id) for job_id in removal.approvals)],
            [*removal.relatives, *removal.approvals],
            run_id=run.id,
            version=run.version,
            relatives=len(removal.relatives),
            tenant=run.tenant,
            event=event_text(run.id, removal.act.event("run.removed")) if removal.act else "",
        )
