"""Where the fast path hangs in a Celery worker.

Kombu goes on listening to the queues, but only while the pump has found nothing more to take: its blocking pop is the
bell that ends an idle time, and it brings the first message. So the list of queues stays Celery's own, with everything
that shows, adds and cancels them.
"""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from types import MethodType
from typing import Any

from celery import bootsteps
from celery.concurrency import prefork, solo, thread

from cordum.domain.ids import is_topic
from cordum.domain.routing import is_direct, queue_list
from cordum.execution import process
from cordum.execution.strange_messages import StrangeMessages
from cordum.execution.takeoff.flight import Flight
from cordum.execution.takeoff.pump import Pump
from cordum.execution.worker import WorkerLease
from cordum.store.envelope import job_message

__all__ = ["TakeOff"]

_log = logging.getLogger(__name__)
# For what frees or adds a slot without a word: a job that went Celery's way, a pool that grew.
_LOOK_EVERY_SEC = 0.5
_LEARN_EVERY_SEC = 0.05
_POOLS = (prefork.TaskPool, thread.TaskPool, solo.TaskPool)


class TakeOff(bootsteps.StartStopStep):
    # After the lease, without which nothing can be claimed; before it at the end. What is not ours is the other's.
    requires = (WorkerLease, StrangeMessages)

    def __init__(self, consumer: Any, **options: Any) -> None:
        super().__init__(consumer, **options)
        self._known: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())
        self._pump: Pump | None = None
        self._timer: Any = None
        self._learn_at = 0.0

    def include_if(self, consumer: Any) -> bool:
        able = consumer.hub is not None and isinstance(consumer.pool, _POOLS)
        return bool(consumer.cordum_takes_jobs and able and process.settings().takeoff)

    def start(self, consumer: Any) -> None:
        if self._pump is None:
            self._pump = Pump(
                consumer,
                process.engine().jobs,
                process.incarnation(),
                process.settings(),
                topics=lambda: self._topics(consumer),
                listening=lambda: _is_listening(consumer),
                routes=lambda: self._routes(consumer),
                strange=lambda raw, topic: _channel(consumer).connection._deliver(raw, topic),
            )
        _channel(consumer).connection.first_to_hear = self._pump.deliver
        qos = _channel(consumer).qos
        qos.can_consume = MethodType(lambda _: self._may_listen(consumer), qos)
        consumer.cordum_stir = self._pump.call
        consumer.cordum_together = self._pump.together
        self._pump.restart()
        self._timer = consumer.timer.call_repeatedly(_LOOK_EVERY_SEC, self._pump.look)

    def stop(self, consumer: Any) -> None:
        if self._timer is not None:
            self._timer.cancel()
        # Comes after a loss of the broker, too.
        if self._pump is not None and consumer.blueprint.state == bootsteps.CLOSE:
            _hand_back(consumer, self._pump.close())

    def _may_listen(self, consumer: Any) -> bool:
        # To one that listens already its message must not be kept from.
        pump = self._pump
        return _is_listening(consumer) or (pump is not None and pump.dry and pump.has_room)

    def _topics(self, consumer: Any) -> tuple[str, ...]:
        """Those consumed now that have a function here, less those with a rate limit, which is for Celery to keep."""
        names = tuple(consumer.task_consumer._queues) if consumer.task_consumer else ()
        if names != self._known[0]:
            tasks = consumer.app.tasks
            known = (name for name in names if (is_topic(name) and name in tasks) or is_direct(name))
            self._known = (names, tuple(known))
        topics = self._known[1]
        if consumer.disable_rate_limits or not any(consumer.task_buckets.values()):
            return topics
        return tuple(topic for topic in topics if not consumer.task_buckets[topic])

    def _routes(self, consumer: Any) -> tuple[str, ...]:
        """Those that this worker may serve: as its lease has heard, or, once a job came to it alone, as they are now.

        Many jobs at once come on a route that nobody has heard of yet, and there are more than were sent to workers.
        """
        pump, now = self._pump, time.monotonic()
        if pump is not None and pump.had_direct and now >= self._learn_at:
            worker = replace(
                consumer.controller.cordum, slots=consumer.pool.num_processes, topics=self._topics(consumer)
            )
            routes = tuple(process.engine().jobs.routes(worker))
            consumer.cordum_standing = consumer.cordum_standing._replace(routes=routes)
            pump.had_direct, self._learn_at = False, now + _LEARN_EVERY_SEC
        return tuple(consumer.cordum_standing.routes)


def _channel(consumer: Any) -> Any:
    return consumer.task_consumer.channel


def _is_listening(consumer: Any) -> bool:
    return bool(consumer.task_consumer and _channel(consumer)._in_poll)


def _hand_back(consumer: Any, flights: list[Flight]) -> None:
    """Newest first, so that the oldest comes to lie at the oldest end."""
    if not flights:
        return
    try:
        with _channel(consumer).conn_or_acquire() as client:
            # What came to this worker alone is given to others when it leaves.
            for flight in [one for one in reversed(flights) if not one.direct]:
                text = job_message(flight.id, flight.name, flight.priority)
                client.rpush(queue_list(flight.name, flight.priority), text)
                _log.info("%s goes back to its queue: this worker is stopping", flight.id)
    except consumer.connection_errors as error:
        _log.warning("messages could not be handed back: %s", error)
