"""A hundred runs of the reference workflow while the coordinator, the API, a worker and Redis are each killed once.

What was executed is read from the workers' own journal, not from cordum's account of it.
"""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

import pytest

from cordum.client import Client
from cordum.errors import CordumError
from cordum.ops.redis_server import RedisServer
from tests.cells import ROOT, Cell, eventually, free_port
from tests.e2e.triage_handlers import TOPICS

RUNS = 100
WORKFLOW = "incident_triage_parallel"
STEPS = ("classify", "logs_scan", "metric_scan", "rollback")
PATIENCE_SEC = 120.0
# The shipped ones.
TIMING = {"CORDUM_POLICY_FILE": str(ROOT / "config" / "safety.dev.yaml")}


class Submitter:
    """Submits and approves over HTTP, and asks again with the same key when nobody answers."""

    def __init__(self, url: str) -> None:
        self.alice = Client(url, tenant="default", principal="alice")
        self.bob = Client(url, tenant="default", principal="bob")
        self.stop = threading.Event()
        self.runs: dict[str, str] = {}
        self._threads = [threading.Thread(target=self._submit), threading.Thread(target=self._approve)]

    def __enter__(self) -> Submitter:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        for thread in self._threads:
            thread.join()

    def _submit(self) -> None:
        for number in range(RUNS):
            key = f"chaos-{number}"
            while key not in self.runs and not self.stop.is_set():
                with suppress(CordumError, OSError):
                    started = self.alice.start(WORKFLOW, {"incident_id": key, "summary": "?"}, idempotency_key=key)
                    self.runs[key] = started["id"]
                if key not in self.runs:
                    self.stop.wait(0.1)
            self.stop.wait(0.05)

    def _approve(self) -> None:
        while not self.stop.wait(0.1):
            with suppress(CordumError, OSError):
                for approval in self.bob.approvals():
                    self.bob.approve(approval["job_id"])


@pytest.mark.timeout(400)
def test_every_run_survives_the_death_of_each_process(
    cell_on: Callable[..., Cell], fresh_redis: Callable[..., RedisServer]
) -> None:
    redis = fresh_redis()
    cell = cell_on(redis.address, TIMING)
    port = free_port()
    coordinator, api = cell.coordinator(), cell.api(port)
    victim = cell.worker(*TOPICS, pool="threads", concurrency=3, name="victim")
    cell.worker(*TOPICS, pool="prefork", concurrency=2, name="other")
    url = f"http://127.0.0.1:{port}"
    eventually(lambda: _answers(url), f"the API\n{cell.logs()}")
    Client(url, principal="alice").save_workflow((ROOT / "config/workflows/incident_triage_parallel.yaml").read_bytes())

    with Submitter(url) as submitter:

        def executed(count: int) -> None:
            eventually(lambda: len(cell.lines()) >= count, f"{count} executions\n{cell.logs()[-4000:]}", PATIENCE_SEC)

        executed(40)
        victim.kill()
        cell.worker(*TOPICS, pool="threads", concurrency=3, name="victim")
        executed(120)
        coordinator.kill()
        coordinator.wait()
        coordinator = cell.coordinator()
        executed(200)
        api.kill()
        api.wait()
        api = cell.api(port)
        executed(280)
        os.kill(redis.pid, signal.SIGKILL)
        redis.restart()
        eventually(lambda: len(submitter.runs) == RUNS, "all submits", PATIENCE_SEC)
        for run_id in submitter.runs.values():
            eventually(lambda run_id=run_id: _ended(cell, run_id), f"the end of {run_id}", PATIENCE_SEC)
        runs = list(submitter.runs.values())

    assert len(set(runs)) == RUNS
    assert len(cell.engine.runs("default", limit=200).items) == RUNS  # no submit made a second run
    assert cell.engine.dead_letters("default").items == []
    for run_id in runs:
        run = cell.engine.run("default", run_id)
        assert run["status"] == "succeeded", run
        told = Counter((event["type"], event["step_id"]) for event in _timeline(cell, run_id))
        assert told["run.succeeded", None] == 1
        for step in STEPS:
            assert told["step.succeeded", step] == 1, (run_id, step, told)
    executions = Counter(cell.lines())
    assert all(count == 1 for count in executions.values())  # user code at most once an attempt
    ran = {job_id.rpartition("@")[0] for job_id in executions}
    assert ran == {f"{run_id}:{step}" for run_id in runs for step in STEPS}  # and at least once a step


def _answers(url: str) -> bool:
    with suppress(CordumError, OSError):
        Client(url).workflows()
        return True
    return False


def _ended(cell: Cell, run_id: str) -> bool:
    with suppress(CordumError):
        return bool(cell.engine.run("default", run_id)["completed_at"])
    return False


def _timeline(cell: Cell, run_id: str) -> list[dict[str, object]]:
    return cell.engine.timeline("default", run_id, limit=200).items
