"""Several short jobs that one process of a prefork pool carries out one after the other, as one task of the pool.

Which of them runs is on the `board`. When one takes long, what has not begun behind it is taken back at once, and what
has ended before it is recorded; the same when the process dies: only the job that had begun is lost with it.
"""

from __future__ import annotations

import pickle
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from billiard.einfo import ExceptionInfo
from celery.exceptions import TaskRevokedError
from celery.worker import state

from cordum.execution.takeoff.board import Board
from cordum.execution.takeoff.in_pool import Load, carry_out_several

if TYPE_CHECKING:
    from cordum.execution.takeoff.flight import Flight

__all__ = ["Batch", "Dispatcher"]

LONG_SEC = 0.1


class Dispatcher(Protocol):
    """Who sends batches; told in the event loop."""

    def lost(self, flight: Flight) -> None: ...
    def unbegun(self, flights: Sequence[Flight], reason: str) -> None: ...
    def over(self, batch: Batch) -> None: ...
    def call_after(self, seconds: float, callback: Any) -> None: ...


class Batch:
    def __init__(self, number: int, flights: list[Flight], dispatcher: Dispatcher, board: Board) -> None:
        self.number = number
        self.accepted = False
        self._flights = flights
        self._dispatcher = dispatcher
        self._board = board
        self._landed = 0  # so many of the first
        self._pid = 0
        for flight in flights:
            flight.batch = self

    @property
    def aboard(self) -> int:
        """The flights of which nothing is known yet."""
        return len(self._flights) - self._landed

    # -- called by the pool --------------------------------------------------------------------------------------

    def execute_using_pool(self, pool: Any, **_: Any) -> None:
        for flight in list(self._flights):
            if flight.id in state.revoked and flight.revoked():
                self._flights.remove(flight)
                self._dispatcher.lost(flight)
        if not self._flights:
            self._dispatcher.over(self)
            raise TaskRevokedError
        result = pool.apply_async(
            carry_out_several,
            args=(self.number, [Load(one.job, one.name, one.claimed) for one in self._flights]),
            accept_callback=self.on_accepted,
            callback=self.on_success,
            error_callback=self.on_failure,
            correlation_id="",
        )
        for flight in self._flights:
            flight.held_by(result)

    def on_accepted(self, pid: int, time_accepted: float) -> None:
        self.accepted, self._pid = True, pid
        self.look_later()

    def on_success(self, results: list[bytes], **_: Any) -> None:
        self._land(results)
        rest = self._flights[self._landed :]
        self._end(rest, "what its process had to tell became too much")

    def on_failure(self, exc_info: ExceptionInfo, **_: Any) -> None:
        """Its process is dead, or something of ours is broken."""
        seen = self._board.stop(self.number, time.monotonic())
        if seen is not None:
            self._land(seen.ended)
            for flight in self._flights[self._landed : seen.begun]:
                self._begun(flight, seen.began_at)
                flight.on_failure(exc_info)
        begun = seen.begun if seen else 0
        self._end(self._flights[begun:], f"its process ended before it began: {exc_info.exception}")

    # -- in the event loop ---------------------------------------------------------------------------------------

    def look_later(self) -> None:
        self._dispatcher.call_after(LONG_SEC, self.look)

    def look(self, patience_sec: float = LONG_SEC) -> None:
        """Take back what has not begun if a job takes long."""
        if not self.aboard:
            return
        seen = self._board.stop(self.number, time.monotonic() - patience_sec)
        if seen is None:
            self.look_later()
            return
        self._land(seen.ended)
        rest = self._flights[seen.begun :]
        del self._flights[seen.begun :]
        for flight in self._flights[self._landed :]:
            self._begun(flight, seen.began_at)
        self._release(rest, "the job before it takes long")

    def _land(self, results: Sequence[bytes]) -> None:
        for result in results[self._landed :]:
            flight = self._flights[self._landed]
            self._landed += 1
            flight.has_left_its_process()
            self._begun(flight, time.monotonic())
            # As the pool reads what its processes write.
            flight.on_success(pickle.loads(result))  # noqa: S301

    def _begun(self, flight: Flight, at: float) -> None:
        flight.batch = None
        if flight.time_start is None:
            flight.on_accepted(self._pid, at)

    def _end(self, rest: list[Flight], reason: str) -> None:
        self._landed = len(self._flights)
        self._dispatcher.over(self)
        self._release(rest, reason)

    def _release(self, rest: list[Flight], reason: str) -> None:
        for flight in rest:
            flight.batch = None
            flight.has_left_its_process()
        if rest:
            self._dispatcher.unbegun(rest, reason)
