"""How a run of any definition must end: the model played to the end with given workers, people and order.

`play` drives the model's `Cell` and the real `Rig` alike, so that both can be asked the same question.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.proof.cell import Cell
from tests.proof.state import RUN_ENDED

START_MS = 1_000_000
MOST_ACTS = 500
WORKER = "w1"
RUN = "r0"


@dataclass(frozen=True)
class Behaviour:
    """What workers and people do. Attempts by step, the first first: `success retryable fatal timeout lost hang`,
    success when the list is over; `decisions` by step: `approved rejected ignored`, approved when there is none.
    """

    attempts: Mapping[str, Sequence[str]] = field(default_factory=dict)
    decisions: Mapping[str, str] = field(default_factory=dict)

    def of_attempt(self, job: str) -> str:
        step, _, attempt = job.partition(":")[2].partition("@")
        listed = self.attempts.get(step, ())
        return listed[int(attempt) - 1] if int(attempt) <= len(listed) else "success"

    def of_approval(self, job: str) -> str:
        return self.decisions.get(job.partition(":")[2].partition("@")[0], "approved")


def expected_end(
    definition: Mapping[str, Any],
    behaviour: Behaviour,
    order: Sequence[int] = (),
    *,
    policies: Mapping[str, Mapping[str, str]],
    policy: str = "open",
) -> dict[str, Any]:
    """The end of the only run: its status, error, output and steps, and its dead letters and approvals."""
    topics = sorted({topic for verdicts in policies.values() for topic in verdicts})
    cell = Cell({name: dict(verdicts) for name, verdicts in policies.items()}, topics, START_MS)
    return play(cell, definition, behaviour, order, policy)


def play(
    subject: Any, definition: Mapping[str, Any], behaviour: Behaviour, order: Sequence[int], policy: str
) -> dict[str, Any]:
    """`order` chooses, at each moment, among what can happen next; when nothing can, time goes on."""
    subject.publish(policy)
    subject.heartbeat(WORKER)
    subject.submit(RUN, "acme", "w", definition, {"x": 1})
    choices = list(order)
    for _ in range(MOST_ACTS):
        subject.coordinate()
        view = subject.view()
        run = view["runs"][RUN]
        if run["status"] in RUN_ENDED:
            return {**run, "dead": view["dead"], "approvals": view["approvals"]}
        acts = _possible(view, behaviour)
        if acts:
            _do(subject, acts[(choices.pop(0) if choices else 0) % len(acts)], behaviour)
        else:
            subject.tick(max(1, run["timer"] - subject.now))
            subject.heartbeat(WORKER)
    raise AssertionError(f"the run does not end: {run}")


def _possible(view: dict[str, Any], behaviour: Behaviour) -> list[tuple[Any, ...]]:
    claims = [("claim", *queue) for queue in sorted(view["lists"])]
    held = view["held"].get(WORKER, [])
    ends = [("end", job) for job in held if behaviour.of_attempt(job) != "hang"]
    decisions = [("decide", job) for job in sorted(view["open"]) if behaviour.of_approval(job) != "ignored"]
    return [*claims, *ends, *decisions]


def _do(subject: Any, act: tuple[Any, ...], behaviour: Behaviour) -> None:
    match act:
        case ("claim", topic, priority):
            job = subject.pop(topic, priority)
            subject.claim(job, WORKER, job)
        case ("decide", job):
            subject.decide(job, behaviour.of_approval(job), "bob")
        case (_, job) if behaviour.of_attempt(job) == "lost":
            subject.lose(job, WORKER, child_died=True)
        case (_, job):
            kind = behaviour.of_attempt(job)
            subject.record(job, WORKER, job, kind, {"by": job} if kind == "success" else None)
