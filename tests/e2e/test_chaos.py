"""A hundred runs of the reference workflow while the coordinator, the API, a worker and Redis are each killed once."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from cordum.ops.redis_server import RedisServer
from tests.cells import ROOT, Cell, eventually, free_port
from tests.e2e.crowd import DEFINITION, Crowd
from tests.e2e.evidence import assert_history_kept
from tests.e2e.promises import assert_promises_kept
from tests.e2e.topics import TOPICS
from tests.proof.history import broken_promises

RUNS = 100
PATIENCE_SEC = 120.0
# Leases and sweeps as shipped.
AS_SHIPPED = {"CORDUM_POLICY_FILE": str(ROOT / "config" / "safety.dev.yaml")}


@pytest.mark.timeout(400)
def test_every_run_survives_the_death_of_each_process(
    cell_on: Callable[..., Cell], fresh_redis: Callable[..., RedisServer]
) -> None:
    redis = fresh_redis()
    cell = cell_on(redis.address, AS_SHIPPED)
    port = free_port()
    coordinator, api = cell.coordinator(), cell.api(port)
    victim = cell.worker(*TOPICS, pool="threads", concurrency=3, name="victim")
    cell.worker(*TOPICS, pool="prefork", concurrency=2, name="other")

    with Crowd(f"http://127.0.0.1:{port}", RUNS) as crowd:

        def executed(count: int) -> None:
            eventually(lambda: len(cell.lines()) >= count, f"{count} executions\n{cell.logs()[-4000:]}", PATIENCE_SEC)

        executed(40)
        victim.kill()
        cell.worker(*TOPICS, pool="threads", concurrency=3, name="victim")
        executed(120)
        coordinator.kill()
        coordinator.wait()
        cell.coordinator()
        executed(200)
        api.kill()
        api.wait()
        cell.api(port)
        executed(280)
        os.kill(redis.pid, signal.SIGKILL)
        redis.restart()
        faults_over_at = time.time()
        runs = crowd.wait_until_all_ended(cell, PATIENCE_SEC)
    assert_promises_kept(cell, runs)
    history = assert_history_kept(cell, crowd.calls, DEFINITION, faults_over_at=faults_over_at)
    # The checker is awake: an execution more, or one less, and it says so.
    executions = list(history.executions)
    for others in ([*executions, executions[0]], executions[1:]):
        assert broken_promises(replace(history, executions=others))
