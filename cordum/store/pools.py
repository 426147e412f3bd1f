"""The map of topics and pools, one document with an epoch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from cordum.domain.plan import Event
from cordum.domain.pools import Pool
from cordum.domain.quotas import pool_quota
from cordum.store import keys
from cordum.store.audit import audit_keys
from cordum.store.codec import own_json
from cordum.store.commit import event_text
from cordum.store.connection import Connection
from cordum.store.envelope import coordinator_message


class PoolsNow(NamedTuple):
    """`document` is JSON text; None: there has never been one, and every topic is known."""

    document: str | None
    epoch: int


class Pools:
    def __init__(self, connection: Connection, cell: keys.CellKeys, window: int) -> None:
        self._connection = connection
        self._cell = cell
        self._window = window

    def current(self) -> PoolsNow:
        found: Any = self._connection.read(lambda client: client.hmget(self._cell.pools, "document", "epoch"))
        return PoolsNow(found[0], int(found[1] or 0))

    def publish(self, document: str, event: Event, tenant: str, expected: int, limited: Sequence[Pool]) -> bool:
        """Replace what `expected` is the epoch of; False when it has been changed since.

        `event`: what the audit of `tenant` is told. `limited`: the pools that have a limit (`max_parallel`), and those
        that had one.
        """
        return self._publish(document, event, tenant, "", expected, limited) != "MOVED"

    def publish_file(self, document: str, event: Event, tenant: str, digest: str, limited: Sequence[Pool]) -> None:
        """At a start-up: a file that is the same as the last one changes nothing."""
        self._publish(document, event, tenant, digest, 0, limited)

    def _publish(
        self, document: str, event: Event, tenant: str, digest: str, expected: int, limited: Sequence[Pool]
    ) -> str:
        cell, actor = self._cell, event.actor or ""
        lines: list[str] = []
        said: list[str | int | bytes] = []
        for pool in limited:
            quota = pool_quota(pool.name, pool.max_parallel or 0)
            lines.append(cell.waiters(quota.id))
            said += [quota.id, quota.most or ""]
        reply = self._connection.run(
            "publish_pools",
            {
                "pools": cell.pools,
                "waiting": cell.waiting,
                "windows": cell.windows,
                "policy": cell.policy,
                "wakeups": cell.wakeups,
                "coordinator": cell.coordinator,
                **audit_keys(cell, tenant),
            },
            lines,
            said,
            document=document,
            file_digest=digest,
            expected=expected,
            actor=actor,
            tenant=tenant,
            event=event_text("", event),
            minimum=self._window,
            message=coordinator_message(),
            cause=own_json({"reason": "limit_changed", "by": actor}),
        )
        return str(reply[0])
