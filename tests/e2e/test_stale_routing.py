"""Fault injection: a worker dies with fifty jobs in its own queue; all of them run elsewhere, once, in order."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from cordum.redis_address import RedisAddress
from tests.cells import Cell, eventually

JOBS = 50
HANDLERS = Path(__file__).parents[1] / "execution"


@pytest.fixture
def cell(redis_address: RedisAddress, tmp_path: Path):
    one = Cell(redis_address, tmp_path, "handlers_for_tests", HANDLERS)
    yield one
    one.end()


def test_stale_routing_loses_none_of_the_jobs_in_a_dead_worker_s_own_queue(cell: Cell) -> None:
    victim = cell.worker("job.t.echo", concurrency=64, name="victim")
    cell.worker("job.t.echo", concurrency=4, name="other")
    (incarnation,) = (one for one in cell.engine.store.workers.known() if one.startswith("victim@"))
    os.kill(victim.pid, signal.SIGSTOP)
    step = f"{{topic: job.t.echo, worker_id: {incarnation.partition('/')[0]}}}"
    runs = [cell.start(f"a: {step}") for _ in range(JOBS)]
    assert [job.run_id for job, _ in cell.engine.store.workers.reserved(incarnation)] == runs
    victim.kill()
    cell.coordinator()
    eventually(lambda: all(cell.ended_now(run_id) for run_id in runs), f"the end of all runs\n{cell.logs()}")
    ran = [line.split()[1] for line in cell.lines("echo")]
    # Two are at work at a time, and finish in any order.
    assert sorted(ran) == sorted(f"{run_id}:a@1" for run_id in runs)
    for run_id in runs:
        events = cell.engine.timeline("acme", run_id, limit=100).items
        given = [event for event in events if event["from"] == "queued" and event["type"] == "step.ready"]
        assert [event["data"] for event in given] == [{"reason": "stale_worker", "worker": incarnation}]
        assert [event["type"] for event in events].count("step.started") == 1
    keys = cell.engine.store.connection.read(lambda client: list(client.scan_iter("*victim*")))
    assert keys == []
