"""Definitions: immutable versions by content, per tenant."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from cordum.store import keys
from cordum.store.connection import Call, Connection


@dataclass(frozen=True, slots=True)
class Stored:
    """One stored version; `document` is the canonical JSON text."""

    id: str
    version: int
    digest: str
    document: str
    created_at: int


class Workflows:
    def __init__(self, connection: Connection, cell: keys.CellKeys) -> None:
        self._connection = connection
        self._cell = cell

    def save(
        self, tenant: str, workflow_id: str, digest: str, document: str, topics: Collection[str]
    ) -> tuple[bool, int]:
        """Store a definition: (whether it is new, its version). The same content is the same version."""
        reply = self._connection.run(
            "save_workflow",
            {
                "workflow": self._cell.workflow(tenant, workflow_id),
                "workflows": self._cell.workflows(tenant),
                "topics": self._cell.topics,
                "clock": self._cell.clock,
            },
            more_args=sorted(topics),
            workflow_id=workflow_id,
            digest=digest,
            document=document,
        )
        return reply[0] == "SAVED", int(reply[1])

    def latest(self, tenant: str, workflow_id: str) -> tuple[int, str] | None:
        """Number and digest of the latest version."""
        return self.read_latest(self._connection.run_all([self.latest_call(tenant, workflow_id)])[0])

    def latest_call(self, tenant: str, workflow_id: str) -> Call:
        """The same to be sent with others; `read_latest` reads its reply."""
        return self._connection.call("latest_version", {"workflow": self._cell.workflow(tenant, workflow_id)})

    def read_latest(self, reply: list[Any]) -> tuple[int, str] | None:
        return (int(reply[1]), reply[2]) if reply[0] == "FOUND" else None

    def load(self, tenant: str, workflow_id: str, version: int | None = None) -> Stored | None:
        """The latest version, or the one asked for."""
        key = self._cell.workflow(tenant, workflow_id)
        number: Any = version or self._connection.read(lambda client: client.hget(key, "latest"))
        digest: Any = number and self._connection.read(lambda client: client.hget(key, f"version:{number}"))
        if not digest:
            return None
        fields: Any = self._connection.read(
            lambda client: client.hmget(key, [f"document:{digest}", f"created_at:{number}"])
        )
        return Stored(workflow_id, int(number), digest, fields[0], int(fields[1]))

    def document(self, tenant: str, workflow_id: str, digest: str) -> str | None:
        """The canonical text of one version by its digest: what a run is pinned to."""
        key = self._cell.workflow(tenant, workflow_id)
        found: Any = self._connection.read(lambda client: client.hget(key, f"document:{digest}"))
        return found if found is None else str(found)

    def ids(self, tenant: str) -> list[str]:
        found: Any = self._connection.read(lambda client: client.smembers(self._cell.workflows(tenant)))
        return sorted(found)
