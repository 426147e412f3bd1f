"""What must hold after a storm, checked on the final state and on the workers' own journal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from tests.cells import Cell
from tests.e2e.crowd import STEPS


def assert_promises_kept(cell: Cell, runs: Sequence[str]) -> None:
    """Every run succeeded once, every step has one applied result, nothing is dead, no attempt ran twice."""
    assert len(set(runs)) == len(runs)
    assert _count_runs(cell) == len(runs)  # no submit made a second run
    letters = [(letter["job_id"], letter["reason_code"]) for letter in cell.engine.dead_letters("default").items]
    assert letters == [], letters  # with its reason: this module's asserts are not rewritten
    for run_id in runs:
        run = cell.engine.run("default", run_id)
        assert run["status"] == "succeeded", run
        told = _told(cell, run_id)
        assert told["run.succeeded", None] == 1
        assert {step: told["step.succeeded", step] for step in STEPS} == dict.fromkeys(STEPS, 1), (run_id, told)
    executions = Counter(cell.executed())
    assert {job: count for job, count in executions.items() if count > 1} == {}  # at most once an attempt
    ran = {job_id.rpartition("@")[0] for job_id in executions}
    assert ran == {f"{run_id}:{step}" for run_id in runs for step in STEPS}  # at least once a step


def _count_runs(cell: Cell) -> int:
    count, position = 0, None
    while True:
        page = cell.engine.runs("default", limit=200, after=position)
        count += len(page.items)
        position = page.next
        if position is None:
            return count


def _told(cell: Cell, run_id: str) -> Counter[tuple[str, str | None]]:
    events = cell.engine.timeline("default", run_id, limit=200).items
    return Counter((event["type"], event["step_id"]) for event in events)
