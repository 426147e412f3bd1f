"""Where cordum hangs itself into a Celery worker: its options, its identity, its lease."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

from celery import bootsteps

from cordum.domain.ids import is_topic
from cordum.errors import ConfigurationRefused
from cordum.execution import process
from cordum.execution.lease import Lease, describe_worker

__all__ = ["WorkerIdentity", "WorkerLease"]

_log = logging.getLogger(__name__)


class WorkerIdentity(bootsteps.Step):
    """Before the pool starts: no chatter between workers, and a name that the pool's children inherit.

    A step and not a receiver of `worker_init`: Celery swallows what a receiver raises.
    """

    def __init__(self, worker: Any, **options: Any) -> None:
        super().__init__(worker, **options)
        if worker.pool_start_method != "fork":
            # Celery would build each child an app of its own, which has none of the handlers.
            raise ConfigurationRefused("workers of cordum need --pool-start-method fork")
        # Celery has these as options of its command line only.
        worker.options |= {"without_mingle": True, "without_gossip": True}
        worker.cordum = describe_worker(worker.hostname)
        process.set_incarnation(worker.cordum.incarnation)


class WorkerLease(bootsteps.StartStopStep):
    """Holds the lease of a worker that consumes topics.

    A step of the consumer and not of the worker, for the order: it starts when the pool has forked and before the first
    message is taken, and `shutdown` comes when the last job has ended, after a warm and after a cold stop alike.
    """

    requires = ("celery.worker.consumer.connection:Connection",)

    def __init__(self, consumer: Any, **options: Any) -> None:
        super().__init__(consumer, **options)
        self._lease: Lease | None = None

    def include_if(self, consumer: Any) -> bool:
        return bool(_topics(consumer))

    def start(self, consumer: Any) -> None:
        # Comes again after every loss of the broker; the lease lives on through it.
        if self._lease is None:
            _warn_of_strangers(consumer)
            self._lease = _lease_of(consumer)
            self._lease.start()

    def shutdown(self, consumer: Any) -> None:
        if self._lease is not None:
            self._lease.leave()


def _warn_of_strangers(consumer: Any) -> None:
    unknown = [topic for topic in _topics(consumer) if topic not in consumer.app.tasks]
    if unknown:
        _log.warning("no handler here for %s: name its module with -I", ", ".join(unknown))


def _lease_of(consumer: Any) -> Lease:
    return Lease(
        replace(consumer.controller.cordum, slots=consumer.pool.num_processes),
        process.engine().jobs,
        renew_sec=process.settings().lease_renew_ms / 1000,
        topics=lambda: _topics(consumer),
        # Prefork: the children ask for themselves; ending one that does not is where it would go.
        stop_jobs=process.stops.stop,
    )


def _topics(consumer: Any) -> tuple[str, ...]:
    return tuple(name for name in list(consumer.app.amqp.queues.consume_from) if is_topic(name))
