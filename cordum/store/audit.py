"""The audit in Redis: records that the scripts have appended, and the seals over them. Bytes as they lie there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import redis

from cordum.store import keys
from cordum.store.connection import Connection

_PAGE = 1000


def audit_keys(cell: keys.CellKeys, tenant: str) -> dict[str, str]:
    """The keys of a script that tells a tenant's audit what it does, by the names that it knows them by."""
    return {"clock": cell.clock, "audit": cell.audit(tenant), "audited": cell.audited}


class Lengths(NamedTuple):
    """Of one tenant's audit at one moment: records and seals that are there, and how many were counted of each."""

    records: int
    seals: int
    counted: int
    sealed: int


class Audit:
    def __init__(self, connection: Connection, cell: keys.CellKeys) -> None:
        self._connection = connection
        self._cell = cell

    # -- sealing -------------------------------------------------------------------------------------------------

    def unsealed(self, limit: int) -> list[str]:
        """Tenants with records that no seal covers."""
        reply = self._connection.run(
            "find_unsealed", {"audited": self._cell.audited, "sealed": self._cell.sealed}, limit=limit
        )
        return list(reply[1])

    def seal(self, tenant: str, expected: int, seals: Sequence[str]) -> bool:
        """Append seals; False when there are no longer `expected` ones: somebody else has sealed."""
        reply = self._connection.run(
            "seal",
            {"seals": self._cell.seals(tenant), "sealed": self._cell.sealed},
            more_args=seals,
            tenant=tenant,
            expected=expected,
        )
        return bool(reply[0] == "SEALED")

    def totals(self) -> tuple[int, int]:
        """Of all tenants: records that were counted, and how many of them are sealed."""

        def ask(client: redis.Redis) -> tuple[int, int]:
            pipeline = client.pipeline(transaction=True)
            pipeline.hvals(self._cell.audited)
            pipeline.hvals(self._cell.sealed)
            counted, sealed = pipeline.execute()
            return sum(map(int, counted)), sum(map(int, sealed))

        return self._connection.read(ask)

    # -- reading -------------------------------------------------------------------------------------------------

    def lengths(self, tenant: str) -> Lengths:
        def ask(client: redis.Redis) -> Lengths:
            pipeline = client.pipeline(transaction=True)
            pipeline.llen(self._cell.audit(tenant))
            pipeline.llen(self._cell.seals(tenant))
            pipeline.hget(self._cell.audited, tenant)
            pipeline.hget(self._cell.sealed, tenant)
            records, seals, counted, sealed = pipeline.execute()
            return Lengths(records, seals, int(counted or 0), int(sealed or 0))

        return self._connection.read(ask)

    def records(self, tenant: str, first: int, count: int) -> list[bytes]:
        """Records from the `first` place (counting from 1) on."""
        return self._bytes(self._cell.audit(tenant), first, count)

    def seals(self, tenant: str, first: int, count: int) -> list[bytes]:
        return self._bytes(self._cell.seals(tenant), first, count)

    def _bytes(self, key: str, first: int, count: int) -> list[bytes]:
        """Whatever lies there, also what nobody could decode."""

        def ask(client: redis.Redis) -> list[bytes]:
            found: Any = client.execute_command(  # type: ignore[no-untyped-call]
                "LRANGE", key, first - 1, first + count - 2, NEVER_DECODE=True
            )
            return list(found)

        return self._connection.read(ask) if count > 0 else []


class Paged:
    """One tenant's records or seals by their places, read a page at a time."""

    def __init__(self, read: Any, tenant: str, length: int) -> None:
        self._read = read
        self._tenant = tenant
        self._length = length
        self._first = 1
        self._page: list[bytes] = []

    def __call__(self, place: int) -> bytes | None:
        """What lies at a place, counting from 1; None where nothing does."""
        if not 1 <= place <= self._length:
            return None
        if not self._first <= place < self._first + len(self._page):
            self._first = place
            self._page = self._read(self._tenant, place, min(_PAGE, self._length - place + 1))
        offset = place - self._first
        return self._page[offset] if offset < len(self._page) else None
