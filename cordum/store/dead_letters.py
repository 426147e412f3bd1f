"""Dead letters: what failed for good, with the evidence. Written by the plan that ends the step; read here."""

from __future__ import annotations

from cordum.store import keys
from cordum.store.connection import Connection
from cordum.store.indexed import Indexed


class DeadLetters:
    def __init__(self, connection: Connection, cell: keys.CellKeys) -> None:
        self._cell = cell
        self._records = Indexed(connection, keys.dead_letter)

    def get(self, tenant: str, job_id: str) -> dict[str, str] | None:
        return self._records.get(self._cell.dead_letters(tenant), job_id)

    def page(self, tenant: str, before: str | None, count: int) -> list[dict[str, str]]:
        return self._records.page(self._cell.dead_letters(tenant), before, count)
