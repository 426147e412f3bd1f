"""Definitions: immutable versions by content, per tenant."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from cordum.domain.plan import Event
from cordum.store import keys
from cordum.store.commit import event_text
from cordum.store.connection import Call, Connection


class SaveReply(StrEnum):
    SAVED = "SAVED"
    UNCHANGED = "UNCHANGED"
    STALE = "STALE"


class DeleteReply(StrEnum):
    DELETED = "DELETED"
    NOT_FOUND = "NOT_FOUND"
    IN_USE = "IN_USE"


class Version(NamedTuple):
    """One stored version without its text."""

    version: int
    digest: str
    created_at: int


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
        self,
        tenant: str,
        workflow_id: str,
        digest: str,
        document: str,
        topics: Collection[str],
        expected: int | None = None,
        actor: str = "cordum",
    ) -> tuple[SaveReply, int]:
        """Store a definition: the word and its version. The same content is the same version.

        STALE when `expected` is given and the tenant's definitions have changed since `changes` said so.
        """
        reply = self._connection.run(
            "save_workflow",
            {
                "workflow": self._cell.workflow(tenant, workflow_id),
                "workflows": self._cell.workflows(tenant),
                "topics": self._cell.topics,
                "definitions": self._cell.definitions(tenant),
                "clock": self._cell.clock,
                "audit": self._cell.audit(tenant),
                "audited": self._cell.audited,
            },
            tenant=tenant,
            event=event_text("", Event("workflow.saved", actor=actor, data={"digest": digest})),
            more_args=sorted(topics),
            workflow_id=workflow_id,
            digest=digest,
            document=document,
            expected="" if expected is None else expected,
        )
        word = SaveReply(reply[0])
        return word, 0 if word is SaveReply.STALE else int(reply[1])

    def announce(self, topic: str) -> None:
        """Let workers whose patterns cover a topic know of it, though no stored definition names it."""
        self._connection.read(lambda client: client.sadd(self._cell.topics, topic))

    def delete(self, tenant: str, workflow_id: str, actor: str = "cordum") -> tuple[DeleteReply, int]:
        """Forget a definition: the word, and how many runs of it are open."""
        reply = self._connection.run(
            "delete_workflow",
            {
                "workflow": self._cell.workflow(tenant, workflow_id),
                "workflows": self._cell.workflows(tenant),
                "runs_of": self._cell.runs_of(tenant, workflow_id),
                "open_runs_of": self._cell.open_runs_of(tenant, workflow_id),
                "definitions": self._cell.definitions(tenant),
                "clock": self._cell.clock,
                "audit": self._cell.audit(tenant),
                "audited": self._cell.audited,
            },
            workflow_id=workflow_id,
            tenant=tenant,
            event=event_text("", Event("workflow.deleted", actor=actor)),
        )
        word = DeleteReply(reply[0])
        return word, int(reply[1]) if word is DeleteReply.IN_USE else 0

    def changes(self, tenant: str) -> int:
        """How often the tenant's definitions have been saved or deleted so far."""
        found: Any = self._connection.read(lambda client: client.get(self._cell.definitions(tenant)))
        return int(found or 0)

    def version_of(self, tenant: str, workflow_id: str, digest: str) -> int | None:
        """The version that holds this content already."""
        key = self._cell.workflow(tenant, workflow_id)
        found: Any = self._connection.read(lambda client: client.hget(key, f"digest:{digest}"))
        return None if found is None else int(found)

    def versions(self, tenant: str, workflow_id: str) -> list[Version]:
        """All stored versions, the newest first; none for a workflow that is not there."""
        key = self._cell.workflow(tenant, workflow_id)
        latest: Any = self._connection.read(lambda client: client.hget(key, "latest"))
        numbers = range(int(latest or 0), 0, -1)
        names = [f"{part}:{number}" for number in numbers for part in ("version", "created_at")]
        found: Any = self._connection.read(lambda client: client.hmget(key, names)) if names else []
        pairs = zip(numbers, found[::2], found[1::2], strict=True)
        return [Version(number, digest, int(at)) for number, digest, at in pairs if digest]

    def latest(self, tenant: str, workflow_id: str) -> tuple[int, str] | None:
        """Number and digest of the latest version."""
        return self.read_latest(self._connection.run_all([self.latest_call(tenant, workflow_id)])[0])

    def latest_call(self, tenant: str, workflow_id: str) -> Call:
        """The same to be sent with others; `read_latest` reads its reply."""
        return self._connection.call("latest_version", {"workflow": self._cell.workflow(tenant, workflow_id)})

    def read_latest(self, reply: list[Any]) -> tuple[int, str] | None:
        return (int(reply[1]), reply[2]) if reply[0] == "FOUND" else None

    def pinned(self, tenant: str, workflow_id: str, version: int | None) -> tuple[int, str] | None:
        """Number and digest of a version, or of the latest."""
        if version is None:
            return self.latest(tenant, workflow_id)
        key = self._cell.workflow(tenant, workflow_id)
        digest: Any = self._connection.read(lambda client: client.hget(key, f"version:{version}"))
        return (version, digest) if digest else None

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
        if None in fields:  # deleted since
            return None
        return Stored(workflow_id, int(number), digest, fields[0], int(fields[1]))

    def document(self, tenant: str, workflow_id: str, digest: str) -> str | None:
        """The canonical text of one version by its digest: what a run is pinned to."""
        key = self._cell.workflow(tenant, workflow_id)
        found: Any = self._connection.read(lambda client: client.hget(key, f"document:{digest}"))
        return found if found is None else str(found)

    def ids(self, tenant: str) -> list[str]:
        found: Any = self._connection.read(lambda client: client.smembers(self._cell.workflows(tenant)))
        return sorted(found)
