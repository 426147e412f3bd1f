"""Workers that hold the places of a limit are killed at random: it is never exceeded, and what they held comes back.

The long form, two minutes, runs by `pytest -m stress`.
"""

from __future__ import annotations

import random
import subprocess
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from cordum.execution.roles import worker_argv
from cordum.redis_address import RedisAddress
from tests.cells import FAST, Cell, eventually

STEPS = "a: {topic: job.hold, concurrency: {key: dock, limit: LIMIT}}, b: {topic: job.hold, depends_on: [a], KEY}"
LIMIT, WORKERS = 2, 3
PATIENCE_SEC = 120.0  # for processes that begin together on a busy machine
# A lease, a sweep, and what a busy machine takes to get round to it.
TRUE_AFTER_SEC = int(FAST["CORDUM_LEASE_MS"]) / 1000 + 10


@pytest.fixture
def cell(redis_address: RedisAddress, tmp_path: Path) -> Iterator[Cell]:
    timing = {**FAST, "CORDUM_MAX_LOSSES": "100"}
    cell = Cell(redis_address, tmp_path, "holding_handlers", Path(__file__).parent, timing)
    yield cell
    cell.end()


def start(cell: Cell) -> str:
    key = f"concurrency: {{key: dock, limit: {LIMIT}}}"
    return cell.start(STEPS.replace("LIMIT", str(LIMIT)).replace("KEY", key))


class Storm:
    """Workers of two slots each. Whoever has just begun a job is killed, and another comes in its place.

    A successor has another name, so that it is the end of the lease that frees what the dead one held.
    """

    def __init__(self, cell: Cell) -> None:
        self._cell = cell
        self._chance = random.Random(11)
        self._workers = [self._start(f"first{number}") for number in range(WORKERS)]
        self.killed: dict[int, float] = {}  # pid: when it was dead for certain

    def _start(self, name: str) -> subprocess.Popen[bytes]:
        argv = worker_argv(["job.hold"], modules=["holding_handlers"], pool="threads", concurrency=2, name=name)
        return self._cell.celery(*argv)

    def kill_a_holder(self) -> None:
        pid = eventually(self._at_work, f"a job at work\n{self._cell.logs()[-3000:]}", PATIENCE_SEC)
        worker = next(worker for worker in self._workers if worker.pid == pid)
        worker.kill()
        worker.wait()
        self.killed[pid] = time.time()
        self._workers.append(self._start(f"next{len(self.killed)}"))

    def _at_work(self) -> int | None:
        alive = {worker.pid for worker in self._workers} - self.killed.keys()
        pids = sorted({pid for _, pid, _, ended in executions(self._cell) if ended is None and pid in alive})
        return self._chance.choice(pids) if pids else None


def executions(cell: Cell) -> list[tuple[str, int, float, float | None]]:
    """Job id, pid, when it began, and when it ended, if it did."""
    began: dict[tuple[str, int], float] = {}
    ended: dict[tuple[str, int], float] = {}
    for line in cell.lines():
        word, job_id, pid, at = line.split()
        (began if word == "begin" else ended)[job_id, int(pid)] = float(at)
    return [(job_id, pid, at, ended.get((job_id, pid))) for (job_id, pid), at in began.items()]


def most_at_once(cell: Cell, killed: dict[int, float]) -> int:
    """How many pieces of user code ran at one time; one that was killed with its worker ran until then at most."""
    changes = []
    for _, pid, began, ended in executions(cell):
        over = killed.get(pid, float("inf")) if ended is None else ended
        changes += [(began, 1), (over, -1)]
    most = at_work = 0
    for _, change in sorted(changes):
        at_work += change
        most = max(most, at_work)
    return most


def holders(cell: Cell) -> set[str]:
    return {job_id for usage in cell.engine.concurrency("acme").items for job_id in usage["holders"]}


def usage_is_true(cell: Cell, killed: dict[int, float]) -> bool:
    """Whether whoever holds a place is on its way and not with a dead worker, and no place is free that is waited for.

    Only the holders' runs are looked at: to look at all would take longer than they hold.
    """
    usage = cell.engine.concurrency("acme").items
    held = {job_id for one in usage for job_id in one["holders"]}
    dead = {name for name, info in cell.engine.store.workers.known().items() if info["pid"] in killed}
    alive = [_is_out(cell, job_id, dead) for job_id in held]
    return all(alive) and all(one["held"] == LIMIT or not one["waiting"] for one in usage) and held == holders(cell)


def _is_out(cell: Cell, job_id: str, dead: set[str]) -> bool:
    run_id, _, attempt = job_id.partition(":")
    step = cell.run(run_id)["steps"][attempt.partition("@")[0]]
    running = step["status"] == "running" and step["worker"] not in dead
    return step["job_id"] == job_id and (running or step["status"] == "queued")


@pytest.mark.parametrize(
    ("kills", "seconds"), [(3, 60.0), pytest.param(10_000, 120.0, marks=pytest.mark.stress)], ids=["short", "long"]
)
@pytest.mark.timeout(400)
def test_holders_of_a_key_are_killed_at_random(cell: Cell, kills: int, seconds: float) -> None:
    cell.coordinator()
    storm = Storm(cell)
    runs: list[str] = []
    until = time.monotonic() + seconds
    while len(storm.killed) < kills and time.monotonic() < until:
        runs += [start(cell) for _ in range(4)]
        storm.kill_a_holder()
        assert len(holders(cell)) <= LIMIT
    over = time.monotonic()
    eventually(lambda: usage_is_true(cell, storm.killed), "usage to be the truth", TRUE_AFTER_SEC)
    took = time.monotonic() - over
    for run_id in runs:
        eventually(partial(cell.ended_now, run_id), f"the end of {run_id}\n{cell.logs()[-3000:]}", PATIENCE_SEC)
    assert {cell.run(run_id)["status"] for run_id in runs} == {"succeeded"}
    assert cell.engine.concurrency("acme").items == []
    assert most_at_once(cell, storm.killed) == LIMIT
    died = [job_id for job_id, _, _, ended in executions(cell) if ended is None]
    assert died, "nobody died holding a place"
    print(f"\n{len(storm.killed)} kills, {len(died)} holders died, {len(runs)} runs; usage true after {took:.1f} s")
