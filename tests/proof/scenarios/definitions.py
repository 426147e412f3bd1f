"""Definitions that are saved and deleted while runs of them begin."""

from __future__ import annotations

from tests.proof.explorer.cast import canceller, coordinator, deleter, saver, submitter, worker
from tests.proof.explorer.scenario import Scenario, scenario

ONE = "steps: {a: {topic: job.t}}"
NEW = "steps: {a: {topic: job.t}, b: {topic: job.t}}"


def calls(workflow_id: str) -> str:
    return f"steps: {{s: {{type: subworkflow, workflow_id: {workflow_id}}}}}"


@scenario("create_run.workflow_stored")
def a_deletion_while_runs_begin() -> Scenario:
    """The definition is deleted between its being read and the run's being stored."""
    return Scenario(
        ONE,
        (
            submitter("s1", "k", {"n": 1}),
            submitter("s2", "k", {"n": 1}),
            submitter("s3", None, {"n": 2}),
            deleter("bob"),
            worker("w", "c1-s1:a@1"),
        ),
        runs=(),
    )


@scenario("create_alike.workflow_stored")
def a_deletion_while_runs_of_a_pattern_begin() -> Scenario:
    """The same, with runs that are filled in and not planned."""
    return Scenario(
        ONE,
        (
            submitter("s1", "k", {"n": 1}, alike=True),
            submitter("s2", "k", {"n": 1}, alike=True),
            submitter("s3", None, {"n": 2}, alike=True),
            deleter("bob"),
            worker("w", "c1-s1:a@1"),
        ),
        runs=(),
    )


@scenario("delete_workflow.no_open_runs")
def a_deletion_while_a_run_ends() -> Scenario:
    """Deleted before its end, it is in use; a new version and a new run come in between."""
    return Scenario(
        ONE,
        (
            worker("w", "r1:a@1"),
            canceller("bob"),
            coordinator("c1"),
            deleter("carol"),
            saver("dave", "wf", NEW),
        ),
    )


@scenario("save_workflow.definitions_as_seen")
def two_saves_would_close_a_circle() -> Scenario:
    """Each definition alone is good; both together would run themselves."""
    return Scenario(
        ONE,
        (
            saver("bob", "x", calls("y")),
            saver("carol", "y", calls("x")),
            saver("dave", "y", calls("wf")),
            deleter("erin", "y"),
        ),
        runs=(),
    )
