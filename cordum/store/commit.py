"""A Plan as the arguments of the script that commits it (`_commit.lua` is the reader of what is written here)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from cordum.domain.ids import JobId
from cordum.domain.plan import ApprovalRequest, DeadLetter, Event, Job, Plan, Target, Withdrawal
from cordum.domain.routing import direct_queue, queue_list
from cordum.domain.run import RunState
from cordum.domain.states import StepStatus
from cordum.store import keys, stats
from cordum.store.codec import (
    ALL_FACTS,
    archived_text,
    changed_facts,
    failure_text,
    mark,
    own_json,
    to_json,
    writes_text,
)
from cordum.store.envelope import job_message
from cordum.store.scripts import Argument

Place: TypeAlias = tuple[str, str | None]
"""Where ready jobs wait: a topic, and the route for those that ask for more."""


@dataclass
class Commit:
    """What a commit script takes: its control document, the keys it is told by number, and the opaque values."""

    control: str = ""
    more_keys: list[str] = field(default_factory=list)
    values: list[Argument] = field(default_factory=list)


class CommitWriter:
    """Puts one plan into the form of `_commit.lua`. `first_key` is the number of the script's first further key."""

    def __init__(self, cell: keys.CellKeys, run: RunState, first_key: int, window: int, weight: int) -> None:
        self._cell = cell
        self._run = run
        self._own = keys.RunKeys.of(run.id)
        self._first = first_key
        self._window = window
        self._weight = weight
        self._numbers: dict[str, int] = {}
        self._hashes: list[list[int]] = []
        self._values: list[Argument] = []

    def write(self, plan: Plan, new_run: dict[str, str] | None = None) -> Commit:
        run_fields = {**(new_run or {}), **self._run_fields(plan)}
        self._hash(self._own.run, [part for pair in run_fields.items() for part in pair])
        if new_run is not None:
            self._hash(
                self._own.steps, [part for step, state in self._run.steps.items() for part in (step, mark(state))]
            )
            self._hash(
                self._own.facts,
                [f for step, state in self._run.steps.items() for f in changed_facts(step, None, state)],
            )
            self._hash(
                self._own.outputs, [t for step, value in self._run.outputs.items() for t in (step, to_json(value))]
            )
            self._hash(
                self._own.context, [t for step, own in self._run.writes.items() for t in (step, writes_text(own))]
            )
        self._hash(self._own.facts, self._facts(plan))
        self._hash(self._own.inputs, self._inputs(plan))
        for key in (self._own.outputs, self._own.child_outputs):
            self._hash(key, self._outputs(plan, key))
        self._hash(self._own.children, [t for r, state in plan.archived.items() for t in (r, archived_text(state))])
        self._hash(
            self._own.items, [t for (fan, n), block in plan.items.items() for t in (f"{fan}#{n}", to_json(block))]
        )
        self._hash(self._own.context, [t for step, writes in plan.writes.items() for t in (step, writes_text(writes))])
        for request in plan.approvals:
            self._hash(keys.approval(self._run.id, self._job_id(request)), self._approval(request))
        for job_id, approvers in plan.handed_on.items():
            self._hash(keys.approval(self._run.id, job_id), ["approvers", to_json(list(approvers))])
        for letter in plan.dead_letters:
            self._hash(keys.dead_letter(self._run.id, self._job_id(letter)), self._dead_letter(letter))
        for job_id in plan.rescued:
            self._hash(keys.dead_letter(self._run.id, job_id), ["rescued", "1"])
        for job_id in plan.replayed:
            self._hash(keys.dead_letter(self._run.id, job_id), ["state", "replayed"])
        self._values += [event_text(self._run.id, event) for event in plan.events]
        self._values += [self._record(job) for job in _by_priority(plan.jobs)]
        control = own_json(self._control(plan, new_run is not None))
        return Commit(control, list(self._numbers), self._values)

    def _control(self, plan: Plan, new: bool) -> dict[str, Any]:
        topics = _places_of(plan)
        control: dict[str, Any] = {
            "run": self._run.id,
            "epoch": None if plan.epoch is None else str(plan.epoch),
            "moves": [
                [c.step, mark(c.before), mark(c.after)]
                for c in plan.changes
                if c.before is not None or c.step not in plan.archived  # else it came and went within this plan
            ],
            "hashes": self._hashes,
            "events": len(plan.events),
            "withdrawn": [self._withdrawal(gone) for gone in plan.withdrawals],
            "jobs": [self._job(job, topics) for job in _by_priority(plan.jobs)],
            "counts": list(stats.counts_of(self._run, plan, new=new).items()),
            "topics": [self._topic(*place) for place in topics],
            "routes": self._number(self._cell.routes) if any(job.route for job in plan.jobs) else None,
            "window": self._window,
            "asked": [self._job_id(request) for request in plan.approvals],
            "closed": [self._closed(job_id, state) for job_id, state in plan.closed_approvals],
            "dead": [self._job_id(letter) for letter in plan.dead_letters],
            "changed": not plan.empty,
            "opened": new or (plan.run is not None and plan.run.generation is not None),
            "ended": plan.run is not None and plan.run.status.terminal,
            "wake_at": plan.wake_at,
            "gone": self._gone(plan),
            "brought_back": list(plan.brought_back),
            "children": self._number(self._own.children) if plan.brought_back else None,
            "taken": [str(number) for number in plan.taken],
            "stirred": [self._stirred(run_id) for run_id in self._to_stir(plan)],
            "again": plan.again or None,
            "fans": list(plan.wake_after),
        }
        # A JSON null is a true value in Lua: what is absent must not be there.
        return {name: value for name, value in control.items() if value is not None}

    def _gone(self, plan: Plan) -> dict[str, Any] | None:
        """Which instances leave the run's open state, and which facts they may have."""
        refs = [ref for ref in plan.archived if ref in self._run.steps]
        return {"refs": refs, "facts": ALL_FACTS} if refs else None

    def _to_stir(self, plan: Plan) -> list[str]:
        """Runs that have to look because of this one: children whose step is over, or the parent at the end."""
        ended = plan.run is not None and plan.run.status.terminal
        return [*plan.stirred, *([self._run.parent.run_id] if ended and self._run.parent else [])]

    def _stirred(self, run_id: str) -> dict[str, Any]:
        return {"key": self._number(keys.RunKeys.of(run_id).run), "run": run_id}

    # -- parts ---------------------------------------------------------------------------------------------------

    def _number(self, key: str) -> int:
        """The number by which the script finds a key."""
        if key not in self._numbers:
            self._numbers[key] = self._first + len(self._numbers)
        return self._numbers[key]

    def _hash(self, key: str, fields_and_values: Sequence[Argument]) -> None:
        if fields_and_values:
            self._hashes.append([self._number(key), len(fields_and_values) // 2])
            self._values += fields_and_values

    def _run_fields(self, plan: Plan) -> dict[str, str]:
        if plan.run is None:
            return {}
        fields = {"status": plan.run.status.value}
        if plan.run.has_output:
            fields["output"] = to_json(plan.run.output)
        if plan.run.error is not None:
            fields["error"] = to_json(plan.run.error)
        if plan.run.paused is not None:
            at, by = plan.run.paused or ("", "")
            fields |= {"paused_at": str(at), "paused_by": by}
        if plan.run.generation is not None:
            anew = {"error": "", "output": "", "completed_at": "", "deadline": str(plan.run.deadline or "")}
            fields |= {"generation": str(plan.run.generation), **anew}
        return fields

    def _facts(self, plan: Plan) -> list[Argument]:
        facts: list[Argument] = []
        for change in plan.changes:
            if change.step not in plan.archived:
                facts += changed_facts(change.step, change.before, change.after)
        for fan, count in plan.wake_after.items():
            facts += (f"{fan}#wake_after", count)
        for job in plan.jobs:
            if job.shape is not None:
                facts += (f"{job.step}#shape", to_json(job.shape))
            facts += (f"{job.step}#timeout_ms", job.timeout_ms, f"{job.step}#retries_left", job.retries_left)
        return facts

    def _outputs(self, plan: Plan, key: str) -> list[Argument]:
        own = ((step, value) for step, value in plan.outputs.items() if self._own.outputs_of(step) == key)
        return [part for step, value in own for part in (step, to_json(value))]

    def _inputs(self, plan: Plan) -> list[Argument]:
        """What steps were given, where it is not the run's input: jobs as sent, requests as people are asked."""
        own = [(job.step, job.input) for job in plan.jobs if job.own_input]
        asked = [(request.step, request.request) for request in plan.approvals]
        return [part for step, value in (*own, *asked) for part in (step, to_json(value))]

    def _job_id(self, part: Job | ApprovalRequest | DeadLetter | Withdrawal) -> str:
        return str(JobId(self._run.id, part.step, part.attempt))

    def _job(self, job: Job, topics: Sequence[Place]) -> dict[str, Any]:
        place = (job.topic, None if job.route is None else str(job.route))
        shown = {
            "id": self._job_id(job),
            "ready": self._number(self._cell.ready(place[1] or job.topic, job.priority, self._run.tenant)),
            "topic": topics.index(place) + 1,
            "priority": job.priority,
        }
        return shown | ({"targets": [self._target(target) for target in job.targets]} if job.targets else {})

    def _target(self, target: Target) -> dict[str, Any]:
        queue = direct_queue(target.worker)
        return {
            "worker": target.worker,
            "most": target.most,
            "held": self._number(self._cell.held(target.worker)),
            "list": self._number(queue),
            "sent": self._number(self._cell.sent(queue)),
        }

    def _record(self, job: Job) -> str:
        """What `_release.lua` needs to send the job; the order is that of its header."""
        job_id = self._job_id(job)
        queue = queue_list(job.topic, job.priority)
        event = Event(
            "step.queued", job.step, job.attempt, source="pending", target="queued", data={"topic": job.topic}
        )
        return "\n".join(
            (
                str(self._weight),
                self._own.steps,
                job.step,
                str(job.attempt),
                self._own.facts,
                self._own.timeline,
                queue,
                self._cell.sent(queue),
                event_text(self._run.id, event),
                job_message(job_id, job.topic, job.priority),
            )
        )

    def _withdrawal(self, gone: Withdrawal) -> dict[str, Any]:
        topic, priority = gone.topic or "", gone.priority or 0
        shown: dict[str, Any] = {
            "job": self._job_id(gone),
            "window": self._number(self._cell.window(topic)),
            "parked": self._number(self._cell.parked(gone.route or topic)),
            "sent": self._number(self._cell.sent(gone.direct or queue_list(topic, priority))),
        }
        if gone.worker is not None and gone.status is StepStatus.RUNNING:
            shown["held"] = self._number(self._cell.held(gone.worker))
            shown["stops"] = self._number(self._cell.stops(gone.worker))
        return shown

    def _topic(self, topic: str, route: str | None) -> dict[str, Any]:
        place = route or topic
        shown: dict[str, Any] = {
            "name": topic,
            "window": self._number(self._cell.window(topic)),
            "turns": self._number(self._cell.turns(place)),
            "parked": self._number(self._cell.parked(place)),
        }
        return shown if route is None else {**shown, "route": route}

    def _closed(self, job_id: str, state: str) -> dict[str, Any]:
        return {"key": self._number(keys.approval(self._run.id, job_id)), "job": job_id, "state": state}

    def _approval(self, request: ApprovalRequest) -> list[Argument]:
        return [
            *("job_id", self._job_id(request), "run_id", self._run.id, "step_id", request.step),
            *("attempt", request.attempt, "tenant", self._run.tenant, "workflow_id", self._run.workflow_id),
            *("gate", request.gate, "topic", request.topic, "state", "pending"),
            *("request_hash", request.request_hash, "policy_digest", request.policy_digest),
            *("rule_id", request.rule_id or "", "reason", request.reason or ""),
            *("request", to_json(request.request), "submitted_by", self._run.created_by),
            *("approvers", to_json(list(request.approvers)), "quorum", request.quorum, "votes", 0, "voters", ""),
        ]

    def _dead_letter(self, letter: DeadLetter) -> list[Argument]:
        return [
            *("job_id", self._job_id(letter), "run_id", self._run.id, "step_id", letter.step),
            *("attempts", letter.attempt, "tenant", self._run.tenant, "workflow_id", self._run.workflow_id),
            *("workflow_version", self._run.workflow_version, "status", letter.status.value, "state", "open"),
            *("reason_code", letter.reason_code, "failure", failure_text(letter.failure)),
            *("topic", letter.topic or "", "worker", letter.worker or "", "first_at", letter.first_at),
            *("evidence", to_json(dict(letter.evidence))),
        ]


def _by_priority(jobs: Iterable[Job]) -> list[Job]:
    """The order in which they are given what room there is."""
    return sorted(jobs, key=lambda job: job.priority)


def _places_of(plan: Plan) -> list[Place]:
    """Topics and routes that gain a job or a free place."""
    jobs = ((job.topic, None if job.route is None else str(job.route)) for job in plan.jobs)
    freed = ((gone.topic, None) for gone in plan.withdrawals if gone.topic)
    return list(dict.fromkeys([*jobs, *freed]))


def event_text(run_id: str, event: Event) -> str:
    """An event as it lies in the timeline; number and time are the script's."""
    document: dict[str, Any] = {"type": event.type}
    if event.step is not None:
        document["step_id"] = event.step
    if event.attempt is not None:
        document["attempt"] = event.attempt
        if event.step is not None:
            document["job_id"] = str(JobId(run_id, event.step, event.attempt))
    for name, value in (("actor", event.actor), ("from", event.source), ("to", event.target)):
        if value is not None:
            document[name] = value
    if event.data:
        document["data"] = dict(event.data)
    return own_json(document)
