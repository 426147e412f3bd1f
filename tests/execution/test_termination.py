"""Jobs that must stop and do not: what real workers of each pool can do about them."""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from celery.worker import state

from cordum.execution.termination import Termination
from tests.execution.test_leaving import LONG_LEASE, is_alive

SLOTS = 2


def pids(cell: Any, word: str) -> list[int]:
    return [int(line.split()[-1]) for line in cell.lines(word)]


@pytest.mark.parametrize("topic", ["job.e.stuck", "job.e.stubborn"])
def test_cancelled_jobs_that_go_on_are_terminated_and_leave_their_slots(
    ending_cell: Any, eventually: Callable[..., Any], topic: str
) -> None:
    cell = ending_cell(**LONG_LEASE, stop_grace_sec=1)
    worker = cell.worker(topic, "job.e.quick", pool="prefork", concurrency=SLOTS)
    for turn in range(1, 4):
        runs = [cell.start(f"s: {{topic: {topic}}}") for _ in range(SLOTS)]
        eventually(lambda n=turn: len(cell.lines("stuck")) == n * SLOTS, "the start of the jobs")
        for run_id in runs:
            cell.cancel(run_id)
        eventually(lambda: not any(map(is_alive, pids(cell, "stuck"))), "the end of their processes")
        for run_id in runs:
            assert cell.run(run_id)["steps"]["s"]["status"] == "cancelled"
            assert "step.worker_lost" not in cell.events(run_id)
    run_id = cell.start(", ".join(f"s{n}: {{topic: job.e.quick}}" for n in range(3 * SLOTS)))
    assert cell.ended(run_id)["status"] == "succeeded"
    assert worker.poll() is None


def test_a_timed_out_job_that_goes_on_is_terminated_and_its_end_is_no_second_loss(
    ending_cell: Any, eventually: Callable[..., Any]
) -> None:
    cell = ending_cell(**LONG_LEASE, stop_grace_sec=1, max_losses=1)
    cell.worker("job.e.stuck", pool="prefork", concurrency=1)
    retry = "{max_retries: 1, initial_backoff_sec: 0.01}"
    run_id = cell.start(f"s: {{topic: job.e.stuck, timeout_sec: 1, retry: {retry}}}")
    run = cell.ended(run_id)
    # The only slot was taken by the attempt that had to be ended.
    assert (run["status"], run["steps"]["s"]["output"]) == ("succeeded", 2)
    assert not is_alive(pids(cell, "stuck")[0])
    told = cell.events(run_id)
    assert (told.count("step.retrying"), told.count("step.worker_lost")) == (1, 0)


def test_what_a_handler_makes_of_its_termination_is_no_result(ending_cell: Any, eventually: Callable[..., Any]) -> None:
    cell = ending_cell(**LONG_LEASE, stop_grace_sec=1)
    cell.worker("job.e.swallows", pool="prefork", concurrency=1)
    run_id = cell.start("s: {topic: job.e.swallows}")
    eventually(lambda: cell.lines("stuck"), "the start of the job")
    cell.cancel(run_id)
    eventually(lambda: cell.lines("swallowed"), "the termination")
    eventually(lambda: not is_alive(pids(cell, "stuck")[0]), "the end of its process")
    assert "result.ignored" not in cell.events(run_id)


@pytest.mark.parametrize("pool", ["solo", "threads"])
def test_a_thread_that_never_asks_goes_on_but_its_step_has_ended(
    ending_cell: Any, eventually: Callable[..., Any], pool: str
) -> None:
    cell = ending_cell(stop_grace_sec=0)
    worker = cell.worker("job.e.gated", pool=pool)
    run_id = cell.start("s: {topic: job.e.gated, timeout_sec: 0.5}")
    assert cell.ended(run_id)["status"] == "timed_out"
    assert worker.poll() is None
    (cell.directory / "gate").touch()
    eventually(lambda: "result.ignored" in cell.events(run_id), "its late result")
    assert cell.run(run_id)["steps"]["s"]["output"] is None


class Pool:
    def __init__(self) -> None:
        self.signals: list[tuple[int, int]] = []

    def terminate_job(self, pid: int, number: int) -> None:
        self.signals.append((pid, number))


class Job:
    """A request with a child; `ready` once the pool knows that it has ended."""

    def __init__(self, job_id: str) -> None:
        self.id, self.worker_pid = job_id, 7
        self.result = SimpleNamespace(ready=lambda: False)
        self._apply_result: Any = lambda: self.result
        self.terminated = 0
        state.requests[job_id] = self

    def terminate(self, pool: Pool) -> None:
        state.requests.pop(self.id)  # as Celery's does
        self.terminated += 1


@pytest.fixture
def job() -> Any:
    yield Job("r:s@1")
    state.requests.clear()


def test_a_job_has_a_grace_then_a_termination_then_a_kill(job: Job) -> None:
    pool, now = Pool(), [0.0]
    tick = Termination(pool, 5, lambda: now[0])
    tick(["r:s@1", "r:unknown@1"])
    now[0] = 4.9
    tick(["r:s@1"])  # told again: the grace does not begin again
    assert job.terminated == 0
    now[0] = 5.0
    tick([])
    assert (job.terminated, pool.signals) == (1, [])
    now[0] = 9.9
    tick([])
    assert pool.signals == []
    now[0] = 10.0
    tick([])
    assert pool.signals == [(7, signal.SIGKILL)]


@pytest.mark.parametrize("end", ["ready", "forgotten"])
def test_a_job_that_ends_within_its_grace_is_left_alone(job: Job, end: str) -> None:
    """Its child may be doing another job by then."""
    pool, now = Pool(), [0.0]
    tick = Termination(pool, 5, lambda: now[0])
    tick(["r:s@1"])
    if end == "ready":
        job.result.ready = lambda: True
    else:
        job.result = None
    now[0] = 100.0
    tick([])
    assert (job.terminated, pool.signals) == (0, [])


def test_a_job_that_waits_for_a_slot_is_terminated_when_it_gets_one(job: Job) -> None:
    pool, now = Pool(), [0.0]
    tick = Termination(pool, 5, lambda: now[0])
    job._apply_result = None
    tick(["r:s@1"])
    now[0] = 5.0
    tick([])
    assert job.terminated == 1
