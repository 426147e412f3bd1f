"""The small port between the worker's side and the engine: what `cordum.engine.jobs` offers and nothing more.

Claim and record stand behind it, so that they happen in the pool's processes or, in batches, in the worker's main one.
Every method may raise `Unavailable` while Redis is away.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from cordum.domain.pools import PoolMap
from cordum.engine import Claim, Orders, Outcome, WorkerInfo
from cordum.store.jobs import Delivered, Exchanged, Recording

__all__ = ["JobPort"]


class JobPort(Protocol):
    def register(self, worker: WorkerInfo) -> None: ...
    def renew(self, worker: WorkerInfo, heard: Sequence[str]) -> Orders: ...
    def leave(self, incarnation: str) -> None: ...
    def claim(
        self, job_id: str, topic: str, priority: int, incarnation: str, nonce: str, *, direct: bool = False
    ) -> Claim: ...
    def record(self, job_id: str, topic: str, incarnation: str, nonce: str, outcome: Outcome) -> str: ...
    def exchange(
        self,
        incarnation: str,
        recordings: Sequence[Recording],
        deliveries: Sequence[Delivered],
        topics: Sequence[str],
        want: int,
        routes: Sequence[str] = (),
        turn: int = 0,
    ) -> Exchanged: ...
    def routes(self, worker: WorkerInfo) -> list[str]: ...
    def pools(self) -> PoolMap: ...
    def still_running(self, job_id: str, incarnation: str) -> bool: ...
    def progress(self, job_id: str, incarnation: str, fraction: float | None, note: str | None) -> bool: ...
    def lost(self, job_id: str, topic: str, incarnation: str, reason: str, *, left: bool = False) -> str: ...
    def once(self, job_id: str, name: str) -> bool: ...
