"""API keys: their records, by id and by tenant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cordum.domain.api_keys import ApiKey
from cordum.domain.plan import Event
from cordum.domain.roles import Role
from cordum.store import codec, keys
from cordum.store.commit import event_text
from cordum.store.connection import Connection


@dataclass(frozen=True, slots=True)
class KeyNow:
    """Redis' time in milliseconds, whether any key was ever made, and the record that was asked for."""

    now: int
    any: bool
    key: ApiKey | None


class ApiKeys:
    def __init__(self, connection: Connection, cell: keys.CellKeys) -> None:
        self._connection = connection
        self._cell = cell

    def create(self, key: ApiKey, expires_in_ms: int | None) -> bool:
        """Keep a new key; False when its id is another key's."""
        data = {"person": key.person, "role": key.role.value, "expires_in_ms": expires_in_ms}
        told = Event("api_key.created", actor=key.created_by, data=data)
        reply = self._connection.run(
            "create_api_key",
            {
                "api_key": self._cell.api_key(key.id),
                "api_keys": self._cell.api_keys,
                "keys_of": self._cell.api_keys_of(key.tenant),
                "clock": self._cell.clock,
                "audit": self._cell.audit(key.tenant),
                "audited": self._cell.audited,
            },
            event=event_text("", told),
            id=key.id,
            digest=key.digest,
            tenant=key.tenant,
            person=key.person,
            role=key.role.value,
            by=key.created_by,
            description=key.description,
            expires_in_ms="" if expires_in_ms is None else expires_in_ms,
        )
        # UNCHANGED with our own digest: the reply to an earlier sending was lost.
        return bool(reply[1] == key.digest)

    def look_up(self, key_id: str) -> KeyNow:
        reply = self._connection.run(
            "read_api_key",
            {
                "api_key": self._cell.api_key(key_id),
                "api_keys": self._cell.api_keys,
                "clock": self._cell.clock,
            },
        )
        fields = codec.pairs(reply[3])
        return KeyNow(int(reply[1]), int(reply[2]) > 0, _key(fields) if fields else None)

    def revoke(self, key_id: str, by: str, tenant: str = "default") -> bool:
        """False when there is no such key; one that is revoked already stays as it is.

        `tenant`: the key's, in whose audit it is told.
        """
        reply = self._connection.run(
            "revoke_api_key",
            {
                "api_key": self._cell.api_key(key_id),
                "clock": self._cell.clock,
                "audit": self._cell.audit(tenant),
                "audited": self._cell.audited,
            },
            id=key_id,
            by=by,
            tenant=tenant,
            event=event_text("", Event("api_key.revoked", actor=by)),
        )
        return bool(reply[0] != "NOT_FOUND")

    def used(self, key_id: str, now: int) -> None:
        """Note when a key was used last."""
        name = self._cell.api_key(key_id)
        self._connection.read(lambda client: client.hset(name, "last_used_at", str(now)))

    def session_secret(self, proposed: str) -> str:
        """What sessions of all processes are signed with: the first that anybody proposed."""
        name = self._cell.session_secret
        self._connection.read(lambda client: client.set(name, proposed, nx=True))
        return str(self._connection.read(lambda client: client.get(name)))

    def of_tenant(self, tenant: str | None) -> list[ApiKey]:
        """All keys of a tenant, or of all tenants, oldest first."""
        index = self._cell.api_keys if tenant is None else self._cell.api_keys_of(tenant)
        ids: Any = self._connection.read(lambda client: client.zrange(index, 0, -1))
        found = (self.look_up(key_id).key for key_id in ids)
        return [key for key in found if key is not None]


def _key(fields: Mapping[str, str]) -> ApiKey:
    def moment(name: str) -> int | None:
        return int(fields[name]) if fields.get(name) else None

    return ApiKey(
        id=fields["id"],
        digest=fields["digest"],
        tenant=fields["tenant"],
        person=fields["person"],
        role=Role(fields["role"]),
        created_at=int(fields["created_at"]),
        created_by=fields["created_by"],
        description=fields["description"],
        expires_at=moment("expires_at"),
        revoked_at=moment("revoked_at"),
        last_used_at=moment("last_used_at"),
    )
