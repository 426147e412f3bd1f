"""What the pool runs of a job on the fast path: the handler, with Celery's signals around it. Nothing here asks Redis.

The signals are sent before the outcome is recorded: they tell how the handler ended. What became of that, Celery's
events tell.
"""

from __future__ import annotations

import pickle
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from billiard.einfo import ExceptionInfo
from celery import Task, signals
from celery._state import _task_stack
from celery.app.task import Context
from celery.exceptions import Retry
from celery.states import FAILURE, RETRY, SUCCESS

from cordum.domain.ids import JobId
from cordum.domain.run import Failure, OutcomeClass
from cordum.engine.jobs import output_text, read_claim
from cordum.execution import process
from cordum.execution.attempt import Ending, run_claimed
from cordum.execution.takeoff.board import board
from cordum.execution.tasks import failure_of_ending, task_of
from cordum.store.jobs import Claimed

__all__ = ["Landed", "Load", "carry_out", "carry_out_several"]


class Load(NamedTuple):
    """What the pool is given: a claimed job."""

    job: JobId
    topic: str
    claimed: Claimed


class Landed(NamedTuple):
    """What the pool gives back: the parts of an outcome, `output` as JSON text, and how long the handler took."""

    outcome: OutcomeClass
    output: str
    failure: Failure | None
    retry_after_ms: int | None
    runtime_sec: float


def carry_out(load: Load) -> Landed | ExceptionInfo:
    """Run a claimed job. An error of ours is returned, too: a pool of threads would keep a raised one to itself."""
    try:
        return _carry_out(load)
    except Exception:
        return ExceptionInfo()


def carry_out_several(batch: int, loads: Sequence[Load]) -> list[bytes]:
    """One after the other in a process of a prefork pool; the results of those that have been, as they are sent."""
    found = board()
    assert found is not None, "put up before the pool has forked"
    found.open(batch, len(loads))
    results: list[bytes] = []
    for load in loads:
        if not found.begin():
            break
        results.append(pickle.dumps(carry_out(load), pickle.HIGHEST_PROTOCOL))
        if not found.end(results[-1]):
            break
    return results


def _carry_out(load: Load) -> Landed:
    """The task is Celery's current one meanwhile."""
    job_id, began = str(load.job), time.monotonic()
    task = task_of(load.topic)
    tasks = _pushed(_task_stack, task)
    requests = _pushed(task.request_stack, _Request(job_id, load.topic))
    try:
        if signals.task_prerun.receivers:
            signals.task_prerun.send(sender=task, task_id=job_id, task=task, args=[job_id], kwargs={})
        outcome = run_claimed(
            read_claim(load.job, load.claimed),
            job_id,
            load.topic,
            port=process.engine().jobs,
            incarnation=process.incarnation(),
            settings=process.settings(),
            stops=process.stops,
        )
        landed = Landed(
            outcome.kind, output_text(outcome), outcome.failure, outcome.retry_after_ms, time.monotonic() - began
        )
        if _ends_are_heard():
            _tell(task, job_id, Ending(outcome, applied=True, retries_left=load.claimed.retries_left))
        return landed
    finally:
        requests.pop()
        tasks.pop()


def _pushed(stack: Any, item: object) -> list[Any]:
    """The stack's list with an item more. Celery's own `pop` throws the list away, and the next push makes another."""
    held: list[Any] = stack.push(item) or stack.stack
    return held


class _Request(Context):
    """What `task.request` shows in a handler or a signal's receiver."""

    def __init__(self, job_id: str, topic: str) -> None:
        # Not super().__init__(): that looks through them for headers of somebody's own.
        self.__dict__ = {
            "id": job_id,
            "root_id": job_id,
            "correlation_id": job_id,
            "task": topic,
            "args": [job_id],
            "kwargs": {},
            "retries": 0,
            "delivery_info": {"exchange": "", "routing_key": topic},
            "headers": {},
            "called_directly": False,
        }


def _ends_are_heard() -> bool:
    success, failure, retry = signals.task_success, signals.task_failure, signals.task_retry
    return bool(success.receivers or failure.receivers or retry.receivers or signals.task_postrun.receivers)


def _tell(task: Task, job_id: str, ending: Ending) -> None:
    """Celery's signals for an end, as its tracer sends them."""
    error = failure_of_ending(ending)
    state = SUCCESS if error is None else RETRY if ending.retried else FAILURE
    match state:
        case "SUCCESS":
            signals.task_success.send(sender=task, result=None)
        case "RETRY":
            signals.task_retry.send(sender=task, request=task.request, reason=Retry(exc=error), einfo=None)
        case _:
            signals.task_failure.send(
                sender=task, task_id=job_id, exception=error, args=[job_id], kwargs={}, traceback=None, einfo=None
            )
    signals.task_postrun.send(
        sender=task, task_id=job_id, task=task, args=[job_id], kwargs={}, retval=error, state=state
    )
