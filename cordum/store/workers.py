"""Workers: one lease per incarnation, what it holds, and what it must stop."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import redis

from cordum.store import keys
from cordum.store.connection import Connection


class Workers:
    def __init__(self, connection: Connection, cell: keys.CellKeys) -> None:
        self._connection = connection
        self._cell = cell

    def renew(self, incarnation: str, info: dict[str, Any], lease_ms: int, heard: Sequence[str] = ()) -> list[str]:
        """Hold the lease for another `lease_ms`; the reply names jobs that must stop, until they are in `heard`."""
        reply = self._connection.run(
            "renew_lease",
            {
                "workers": self._cell.workers,
                "worker": self._cell.worker(incarnation),
                "stops": self._cell.stops(incarnation),
                "clock": self._cell.clock,
            },
            more_args=heard,
            incarnation=incarnation,
            lease_ms=lease_ms,
            fields=json.dumps(info),
        )
        return list(reply[1])

    def end_lease(self, incarnation: str) -> None:
        self._connection.run("end_lease", {"workers": self._cell.workers}, incarnation=incarnation)

    def forget(self, incarnation: str) -> bool:
        """Remove a dead worker that holds nothing any more."""
        reply = self._connection.run(
            "forget_worker",
            {
                "workers": self._cell.workers,
                "worker": self._cell.worker(incarnation),
                "held": self._cell.held(incarnation),
                "stops": self._cell.stops(incarnation),
                "clock": self._cell.clock,
                "stats": self._cell.stats,
            },
            incarnation=incarnation,
        )
        return bool(reply[0] == "FORGOTTEN")

    def held(self, incarnation: str) -> list[str]:
        """Job ids that a worker has claimed and not settled."""
        found: Any = self._connection.read(lambda client: client.smembers(self._cell.held(incarnation)))
        return sorted(found)

    def known(self) -> dict[str, dict[str, Any]]:
        """Every incarnation that has a lease, also one that ran out: what it said of itself."""
        return self._infos(self._connection.read(lambda client: client.zrange(self._cell.workers, 0, -1)))

    def served_topics(self, now_ms: int) -> frozenset[str]:
        """The topics that workers whose lease holds at `now_ms` take jobs of."""
        alive: Any = self._connection.read(lambda client: client.zrangebyscore(self._cell.workers, now_ms, "+inf"))
        return frozenset(topic for info in self._infos(alive).values() for topic in info.get("topics", ()))

    def _infos(self, incarnations: Any) -> dict[str, dict[str, Any]]:
        def ask(client: redis.Redis) -> Any:
            with client.pipeline(transaction=False) as pipe:
                for incarnation in incarnations:
                    pipe.hget(self._cell.worker(incarnation), "info")
                return pipe.execute()

        texts = self._connection.read(ask)
        return {name: json.loads(text) if text else {} for name, text in zip(incarnations, texts, strict=True)}

    def set_windows(self, windows: Mapping[str, int]) -> None:
        """How many unfinished messages each of these topics may have."""
        if windows:
            texts: dict[Any, Any] = {topic: str(window) for topic, window in windows.items()}
            self._connection.read(lambda client: client.hset(self._cell.windows, mapping=texts))
