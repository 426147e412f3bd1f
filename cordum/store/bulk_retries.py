"""Bulk retries of dead letters: which letters, how far, and what has come of them. Each step is one script.

The letters are pinned when it begins. A position moves on only with what has come of its letter, so whoever goes on
after a crash begins with the one whose outcome nobody has written down.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from cordum.domain.audit import Act
from cordum.store import keys
from cordum.store.audit import audit_keys
from cordum.store.commit import event_text
from cordum.store.connection import Connection

BURST_MS = 1500
"""What could not be tried in time is caught up with for so long: coordinators look once a second."""


class BulkRetries:
    def __init__(self, connection: Connection, cell: keys.CellKeys) -> None:
        self._connection = connection
        self._cell = cell

    def begin(self, bulk_id: str, rate: float, act: Act, facts: Mapping[str, str], job_ids: Sequence[str]) -> bool:
        """Write it down; False when one with this id is there already, which stays as it is."""
        told = act.event("bulk_retry.begun", bulk_retry=bulk_id, total=len(job_ids), filter=json.loads(facts["filter"]))
        facts = {"tenant": act.tenant, "actor": act.by, "reason": act.reason, **facts}
        pairs = [part for pair in facts.items() for part in pair]
        reply = self._connection.run(
            "begin_bulk_retry",
            {
                "bulk": self._cell.bulk_retry(bulk_id),
                "letters": self._cell.bulk_letters(bulk_id),
                "bulks": self._cell.bulk_retries,
                "bulks_of": self._cell.bulk_retries_of(act.tenant),
                "letter_tenants": self._cell.letter_tenants,
                **audit_keys(self._cell, act.tenant),
            },
            (),
            [len(pairs), *pairs, *job_ids],
            id=bulk_id,
            rate=str(rate),
            tenant=act.tenant,
            event=event_text("", told),
        )
        return str(reply[0]) == "BEGUN"

    def due(self, bulk_id: str, most: int) -> tuple[int, list[str]]:
        """The position it has reached, and the letters from there on whose turn it is."""
        reply = self._connection.run(
            "next_of_bulk_retry",
            {
                "bulk": self._cell.bulk_retry(bulk_id),
                "letters": self._cell.bulk_letters(bulk_id),
                "clock": self._cell.clock,
            },
            most=most,
        )
        return int(reply[1]), list(reply[2:])

    def record(self, bulk_id: str, position: int, result: str, code: str = "") -> bool:
        """What has come of the letter at a position; False when it was written down before."""
        reply = self._connection.run(
            "record_of_bulk_retry",
            {
                "bulk": self._cell.bulk_retry(bulk_id),
                "bulks": self._cell.bulk_retries,
                "clock": self._cell.clock,
            },
            id=bulk_id,
            position=position,
            result=result,
            code=code,
            burst_ms=BURST_MS,
        )
        return str(reply[0]) == "RECORDED"

    def stop(self, bulk_id: str, act: Act) -> bool:
        reply = self._connection.run(
            "stop_bulk_retry",
            {
                "bulk": self._cell.bulk_retry(bulk_id),
                "bulks": self._cell.bulk_retries,
                **audit_keys(self._cell, act.tenant),
            },
            id=bulk_id,
            actor=act.by,
            reason=act.reason,
            tenant=act.tenant,
            event=event_text("", act.event("bulk_retry.stopped", bulk_retry=bulk_id)),
        )
        return str(reply[0]) == "STOPPED"

    def trim(self, tenant: str, until_ms: int, most: int) -> int:
        """Forget those that ended at `until_ms` or before; how many."""
        bulks_of = self._cell.bulk_retries_of(tenant)
        found: list[str] = self._ask(
            lambda client: client.zrange(bulks_of, "-inf", until_ms, byscore=True, offset=0, num=most)
        )
        running = set(self.running()) if found else ()
        old = [bulk_id for bulk_id in found if bulk_id not in running]
        if not old:
            return 0
        pairs = [key for one in old for key in (self._cell.bulk_retry(one), self._cell.bulk_letters(one))]
        reply = self._connection.run("trim_bulk_retries", {"bulks_of": bulks_of}, pairs, old, until=until_ms)
        return int(reply[1])

    # -- reading -------------------------------------------------------------------------------------------------

    def get(self, bulk_id: str) -> dict[str, str]:
        """The hash; empty when there is none."""
        return dict(self._ask(lambda client: client.hgetall(self._cell.bulk_retry(bulk_id))))

    def running(self) -> list[str]:
        """Ids of all that go on, of whatever tenant."""
        return sorted(self._ask(lambda client: client.smembers(self._cell.bulk_retries)))

    def newest(self, tenant: str, before: str | None, count: int) -> list[dict[str, str]]:
        """A tenant's, newest first, after that with id `before`."""
        key, start = self._cell.bulk_retries_of(tenant), 0
        if before is not None:
            rank = self._ask(lambda client: client.zrevrank(key, before))
            if rank is None:
                return []
            start = rank + 1
        ids = self._ask(lambda client: client.zrevrange(key, start, start + count - 1))
        return [found for found in map(self.get, ids) if found]

    def _ask(self, ask: Any) -> Any:
        return self._connection.read(ask)
