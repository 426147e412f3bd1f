"""What becomes of a message that this worker cannot work on, in place of Celery's own answers.

Celery drops a task it does not know with a traceback and says FAILURE to Flower; what it cannot even read ends the
worker. Here a job that came to the wrong worker goes back to where it was, and its queue is not consumed any more, so
that it does not come round again; anything else is nobody's and dropped, with one line. Should a job be dropped by
mistake, the engine finds its message lost and sends it again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

from celery import bootsteps

from cordum.domain.ids import JobId, is_topic

__all__ = ["StrangeMessages"]

_log = logging.getLogger(__name__)
_MAX_SHOWN = 100


class StrangeMessages(bootsteps.Step):
    def __init__(self, consumer: Any, **options: Any) -> None:
        super().__init__(consumer, **options)
        consumer.on_unknown_task = partial(_on_unknown_task, consumer)
        consumer.create_task_handler = partial(_task_handler, consumer, consumer.create_task_handler)


def _on_unknown_task(consumer: Any, _body: Any, message: Any, error: KeyError) -> None:
    name, queue, job_id = error.args[0], _queue_of(message), (message.headers or {}).get("id")
    if _is_job(name, queue, job_id):
        consumer.cancel_task_queue(queue)
        message.reject_log_error(_log, consumer.connection_errors, requeue=True)
        _log.warning(
            "%s goes back to its queue, which is not consumed any more: no function here for %s; name the module that "
            "has it with -I, or leave it to other workers",
            job_id,
            name,
        )
    else:
        message.reject_log_error(_log, consumer.connection_errors)
        _log.warning("dropped a message on %s: there is no task %s", _shown(queue), _shown(name))


def _task_handler(consumer: Any, create: Callable[[], Callable[[Any], None]]) -> Callable[[Any], None]:
    """Celery's handler; an error that it lets through would end the worker, or keep the message's place for ever."""
    handle = create()
    broken_connection = consumer.connection_errors + consumer.channel_errors

    def on_message(message: Any) -> None:
        try:
            handle(message)
        except Exception as error:
            # kombu counts a KeyError among the signs of a broken connection; here it is a message that lacks a part.
            if isinstance(error, broken_connection) and not isinstance(error, KeyError):
                raise
            message.reject_log_error(_log, consumer.connection_errors)
            _log.warning("dropped a message on %s that cannot be read: %s", _shown(_queue_of(message)), _shown(error))

    return on_message


def _is_job(name: Any, queue: Any, job_id: Any) -> bool:
    texts = isinstance(name, str) and isinstance(job_id, str)
    return texts and name == queue and is_topic(name) and JobId.parse(job_id) is not None


def _queue_of(message: Any) -> Any:
    return message.delivery_info.get("routing_key")


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"
