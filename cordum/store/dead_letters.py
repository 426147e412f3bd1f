"""Dead letters: what failed for good, with the evidence. Written by the plan that ends the step; read here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import redis

from cordum.store import keys
from cordum.store.connection import Connection
from cordum.store.indexed import Indexed


class DeadLetters:
    def __init__(self, connection: Connection, cell: keys.CellKeys) -> None:
        self._connection = connection
        self._cell = cell
        self._records = Indexed(connection, keys.dead_letter)

    def get(self, tenant: str, job_id: str) -> dict[str, str] | None:
        return self._records.get(self._cell.dead_letters(tenant), job_id)

    def page(self, tenant: str, before: str | None, count: int) -> list[dict[str, str]]:
        return self._records.page(self._cell.dead_letters(tenant), before, count)

    def unhandled(self, job_ids: Sequence[str]) -> list[str]:
        """Those of these dead letters that nobody has replayed or discarded and no handler has made good."""

        def ask(client: redis.Redis) -> list[Any]:
            pipeline = client.pipeline(transaction=False)
            for job_id in job_ids:
                pipeline.hmget(keys.dead_letter(job_id.partition(":")[0], job_id), ["state", "rescued"])
            return pipeline.execute()

        found = self._connection.read(ask) if job_ids else []
        return [
            job_id for job_id, (state, rescued) in zip(job_ids, found, strict=True) if state == "open" and not rescued
        ]
