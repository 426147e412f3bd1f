"""Who has to be looked at: runs marked due, timers, the coordinators' bell, and the sweep's findings."""

from __future__ import annotations

from dataclasses import dataclass

from cordum.store import keys, names
from cordum.store.connection import Connection
from cordum.store.envelope import coordinator_message

# A coordinator that has taken a run and died must not keep it from the others for longer.
ASIDE_MS = 2000


@dataclass(frozen=True, slots=True)
class Sweep:
    """`timers`: how many timers were due. `expired`: worker incarnations whose lease is over. `now`: Redis' time.

    `schedules`: those that have a tick to carry out, as (tenant, id).
    """

    timers: int
    expired: list[str]
    now: int
    schedules: list[tuple[str, str]]


class Wakeups:
    def __init__(self, connection: Connection, cell: keys.CellKeys, window: int) -> None:
        self._connection = connection
        self._cell = cell
        self._window = window

    def take_due(self, limit: int) -> list[str]:
        """Up to `limit` runs to advance now; they stay marked until a plan of theirs is committed."""
        reply = self._connection.run(
            "take_due",
            {"wakeups": self._cell.wakeups, "clock": self._cell.clock},
            limit=limit,
            aside_ms=ASIDE_MS,
        )
        return list(reply[1])

    def ring(self) -> bool:
        """Call the coordinators; False when a call is waiting for them already."""
        reply = self._connection.run("ring", {"coordinator": self._cell.coordinator}, message=coordinator_message())
        return bool(reply[0] == "RUNG")

    def heard(self, seconds: float) -> bool:
        """Whether the coordinators are called within so long, which takes the call.

        Who has heard it has to look. If it dies first, the marks are still there, and the next sweep brings somebody.
        """
        return self._connection.awaited(self._cell.coordinator, seconds)

    def sweep(self, sweep_ms: int, lease_ms: int, limit: int = 1000) -> Sweep | None:
        """Mark the runs whose time has come and name the workers whose lease is over; None when swept just now.

        Jobs that waited for a rate to have room go on their way.
        """
        reply = self._connection.run(
            "sweep",
            {
                "timers": self._cell.timers,
                "fired": self._cell.fired,
                "wakeups": self._cell.wakeups,
                "workers": self._cell.workers,
                "swept": self._cell.swept,
                "schedules_due": self._cell.schedules_due,
                "stats": self._cell.stats,
                "clock": self._cell.clock,
                "alarms": self._cell.alarms,
                "waiting": self._cell.waiting,
                "windows": self._cell.windows,
                "policy": self._cell.policy,
                "coordinator": self._cell.coordinator,
            },
            message=coordinator_message(),
            minimum=self._window,
            limit=limit,
            sweep_ms=sweep_ms,
            lease_ms=lease_ms,
        )
        if reply[0] != "SWEPT":
            return None
        return Sweep(int(reply[1]), list(reply[2]), int(reply[3]), [names.named_schedule(name) for name in reply[4]])
