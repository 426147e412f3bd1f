"""One job on the fast path, from its message to its record: Celery's Request, so that remote control, Flower, time
limits and the pool's own reports find what they know, without what a Request does for each message.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Protocol
from weakref import ref

from billiard.einfo import ExceptionInfo
from celery import signals
from celery.exceptions import TaskRevokedError
from celery.worker import state

from cordum.domain.ids import JobId
from cordum.engine import Outcome
from cordum.execution.attempt import Ending
from cordum.execution.request import JobRequest
from cordum.execution.takeoff.batch import Batch
from cordum.execution.takeoff.crew import Crew
from cordum.execution.takeoff.in_pool import Landed, Load, carry_out
from cordum.execution.tasks import failure_of_ending
from cordum.store.envelope import job_headers
from cordum.store.jobs import Claimed, ClaimReply, Delivered, Recording
from cordum.store.unique import unique

__all__ = ["Flight", "Tower", "parse"]

_log = logging.getLogger(__name__)
_NOT_CLAIMED = Claimed(ClaimReply.STALE)


class Tower(Protocol):
    """Who sends flights and hears of their ends; any thread may tell it. In a pool of threads a `crew` runs them."""

    crew: Crew | None

    @property
    def consumer(self) -> Any: ...

    def begun(self, flight: Flight) -> None: ...
    def landed(self, flight: Flight, landed: Landed) -> None: ...
    def lost(self, flight: Flight) -> None: ...


def parse(raw: Mapping[str, Any], topic: str) -> tuple[JobId, int] | None:
    """The job and the priority that a message on this topic's queue names; None when it is not exactly ours."""
    headers, properties = raw.get("headers"), raw.get("properties")
    if not isinstance(headers, dict) or not isinstance(properties, dict):
        return None
    plain = raw.get("content-type") == "application/json" and "body_encoding" not in properties
    delayed = headers.get("eta") or headers.get("expires")
    job_id, priority = headers.get("id"), properties.get("priority")
    if not plain or delayed or headers.get("task") != topic or not isinstance(job_id, str):
        return None
    job = JobId.parse(job_id)
    return (job, priority) if job is not None and isinstance(priority, int) else None


class Flight(JobRequest):
    """`headers` are those of the message, if one came; of a job that was claimed as it was taken they are known."""

    # What Celery's Request keeps of a message and is the same for all of ours.
    _message = _body = _content_type = _content_encoding = _eta = _expires = None
    _decoded = _utc = _ignore_result = True
    _kwargsrepr = "{}"
    time_start: float | None = None
    batch: Batch | None = None  # one of several that were given to a process; which of them runs is not known here

    def __init__(
        self,
        job: JobId,
        priority: int,
        topic: str,
        task: Any,
        tower: Tower,
        direct: bool = False,
        nonce: str = "",
        headers: dict[str, Any] | None = None,
    ):
        # Not super().__init__(): that reads and copies the message, which costs more than everything else here. What
        # is only asked for by remote control, by receivers of signals and in trouble is made when it is asked for.
        self.job = job
        self.priority = priority
        self.direct = direct
        self.nonce = nonce or unique()
        self.claimed = _NOT_CLAIMED
        self.id = str(job)
        self.name = topic
        self._task = task
        self._tower = tower
        self._eventer = tower.consumer.event_dispatcher  # Celery puts another in its place when the broker was away
        if headers is not None:
            self._headers = headers
            self.time_limits = tuple(headers.get("timelimit") or (None, None))

    @cached_property
    def _headers(self) -> dict[str, Any]:
        return job_headers(self.id, self.name)

    @cached_property
    def _request_dict(self) -> dict[str, Any]:
        return self._headers | {
            "args": self._args,
            "kwargs": self._kwargs,
            "hostname": self._hostname,
            "delivery_info": self._delivery_info,
            "correlation_id": self.id,
            "reply_to": None,
            "properties": {},
        }

    @cached_property
    def _args(self) -> list[str]:
        return [self.id]

    @cached_property
    def _kwargs(self) -> dict[str, str]:
        return {}

    @cached_property
    def _delivery_info(self) -> dict[str, Any]:
        return {"exchange": "", "routing_key": self.name, "priority": self.priority, "redelivered": False}

    @property
    def _Request__payload(self) -> Any:  # noqa: N802
        return self._args, self._kwargs, {}

    @property
    def _type(self) -> str:
        return self.name

    @property
    def _root_id(self) -> Any:
        return self._headers.get("root_id")

    @property
    def _parent_id(self) -> Any:
        return self._headers.get("parent_id")

    @property
    def _argsrepr(self) -> Any:
        return self._headers.get("argsrepr", "")

    @property
    def _app(self) -> Any:
        return self._tower.consumer.app

    @property
    def _hostname(self) -> Any:
        return self._tower.consumer.hostname

    @property
    def _connection_errors(self) -> Any:
        return self._tower.consumer.connection_errors

    @staticmethod
    def _on_ack(*_: Any) -> None:
        """There is no message any more that could be acknowledged."""

    _on_reject = _on_ack

    @property
    def with_child(self) -> bool:
        """Whether a pool's process has told that it has it."""
        return self.time_start is not None or (self.batch is not None and self.batch.accepted)

    @property
    def delivered(self) -> Delivered:
        return Delivered(self.job, self.name, self.priority, self.nonce, self.direct)

    def announce(self, consumer: Any) -> None:
        """Say that the message has come, as Celery's strategy does."""
        _log.info("Task %s[%s] received", self.name, self.id)
        if signals.task_received.receivers:
            signals.task_received.send(sender=consumer, request=self)
        if not self._told_of:
            return
        self.send_event(
            "task-received",
            name=self.name,
            args=self._argsrepr,
            kwargs=self._kwargsrepr,
            root_id=self._root_id,
            parent_id=self._parent_id,
            retries=0,
            eta=None,
            expires=None,
        )

    @property
    def _told_of(self) -> bool:
        """Whether anybody hears Celery's events."""
        return bool(self._eventer and self._eventer.enabled)

    # -- called by the pool --------------------------------------------------------------------------------------

    def execute_using_pool(self, pool: Any, **_: Any) -> None:
        if self.id in state.revoked and self.revoked():
            self._tower.lost(self)
            raise TaskRevokedError(self.id)
        if self._tower.crew is not None:
            self._tower.crew.add(self)
            return
        hard, soft = self.time_limits
        result = pool.apply_async(
            carry_out,
            args=(Load(self.job, self.name, self.claimed),),
            accept_callback=self.on_accepted,
            timeout_callback=self.on_timeout,
            callback=self.on_success,
            error_callback=self.on_failure,
            soft_timeout=soft or self._task.soft_time_limit,
            timeout=hard or self._task.time_limit,
            correlation_id=self.id,
        )
        self.held_by(result)

    def held_by(self, result: Any) -> None:
        """What stands for the pool's answer, which says who is still with a process."""
        self._apply_result: Any = None if result is None else ref(result)

    def has_left_its_process(self) -> None:
        """Nobody may end that because of this job any more."""
        self._terminate_on_ack: Any = None
        self._apply_result = _nothing

    def run(self) -> None:
        """In a thread of the pool: what Celery's pool does there, and an error of ours is not lost with the thread."""
        try:
            self.on_accepted(os.getpid(), time.monotonic())
            landed = carry_out(Load(self.job, self.name, self.claimed))
        except BaseException:
            # Not let go: what ends a thread would keep the job.
            landed = ExceptionInfo()
        self.on_success(landed)

    def on_accepted(self, pid: int, time_accepted: float) -> None:
        """Celery's, without what it does for each request and nobody asks for."""
        self.worker_pid = pid
        self.time_start = time.time() - (time.monotonic() - time_accepted)
        state.requests[self.id] = self
        state.active_requests.add(self)
        state.total_count[self.name] += 1
        state.all_total_count[0] += 1
        if not self._task.acks_late:
            self.acknowledge()
        if self._told_of:
            self.send_event("task-started")
        _log.debug("Task accepted: %s[%s] pid:%r", self.name, self.id, pid)
        if self._terminate_on_ack is not None:
            self.terminate(*self._terminate_on_ack)
        self._tower.begun(self)

    def terminate(self, pool: Any, signal: Any = None) -> None:
        if self.batch is None:
            super().terminate(pool, signal)
        else:
            # Its process may be at another job. If it is at this one for long, that is seen soon.
            self._terminate_on_ack = pool, signal

    def on_success(self, landed: Landed | ExceptionInfo, **_: Any) -> None:
        if isinstance(landed, ExceptionInfo):
            self.on_failure(landed)
        else:
            self._tower.landed(self, landed)

    def on_failure(self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False) -> Any:
        """Nobody knows how the job ended: its process is dead, or something of ours is broken."""
        try:
            return super().on_failure(exc_info, send_failed_event=send_failed_event, return_ok=return_ok)
        finally:
            self._tower.lost(self)

    # -- what became of it ---------------------------------------------------------------------------------------

    def recording(self, landed: Landed) -> Recording:
        return Recording(
            self.job, self.name, self.nonce, landed.outcome, landed.output, landed.failure, landed.retry_after_ms
        )

    def tell(self, landed: Landed, *, applied: bool) -> None:
        """Celery's event for the recorded end."""
        self.before_acknowledgement()
        if not self._told_of:
            return
        ending = Ending(_outcome(landed), applied=applied, retries_left=self.claimed.retries_left)
        error = failure_of_ending(ending)
        if error is None:
            self.send_event("task-succeeded", result="None", runtime=landed.runtime_sec)
        elif ending.retried:
            self.send_event("task-retried", exception=repr(error), traceback=repr(error))
        else:
            self.send_event("task-failed", exception=repr(error), traceback="")


def _outcome(landed: Landed) -> Outcome:
    return Outcome(landed.outcome, failure=landed.failure, retry_after_ms=landed.retry_after_ms)


def _nothing() -> None:
    """What a reference to the pool's answer is when that is gone."""
