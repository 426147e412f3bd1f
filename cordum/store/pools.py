"""The map of topics and pools, one document with an epoch."""

from __future__ import annotations

from typing import Any, NamedTuple

from cordum.domain.plan import Event
from cordum.store import keys
from cordum.store.audit import audit_keys
from cordum.store.commit import event_text
from cordum.store.connection import Connection


class PoolsNow(NamedTuple):
    """`document` is JSON text; None: there has never been one, and every topic is known."""

    document: str | None
    epoch: int


class Pools:
    def __init__(self, connection: Connection, cell: keys.CellKeys) -> None:
        self._connection = connection
        self._cell = cell

    def current(self) -> PoolsNow:
        found: Any = self._connection.read(lambda client: client.hmget(self._cell.pools, "document", "epoch"))
        return PoolsNow(found[0], int(found[1] or 0))

    def publish(self, document: str, event: Event, tenant: str, expected: int) -> bool:
        """Replace what `expected` is the epoch of; False when it has been changed since.

        `event`: what the audit of `tenant` is told.
        """
        return self._publish(document, event, tenant, "", expected) != "MOVED"

    def publish_file(self, document: str, event: Event, tenant: str, digest: str) -> None:
        """At a start-up: a file that is the same as the last one changes nothing."""
        self._publish(document, event, tenant, digest, 0)

    def _publish(self, document: str, event: Event, tenant: str, digest: str, expected: int) -> str:
        reply = self._connection.run(
            "publish_pools",
            {"pools": self._cell.pools, **audit_keys(self._cell, tenant)},
            document=document,
            file_digest=digest,
            expected=expected,
            actor=event.actor or "",
            tenant=tenant,
            event=event_text("", event),
        )
        return str(reply[0])
