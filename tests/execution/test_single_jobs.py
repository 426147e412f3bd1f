"""Single jobs on real workers: a topic that no workflow has ever named is found and worked on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cordum.engine import Caller

ANN = Caller("acme", "ann")


def ended(cell: Any, eventually: Callable[..., Any], job_id: str) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        cell.engine.coordinate()
        job: dict[str, Any] = cell.engine.single_jobs.get("acme", job_id)
        return job if job["completed_at"] else None

    found: dict[str, Any] = eventually(look, f"the end of the job\n{cell.logs()}")
    return found


@pytest.mark.parametrize("pool", ["threads", "prefork"])
def test_a_job_of_a_topic_that_no_workflow_names(cell: Any, eventually: Callable[..., Any], pool: str) -> None:
    cell.worker("job.t.*", pool=pool)
    job_id = cell.engine.single_jobs.submit(ANN, {"topic": "job.t.echo", "input": {"n": 2**60 + 1}}).id
    job = ended(cell, eventually, job_id)
    assert (job["state"], job["result"], job["attempts"]) == ("succeeded", {"n": 2**60 + 1}, 1)
    assert cell.lines("echo") == [f"echo {job_id}"]


def test_a_job_that_cannot_be_done_is_a_dead_letter(cell: Any, eventually: Callable[..., Any]) -> None:
    cell.worker("job.t.*")
    job_id = cell.engine.single_jobs.submit(ANN, {"topic": "job.t.fatal"}).id
    job = ended(cell, eventually, job_id)
    assert (job["state"], job["error"]) == ("failed", "no use")
    assert cell.engine.letters.get("acme", job_id)["reason_code"] == "fatal"
