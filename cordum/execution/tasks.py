"""The Celery tasks: one for each topic, and the coordinator's. Each says in Celery's words what the engine found."""

from __future__ import annotations

import logging
from functools import cache

from celery import Celery, Task
from celery.exceptions import Ignore, Retry
from celery.local import maybe_evaluate

from cordum import failpoints
from cordum.domain.routing import dead_letter_queue, is_direct
from cordum.domain.run import OutcomeClass
from cordum.errors import Unavailable
from cordum.execution import process
from cordum.execution.attempt import Delivery, Ending, work
from cordum.execution.handlers import dead_letters
from cordum.store.envelope import COORDINATOR_TASK, DEAD_LETTER_TASK
from cordum.store.unique import unique

__all__ = [
    "AttemptFailed",
    "JobTask",
    "add_coordinator_task",
    "add_dead_letter_task",
    "add_job_task",
    "failure_of_ending",
    "task_of",
]

_log = logging.getLogger(__name__)


class AttemptFailed(Exception):
    """Makes Celery and Flower show FAILURE for an attempt whose failure has already been recorded."""


class JobTask(Task):
    """Base of the topics' tasks."""

    Request = "cordum.execution.request:JobRequest"
    # Expected: Celery logs one line of it and no traceback, which the timeline has.
    throws = (AttemptFailed,)


_tasks: dict[str, Task] = {}


def add_job_task(app: Celery, topic: str) -> None:
    """Let `app` work on a topic: task name = topic."""
    _tasks[topic] = app.task(_run, bind=True, name=topic, base=JobTask, shared=False)
    task_of.cache_clear()


@cache
def task_of(topic: str) -> Task:
    """The task of a topic that has a function in this process."""
    return maybe_evaluate(_tasks[topic])


def add_dead_letter_task(app: Celery) -> None:
    """Let `app` hand over dead letters, of whatever topic."""
    app.task(_hand_over, bind=True, name=DEAD_LETTER_TASK, shared=False)


def _hand_over(self: Task, job_id: str) -> None:
    topic = str(self.request.delivery_info["routing_key"]).removeprefix(dead_letter_queue(""))
    function = dead_letters[topic]
    try:
        letter = process.engine().letters.take(job_id, topic, unique(), self.request.hostname or "")
    except Unavailable as error:
        # Not taken, so its message counts as lost and is sent again.
        _log.warning("dead letter %s is not handed over: %s", job_id, error.detail)
        raise Ignore() from None
    if letter is None:
        raise Ignore()
    function(letter)


def add_coordinator_task(app: Celery) -> None:
    app.task(_coordinate, name=COORDINATOR_TASK, shared=False)


def _run(self: Task, job_id: str) -> None:
    came = self.request.delivery_info
    ending = work(
        Delivery(job_id, self.name, came.get("priority") or 0, direct=is_direct(came.get("routing_key"))),
        port=process.engine().jobs,
        incarnation=process.incarnation(),
        settings=process.settings(),
        stops=process.stops,
    )
    if ending is None:
        # Not a return: SUCCESS would be a lie, and FAILURE would overwrite what the first delivery showed.
        raise Ignore()
    error = failure_of_ending(ending)
    if error is None:
        return
    # Only says RETRY: the engine has recorded it and sends the next attempt as a job of its own.
    raise Retry(exc=error) if ending.retried else error


def failure_of_ending(ending: Ending) -> AttemptFailed | None:
    """What Celery shows of an attempt that was not recorded as a success."""
    outcome = ending.outcome
    if not ending.applied:
        return AttemptFailed(f"{outcome.kind.value}, but ignored: the attempt was over")
    if outcome.kind is OutcomeClass.SUCCESS:
        return None
    return AttemptFailed(f"{outcome.kind.value}: {outcome.failure.message if outcome.failure else ''}")


def _coordinate() -> None:
    try:
        process.engine().coordinate()
    except Unavailable as error:
        # What is due stays marked as due; the next ring finds it.
        _log.warning("nothing coordinated: %s", error.detail)
        raise Ignore() from None
    if failpoints.ACTIVE:
        failpoints.reach("coordinator.before_acknowledgement")
