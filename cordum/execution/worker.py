"""Where cordum hangs itself into a Celery worker: its options, its identity, its lease."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import Any

from celery import bootsteps
from celery.concurrency.prefork import TaskPool

from cordum.errors import ConfigurationRefused
from cordum.execution import process
from cordum.execution.handback import hand_back
from cordum.execution.lease import Lease, Standing, describe_worker
from cordum.execution.leaving import Farewell
from cordum.execution.takeoff.board import put_up
from cordum.execution.termination import Termination, kill_children
from cordum.execution.wildcard import TopicQueues, consumed_topics

__all__ = ["WorkerIdentity", "WorkerLease"]

_LOOK_FOR_DEAD_SEC = 0.5


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
        worker.cordum = describe_worker(worker.hostname, process.settings())
        process.set_incarnation(worker.cordum.incarnation)
        if issubclass(worker.pool_cls, TaskPool):
            put_up()


class WorkerLease(bootsteps.StartStopStep):
    """Holds the lease of a worker that consumes topics.

    A step of the consumer and not of the worker, for the order: it starts when the pool has forked and before the first
    message is taken, and `shutdown` comes when the last job has ended, after a warm and after a cold stop alike.
    """

    # After the topics are known: the lease tells them from its first moment.
    requires = (TopicQueues,)

    def __init__(self, consumer: Any, **options: Any) -> None:
        super().__init__(consumer, **options)
        self._lease: Lease | None = None
        self._farewell: Farewell | None = None

    def include_if(self, consumer: Any) -> bool:
        return bool(consumer.cordum_takes_jobs)

    def start(self, consumer: Any) -> None:
        # Comes again after every loss of the broker; the lease lives on through it.
        if self._lease is None:
            self._lease = _lease_of(consumer)
            self._lease.start()
            # Before the first message is taken: pools may be closed to this worker.
            consumer.cordum_follow()
            self._farewell = _farewell_of(consumer, self._lease)
            self._farewell.start()

    def register_with_event_loop(self, consumer: Any, hub: Any) -> None:
        if isinstance(consumer.pool, TaskPool):
            # Celery looks when a child's pipe closes, which is a moment before the child can be found dead, and then
            # only every five seconds.
            hub.call_repeatedly(_LOOK_FOR_DEAD_SEC, consumer.pool.maintain_pool)

    def stop(self, consumer: Any) -> None:
        # Comes after a loss of the broker, too; then there is nothing to hand back to.
        if self._farewell is not None and consumer.blueprint.state == bootsteps.CLOSE:
            self._farewell.begin()
            hand_back(consumer)
            self._farewell.quiet()

    def shutdown(self, consumer: Any) -> None:
        if self._lease is not None:
            self._lease.leave()


def _lease_of(consumer: Any) -> Lease:
    return Lease(
        replace(consumer.controller.cordum, slots=consumer.pool.num_processes),
        process.engine().jobs,
        renew_sec=process.settings().lease_renew_ms / 1000,
        topics=lambda: consumed_topics(consumer),
        stop_jobs=_stopper_of(consumer.pool),
        heed=partial(_heed, consumer),
        together=lambda: consumer.cordum_together(),
    )


def _heed(consumer: Any, standing: Standing) -> None:
    """Read by the event loop, which alone may change what is consumed."""
    consumer.cordum_standing = standing
    if standing.routes:
        # Something waits that an idle worker would not look for.
        consumer.cordum_stir()


def _stopper_of(pool: Any) -> Callable[[Iterable[str]], None]:
    """Jobs of the other pools share this process with the lease; a prefork child asks for itself, or is ended."""
    if isinstance(pool, TaskPool):
        return Termination(pool, process.settings().stop_grace_sec)
    return process.stops.stop


def _farewell_of(consumer: Any, lease: Lease) -> Farewell:
    return Farewell(
        process.settings().shutdown_grace_sec,
        wake=lambda: consumer.hub and consumer.hub.call_soon(lambda: None),
        abandon=lambda: lease.abandon(partial(kill_children, consumer.pool)),
    )
