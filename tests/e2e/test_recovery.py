"""Workers die in the middle of jobs, messages vanish between queue and claim, Redis dies: what was promised still
holds.

The long forms run by `pytest -m stress`; the short ones are the same tests with fewer runs.
"""

from __future__ import annotations

import os
import random
import signal
import statistics
import subprocess
import time
from collections.abc import Callable
from typing import Any

import pytest

from cordum.domain.routing import queue_list
from cordum.ops.redis_server import RedisServer
from tests.cells import Cell, eventually, free_port
from tests.e2e.crowd import DEFINITION, Crowd
from tests.e2e.evidence import assert_history_kept
from tests.e2e.promises import assert_promises_kept
from tests.e2e.test_chaos import AS_SHIPPED, PATIENCE_SEC
from tests.e2e.topics import TOPICS

WORKERS = 3
MOST_LOSSES = 2
X_SEC = 30.0  # CONTRACT.md 3.12: after a fault no run stays stuck for longer
LONG = pytest.mark.stress


class Storm:
    """Kills workers, each in the middle of a job that has not been lost twice, and starts them again under their
    name.
    """

    def __init__(self, cell: Cell) -> None:
        self._cell = cell
        self._workers = {f"w{number}": self._start(f"w{number}") for number in range(WORKERS)}
        self._chance = random.Random(7)
        self._killed: dict[str, float] = {}

    def _start(self, name: str) -> subprocess.Popen[bytes]:
        return self._cell.worker(*TOPICS, pool="threads", concurrency=1, name=name)

    def kill_one(self, redis: RedisServer | None = None) -> None:
        """Wait for a job to begin, kill its worker, and Redis with it if asked."""
        job_id, name = eventually(self._begun, f"a job to begin\n{self._cell.logs()[-3000:]}", PATIENCE_SEC)
        self._workers[name].kill()
        if redis is not None:
            os.kill(redis.pid, signal.SIGKILL)
            redis.restart()
        self._killed[job_id] = time.time()
        self._workers[name].wait()
        self._workers[name] = self._start(name)

    def _begun(self) -> tuple[str, str] | None:
        lines = self._cell.lines()
        if not lines:
            return None
        job_id, pid, _, began = lines[-1].split()
        fresh = time.time() - float(began) < 0.04 and job_id not in self._killed
        if not fresh or int(job_id.rpartition("@")[2]) > MOST_LOSSES:
            return None
        name = next((name for name, worker in self._workers.items() if worker.pid == int(pid)), None)
        return (job_id, name) if name is not None else None

    def recoveries(self) -> list[float]:
        """Seconds from each kill that cost an attempt to the first line of user code in the attempt after it."""
        began = {line.split()[0]: float(line.split()[3]) for line in self._cell.lines()}
        seconds = []
        for job_id, killed_at in self._killed.items():
            step, _, attempt = job_id.rpartition("@")
            after = began.get(f"{step}@{int(attempt) + 1}")
            if after is not None:  # else its result was recorded just before the kill
                seconds.append(after - killed_at)
        return sorted(seconds)


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("runs", "kills"), [(30, 4), pytest.param(200, 20, marks=LONG)])
def test_runs_survive_workers_that_die_in_the_middle_of_jobs(
    cell_on: Callable[..., Cell], fresh_redis: Callable[..., RedisServer], runs: int, kills: int
) -> None:
    redis = fresh_redis()
    cell = cell_on(redis.address, AS_SHIPPED)
    port = free_port()
    cell.coordinator()
    cell.api(port)
    storm = Storm(cell)
    # Each kill finds jobs that have yet to begin, however quick the workers are.
    share = runs // kills
    with Crowd(f"http://127.0.0.1:{port}", runs, allowed=share) as crowd:
        for number in range(kills):
            storm.kill_one(redis if number == kills // 2 else None)
            crowd.allow(share if number < kills - 1 else runs)
        last_kill, faults_over_at = time.monotonic(), time.time()
        ids = crowd.wait_until_all_ended(cell, X_SEC + PATIENCE_SEC)
    assert_promises_kept(cell, ids)
    assert_history_kept(cell, crowd.calls, DEFINITION, faults_over_at=faults_over_at)
    seconds = storm.recoveries()
    assert seconds, "no kill hit a running attempt"
    print(
        f"\n{kills} kills, {len(seconds)} attempts lost; recovery p50 {statistics.median(seconds):.1f} s, "
        f"p95 {seconds[int(0.95 * (len(seconds) - 1))]:.1f} s, max {seconds[-1]:.1f} s; "
        f"all ended {time.monotonic() - last_kill:.1f} s after the last kill"
    )
    assert seconds[-1] < X_SEC


@pytest.mark.timeout(600)
@pytest.mark.parametrize("times", [3, pytest.param(20, marks=LONG)])
def test_a_message_lost_between_queue_and_claim_is_sent_again(cell: Cell, times: int) -> None:
    """The window is made wide: the worker is stopped before the message comes, and killed when it has taken it."""
    cell.coordinator()
    for number in range(times):
        run_id = _lose_a_message(cell, f"doomed{number}")
        worker = cell.worker(TOPICS[0], pool="threads", concurrency=1, name=f"heir{number}")
        run = _end_of(cell, run_id)
        assert run["status"] == "succeeded"
        assert cell.events(run_id).count("step.redispatched") == 1
        worker.terminate()
        worker.wait()
    assert len(cell.executed()) == len(set(cell.executed()))


def _lose_a_message(cell: Cell, name: str) -> str:
    """A run whose only message a worker took and died with before its claim.

    Redis answers the blocking pop of a process that does not run. A pop lasts a second at most; when it ended just
    before the message came, the worker goes on, does the job, and the next run is tried.
    """
    client = cell.engine.store.connection._client
    worker = cell.worker(TOPICS[0], pool="threads", concurrency=1, name=name)
    while True:
        eventually(lambda: any(one["cmd"] == "brpop" for one in client.client_list()), "a worker that listens")
        os.kill(worker.pid, signal.SIGSTOP)
        run_id = cell.start("a: {topic: job.sre.classify}")
        if client.llen(queue_list(TOPICS[0], 3)) == 0:
            assert cell.run(run_id)["steps"]["a"]["status"] == "queued"
            worker.kill()
            worker.wait()
            return run_id
        os.kill(worker.pid, signal.SIGCONT)
        _end_of(cell, run_id)


def _end_of(cell: Cell, run_id: str) -> dict[str, Any]:
    ended: dict[str, Any] = eventually(
        lambda: cell.ended_now(run_id), f"the end of {run_id}\n{cell.logs()[-3000:]}", PATIENCE_SEC
    )
    return ended


@pytest.mark.timeout(600)
@pytest.mark.parametrize("jobs", [300, pytest.param(2000, marks=LONG)])
def test_a_long_queue_behind_a_slow_worker_causes_no_needless_resend(
    cell_on: Callable[..., Cell], fresh_redis: Callable[..., RedisServer], jobs: int
) -> None:
    """Grace and sweep far shorter than the queue is long: age alone would have all of them sent again."""
    cell = cell_on(fresh_redis().address)
    cell.engine.store.queues.set_windows({TOPICS[0]: jobs})
    steps = ", ".join(f"s{number}: {{topic: job.sre.classify}}" for number in range(100))
    runs = [cell.start(steps) for _ in range(jobs // 100)]
    cell.coordinator()
    cell.worker(TOPICS[0], pool="threads", concurrency=2)
    for run_id in runs:
        _end_of(cell, run_id)
    assert sum(cell.events(run_id).count("step.redispatched") for run_id in runs) == 0
    executed = cell.executed()
    assert len(executed) == len(set(executed)) == len(runs) * 100
