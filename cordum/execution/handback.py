"""What a worker that stops has taken from its queues and not begun: it goes back where it was, oldest end, in order."""

from __future__ import annotations

import logging
from typing import Any

from celery.concurrency import prefork, thread
from celery.worker import state

from cordum.execution.takeoff.flight import Flight

__all__ = ["hand_back"]

_log = logging.getLogger(__name__)


def hand_back(consumer: Any) -> None:
    """Take nothing more, and put back what has not begun; from the event loop's thread, after the loop.

    Newest first, so that the oldest comes to lie at the oldest end. What the broker does not take because it is away
    counts as lost and is sent again.
    """
    if consumer.task_consumer is None:
        return
    try:
        consumer.task_consumer.cancel()
        consumer.task_consumer.channel.hand_back_unread()
        for request in _not_begun(consumer):
            state.task_ready(request)
            request.message.requeue()
            _log.info("%s goes back to its queue: this worker is stopping", request.id)
        _log.info("takes nothing more from its queues")
    except consumer.connection_errors as error:
        _log.warning("messages could not be handed back: %s", error)


def _not_begun(consumer: Any) -> list[Any]:
    """Requests that the pool has not begun and now never will, newest first."""
    waiting = [
        request
        for request in reversed(state.requests.values())
        # A flight is claimed, and was given to the pool only when that had room.
        if request not in state.active_requests and not isinstance(request, Flight)
    ]
    if not waiting:
        return []
    match consumer.pool:
        case thread.TaskPool() as threads:
            threads.executor.shutdown(wait=False, cancel_futures=True)
        case prefork.TaskPool() as processes:
            # Those that wait for a slot have their turn when a job ends.
            consumer.controller.semaphore.clear()
            return [request for request in waiting if _withdrawn(request, processes)]
    return waiting


def _withdrawn(request: Any, processes: Any) -> bool:
    """Whether the request was still in the main process: what lies in a child's pipe, the child will do."""
    result = request._apply_result and request._apply_result()
    if result is None:
        return True
    outbound = processes._pool.outbound_buffer
    if result not in outbound:
        return False
    outbound.remove(result)
    result.discard()
    return True
