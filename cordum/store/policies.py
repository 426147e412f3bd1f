"""The active policy of a cell: its published text and its epoch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cordum.store import keys
from cordum.store.connection import Call, Connection


@dataclass(frozen=True, slots=True)
class PolicyNow:
    """The time, the epoch (0: none published) and, when it is not the one the caller knew, the policy's text."""

    now: int
    epoch: int
    source: str | None


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
        return PolicyNow(int(reply[1]), int(reply[2]), str(reply[3]) if reply[0] == "CHANGED" else None)

    def publish(self, digest: str, source: str, actor: str) -> tuple[bool, int]:
        """Make a policy the active one: (whether anything changed, its epoch)."""
        reply = self._connection.run(
            "publish_policy",
            {"policy": self._cell.policy, "clock": self._cell.clock},
            digest=digest,
            source=source,
            actor=actor,
        )
        return reply[0] == "PUBLISHED", int(reply[1])
