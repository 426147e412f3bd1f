"""The active policy of a cell, the history of those that were active, and the drafts of those that may become it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias

from cordum.domain.plan import Event
from cordum.store import keys
from cordum.store.commit import event_text
from cordum.store.connection import Call, Connection
from cordum.store.envelope import coordinator_message

How: TypeAlias = Literal["publish", "rollback", "startup"]

_REQUEST_KEPT_MS = 7 * 24 * 3600 * 1000


@dataclass(frozen=True, slots=True)
class PolicyNow:
    """The time, the epoch (0: none published) and, when it is not the one the caller knew, the policy's text.

    `open_tenants`: those whose jobs go while that text cannot be used; they lie beside it.
    """

    now: int
    epoch: int
    source: str | None
    open_tenants: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Published:
    """An entry of the history: which text became the active policy, when, how, and by whom."""

    epoch: int
    at: int
    digest: str
    how: str
    actor: str
    note: str


class Answered(NamedTuple):
    """What came of a publication: whether anything changed, the epoch, and the digest of what is active by it."""

    published: bool
    epoch: int
    digest: str


@dataclass(frozen=True, slots=True)
class Draft:
    id: str
    at: int
    digest: str
    actor: str
    source: str


class Policies:
    def __init__(self, connection: Connection, cell: keys.CellKeys) -> None:
        self._connection = connection
        self._cell = cell

    def current(self, known_epoch: int) -> PolicyNow:
        return self.read(self._connection.run_all([self.current_call(known_epoch)])[0])

    def current_call(self, known_epoch: int) -> Call:
        """The same to be sent with others; `read` reads its reply."""
        return self._connection.call(
            "read_policy", {"policy": self._cell.policy, "clock": self._cell.clock}, known_epoch=known_epoch
        )

    def read(self, reply: list[Any]) -> PolicyNow:
        if reply[0] == "CURRENT":
            return PolicyNow(int(reply[1]), int(reply[2]), None)
        return PolicyNow(int(reply[1]), int(reply[2]), str(reply[3]), tuple(str(reply[4]).split()))

    def publish(
        self,
        digest: str,
        source: str,
        actor: str,
        how: How = "publish",
        note: str = "",
        *,
        open_tenants: Sequence[str] = (),
        request: str = "",
        tenant: str = "default",
    ) -> Answered:
        """Make a policy the active one. A `request` that was answered before gets that answer again.

        `tenant`: in whose audit it is told. Any publication that succeeds takes away the note of a fault.
        """
        told = Event("policy.published", actor=actor, data={"policy_snapshot": digest, "how": how, "note": note})
        reply = self._connection.run(
            "publish_policy",
            {
                "policy": self._cell.policy,
                "history": self._cell.policy_history,
                "sources": self._cell.policy_sources,
                "clock": self._cell.clock,
                "asked": self._cell.asked,
                "waiting": self._cell.waiting,
                "wakeups": self._cell.wakeups,
                "coordinator": self._cell.coordinator,
                "request": self._cell.policy_request(request),
                "audit": self._cell.audit(tenant),
                "audited": self._cell.audited,
            },
            tenant=tenant,
            event=event_text("", told),
            digest=digest,
            source=source,
            actor=actor,
            how=how,
            note=note,
            open_tenants=" ".join(open_tenants),
            request_ttl_ms=_REQUEST_KEPT_MS if request else "",
            message=coordinator_message(),
        )
        return Answered(reply[0] == "PUBLISHED", int(reply[1]), str(reply[2]))

    def answered(self, request: str) -> Answered | None:
        """What a request to publish was answered, if it has been."""
        key = self._cell.policy_request(request)
        found: Any = self._connection.read(lambda client: client.hgetall(key))
        return Answered(found["word"] == "PUBLISHED", int(found["epoch"]), found["digest"]) if found else None

    def history(self) -> list[Published]:
        """Newest first."""
        found: Any = self._connection.read(lambda client: client.lrange(self._cell.policy_history, 0, -1))
        return [_published(text) for text in reversed(found)]

    def source(self, digest: str) -> str | None:
        """The text of a policy that was active once."""
        found: Any = self._connection.read(lambda client: client.hget(self._cell.policy_sources, digest))
        return None if found is None else str(found)

    # -- faults --------------------------------------------------------------------------------------------------

    def note_fault(self, fault: str) -> None:
        """A policy that should have become active cannot be used; the active one stays."""
        self._connection.read(lambda client: client.hset(self._cell.policy, "fault", fault))

    def fault(self) -> str | None:
        found: Any = self._connection.read(lambda client: client.hget(self._cell.policy, "fault"))
        return None if found is None else str(found)

    # -- drafts --------------------------------------------------------------------------------------------------

    def save_draft(self, draft_id: str, digest: str, actor: str, source: str, tenant: str) -> None:
        """`tenant`: in whose audit it is told."""
        told = Event("policy.draft_saved", actor=actor, data={"id": draft_id, "digest": digest})
        self._connection.run(
            "save_policy_draft",
            self._of_drafts(tenant),
            id=draft_id,
            digest=digest,
            actor=actor,
            source=source,
            tenant=tenant,
            event=event_text("", told),
        )

    def draft(self, draft_id: str) -> Draft | None:
        found: Any = self._connection.read(lambda client: client.hget(self._cell.policy_drafts, draft_id))
        return None if found is None else _draft(draft_id, found)

    def drafts(self) -> list[Draft]:
        found: Any = self._connection.read(lambda client: client.hgetall(self._cell.policy_drafts))
        return [_draft(draft_id, text) for draft_id, text in sorted(found.items())]

    def delete_draft(self, draft_id: str, actor: str, tenant: str) -> bool:
        """False when there is none; a second deletion after a lost reply says so, too."""
        told = event_text("", Event("policy.draft_deleted", actor=actor, data={"id": draft_id}))
        names = self._of_drafts(tenant)
        reply = self._connection.run("delete_policy_draft", names, id=draft_id, tenant=tenant, event=told)
        return bool(reply[0] == "DELETED")

    def _of_drafts(self, tenant: str) -> dict[str, str]:
        cell = self._cell
        return {
            "drafts": cell.policy_drafts,
            "clock": cell.clock,
            "audit": cell.audit(tenant),
            "audited": cell.audited,
        }


def _published(text: str) -> Published:
    epoch, at, digest, how, actor, note = text.split("\n", 5)
    return Published(int(epoch), int(at), digest, how, actor, note)


def _draft(draft_id: str, text: str) -> Draft:
    at, digest, actor, source = text.split("\n", 3)
    return Draft(draft_id, int(at), digest, actor, source)
