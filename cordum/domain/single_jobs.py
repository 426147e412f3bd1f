"""Single jobs: a job that no workflow asks for is a run of one step, whose definition the run itself carries.

So policy, routing, retries, time-outs, dead letters and what operators do are those of any run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from cordum.domain.ids import JobId
from cordum.domain.workflow import JSON
from cordum.errors import Problem

SINGLE_JOB = "sys.job"
"""The workflow id of all single jobs; no definition of this name can be saved."""
STEP = "job"
DEFAULT_TOPIC = "job.default"

_OF_STEP = (
    "topic",
    "priority",
    "retry",
    "timeout_sec",
    "queue_timeout_sec",
    "concurrency",
    "worker_id",
    "route_labels",
)
_OF_META = ("actor_id", "actor_type", "capability", "risk_tags", "requires")
_PLACES = (f"/steps/{STEP}/meta", f"/steps/{STEP}")


def definition_of(asked: Mapping[str, Any]) -> dict[str, JSON]:
    """The definition of what was asked for; what is empty says nothing. `deadline_ms`: for the job as a whole."""
    given = {name: asked[name] for name in (*_OF_STEP, *_OF_META) if asked.get(name) not in (None, "", [], {})}
    meta = {name: given.pop(name) for name in _OF_META if name in given}
    step = {"type": "worker", "topic": DEFAULT_TOPIC, **given, **({"meta": meta} if meta else {})}
    whole = {"timeout_sec": asked["deadline_ms"] / 1000} if asked.get("deadline_ms") else {}
    return {"id": SINGLE_JOB, **whole, "steps": {STEP: step}}


def input_of(asked: Mapping[str, Any]) -> dict[str, JSON]:
    """What the job is given: `input`, or what clients that exist call `prompt` and `context`."""
    if "input" in asked:
        return dict(asked["input"])
    return {name: asked[name] for name in ("prompt", "context") if name in asked}


def placed(problem: Problem) -> Problem:
    """A problem of the definition, at the place of the request that it comes from."""
    path = "/deadline_ms" if problem.path == "/timeout_sec" else problem.path
    for place in _PLACES:
        path = path.removeprefix(place)
    return replace(problem, path=path, line=None, column=None)


def first_job(run_id: str) -> str:
    """The job id that a submission is answered with, and that stays good for what later attempts do."""
    return str(JobId(run_id, STEP, 1))
