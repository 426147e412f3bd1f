from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from billiard.einfo import ExceptionWithTraceback
from billiard.exceptions import WorkerLostError
from celery import Celery
from celery.exceptions import Ignore, Retry
from celery.worker.request import Request

from cordum.execution import lease
from cordum.execution.attempt import Abandoned
from cordum.execution.config import celery_config
from cordum.execution.handlers import Registry
from cordum.execution.request import JobRequest
from cordum.execution.roles import coordinator_argv, worker_argv
from cordum.execution.tasks import AttemptFailed, JobTask, add_job_task
from cordum.redis_address import RedisAddress


@pytest.fixture
def app(redis_address: RedisAddress) -> Celery:
    one = Celery("tasks", set_as_current=False)
    one.conf.update(celery_config(redis_address))
    return one


def test_every_topic_is_a_task_whenever_it_is_registered(app: Celery) -> None:
    handlers = Registry()
    handlers.add("job.early", lambda ctx: None)
    handlers.follow(partial(add_job_task, app))
    app.finalize()
    handlers.add("job.late", lambda ctx: None)
    for topic in ("job.early", "job.late"):
        task = app.tasks[topic]
        assert isinstance(task, JobTask)
        assert (task.name, task.ignore_result, task.acks_late) == (topic, True, True)


def test_nothing_but_json_is_accepted(app: Celery) -> None:
    assert (app.conf.accept_content, app.conf.result_accept_content) == (["json"], ["json"])
    assert app.conf.result_backend is None


@pytest.mark.parametrize(
    ("error", "reported"),
    [
        (WorkerLostError("signal 9"), True),
        (ExceptionWithTraceback(Abandoned("Redis was away"), None), True),
        (SystemExit(1), True),
        (RuntimeError("a mistake of ours"), True),
        (AttemptFailed("retryable: bad"), False),
        (Retry(exc=AttemptFailed("retryable: bad")), False),
        (Ignore(), False),
    ],
)
def test_only_an_attempt_that_nobody_recorded_is_reported_lost(
    monkeypatch: pytest.MonkeyPatch, error: BaseException, reported: bool
) -> None:
    class Info:
        exception = error

    losses: list[tuple[Any, ...]] = []
    handled: list[Any] = []
    monkeypatch.setattr(lease, "report_lost", lambda *what: losses.append(what))
    monkeypatch.setattr(Request, "on_failure", lambda self, info, **options: handled.append(info))
    request = JobRequest.__new__(JobRequest)
    request.id, request.name = "r1:s@1", "job.a"
    request.on_failure(Info())
    assert [loss[:2] for loss in losses] == ([("r1:s@1", "job.a")] if reported else [])
    assert len(handled) == 1


def test_a_child_without_memory_does_not_end_its_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Celery raises a child's MemoryError again in the main process."""

    class Info:
        exception = MemoryError()

    reported: list[str] = []
    handled: list[Any] = []
    monkeypatch.setattr(lease, "report_lost", lambda *what: reported.append(what[2]))
    monkeypatch.setattr(Request, "on_failure", lambda self, info, **options: handled.append(info.exception))
    request = JobRequest.__new__(JobRequest)
    request.id, request.name = "r1:s@1", "job.a"
    request.on_failure(Info())
    (error,) = handled
    assert isinstance(getattr(error, "exc", error), WorkerLostError)
    assert reported == ["MemoryError: "]


def test_command_lines() -> None:
    words = " ".join(worker_argv(["job.a", "job.b"], modules=["m"], concurrency=4, name="w1"))
    assert words == "--quiet -A cordum worker -Q job.a,job.b -I m -P prefork -c 4 -l warning -n w1@%h"
    assert "--without-embedded-beat" in coordinator_argv(beat=False)
    assert "--without-embedded-beat" not in coordinator_argv()
