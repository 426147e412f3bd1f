"""The walk of one job result (ARCHITECTURE.md), followed by its events through real processes."""

from __future__ import annotations

from tests.cells import Cell, eventually
from tests.e2e.topics import TOPICS

TWO = "first: {topic: job.sre.classify}, second: {topic: job.sre.logs, depends_on: [first]}"


def test_the_walk_of_one_job_result(cell: Cell) -> None:
    cell.worker(*TOPICS)
    cell.coordinator()
    run_id = cell.start(TWO)
    run = eventually(lambda: cell.ended_now(run_id), f"the run's end\n{cell.logs()}")
    assert run["status"] == "succeeded"
    told = [(event["type"], event["step_id"]) for event in cell.engine.timeline("acme", run_id, limit=200).items]
    assert told == [
        ("run.created", None),
        ("run.started", None),
        ("step.ready", "first"),
        ("step.decision", "first"),
        ("step.queued", "first"),  # committed with the decision: the message lies on its list
        ("step.started", "first"),  # claim
        ("step.succeeded", "first"),  # record
        ("step.ready", "second"),  # plan and apply
        ("step.decision", "second"),
        ("step.queued", "second"),
        ("step.started", "second"),
        ("step.succeeded", "second"),
        ("run.succeeded", None),
    ]
    assert sorted(cell.executed()) == [f"{run_id}:first@1", f"{run_id}:second@1"]
