"""The history checker sees: one history that keeps every promise, and for each promise histories that break it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.proof.history import PROMISES, Call, Execution, History, RunHistory, broken_promises

pytestmark = pytest.mark.proof

DEFINITION = {
    "steps": {
        "a": {"topic": "job.a", "retry": {"max_retries": 1}},
        "b": {"topic": "job.b", "depends_on": ["a"], "on_error": "h"},
        "h": {"topic": "job.a"},
        "gate": {"type": "approval", "depends_on": ["b"]},
        "g": {"type": "parallel", "steps": ["c"], "depends_on": ["gate"]},
        "c": {"topic": "job.a"},
    }
}


def event(what: str, step: str | None = None, attempt: int = 1, at: float = 0.0, **more: Any) -> dict[str, Any]:
    """`what` is the type, with `from>to` behind it where the step moves."""
    name, _, move = what.partition(" ")
    told: dict[str, Any] = {"type": name, "step_id": step, "at": at, **more}
    if step is not None:
        told |= {"job_id": f"r:{step}@{attempt}", "attempt": attempt}
    if move:
        told["from"], told["to"] = move.split(">")
    return told


def job(
    step: str, attempt: int = 1, end: str = "step.succeeded running>succeeded", at: float = 0.0
) -> list[dict[str, Any]]:
    return [
        event("step.decision", step, attempt, at, data={"decision": "allow"}),
        event("step.queued pending>queued", step, attempt, at),
        event("step.started queued>running", step, attempt, at),
        event(end, step, attempt, at),
    ]


DENIED = [
    event("step.ready", "b"),
    event("step.decision", "b", data={"decision": "require_approval"}),
    event("approval.requested pending>waiting", "b"),
    event("approval.rejected waiting>running", "b", actor="bob"),
    event("step.denied running>denied", "b"),
    event("dead_letter.added", "b"),
]
EVENTS = [
    event("run.created"),
    event("step.ready", "a"),
    *job("a", 1, "step.worker_lost"),
    *job("a", 2),
    *DENIED,
    event("step.ready", "h"),
    *job("h"),
    event("step.ready", "gate"),
    event("approval.requested pending>waiting", "gate"),
    event("run.waiting", at=1.0),
    event("approval.approved waiting>succeeded", "gate", actor="bob", at=50.0),
    event("step.started pending>running", "g", at=50.0),
    event("step.ready", "c", at=50.0),
    *job("c", at=50.0),
    event("step.succeeded running>succeeded", "g", at=50.0),
    event("run.succeeded", at=50.0),
    event("result.ignored", "c", at=51.0),
]
ENDS = {"a": "succeeded", "b": "denied", "h": "succeeded", "gate": "succeeded", "g": "succeeded", "c": "succeeded"}
RUN = RunHistory("r", "succeeded", DEFINITION, ENDS, dict.fromkeys(ENDS, 1) | {"a": 2}, EVENTS, created_by="alice")
SUBMIT = Call("submit", "ok", person="alice", workflow="w", key="k", body="1", run="r")
GOOD = History(
    calls=[
        replace(SUBMIT, outcome="unknown", run=None),
        SUBMIT,
        replace(SUBMIT, outcome="fail", body="2", run=None),
        Call("approve", "ok", person="bob", job="r:gate@1"),
        Call("reject", "unknown", person="bob", job="r:b@1"),
        Call("cancel", "unknown", run="r"),
    ],
    executions=[Execution("r:a@1"), Execution("r:a@2"), Execution("r:h@1"), Execution("r:c@1")],
    runs={"r": RUN},
    dead_letters=["r:b@1"],
    faults_over_at=2.0,
    seen_at=60.0,
)


def run_with(**changes: Any) -> History:
    return replace(GOOD, runs={"r": replace(RUN, **changes)})


def told(find: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> History:
    return run_with(events=find(list(EVENTS)))


def with_more(index: int, *more: dict[str, Any]) -> History:
    """Some events more, before the one of this number (negative: from the end)."""
    return told(lambda events: [*events[:index], *more, *events[index:]])


def without(kind: str, step: str | None = None) -> History:
    return told(lambda events: [one for one in events if (one["type"], one["step_id"]) != (kind, step)])


def place(kind: str, step: str) -> int:
    return next(number for number, one in enumerate(EVENTS) if (one["type"], one["step_id"]) == (kind, step))


def moved(kind: str, step: str, index: int) -> History:
    """An event that happened earlier than it may."""

    def find(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
        events.insert(index, events.pop(place(kind, step)))
        return events

    return told(find)


def also(*calls: Call) -> History:
    return replace(GOOD, calls=[*GOOD.calls, *calls])


def executed(*jobs: str) -> History:
    return replace(GOOD, executions=[Execution(one) for one in jobs])


STUCK = [one for one in EVENTS if one["at"] == 0.0]
VIOLATIONS: dict[tuple[str, str], History] = {
    ("P1", "an accepted run is gone"): replace(GOOD, runs={}, dead_letters=[]),
    ("P1", "an accepted cancel has no effect"): replace(
        run_with(status="running", events=STUCK), calls=[SUBMIT, Call("cancel", "ok", run="r")]
    ),
    ("P1", "an accepted decision is not on the timeline"): also(Call("approve", "ok", person="bob", job="r:b@1")),
    ("P1", "a state that nobody knows"): run_with(status="torn"),
    ("P2", "one key, two runs"): also(replace(SUBMIT, run="r2")),
    ("P2", "one key, two requests"): also(replace(SUBMIT, body="2")),
    ("P2", "a run that nobody submitted"): replace(GOOD, runs={"r": RUN, "r2": replace(RUN, id="r2")}),
    ("P2", "another tenant's run"): also(replace(SUBMIT, tenant="other")),
    ("P3", "two endings"): with_more(-1, event("run.failed")),
    ("P3", "no ending"): without("run.succeeded"),
    ("P3", "another ending than the status"): run_with(status="failed"),
    ("P3", "a step moves after the end"): with_more(len(EVENTS), event("step.ready queued>pending", "c")),
    ("P3", "a step leaves a terminal state"): with_more(-2, event("step.queued pending>queued", "a", 3)),
    ("P3", "an edge that does not exist"): without("step.queued", "h"),
    ("P3", "a step is not what its timeline says"): run_with(steps=ENDS | {"c": "failed"}),
    ("P3", "an ended run with an open step"): run_with(steps=ENDS | {"c": "running"}),
    ("P4", "an attempt is queued twice"): with_more(-2, event("step.queued pending>queued", "c")),
    ("P4", "an attempt is claimed twice"): with_more(-2, event("step.started queued>running", "c")),
    ("P5", "a success is applied twice"): with_more(-2, event("step.succeeded running>succeeded", "c")),
    ("P5", "a success that nobody told of"): without("step.succeeded", "c"),
    ("P5", "more executions than attempts"): executed("r:a@1", "r:a@2", "r:h@1", "r:c@1", "r:c@2"),
    ("P6", "an attempt is executed twice"): executed("r:a@1", "r:a@2", "r:a@2", "r:h@1", "r:c@1"),
    ("P6", "a success that nobody executed"): executed("r:a@1", "r:h@1", "r:c@1"),
    ("P6", "two attempts held at once"): without("step.worker_lost", "a"),
    ("P7", "a run stands still after the faults"): replace(
        run_with(status="running", events=STUCK), faults_over_at=20.0, seen_at=60.0
    ),
    ("P7", "a run goes on too late"): told(lambda events: [one for one in events if one["type"] != "run.waiting"]),
    ("P8", "a step before what it depends on"): moved("step.ready", "b", 2),
    ("P8", "a handler before anything failed"): moved("step.queued", "h", place("step.denied", "b")),
    ("P8", "a child before its group"): moved("step.ready", "c", place("step.started", "g")),
    ("P8", "a join is released twice"): with_more(place("step.succeeded", "c"), event("step.ready", "c")),
    ("P9", "a retry before its back-off is over"): with_more(
        place("step.worker_lost", "a") + 1,
        event("step.retrying running>retrying", "a", data={"backoff_ms": 5000}),
    ),
    ("P10", "a dispatch without a decision"): without("step.decision", "h"),
    ("P10", "a dispatch that was denied"): with_more(
        place("step.queued", "h"), event("step.decision", "h", data={"decision": "deny"})
    ),
    ("P10", "one decision for two dispatches"): with_more(
        place("step.started", "h"), event("step.queued pending>queued", "h")
    ),
    ("P11", "a decision that nobody asked for"): with_more(-2, event("approval.approved", "c", actor="bob")),
    ("P11", "two decisions"): with_more(-2, event("approval.rejected", "gate", actor="bob")),
    ("P11", "the submitter decides"): run_with(created_by="bob"),
    ("P11", "the submitter was told yes"): also(Call("approve", "ok", person="alice", job="r:gate@1")),
    ("P11", "dispatched although rejected"): with_more(
        place("step.denied", "b"), event("step.queued pending>queued", "b")
    ),
    ("P13", "a failure without a dead letter"): replace(GOOD, dead_letters=[]),
    ("P13", "a dead letter twice"): replace(GOOD, dead_letters=["r:b@1", "r:b@1"]),
    ("P13", "a dead letter of a success"): replace(GOOD, dead_letters=["r:b@1", "r:c@1"]),
    ("P13", "a dead letter that no timeline tells of"): without("dead_letter.added", "b"),
}


def test_a_history_that_keeps_every_promise() -> None:
    assert broken_promises(GOOD) == []


@pytest.mark.parametrize(("promise", "what"), VIOLATIONS, ids=lambda part: part.replace(" ", "-"))
def test_a_violation_is_seen(promise: str, what: str) -> None:
    found = broken_promises(VIOLATIONS[promise, what])
    assert any(line.startswith(f"{promise}: ") for line in found), found


def test_every_promise_has_a_violation() -> None:
    assert {promise for promise, _ in VIOLATIONS} == PROMISES.keys()
