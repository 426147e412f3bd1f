"""Ways in which jobs, their processes and their connections die under real workers, and what becomes of the work."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from cordum.errors import CordumError
from tests.execution.test_leaving import LONG_LEASE

WAYS = ["killed", "segfault", "exit 0", "exit 1", "terminated", "out of memory"]


def attempts(cell: Any, word: str) -> list[str]:
    return [line.rpartition("@")[2] for line in cell.lines(word)]


@pytest.mark.parametrize("how", WAYS)
def test_a_dead_child_is_noticed_by_its_parent_and_its_job_goes_out_again(ending_cell: Any, how: str) -> None:
    cell = ending_cell(**LONG_LEASE)
    worker = cell.worker("job.e.dies", pool="prefork", concurrency=2)
    run_id = cell.start(f"s: {{topic: job.e.dies, input: {{how: {how}, times: 1}}}}")
    run = cell.ended(run_id)
    assert (run["status"], run["steps"]["s"]["output"]) == ("succeeded", 2)
    assert cell.events(run_id).count("step.worker_lost") == 1
    assert "step.retrying" not in cell.events(run_id)
    assert attempts(cell, "dies") == ["1", "2"]
    assert worker.poll() is None


@pytest.mark.parametrize("how", WAYS)
def test_a_job_that_kills_three_processes_is_poison(ending_cell: Any, how: str) -> None:
    cell = ending_cell(**LONG_LEASE)
    cell.worker("job.e.dies", "job.e.quick", pool="prefork", concurrency=1)
    run_id = cell.start(f"s: {{topic: job.e.dies, input: {{how: {how}, times: 99}}}}")
    run = cell.ended(run_id)
    assert (run["status"], run["steps"]["s"]["error"]["code"]) == ("failed", "poison")
    assert attempts(cell, "dies") == ["1", "2", "3"]
    (letter,) = cell.engine.dead_letters("acme").items
    assert (letter["job_id"], letter["reason_code"]) == (f"{run_id}:s@3", "poison")
    # The slot of each dead process is free again.
    assert cell.ended(cell.start("s: {topic: job.e.quick}"))["status"] == "succeeded"


@pytest.mark.parametrize(
    ("pool", "lost"), [("prefork", 0), ("threads", 1)], ids=["prefork keeps it", "threads lose it"]
)
def test_a_job_that_holds_the_interpreter_lock_beyond_the_lease(ending_cell: Any, pool: str, lost: int) -> None:
    cell = ending_cell(lease_ms=1500)
    cell.worker("job.e.holds_the_lock", pool=pool, concurrency=1)
    run_id = cell.start("s: {topic: job.e.holds_the_lock, input: {seconds: 6}}")
    run = cell.ended(run_id)
    assert (run["status"], run["steps"]["s"]["output"]) == ("succeeded", 1 + lost)
    assert cell.events(run_id).count("step.worker_lost") == lost


@pytest.mark.parametrize("pool", ["solo", "threads", "prefork"])
def test_a_worker_that_was_stopped_beyond_its_lease_comes_too_late(
    ending_cell: Any, eventually: Callable[..., Any], pool: str
) -> None:
    cell = ending_cell(lease_ms=1500)
    worker = cell.worker("job.e.gated", pool=pool, concurrency=1, name="first")
    run_id = cell.start("s: {topic: job.e.gated}")
    (begun,) = eventually(lambda: cell.lines("gated"), "the start of the job")
    processes = {worker.pid, int(begun.split()[-1])}
    for pid in processes:
        os.kill(pid, signal.SIGSTOP)
    second = cell.worker("job.e.gated", name="second")
    run = cell.ended(run_id)
    assert run["steps"]["s"]["output"] == 2
    assert run["steps"]["s"]["worker"] == cell.info_of(second.pid)["incarnation"]
    for pid in processes:
        os.kill(pid, signal.SIGCONT)
    (cell.directory / "gate").touch()
    eventually(lambda: "result.ignored" in cell.events(run_id), "the late result")
    assert cell.run(run_id) == run
    # And it works again: it is the only worker left.
    second.terminate()
    second.wait()
    assert cell.ended(cell.start("s: {topic: job.e.gated}"))["status"] == "succeeded"


@pytest.mark.parametrize("pool", ["solo", "threads", "prefork"])
def test_work_outlives_cut_connections_and_forgotten_scripts(ending_cell: Any, pool: str) -> None:
    cell = ending_cell()
    cell.worker("job.e.quick", pool=pool)
    chain = (
        "a: {topic: job.e.quick}, b: {topic: job.e.quick, depends_on: [a]}, c: {topic: job.e.quick, depends_on: [b]}"
    )
    for _ in range(6):
        runs = [cell.start(chain) for _ in range(5)]
        cell.engine.store.connection.read(lambda client: client.script_flush())
        with suppress(CordumError):
            cell.engine.store.connection.read(lambda client: client.client_kill_filter(_type="normal", skipme=False))
        for run_id in runs:
            assert cell.ended(run_id)["status"] == "succeeded"
    done = [line.split()[1] for line in cell.lines("quick")]
    assert len(done) == len(set(done))
