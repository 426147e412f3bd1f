"""Real processes that fail at failpoints while people use the reference workflow: every promise is kept."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cordum.ops.redis_server import RedisServer
from tests.cells import FAST, ROOT, Cell, eventually, free_port
from tests.e2e.crowd import DEFINITION, Crowd
from tests.e2e.evidence import assert_history_kept
from tests.e2e.promises import assert_promises_kept
from tests.e2e.topics import TOPICS

pytestmark = pytest.mark.proof

PATIENCE_SEC = 120.0
TIMING = {
    **FAST,
    "CORDUM_POLICY_FILE": str(ROOT / "config" / "safety.dev.yaml"),
    # Eight workers die here, one after the other: a step that three of them had would rightly be poison.
    "CORDUM_MAX_LOSSES": "9",
}

# Where a process of each role is killed, one after the other. Not the first time, so that it has done something before.
KILLED: dict[str, list[str]] = {
    "worker": [
        "claim.before=kill@2",
        "claim.after=kill@2",
        "worker.after_claim_before_user=kill@2",
        "worker.after_user_before_record=kill@2",
        "record_result.before=kill@2",
        "record_result.after=kill@2",
        "worker.before_acknowledgement=kill@2",
        "renew_lease.after=kill@3",
    ],
    "coordinator": [
        "take_due.after=kill@3",
        "read_run.after=kill@2",
        "apply_plan.before=kill@2",
        "apply_plan.after=kill@2",
        "sweep.after=kill@2",
        "find_unclaimed.after=kill@2",
        "coordinator.before_acknowledgement=kill@2",
    ],
    "api": [
        "create_run.before=kill@2",
        "create_run.after=kill@2",
        "resolve_approval.before=kill@2",
        "resolve_approval.after=kill@2",
        "api.before_answer=kill@5",
    ],
}


class Keeper:
    """One process of a role; when it has been killed at one place, the next one is started, to be killed elsewhere."""

    def __init__(self, cell: Cell, role: str, port: int) -> None:
        self._cell = cell
        self._role = role
        self._port = port
        self._left = list(KILLED[role])
        self._process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        with self._cell.failing(self._left[0] if self._left else ""):
            match self._role:
                case "worker":
                    # Not `Cell.worker`, which waits until it is known: this one may not live that long.
                    argv = ["-Q", ",".join(TOPICS), "-I", self._cell.handlers, "-P", "threads", "-c", "2", "-n", "v@%h"]
                    return self._cell.celery("-A", "cordum", "worker", *argv)
                case "coordinator":
                    return self._cell.coordinator()
                case _:
                    return self._cell.api(self._port)

    def look(self) -> bool:
        """Start it again if it is gone; whether it has been killed everywhere."""
        if self._process.poll() is not None:
            assert self._process.returncode == -signal.SIGKILL, self._cell.logs()[-4000:]
            del self._left[0]
            self._process = self._start()
        return not self._left


@pytest.mark.timeout(400)
def test_a_process_killed_at_any_failpoint_costs_no_promise(
    cell_on: Callable[..., Cell], fresh_redis: Callable[..., RedisServer]
) -> None:
    cell = cell_on(fresh_redis().address, TIMING)
    port = free_port()
    keepers = [Keeper(cell, role, port) for role in KILLED]
    cell.worker(*TOPICS, pool="prefork", concurrency=1, name="other")
    with Crowd(f"http://127.0.0.1:{port}", 60, pause_sec=0.3) as crowd:
        eventually(lambda: False not in {keeper.look() for keeper in keepers}, "every kill", PATIENCE_SEC)
        faults_over_at = time.time()
        runs = crowd.wait_until_all_ended(cell, PATIENCE_SEC)
    assert_promises_kept(cell, runs)
    assert_history_kept(cell, crowd.calls, DEFINITION, faults_over_at=faults_over_at)


def test_lost_replies_and_delays_cost_nothing_at_all(cell: Cell) -> None:
    """Each is asked again, or comes later; no attempt is lost, none runs twice."""
    with cell.failing("claim.after=lost_reply@1;record_result.after=lost_reply@1;renew_lease.after=lost_reply@2"):
        cell.worker(*TOPICS)
    with cell.failing("apply_plan.after=lost_reply@1;take_due.after=lost_reply@1;read_run.before=delay(50)"):
        cell.coordinator()
    run_id = cell.start("a: {topic: job.sre.classify}, b: {topic: job.sre.logs, depends_on: [a]}")
    run = eventually(lambda: cell.ended_now(run_id), f"the end\n{cell.logs()}")
    assert run["status"] == "succeeded"
    assert cell.executed() == [f"{run_id}:a@1", f"{run_id}:b@1"]
    assert "result.ignored" not in cell.events(run_id)


def test_an_error_between_user_code_and_record_costs_one_attempt(cell: Cell) -> None:
    with cell.failing("worker.after_user_before_record=error@1"):
        cell.worker(*TOPICS)
    run_id = cell.start("a: {topic: job.sre.classify}")
    assert cell.ended(run_id)["status"] == "succeeded"
    assert cell.executed() == [f"{run_id}:a@1", f"{run_id}:a@2"]
    assert cell.events(run_id).count("step.worker_lost") == 1


def test_a_worker_stopped_before_its_record_comes_back_too_late(cell: Cell) -> None:
    """A zombie: its lease has run out, another has done the step, and then it records."""
    with cell.failing("worker.after_user_before_record=stop@1"):
        zombie = cell.worker(*TOPICS, name="zombie")
    run_id = cell.start("a: {topic: job.sre.classify}")
    cell.engine.coordinate()
    eventually(lambda: _state_of(zombie.pid) == "T", f"the stop\n{cell.logs()}")
    cell.worker(*TOPICS, name="other")
    assert cell.ended(run_id)["steps"]["a"]["attempts"] == 2
    os.kill(zombie.pid, signal.SIGCONT)
    eventually(lambda: "result.ignored" in cell.events(run_id), f"the late result\n{cell.logs()}")
    assert cell.events(run_id).count("step.succeeded") == 1


def _state_of(pid: int) -> str:
    """One letter, as Linux tells it."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
