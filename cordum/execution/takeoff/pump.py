"""The turns of the fast path: record what has ended, take and claim what there is room for, give it to the pool.

One turn is one round trip, however many jobs it moves; a second one claims what came otherwise. Turns are made in the
event loop, and only there; pools tell of ends from any thread. Whatever goes wrong in a turn is kept for a later one or
told of the one job it belongs to: an exception that left a turn would end the worker.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import orjson
from celery.concurrency import prefork, thread
from celery.worker import state

from cordum.domain.routing import is_direct
from cordum.errors import Unavailable
from cordum.execution import lease
from cordum.execution.persistence import insist
from cordum.execution.port import JobPort
from cordum.execution.takeoff.batch import Batch
from cordum.execution.takeoff.board import Board, board
from cordum.execution.takeoff.crew import Crew
from cordum.execution.takeoff.flight import Flight, parse
from cordum.execution.takeoff.in_pool import Landed
from cordum.execution.takeoff.knock import Knock
from cordum.execution.takeoff.pace import Pace
from cordum.settings import Settings
from cordum.store.jobs import Claimed, ClaimReply, Delivered, Exchanged, Recording, RecordReply

__all__ = ["MOST_AT_ONCE", "Pump"]

_log = logging.getLogger(__name__)

# More would keep them from a worker that is idle.
MOST_AT_ONCE = 32
_MOST_OUTPUT = 4 << 20  # characters in one round trip, unless a single result is larger
_DEEP_TURNS = 3
_BRANCHES = 2  # to have another worker woken takes longer than most short jobs
_AGAIN_SEC = 0.25
_TELL_EVERY_SEC = 0.25
_BEGIN_SEC = 2.0
_PATIENCE_SEC = 60.0


class Pump:
    """`topics` are those to take jobs of now; `listening`: kombu waits for a message, for which a slot is kept free;
    `strange` is given what is no plain job; `routes` are those that this worker may serve.
    """

    def __init__(
        self,
        consumer: Any,
        port: JobPort,
        incarnation: str,
        settings: Settings,
        *,
        topics: Callable[[], tuple[str, ...]],
        listening: Callable[[], bool],
        strange: Callable[[Any, str], None],
        routes: Callable[[], tuple[str, ...]] = tuple,
    ) -> None:
        self.dry = True  # the lists held less than there was room for
        self.had_direct = False  # jobs have come to this worker alone, so more may wait for it on their route
        self.crew = Crew(consumer.pool) if isinstance(consumer.pool, thread.TaskPool) else None
        self._consumer = consumer
        self._port = port
        self._incarnation = incarnation
        self._lease_sec = settings.lease_ms / 1000
        self._renew_sec = settings.lease_renew_ms / 1000
        self._topics = topics
        self._listening = listening
        self._strange = strange
        self._routes = routes
        self._routed = False
        self._next = 0
        self._number = 1  # of the turn whose answer is not known yet; what it has claimed is asked for until it is
        self._away = self._over = False
        self._knock = Knock(self.turn)
        # Claimed and with the pool; landed and not recorded; taken and not claimed, and until when that is tried.
        self._aloft: set[Flight] = set()
        self._landed: deque[tuple[Flight, Landed]] = deque()
        self._waiting: list[tuple[Flight, float]] = []
        self._pace = Pace()
        self._board = _board_of(consumer)
        self._batches: set[Batch] = set()
        self._batch = 0
        self._tell_at = 0.0
        self._deep = 0  # turns since all topics were asked for
        self._changed = threading.Condition()
        self._recording = threading.Lock()

    @property
    def consumer(self) -> Any:
        return self._consumer

    # -- told by the pool, in any thread -------------------------------------------------------------------------

    def begun(self, flight: Flight) -> None:
        if self._over:
            with self._changed:
                self._changed.notify_all()

    def landed(self, flight: Flight, landed: Landed) -> None:
        self._landed.append((flight, landed))
        if self._over:
            self._record_the_last()
        else:
            self.call()

    def lost(self, flight: Flight) -> None:
        """Its loss has been reported, or its step cancelled; nothing will be recorded."""
        self._aloft.discard(flight)
        self.call()

    def unbegun(self, flights: Sequence[Flight], reason: str) -> None:
        """They were given to a process and are not any more: others begin them, here or elsewhere."""
        for flight in flights:
            self._aloft.discard(flight)
            state.task_ready(flight)
        # What has landed is not recorded yet, but holds no process any more.
        room = 0 if self._over or _is_ending() else self._room(self._listening()) + len(self._landed)
        if room > 0:
            self._send_all(flights, room)
            return
        for flight in flights:
            lease.give_back(flight.id, flight.name, f"not begun: {reason}")

    def over(self, batch: Batch) -> None:
        self._batches.discard(batch)

    def call_after(self, seconds: float, callback: Callable[[], None]) -> None:
        self._consumer.timer.call_after(seconds, callback)

    def call(self) -> None:
        """Have a turn made soon."""
        if not self._over:
            self._knock()

    # -- in the event loop ---------------------------------------------------------------------------------------

    @property
    def has_room(self) -> bool:
        return self._room() > 0

    def together(self) -> dict[str, int]:
        """Of which topics a process is given several jobs at once, and how many; asked for by any thread."""
        return self._pace.together()

    def look(self) -> None:
        """Have a turn made if more may be had and there is room, for instance since the pool has grown."""
        if not self.dry and self.has_room:
            self.call()

    def restart(self) -> None:
        """The broker was away, and Celery has forgotten what a prefork pool had not confirmed to have begun."""
        for flight in list(self._aloft):
            if not flight.with_child and self._consumer.pool.uses_semaphore:
                lease.report_lost(flight.id, flight.name, "the connection to Redis broke before it had begun")
                self._aloft.discard(flight)
            else:
                state.task_reserved(flight)
        self._batches = {batch for batch in self._batches if batch.accepted}
        for batch in self._batches:
            batch.look_later()
        self.dry = True
        self._knock.attach(self._consumer.hub)
        self.call()

    def flight_of(self, raw: Any, queue: str) -> Flight | None:
        """A message that is a plain job of ours, as a flight."""
        direct = is_direct(queue)
        topic = _topic_of(raw) if direct else queue
        found = parse(raw, topic)
        task = self._consumer.app.tasks.get(topic)
        if found is None or task is None or queue not in self._topics():
            return None
        job, priority = found
        return Flight(job, priority, topic, task, self, direct, headers=raw["headers"])

    def deliver(self, raw: Any, queue: str) -> bool:
        """A message that kombu has heard. If it is a plain job, more is fetched at once; False: it is for Celery."""
        flight = self.flight_of(raw, queue) if isinstance(raw, dict) and not self._over else None
        if flight is None:
            return False
        self._expect(flight)
        self.dry = False
        self.turn(heard=True)
        return True

    def turn(self, heard: bool = False) -> None:
        """`heard`: it is kombu that calls, so it is not listening now."""
        if self._over or _is_ending():
            # What has been taken goes back when the pump is closed, and what has ended is recorded then.
            return
        try:
            self._turn(heard)
        except Unavailable as error:
            if not self._away:
                _log.warning("jobs are neither taken nor recorded: %s", error.detail)
            self._away = True
            self._call_after(_AGAIN_SEC)
        except Exception:
            _log.exception("a turn went wrong")
            self._call_after(_AGAIN_SEC)
        else:
            self._away = False

    def _turn(self, heard: bool) -> None:
        ended = self._drain()
        listening = not heard and self._listening()
        room = self._room(listening)
        waits, routes = listening and self.dry, self._routes()
        want, topics = self._to_ask(room, everything=waits and bool(routes))
        if waits and not routes:
            # Kombu is at empty lists, and what comes wakes it. Only what these records send is there before: of each
            # that has ended two branches are taken, the rest is for others that wait.
            want = min(want, _BRANCHES * len(ended))
        if want <= 0:
            topics = ()
        waiting, self._waiting = self._waiting, []
        if ended or waiting or topics:
            replies = self._exchange(ended, waiting, topics, want, room)
            self._claim_taken(replies.taken)
            if topics and not waits:
                # A turn that did not ask for routes cannot know that nothing waits on them. What lies on a list that it
                # did not ask for wakes kombu.
                all_asked = not routes or (self._routed and self._are_all(topics))
                if not replies.begun:
                    self._deep = _DEEP_TURNS
                self.dry = all_asked and len(replies.begun) + len(replies.taken) < want
        if self._pace.changed:
            self._tell_pace()
        if self._landed:
            self.call()
        self.look()
        if self.dry and self.has_room and not self._listening():
            # Kombu may have been asked before this turn whether it should listen.
            self._knock.wake()

    def _tell_pace(self) -> None:
        """The windows of short topics are wider; a topic that is now short, now not, is told of now and then."""
        now = time.monotonic()
        if now >= self._tell_at:
            self._tell_at, self._pace.changed = now + _TELL_EVERY_SEC, False
            lease.stir()

    def _claim_taken(self, taken: Sequence[tuple[str, str]]) -> None:
        for topic, text in taken:
            self._receive(topic, text)
        waiting, self._waiting = self._waiting, []
        if waiting:
            self._exchange([], waiting, (), 0, 0)

    def _exchange(
        self,
        ended: Sequence[tuple[Flight, Landed]],
        waiting: Sequence[tuple[Flight, float]],
        topics: tuple[str, ...],
        want: int,
        room: int,
    ) -> Exchanged:
        """One round trip and what follows from it, but for messages that were taken and not claimed."""
        try:
            replies = self._port.exchange(
                self._incarnation,
                [flight.recording(landed) for flight, landed in ended],
                [flight.delivered for flight, _ in waiting],
                topics,
                want,
                self._wanted_routes() if topics and self._are_all(topics) else (),
                self._number,
            )
        except BaseException:
            self._landed.extendleft(reversed(ended))
            self._waiting = [*waiting, *self._waiting]
            raise
        self._number += bool(topics)
        # What is there to do comes before what is only to be told.
        for (flight, until), claimed in zip(waiting, replies.claimed, strict=True):
            self._answer(flight, until, claimed)
        flights = [self._begin(delivered, claimed) for delivered, claimed in replies.begun]
        self._send_all([flight for flight in flights if flight is not None], room)
        self._write_now()
        for (flight, landed), word in zip(ended, replies.recorded, strict=True):
            self._account(flight, landed, word)
        return replies

    def _room(self, listening: bool = False) -> int:
        pool = self._consumer.pool
        slots = getattr(self._consumer.controller, "max_concurrency", None) or pool.num_processes
        # Celery's number counts jobs that went its own way, too.
        together = sum(batch.aboard - 1 for batch in self._batches)
        busy = max(len(state.reserved_requests), len(self._aloft)) - together + len(self._waiting) + listening
        return int(min(MOST_AT_ONCE, slots - busy))

    def _to_ask(self, room: int, everything: bool) -> tuple[int, tuple[str, ...]]:
        """How many jobs of which topics: of short ones several for each slot, of all topics as many as there are slots.

        All are asked for in every fourth turn, when there was nothing short, and when something waits on a route.
        """
        topics = self._in_turn() if room > 0 else ()
        short = self._short(topics) if self._deep < _DEEP_TURNS and not everything else ()
        if not short:
            self._deep = 0
            return room, topics
        self._deep += 1
        return min(MOST_AT_ONCE, room * min(map(self.together().__getitem__, short))), short

    def _short(self, topics: tuple[str, ...]) -> tuple[str, ...]:
        """What Celery is to end after some time goes by itself."""
        tasks, pool = self._consumer.app.tasks, self._consumer.pool
        short = self._pace.short(topics)
        if self._board is None or pool.num_processes > self._board.places:
            return ()
        return tuple(one for one in short if not (tasks[one].time_limit or tasks[one].soft_time_limit))

    def _are_all(self, topics: tuple[str, ...]) -> bool:
        return len(topics) == len(self._topics())

    def _in_turn(self) -> tuple[str, ...]:
        """All topics, another one first each time."""
        topics = self._topics()
        self._next = (self._next + 1) % len(topics) if topics else 0
        return topics[self._next :] + topics[: self._next]

    def _drain(self) -> list[tuple[Flight, Landed]]:
        """What has ended, oldest first; large results a few at a time."""
        ended: list[tuple[Flight, Landed]] = []
        size = 0
        while self._landed and size < _MOST_OUTPUT:
            flight, landed = self._landed.popleft()
            size += len(landed.output)
            # Its slot is free, whatever becomes of the record.
            self._aloft.discard(flight)
            state.task_ready(flight)
            if self._board is not None:
                self._pace.note(flight.name, landed.runtime_sec)
            ended.append((flight, landed))
        return ended

    def _receive(self, topic: str, text: str) -> None:
        try:
            raw = orjson.loads(text)
            flight = self.flight_of(raw, topic)
            if flight is None:
                self._strange(raw, topic)
            else:
                self._expect(flight)
        except Exception as error:
            _log.warning("dropped a message on %r that cannot be read: %.200r", topic, error)

    def _expect(self, flight: Flight) -> None:
        if flight.id in state.revoked and flight.revoked():
            return
        self.had_direct |= flight.direct
        flight.announce(self._consumer)
        self._waiting.append((flight, time.monotonic() + self._lease_sec))

    def _answer(self, flight: Flight, until: float, claimed: Claimed | Exception) -> None:
        if isinstance(claimed, Exception):
            _log.error("%s could not be claimed: %r", flight.id, claimed)
            lease.report_lost(flight.id, flight.name, f"its claim went wrong: {claimed!r}")
        elif claimed.word is ClaimReply.CLAIMED:
            flight.claimed = claimed
            self._send(flight)
        elif claimed.word is ClaimReply.NO_LEASE and time.monotonic() < until:
            # A lease that ran out, as in a pause of the machine, gets its own length to come back.
            self._waiting.append((flight, until))
            self._call_after(self._renew_sec / 2)
        else:
            _log.info("%s dropped: %s", flight.id, claimed.word)

    def _begin(self, delivered: Delivered, claimed: Claimed) -> Flight | None:
        """A job that was claimed as it was taken."""
        job, topic, priority, nonce, _ = delivered
        try:
            flight = Flight(job, priority, topic, self._consumer.app.tasks[topic], self, nonce=nonce)
            flight.claimed = claimed
            flight.announce(self._consumer)
        except Exception as error:
            _log.exception("%s could not be begun", job)
            lease.report_lost(str(job), topic, f"it could not be begun: {error!r}")
            return None
        return flight

    def _send_all(self, flights: Sequence[Flight], room: int) -> None:
        """Several to a process if there are more of them than free slots."""
        each = -(-len(flights) // max(room, 1))
        if self._board is None or each < 2:
            for flight in flights:
                self._send(flight)
            return
        for first in range(0, len(flights), each):
            self._send_batch(list(flights[first : first + each]), self._board)

    def _send_batch(self, flights: list[Flight], board: Board) -> None:
        self._batch += 1
        batch = Batch(self._batch, flights, self, board)
        self._batches.add(batch)
        for flight in flights:
            self._aloft.add(flight)
            state.task_reserved(flight)
        try:
            self._consumer.on_task_request(batch)
        except Exception as error:
            _log.exception("%d jobs could not be given to the pool", len(flights))
            self._batches.discard(batch)
            for flight in flights:
                state.task_ready(flight)
                self._aloft.discard(flight)
                lease.report_lost(flight.id, flight.name, f"the pool did not take it: {error!r}")

    def _send(self, flight: Flight) -> None:
        self._aloft.add(flight)
        state.task_reserved(flight)
        try:
            self._consumer.on_task_request(flight)
        except Exception as error:
            _log.exception("%s could not be given to the pool", flight.id)
            state.task_ready(flight)
            self._aloft.discard(flight)
            lease.report_lost(flight.id, flight.name, f"the pool did not take it: {error!r}")

    def _write_now(self) -> None:
        """A prefork pool writes to its processes when the loop comes round; what is claimed should not wait so long."""
        pool = getattr(self._consumer.pool, "_pool", None)
        if pool is not None and getattr(pool, "outbound_buffer", None):
            self._consumer.hub.consolidate_callback(list(pool._all_inqueues - pool._active_writes))

    def _account(self, flight: Flight, landed: Landed, word: RecordReply | Exception) -> None:
        if isinstance(word, Exception):
            _log.error("the outcome of %s could not be recorded: %r", flight.id, word)
            lease.report_lost(flight.id, flight.name, f"its outcome could not be recorded: {word!r}")
        else:
            _log.info("%s ended as %s: %s", flight.id, landed.outcome.value, word)
        flight.tell(landed, applied=word in (RecordReply.RECORDED, RecordReply.ADVANCE))

    def _wanted_routes(self) -> tuple[str, ...]:
        """What waits for certain workers, and what waits for any, are first in turn."""
        self._routed = self.dry or not self._routed
        return self._routes() if self._routed else ()

    def _call_after(self, seconds: float) -> None:
        self._consumer.timer.call_after(seconds, self.call)

    # -- the end -------------------------------------------------------------------------------------------------

    def close(self) -> list[Flight]:
        """Take nothing more; the answer is what was taken and not claimed, oldest first.

        From here on an outcome is recorded by the thread that brings it: no event loop turns any more.
        """
        self._over = True
        if not self._consumer.pool.uses_semaphore:
            # What no thread has begun would be thrown away with the pool, claimed as it is.
            with self._changed:
                self._changed.wait_for(lambda: all(flight.time_start for flight in list(self._aloft)), _BEGIN_SEC)
        for batch in list(self._batches):
            batch.look(0.0)
        self._record_the_last()
        waiting, self._waiting = self._waiting, []
        return [flight for flight, _ in waiting]

    def _record_the_last(self) -> None:
        with self._recording:
            while ended := self._drain():
                recordings = [flight.recording(landed) for flight, landed in ended]
                try:
                    replies = self._insist_on(recordings)
                except Unavailable as error:
                    _log.warning("%d outcomes are lost with this worker: %s", len(ended), error.detail)
                    return
                for (flight, landed), word in zip(ended, replies.recorded, strict=True):
                    self._account(flight, landed, word)

    def _insist_on(self, recordings: Sequence[Recording]) -> Exchanged:
        return insist(lambda: self._port.exchange(self._incarnation, recordings, [], (), 0), _PATIENCE_SEC)


def _is_ending() -> bool:
    """Whether Celery has been told to stop, and its loop may not have noticed yet; 0 is an exit code."""
    return any(word is not None and word is not False for word in (state.should_stop, state.should_terminate))


def _topic_of(raw: Any) -> str:
    headers = raw.get("headers")
    return str(headers.get("task", "")) if isinstance(headers, dict) else ""


def _board_of(consumer: Any) -> Board | None:
    """None where each job must go by itself: only a prefork pool is told of by a board, and what Celery counts or times
    are its tasks.
    """
    pool = consumer.pool
    options = ("maxtasksperchild", "max_memory_per_child", "timeout", "soft_timeout")
    if not isinstance(pool, prefork.TaskPool) or any(pool.options.get(name) for name in options):
        return None
    return board()
