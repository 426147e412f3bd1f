"""Celery's revoke and terminate of jobs, and what Celery's events say of attempts, with real workers."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from celery.worker.request import Request

from cordum.errors import Unavailable
from cordum.execution import process, revoke
from cordum.execution.request import JobRequest
from cordum.store.envelope import job_message
from tests.execution.test_leaving import LONG_LEASE, is_alive
from tests.execution.test_termination import pids

Events = dict[str, set[str]]
TOPIC = "job.e.obedient"


def cancelled_by(cell: Any, run_id: str) -> list[tuple[str, str]]:
    items = cell.engine.timeline("acme", run_id, limit=200).items
    return [(item["actor"], item["data"]["reason"]) for item in items if item["type"] == "step.cancelled"]


@pytest.mark.parametrize("pool", ["threads", "prefork"])
@pytest.mark.parametrize("terminate", [False, True])
def test_a_running_job_that_is_revoked_is_cancelled_once_and_stops(
    ending_cell: Any, eventually: Callable[..., Any], control: Any, pool: str, terminate: bool
) -> None:
    cell = ending_cell(**LONG_LEASE)
    for name in ("one", "two", "three"):  # all of them hear it
        cell.worker(TOPIC, pool=pool, concurrency=1, name=name)
    run_id = cell.start(f"s: {{topic: {TOPIC}}}, after: {{topic: {TOPIC}, depends_on: [s]}}")
    eventually(lambda: cell.lines("obedient"), "the start of the job")
    control.revoke(f"{run_id}:s@1", terminate=terminate)
    run = eventually(lambda: cell.ended_now(run_id), "the end of the run, which no coordinator looks at")
    assert (run["status"], run["steps"]["s"]["status"]) == ("cancelled", "cancelled")
    assert run["steps"]["after"]["skip_reason"] == "upstream_failed"
    assert cancelled_by(cell, run_id) == [("celery-control", "revoked")]
    if pool == "threads" or not terminate:
        eventually(lambda: cell.lines("obeyed"), "the end of the job")
    assert "step.worker_lost" not in cell.events(run_id)
    # Every slot is free again: as many jobs run at once as there are workers.
    runs = [cell.start(f"s: {{topic: {TOPIC}}}") for _ in range(3)]
    eventually(lambda: len(cell.lines("obedient")) == 4, "three jobs at once")
    for one in runs:
        cell.cancel(one)


def test_terminate_ends_a_job_that_would_not_stop(
    ending_cell: Any, eventually: Callable[..., Any], control: Any, events: Events
) -> None:
    cell = ending_cell(**LONG_LEASE, stop_grace_sec=600)
    cell.worker("job.e.stuck", pool="prefork", concurrency=1, extra=["-E"])
    eventually(lambda: events[""], "a sign of the worker")
    run_id = cell.start("s: {topic: job.e.stuck}")
    eventually(lambda: cell.lines("stuck"), "the start of the job")
    control.terminate(f"{run_id}:s@1")
    eventually(lambda: not is_alive(pids(cell, "stuck")[0]), "the end of its process")
    assert cell.ended(run_id)["status"] == "cancelled"
    assert "step.worker_lost" not in cell.events(run_id)
    eventually(lambda: "task-revoked" in events[f"{run_id}:s@1"], "the event")


def test_a_solo_worker_in_the_middle_of_a_job_hears_through_its_lease(
    ending_cell: Any, eventually: Callable[..., Any], control: Any
) -> None:
    cell = ending_cell(**LONG_LEASE)
    cell.worker(TOPIC, pool="solo")
    cell.coordinator()
    eventually(lambda: re.search(r"coordinator@\S+ ready", cell.logs()), "the coordinator")
    run_id = cell.start(f"s: {{topic: {TOPIC}}}")
    eventually(lambda: cell.lines("obedient"), "the start of the job")
    control.revoke(f"{run_id}:s@1")
    eventually(lambda: cell.lines("obeyed"), "the end of the job")
    assert cell.run(run_id)["steps"]["s"]["status"] == "cancelled"


def test_a_queued_job_is_revoked_though_no_worker_takes_its_topic(
    ending_cell: Any, eventually: Callable[..., Any], control: Any
) -> None:
    cell = ending_cell()
    cell.coordinator()
    eventually(lambda: re.search(r"coordinator@\S+ ready", cell.logs()), "the coordinator")
    run_id = cell.start(f"s: {{topic: {TOPIC}}}")
    control.revoke(f"{run_id}:s@1")
    run = eventually(lambda: cell.ended_now(run_id), f"the end of the run\n{cell.logs()}")
    assert run["status"] == "cancelled"
    cell.worker(TOPIC, "job.e.quick")
    assert cell.ended(cell.start("s: {topic: job.e.quick}"))["status"] == "succeeded"
    eventually(lambda: "STALE" in cell.logs(), "the message that is left of it")
    assert cell.lines("obedient") == []


def test_revoking_what_is_no_job_of_ours_does_nothing(
    ending_cell: Any, eventually: Callable[..., Any], control: Any
) -> None:
    cell = ending_cell()
    cell.worker("job.e.quick")
    run_id = cell.start("s: {topic: job.e.quick}")
    ended = cell.ended(run_id)
    ids = [f"{run_id}:s@1", f"{run_id}:nowhere@1", "c1-unknown:s@1", "not an id", "{x}:y@1"]
    (answer,) = control.revoke(ids, reply=True, timeout=10)
    assert "ok" in next(iter(answer.values()))
    assert cell.run(run_id) == ended
    assert cell.ended(cell.start("s: {topic: job.e.quick}"))["status"] == "succeeded"


def test_a_task_sent_by_hand_without_a_decision_does_nothing(
    ending_cell: Any, eventually: Callable[..., Any], events: Events
) -> None:
    cell = ending_cell()
    cell.worker("job.e.quick", extra=["-E"])
    eventually(lambda: events[""], "a sign of the worker")
    run_id = cell.start("s: {topic: job.e.quick}")
    cell.ended(run_id)
    forged = ["c1-unknown:s@1", f"{run_id}:s@2", f"{run_id}:s@1", f"{run_id}:nowhere@1"]
    for job_id in forged:
        message = job_message(job_id, "job.e.quick", 0)
        cell.engine.store.connection.read(lambda client, text=message: client.lpush("job.e.quick", text))
    eventually(lambda: cell.logs().count("dropped: STALE") == len(forged), "the messages to be dropped")
    assert len(cell.lines("quick")) == 1
    eventually(lambda: events[forged[-1]], "the events")
    for job_id in (forged[0], forged[1], forged[3]):
        assert events[job_id] == {"task-received"}


@pytest.mark.parametrize("pool", ["threads", "prefork"])
def test_events_tell_a_retry_from_a_failure(
    ending_cell: Any, eventually: Callable[..., Any], events: Events, pool: str
) -> None:
    cell = ending_cell()
    cell.worker("job.e.flaky", "job.e.gated", pool=pool, extra=["-E"])
    eventually(lambda: events[""], "a sign of the worker")
    retry = "{max_retries: 1, initial_backoff_sec: 0.01}"
    run_id = cell.start(
        f"""retried: {{topic: job.e.flaky, retry: {retry}}}, final: {{topic: job.e.flaky}},
            late: {{topic: job.e.gated, timeout_sec: 0.5}}"""
    )
    steps = cell.ended(run_id)["steps"]
    assert {step: steps[step]["status"] for step in steps} == {
        "retried": "succeeded",
        "final": "failed",
        "late": "timed_out",
    }
    (cell.directory / "gate").touch()
    begun = {"task-received", "task-started"}
    expected = {
        "retried@1": begun | {"task-retried"},
        "retried@2": begun | {"task-succeeded"},
        "final@1": begun | {"task-failed"},
        "late@1": begun | {"task-failed"},  # it returned a result, which was ignored
    }
    eventually(lambda: all(len(events[f"{run_id}:{job}"]) == 3 for job in expected), f"the events, not {events}")
    assert {job: events[f"{run_id}:{job}"] for job in expected} == expected
    # The retry is the engine's: Celery has sent nothing of its own.
    assert events.keys() - {""} == {f"{run_id}:{job}" for job in expected}


class Told:
    def __init__(self, error: Exception | None = None) -> None:
        self.steps: list[tuple[str, str, str]] = []
        self.error = error

    def cancel_step(self, *what: str) -> None:
        if self.error:
            raise self.error
        self.steps.append((what[0], what[1], what[2]))


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    one = Told()
    monkeypatch.setattr(process, "engine", lambda: one)
    return one


@pytest.mark.parametrize("dropped", [True, False])
def test_a_message_that_celery_drops_as_revoked_is_told_of(
    told: Told, monkeypatch: pytest.MonkeyPatch, dropped: bool
) -> None:
    monkeypatch.setattr(Request, "revoked", lambda self: dropped)
    request = JobRequest.__new__(JobRequest)
    request.id = "r:s@1"
    assert request.revoked() is dropped
    assert told.steps == ([("r:s@1", "celery-control", "revoked")] if dropped else [])


def test_nothing_is_revoked_while_nobody_can_be_told(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    told.error = Unavailable("Redis is away")
    monkeypatch.setattr(revoke.control, "revoke", lambda *_, **__: pytest.fail("revoked without the engine"))
    assert "Redis is away" in revoke._revoke(None, ["r:s@1"])["error"]
