"""A Plan as the arguments of the script that commits it (`_commit.lua` is the reader of what is written here)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, TypeAlias

from cordum.domain.audit import audited
from cordum.domain.dead_letters import Signature, signature
from cordum.domain.ids import JobId, is_topic
from cordum.domain.plan import (
    ApprovalRequest,
    DeadLetter,
    Event,
    Handling,
    Job,
    Linked,
    Plan,
    StepChange,
    Target,
    Withdrawal,
)
from cordum.domain.quotas import Quota, QuotaKind
from cordum.domain.routing import PRIORITIES, dead_letter_queue, direct_queue, queue_list
from cordum.domain.run import RunState, StepState
from cordum.domain.states import StepStatus
from cordum.store import keys, names, stats
from cordum.store.codec import (
    SCRIPTS_OWN,
    SPENT_FACTS,
    archived_text,
    changed_facts,
    compensation_fields,
    failure_text,
    fields_of,
    mark,
    own_json,
    to_json,
    writes_text,
)
from cordum.store.envelope import job_message
from cordum.store.prepared import Prepared, PreparedChildren
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
    """Puts one plan into the form of `_commit.lua`. `first_key` is the number of the script's first further key.

    `forward`: dead letters of jobs are also put onto their queue.
    """

    def __init__(
        self, cell: keys.CellKeys, run: RunState, first_key: int, window: int, weight: int, forward: bool = False
    ) -> None:
        self._cell = cell
        self._run = run
        self._own = keys.RunKeys.of(run.id)
        self._first = first_key
        self._window = window
        self._weight = weight
        self._forward = forward
        self._numbers: dict[str, int] = {}
        self._hashes: list[list[int]] = []
        self._values: list[Argument] = []

    def write(
        self,
        plan: Plan,
        new_run: dict[str, str] | None = None,
        rate: Quota | None = None,
        prepared: Prepared | None = None,
        ahead: Sequence[PreparedChildren] = (),
    ) -> Commit:
        run_fields = {**(new_run or {}), **self._run_fields(plan)}
        if prepared is not None:
            run_fields |= {"prepared": str(self._run.version + 1), "prepared_by": str(prepared.epoch)}
            if new_run is None:
                run_fields["template"] = ""  # what it began with is not what is foreseen now
            self._hash(self._own.facts, prepared.facts())
            self._hash(self._own.prepared, [part for pair in prepared.steps.items() for part in pair])
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
        loose = plan.empty and not plan.again and bool(self._run.ahead) and not self._run.held
        self._hash(self._own.facts, ([] if loose else self._facts(plan)) + self._ahead_facts(plan, ahead))
        for children in ahead:
            self._prepare(children)
        self._hash(self._own.inputs, self._inputs(plan))
        for key in (self._own.outputs, self._own.child_outputs):
            self._hash(key, self._outputs(plan, key))
        put_away = {**plan.relabelled, **plan.archived}
        self._hash(self._own.children, [t for r, state in put_away.items() for t in (r, archived_text(state))])
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
            group = _signature(letter)
            about = {
                "class": group.kind,
                "message": group.message,
                "topic": group.topic,
                "reason_code": letter.reason_code,
            }
            self._hash(
                self._cell.letter_groups(self._run.tenant),
                [group.id, to_json({**about, "governance": group.governance})],
            )
        for job_id in plan.rescued:
            self._hash(keys.dead_letter(self._run.id, job_id), ["rescued", "1", "state", "rescued"])
        for job_id in plan.replayed:
            self._hash(keys.dead_letter(self._run.id, job_id), ["state", "replayed", *self._handling(plan, job_id)])
        for job_id in plan.discarded:
            self._hash(keys.dead_letter(self._run.id, job_id), ["state", "discarded", *self._handling(plan, job_id)])
        if plan.compensation is not None:
            linked = compensation_fields(self._run, plan.compensation)
            self._hash(
                keys.RunKeys.of(plan.compensation.run_id).run, [part for pair in linked.items() for part in pair]
            )
        self._values += [event_text(self._run.id, event) for event in plan.events]
        if plan.finished is not None:
            self._values.append(event_text(self._compensated, plan.finished))
        self._values += [
            self._entry(job, number, plan.epoch) if job.quotas else self.record_of(job, plan.epoch)
            for number, job in enumerate(_by_priority(plan.jobs))
        ]
        control = own_json(self._control(plan, new_run is not None, rate, loose))
        return Commit(control, list(self._numbers), self._values)

    def _control(self, plan: Plan, new: bool, rate: Quota | None, loose: bool) -> dict[str, Any]:
        topics = _places_of(plan)
        control: dict[str, Any] = {
            "run": self._run.id,
            "epoch": None if plan.epoch is None else str(plan.epoch),
            "moves": [
                [c.step, mark(c.before), mark(c.after)]
                for c in plan.changes
                if c.before is not None or c.step not in plan.archived  # else it came and went within this plan
            ]
            + [
                [fan, *2 * (mark(self._run.steps[fan]),)] for fan in self._run.ahead if loose and fan in self._run.steps
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
            "tenant": self._run.tenant,
            "dead": [self._dead(letter) for letter in plan.dead_letters],
            "handled": [self._handled(job_id) for job_id in (*plan.rescued, *plan.replayed, *plan.discarded)],
            "changed": not plan.empty,
            "opened": new or (plan.run is not None and plan.run.generation is not None),
            "ended": plan.run is not None and plan.run.status.terminal,
            "spent": SPENT_FACTS,
            "prepared": self._number(self._own.prepared) if plan.run and plan.run.status.terminal else None,
            "wake_at": plan.wake_at,
            "gone": self._gone(plan),
            "brought_back": list(plan.brought_back),
            "children": self._number(self._own.children) if plan.brought_back else None,
            "taken": [str(number) for number in plan.taken],
            "awaited": [self._awaited(*wait) for wait in _waits(plan, after=True)],
            "unawaited": [self._awaited(*wait) for wait in _waits(plan, after=False)],
            "stirred": [self._stirred(run_id) for run_id in self._to_stir(plan)],
            "again": plan.again or None,
            "ahead": bool(self._run.ahead) or None,
            "loose": loose or None,
            "fans": [] if loose else list(plan.wake_after),
            "rate": None if rate is None else self._quotas([rate]),
            "kept": self._kept(plan),
            "linked": self._linked(plan.compensation),
            "told": self._told() if plan.finished else None,
            "audited": self._audited(plan),
        }
        # A JSON null is a true value in Lua: what is absent must not be there.
        return {name: value for name, value in control.items() if value is not None}

    def _audited(self, plan: Plan) -> dict[str, Any] | None:
        """Whose audit the plan's events go into, and which do, by their places."""
        numbers = [number for number, event in enumerate(plan.events) if audited(event)]
        return {"tenant": self._run.tenant, "events": numbers} if numbers else None

    def _told(self) -> dict[str, Any]:
        """Where the run that this one undoes is told of its end."""
        timeline = self._number(keys.RunKeys.of(self._compensated).timeline)
        return {"timeline": timeline, "run": self._compensated, "tenant": self._run.tenant}

    def _gone(self, plan: Plan) -> dict[str, Any] | None:
        """Which instances leave the run's open state, and which facts they may have.

        What is not in the snapshot is not there: whatever writes a fact moves the step on, or the run.
        """
        refs = [ref for ref in plan.archived if ref in self._run.steps]
        known = {name for ref in refs for name in self._run.steps[ref].facts}
        return {"refs": refs, "facts": [*fields_of(known), *SCRIPTS_OWN]} if refs else None

    def _awaited(self, step: str, name: str, correlation: str) -> dict[str, Any]:
        """A step that begins or ceases to wait for a signal by its correlation."""
        about, tenant = names.signal_digest(name, correlation), self._run.tenant
        return {
            "tenant": tenant,
            "member": names.wait_name(self._run.id, step),
            "step": step,
            "waiting": self._number(self._cell.signal_waiting(tenant, about)),
            "kept": self._number(self._cell.kept_signals(tenant, about)),
            "index": self._number(self._cell.kept_index(tenant)),
            "once": self._number(self._own.once),
        }

    def _to_stir(self, plan: Plan) -> list[str]:
        """Runs that have to look because of this one: children whose step is over, or the parent at the end."""
        ended = plan.run is not None and plan.run.status.terminal
        return [*plan.stirred, *([self._run.parent.run_id] if ended and self._run.parent else [])]

    def _kept(self, plan: Plan) -> dict[str, Any] | None:
        """Where a run is known that has ended, or goes on again; those that belong to another are found by it."""
        if plan.run is None or self._run.parent is not None or self._run.compensates is not None:
            return None
        if not plan.run.status.terminal and plan.run.generation is None:
            return None
        tenant = self._run.tenant
        return {
            "ended": self._number(self._cell.ended(tenant)),
            "needed": self._number(self._cell.needed(tenant)),
            "keepers": self._number(self._cell.keepers),
            "tenant": tenant,
        }

    @property
    def _compensated(self) -> str:
        """The run that this one undoes."""
        return self._run.compensates or ""

    def _linked(self, linked: Linked | None) -> dict[str, Any] | None:
        """Where a run that is created beside this one is known."""
        if linked is None:
            return None
        tenant, workflow_id = self._run.tenant, self._run.workflow_id
        return {
            "run": linked.run_id,
            "key": self._number(keys.RunKeys.of(linked.run_id).run),
            "runs": self._number(self._cell.runs(tenant)),
            "runs_of": self._number(self._cell.runs_of(tenant, workflow_id)),
        }

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
        fields = {"undoable": "1"} if plan.undoable else {}
        if plan.compensation is not None:
            fields["compensation"] = plan.compensation.run_id
        if plan.run is None:
            return fields
        fields["status"] = plan.run.status.value
        if plan.run.undo:
            fields["undo"] = "1"
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

    def facts_of_job(self, change: StepChange, job: Job) -> list[Argument]:
        """What a dispatch writes beside the step's mark, less the time."""
        written = self._facts(Plan(changes=(change,), jobs=(job,)))
        pairs = zip(written[::2], written[1::2], strict=True)
        return [part for name, value in pairs if name != f"{job.step}#ready_at" for part in (name, value)]

    def _facts(self, plan: Plan) -> list[Argument]:
        facts: list[Argument] = []
        for change in plan.changes:
            if change.step not in plan.archived:
                facts += changed_facts(change.step, change.before, change.after)
        for fan, count in plan.wake_after.items():
            facts += (f"{fan}#wake_after", count)
        for job in plan.jobs:
            if job.quotas or self._had_quotas(job.step):
                facts += (f"{job.step}#places", self._quotas(job.quotas))
            shape = "" if job.shape is None else to_json(job.shape)
            facts += (f"{job.step}#terms", f"{job.timeout_ms} {job.retries_left} {shape}")
        return facts

    def _ahead_facts(self, plan: Plan, ahead: Sequence[PreparedChildren]) -> list[Argument]:
        facts: list[Argument] = []
        for children in ahead:
            facts += (f"{children.known.fan}#ahead", children.fact)
            facts += [part for ref in children.known.begun for part in (f"{ref}#alike", children.known.epoch)]
        if plan.run is not None and plan.run.generation is not None:  # children have a past from here on
            facts += [part for fan in self._run.ahead for part in (f"{fan}#ahead", "")]
        return facts

    def _prepare(self, children: PreparedChildren) -> None:
        known = children.known
        if known.child is not None:
            digests = [part for ref, digest in known.hashes.items() for part in (ref, digest)]
            self._hash(self._own.prepared, [known.fan, children.text, *digests])
            self._hash(self._own.inputs, [part for ref, own in known.inputs.items() for part in (ref, to_json(own))])

    def _outputs(self, plan: Plan, key: str) -> list[Argument]:
        own = ((step, value) for step, value in plan.outputs.items() if self._own.outputs_of(step) == key)
        return [part for step, value in own for part in (step, to_json(value))]

    def _inputs(self, plan: Plan) -> list[Argument]:
        """What steps were given, where it is not the run's input: jobs as sent, requests as people are asked."""
        own = [(job.step, job.input) for job in plan.jobs if job.own_input]
        asked = [(request.step, request.request) for request in plan.approvals]
        dead = [(letter.step, letter.input) for letter in plan.dead_letters if letter.own_input]
        return [part for step, value in (*own, *asked, *dead) for part in (step, to_json(value))]

    def _job_id(self, part: Job | ApprovalRequest | DeadLetter | Withdrawal) -> str:
        return str(JobId(self._run.id, part.step, part.attempt))

    def _job(self, job: Job, topics: Sequence[Place]) -> dict[str, Any]:
        place = (job.topic, None if job.route is None else str(job.route))
        shown: dict[str, Any] = {
            "id": self._job_id(job),
            "ready": self._number(self._cell.ready(place[1] or job.topic, job.priority, self._run.tenant)),
            "topic": topics.index(place) + 1,
            "priority": job.priority,
            **({"limited": 1} if job.quotas else {}),
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

    def _had_quotas(self, step: str) -> bool:
        return step in self._run.steps and bool(self._run.steps[step].quotas)

    def _quotas(self, quotas: Sequence[Quota]) -> str:
        """What a job needs places in, as `_quota.lua` reads it; empty when it needs none."""
        return "\n".join((f"{self._cell.waiting} {self._cell.alarms}", *map(self._quota, quotas))) if quotas else ""

    def _quota(self, quota: Quota) -> str:
        places, waiters = self._cell.places(quota.id), self._cell.waiters(quota.id)
        shared = quota.kind is QuotaKind.POOL
        registry = self._cell.pool_quotas if shared else self._cell.quotas(self._run.tenant)
        token = self._cell.pools if shared else quota.token or "-"
        return f"{places} {waiters} {quota.most} {quota.window_ms} {token} {registry} {quota.id}"

    def _entry(self, job: Job, number: int, epoch: int | None) -> str:
        """What is needed to send a job on that waits for its quotas."""
        topic, tenant, route = job.topic, self._run.tenant, None if job.route is None else str(job.route)
        line = route or topic
        way = (
            *(_turn(job, number), topic, job.priority, self._cell.window(topic), self._cell.turns(line)),
            *(self._cell.parked(line), self._cell.ready(line, job.priority, tenant)),
            *(("-", "-") if route is None else (route, self._cell.routes)),
        )
        names = "\n".join(to_json([quota.kind.value, quota.name, quota.most]) for quota in job.quotas)
        return "\n\n".join((" ".join(map(str, way)), self._quotas(job.quotas), names, self.record_of(job, epoch)))

    def record_of(self, job: Job, epoch: int | None) -> str:
        """What `_release.lua` needs to send the job; the order is that of its header. `epoch`: it was decided by."""
        job_id = self._job_id(job)
        queue = queue_list(job.topic, job.priority)
        event = attempt_event_text(
            "step.queued",
            JobId(self._run.id, job.step, job.attempt),
            source="pending",
            target="queued",
            data=(("topic", job.topic), ("rule_id", job.rule_id), ("policy_snapshot", job.policy_digest)),
        )
        return "\n".join(
            (
                str(self._weight),
                self._own.run,
                self._own.steps,
                job.step,
                str(job.attempt),
                str(epoch),
                self._own.facts,
                self._own.timeline,
                queue,
                self._cell.sent(queue),
                event,
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
        if gone.quotas:
            shown["quotas"] = self._quotas(gone.quotas)
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

    def _dead(self, letter: DeadLetter) -> dict[str, Any]:
        job_id = self._job_id(letter)
        key = self._number(keys.dead_letter(self._run.id, job_id))
        shown: dict[str, Any] = {"job": job_id, "key": key, "group": _signature(letter).id}
        if self._forward and letter.topic is not None and is_topic(letter.topic):
            queue = dead_letter_queue(letter.topic)
            shown["list"], shown["sent"] = self._number(queue), self._number(self._cell.sent(queue))
            shown["message"] = job_message(job_id, queue, 0)
        return shown

    def _handled(self, job_id: str) -> dict[str, Any]:
        return {"job": job_id, "key": self._number(keys.dead_letter(self._run.id, job_id))}

    def _handling(self, plan: Plan, job_id: str) -> list[Argument]:
        """Who has dealt with a dead letter, and, where its step is tried again, what comes of it."""
        by = plan.handling or Handling("", "")
        said: list[Argument] = ["handled_by", by.actor, "handled_reason", by.reason, "bulk", by.bulk]
        job = JobId.parse(job_id)
        if plan.run is not None and plan.run.generation is not None and job is not None:
            following = str(JobId(job.run_id, job.step, job.attempt + 1))
            said += ["replayed_as", following, "replayed_in", plan.run.generation]
        return said

    def _dead_letter(self, letter: DeadLetter) -> list[Argument]:
        return [
            *("job_id", self._job_id(letter), "run_id", self._run.id, "step_id", letter.step),
            *("attempts", letter.attempt, "tenant", self._run.tenant, "workflow_id", self._run.workflow_id),
            *("workflow_version", self._run.workflow_version, "status", letter.status.value, "state", "open"),
            *("reason_code", letter.reason_code, "failure", failure_text(letter.failure)),
            *("topic", letter.topic or "", "worker", letter.worker or "", "first_at", letter.first_at),
            *("evidence", to_json(dict(letter.evidence)), "group", _signature(letter).id),
            *("payload_digest", letter.payload_digest or ""),
            *("replay_of", letter.replay_of or "", "rerun_of", self._run.rerun_of or ""),
            *("parent_run", self._run.parent.run_id if self._run.parent else ""),
        ]


_AGES_MS = 4 * 10**12  # longer than anybody waits
_MOST_TOLD_APART = 512


def _turn(job: Job, number: int) -> int:
    """Whose turn it is: by priority, then time, then the order within a plan; exact as a score of Redis."""
    rank = PRIORITIES.index(job.priority)
    return (rank * _AGES_MS + job.since) * _MOST_TOLD_APART + min(number, _MOST_TOLD_APART - 1)


def _waits(plan: Plan, *, after: bool) -> Iterable[tuple[str, str, str]]:
    """Steps that wait after a plan and did not before, or the other way round: (step, signal, correlation)."""
    for change in plan.changes:
        here, there = (change.after, change.before) if after else (change.before, change.after)
        found = _wait_of(here)
        if found is not None and _wait_of(there) is None:
            yield change.step, *found


def _wait_of(state: StepState | None) -> tuple[str, str] | None:
    if state is None or state.status is not StepStatus.WAITING or state.awaits is None:
        return None
    return state.awaits, state.correlation or ""


def _signature(letter: DeadLetter) -> Signature:
    return signature(letter.topic, letter.failure)


def _by_priority(jobs: Iterable[Job]) -> list[Job]:
    """The order in which they are given what room there is."""
    return sorted(jobs, key=lambda job: job.priority)


def _places_of(plan: Plan) -> list[Place]:
    """Topics and routes that gain a job or a free place."""
    jobs = ((job.topic, None if job.route is None else str(job.route)) for job in plan.jobs)
    freed = ((gone.topic, None) for gone in plan.withdrawals if gone.topic)
    return list(dict.fromkeys([*jobs, *freed]))


# Stands for the run's id in what events of many runs have alike: no name of a step or a worker holds this character.
_RUN = "\x7f"


def attempt_event_text(
    type_: str,
    job: JobId,
    source: str | None = None,
    target: str | None = None,
    actor: str | None = None,
    data: tuple[tuple[str, str | None], ...] = (),
) -> str:
    """`event_text` of what happens to attempts again and again, from a template made once for all runs."""
    return _template(type_, job.step, job.attempt, source, target, actor, data).replace(_RUN, job.run_id)


@lru_cache(maxsize=4096)
def _template(
    type_: str,
    step: str,
    attempt: int,
    source: str | None,
    target: str | None,
    actor: str | None,
    data: tuple[tuple[str, str | None], ...],
) -> str:
    return event_text(_RUN, Event(type_, step, attempt, source, target, actor, dict(data)))


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
