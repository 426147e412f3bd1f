"""A saga of five steps whose coordinator is killed after each compensation: each is undone once, the latest first."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

import pytest

from cordum.engine import Caller
from cordum.ops.redis_server import RedisServer
from tests.cells import Cell, eventually
from tests.e2e.topics import TOPICS

pytestmark = pytest.mark.proof

STEPS = ("a", "b", "c", "d", "e")
UNDONE = [f"{number}-{step}@1" for number, step in enumerate(reversed(STEPS), 1)]


def definition() -> str:
    """A chain; what undoes a step runs on the same topic as the step."""
    undo = f"topic: {TOPICS[0]}, compensate: {{topic: {TOPICS[0]}}}"
    lines = [f"{step}: {{{undo}, depends_on: [{''.join(STEPS[:at][-1:])}]}}" for at, step in enumerate(STEPS)]
    return ", ".join([*lines, f"last: {{topic: job.nobody, depends_on: [{STEPS[-1]}]}}"])


@pytest.mark.timeout(300)
def test_a_coordinator_killed_after_each_compensation_costs_none_and_doubles_none(
    cell_on: Callable[..., Cell], fresh_redis: Callable[..., RedisServer]
) -> None:
    cell = cell_on(fresh_redis().address)
    cell.worker(TOPICS[0])
    run_id = cell.start(definition())
    eventually(lambda: cell.engine.coordinate() or _status(cell, run_id, STEPS[-1]) == "succeeded", "the five steps")
    cell.engine.cancel_run(Caller("acme", "ann"), run_id, "not wanted", compensate=True)
    undoing = str(cell.run(run_id)["compensation"]["run_id"])
    deaths = 0
    while not cell.ended_now(undoing):
        # Its first commit for this run is the last thing it does: the next compensation is sent, or the run has ended.
        with cell.failing("apply_plan.after=kill@1"):
            coordinator = cell.coordinator()
        eventually(lambda: coordinator.poll() is not None, f"the kill\n{cell.logs()}")  # noqa: B023
        assert coordinator.returncode == -signal.SIGKILL, cell.logs()
        deaths += 1
        assert deaths <= 20
    run: Any = cell.run(undoing)
    assert run["status"] == "succeeded"
    assert deaths >= len(STEPS)
    executed = [job.partition(":")[2] for job in cell.executed() if job.startswith(undoing)]
    assert executed == UNDONE
    assert cell.events(run_id).count("compensation.finished") == 1


def _status(cell: Cell, run_id: str, step: str) -> str:
    return str(cell.run(run_id)["steps"][step]["status"])
