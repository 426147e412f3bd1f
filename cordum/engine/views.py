"""Runs, steps, approvals and dead letters as the documents of CONTRACT.md section 5."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache, partial
from typing import Any

from cordum.domain.context import fold
from cordum.domain.ids import JobId
from cordum.domain.instances import Instance, Role
from cordum.domain.redaction import redacted
from cordum.domain.run import StepState
from cordum.domain.states import RunStatus, StepStatus
from cordum.domain.workflow import Delay, SignalWait, Workflow
from cordum.engine.advice import action_for
from cordum.engine.concurrency import why_limited
from cordum.store.codec import from_json
from cordum.store.queues import Pause
from cordum.store.quotas import Standing
from cordum.store.runs import Snapshot

_HELD_BY_PAUSE = frozenset({StepStatus.PENDING, StepStatus.READY, StepStatus.QUEUED, StepStatus.RETRYING})
WAITS_FOR_WORKERS = frozenset({StepStatus.READY, StepStatus.QUEUED})


SYSTEM = "cordum"
"""Who did what no person and no worker has done."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """What a run depends on outside itself, at the moment it is shown.

    `governed`: there is a policy that can be used. `served`: the topics that living workers take jobs of, `paused`:
    those whose queue is paused, `routed`: the routes for which there is an eligible worker; all this is asked for only
    when a step waits for a worker. `limited`: the steps that wait for a place in what is shared with other runs.
    """

    governed: bool
    served: frozenset[str]
    limited: Mapping[str, Standing] = field(default_factory=dict)
    paused: Mapping[str, Pause] = field(default_factory=dict)
    routed: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Children:
    """Children of fan-outs and loops that are over, and the outputs of all children."""

    over: Mapping[str, StepState] = field(default_factory=dict)
    outputs: Mapping[str, Any] = field(default_factory=dict)


def rfc3339(at_ms: int | None) -> str | None:
    """Milliseconds since the epoch as RFC 3339 UTC with milliseconds."""
    if at_ms is None:
        return None
    return f"{_second(at_ms // 1000)}.{at_ms % 1000:03d}Z"


@lru_cache(maxsize=1024)
def _second(at: int) -> str:
    """What is shown together mostly happened together."""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%S}"


def _time(text: str | None) -> str | None:
    return rfc3339(int(text)) if text else None


# -- runs --------------------------------------------------------------------------------------------------------


def run_summary(fields: Mapping[str, str]) -> dict[str, Any]:
    """A run without its input, output and steps, from its hash."""
    return {
        "id": fields["id"],
        "run_id": fields["id"],
        "workflow_id": fields["workflow_id"],
        "version": int(fields["workflow_version"]),
        "status": fields["status"],
        "tenant": fields["tenant"],
        "labels": json.loads(fields["labels"]),
        "error": json.loads(fields["error"]) if fields.get("error") else None,
        "generation": int(fields["generation"]),
        "created_by": fields["created_by"],
        "triggered_by": fields.get("triggered_by") or fields["created_by"],
        "rerun_of": fields.get("rerun_of"),
        "parent": _parent(fields),
        "compensates": fields.get("compensates"),
        "compensation": {"run_id": fields["compensation"]} if "compensation" in fields else None,
        "dry_run": False,
        "created_at": _time(fields["created_at"]),
        "started_at": _time(fields["created_at"]),
        "completed_at": _time(fields.get("completed_at")),
        "updated_at": _time(fields.get("updated_at")),
    }


def _parent(fields: Mapping[str, str]) -> dict[str, str] | None:
    if "parent_run" not in fields:
        return None
    return {"run_id": fields["parent_run"], "step_id": fields["parent_step"]}


def compensation_view(undoing: Mapping[str, str], steps: list[tuple[str, str, StepState | None]]) -> dict[str, Any]:
    """What the run that undoes another one has reached. `steps`: its step, the step that undoes, and its state."""
    return {
        "run_id": undoing["id"],
        "status": undoing["status"],
        "error": json.loads(undoing["error"]) if undoing.get("error") else None,
        "completed_at": _time(undoing.get("completed_at")),
        "steps": [
            {
                "step_id": step,
                "compensates": ref,
                "status": state.status.public.value if state else "pending",
                "attempts": state.attempt if state else 0,
                "error": state.failure.document() if state and state.failure and not _succeeded(state) else None,
            }
            for step, ref, state in steps
        ],
    }


def run_view(
    workflow: Workflow,
    snapshot: Snapshot,
    inputs: Mapping[str, Any],
    conditions: Conditions,
    children: Children = Children(),
) -> dict[str, Any]:
    """The whole run, children of fan-outs and loops behind the step they belong to."""
    run = snapshot.run
    steps = {**children.over, **run.steps}
    outputs = {**children.outputs, **run.outputs}
    look = _Shown(workflow, snapshot, steps, outputs, inputs, conditions)
    return {
        **run_summary(snapshot.fields),
        "input": run.input,
        "output": from_json(snapshot.fields["output"]) if snapshot.fields.get("output") else None,
        "context": fold(run.writes),
        "wait": _run_wait(look),
        "steps": {ref: step_view(ref, look) for ref in sorted(steps, key=workflow.instances.order)},
    }


@dataclass(frozen=True, slots=True)
class _Shown:
    """Everything that a step's view is made of."""

    workflow: Workflow
    snapshot: Snapshot
    steps: Mapping[str, StepState]
    outputs: Mapping[str, Any]
    inputs: Mapping[str, Any]
    conditions: Conditions


def step_view(ref: str, look: _Shown) -> dict[str, Any]:
    run, state, instance = look.snapshot.run, look.steps[ref], look.workflow.instances[ref]
    step = instance.step
    return {
        "step_id": ref,
        "name": step.name,
        "type": step.kind,
        "status": state.status.public.value,
        "attempts": state.attempt,
        "job_id": str(JobId(run.id, ref, state.attempt)) if instance.leaf and state.attempt else None,
        "topic": step.topic,
        "worker": state.worker,
        "input": _step_input(instance, state, look),
        "output": look.outputs.get(ref),
        "error": state.failure.document() if state.failure and not _succeeded(state) else None,
        "decision": dict(state.decision) if state.decision else None,
        "skip_reason": state.skip_reason.value if state.skip_reason else None,
        "children": _children_of(instance, state, look),
        "child_run_id": state.child_run,
        "item": None,
        "started_at": rfc3339(state.started_at),
        "completed_at": rfc3339(state.completed_at) if state.status.terminal else None,
        "next_attempt_at": rfc3339(state.retry_at) if state.status is StepStatus.RETRYING else None,
        "wait": _step_wait(ref, look),
    }


def _children_of(instance: Instance, state: StepState, look: _Shown) -> list[str] | None:
    if instance.role is Role.GROUP:
        return list(look.workflow.instances.members(instance))
    if instance.role is Role.UNIT:
        return None
    return [f"{instance.ref}[{index}]" for index in range(state.started)]


def _succeeded(state: StepState) -> bool:
    return state.status is StepStatus.SUCCEEDED


def _step_input(instance: Instance, state: StepState, look: _Shown) -> Any:
    """What the latest attempt was given; nothing before there was one."""
    if not state.attempt or instance.role is not Role.UNIT:
        return None
    given = instance.is_job or instance.ref in look.inputs
    return look.inputs.get(instance.ref, look.snapshot.run.input) if given else None


def _step_wait(ref: str, look: _Shown) -> dict[str, Any] | None:
    """Why an open step is not executing (CONTRACT.md 3.1)."""
    state = look.steps[ref]
    since, until = state.ready_at, None
    match state.status:
        case status if look.snapshot.run.status is RunStatus.PAUSED and status in _HELD_BY_PAUSE:
            reason, message = "run_paused", f"the run is paused by {look.snapshot.run.paused_by}: resume it"
        case StepStatus.WAITING:
            reason, message, until = _why_waiting(ref, state, look)
        case StepStatus.RETRYING:
            reason, message, until = "retry_backoff", "waits before its next attempt", state.retry_at
        case StepStatus.READY if ref in look.conditions.limited:
            return _limited(look.conditions.limited[ref], since, partial(_action, ref=ref, state=state, look=look))
        case status if status in WAITS_FOR_WORKERS:
            reason, message = _why_unclaimed(state, look.conditions)
        case StepStatus.PENDING:
            reason, message = _why_pending(ref, look)
        case _:
            return None
    return {
        "reason": reason,
        "message": message,
        "action": _action(reason, ref, state, look),
        "since": rfc3339(since or look.snapshot.run.created_at),
        "until": rfc3339(until),
    }


def _limited(standing: Standing, since: int | None, action: Callable[[str], str]) -> dict[str, Any]:
    reason, message = why_limited(standing)
    return {
        "reason": reason,
        "message": message,
        "action": action(reason),
        "since": rfc3339(since),
        "until": rfc3339(standing.until),
        "holders": list(standing.holders),
    }


def _action(reason: str, ref: str, state: StepState, look: _Shown) -> str:
    run_id, own = look.snapshot.run.id, look.workflow.instances[ref].step.own
    job = str(JobId(run_id, ref, state.attempt)) if state.attempt else None
    signal = own.name if isinstance(own, SignalWait) else "NAME"
    return action_for(reason, run=run_id, step=ref, job=job, topic=state.topic, signal=signal)


def _why_waiting(ref: str, state: StepState, look: _Shown) -> tuple[str, str, int | None]:
    match look.workflow.instances[ref].step.own:
        case Delay():
            return "delay", "waits for its time", state.due
        case SignalWait(name=name):
            about = f" with correlation {state.correlation}" if state.correlation else ""
            return "signal", f"waits for the signal {name}{about}", state.deadline
    return "approval", "waits for a person's decision", state.deadline


def _why_unclaimed(state: StepState, conditions: Conditions) -> tuple[str, str]:
    topic = state.topic
    if (pause := conditions.paused.get(topic or "")) is not None:
        why = f" ({pause.reason})" if pause.reason else ""
        return (
            "queue_paused",
            f"{pause.by} has paused the queue {topic}{why}: `cordum queues resume {topic} --reason …`",
        )
    if state.route is not None:
        return _why_routed(state, state.route, conditions)
    if topic not in conditions.served:
        return "no_worker", (
            f"no living worker takes jobs of {topic}: start one that has its function, "
            f"`celery -A cordum worker -Q {topic} -I <module>`"
        )
    if state.status is StepStatus.READY:
        return "pool_overloaded", f"waits for room on {topic}: its workers have as many jobs as they may be sent"
    return "pool_overloaded", f"its message waits on {topic} for a worker with a free slot"


def _why_routed(state: StepState, route: str, conditions: Conditions) -> tuple[str, str]:
    topic, _, wanted = route.partition("?")
    wanted = wanted.replace("&", ", ")
    if route not in conditions.routed:
        return "no_worker", (
            f"no living worker of {topic} has {wanted}: start one with CORDUM_WORKER_LABELS (or CORDUM_WORKER_POOLS), "
            "see `cordum workers`"
        )
    if state.status is StepStatus.READY:
        return "pool_overloaded", f"every worker of {topic} with {wanted} is busy: wait, or start another one"
    return "pool_overloaded", f"its message waits for the worker of {topic} with {wanted} that was chosen for it"


def _why_pending(ref: str, look: _Shown) -> tuple[str, str]:
    workflow, instance = look.workflow, look.workflow.instances[ref]
    step, host = instance.step, instance.host
    if instance.head:
        names = (*step.depends_on, *workflow.handled_by.get(step.id, ()), *workflow.switched_by.get(step.id, ()))
        awaited = [workflow.instances.sibling(instance, name) for name in dict.fromkeys(names)]
    else:
        awaited = []
    if host is not None and look.steps[host].status is not StepStatus.RUNNING:
        awaited.append(host)
    if open_ := [one for one in awaited if one in look.steps and one and not look.steps[one].status.terminal]:
        return "dependencies", f"waits for {', '.join(open_)}"
    if not look.conditions.governed:
        return "policy_unavailable", "waits for a policy that can be used; publish one"
    if host is not None:
        return "max_parallel", f"its group {host} has no room yet"
    return "dependencies", "waits for a coordinator to look at it"


def _run_wait(look: _Shown) -> dict[str, Any] | None:
    """The wait of the first step that keeps an open run from going on."""
    if look.snapshot.run.status.terminal:
        return None
    waits = (_step_wait(ref, look) for ref in sorted(look.snapshot.run.steps, key=look.workflow.instances.order))
    return next((wait for wait in waits if wait and wait["reason"] != "dependencies"), None)


# -- approvals and dead letters ----------------------------------------------------------------------------------


def approval_view(record: Mapping[str, str]) -> dict[str, Any]:
    request = redacted(from_json(record["request"]))
    asked = request if isinstance(request, dict) else {}
    decided = record["state"] in ("approved", "rejected")
    return {
        "job_id": record["job_id"],
        "run_id": record["run_id"],
        "step_id": record["step_id"],
        "workflow_id": record["workflow_id"],
        "job": {
            "id": record["job_id"],
            "state": record["state"],
            "topic": record["topic"],
            "tenant": record["tenant"],
        },
        "state": record["state"],
        "gate": record["gate"],
        "reason": asked.get("approval_reason") or record["reason"] or None,
        "next_effect": asked.get("next_effect"),
        "request": request,
        "approval_required": record["state"] == "pending",
        "policy_snapshot": record["policy_digest"] or None,
        "policy_rule_id": record["rule_id"] or None,
        "policy_reason": record["reason"] or None,
        "submitted_by": record["submitted_by"],
        "requested_at": rfc3339(int(record["at"])),
        "decision": record["state"] if decided else None,
        "decided_by": record.get("decided_by") if decided else None,
        "decided_at": _time(record.get("decided_at")),
        "comment": record.get("comment") or None,
        "approvers": json.loads(record["approvers"]),
        "quorum": int(record["quorum"]),
        "approved_by": record["voters"].splitlines()
        or ([record["decided_by"]] if record["state"] == "approved" else []),
        "unverified": decided and record.get("verified") == "0",
    }


def dead_letter_view(record: Mapping[str, str]) -> dict[str, Any]:
    """All evidence of CONTRACT.md 3.5, and what has become of it since."""
    failure, evidence = json.loads(record["failure"]), json.loads(record["evidence"])
    decision = evidence["decision"]
    at = rfc3339(int(record["at"]))
    return {
        "id": record["job_id"],
        "job_id": record["job_id"],
        "run_id": record["run_id"],
        "step_id": record["step_id"],
        "workflow_id": record["workflow_id"],
        "workflow_version": int(record["workflow_version"]),
        "tenant": record["tenant"],
        "topic": record["topic"] or None,
        "worker": record["worker"] or None,
        "state": record["state"],
        "status": record["status"],
        "original_state": record["status"],
        "attempts": int(record["attempts"]),
        "retry_count": int(record["attempts"]) - 1,
        "reason_code": record["reason_code"],
        "group": record["group"],
        "error": failure["message"],
        "error_class": failure.get("class"),
        "traceback": failure.get("traceback"),
        "history": [_past_attempt(one) for one in evidence["history"]],
        "payload_digest": record["payload_digest"] or None,
        "policy_snapshot": decision.get("policy_snapshot"),
        "policy_rule_id": decision.get("rule_id"),
        "trace_id": None,
        "rescued": record["state"] == "rescued",
        "evidence": {name: evidence[name] for name in ("retries", "losses", "decision")},
        "lineage": {
            "generation": evidence["generation"],
            "replay_of": record["replay_of"] or None,
            "replayed_as": record.get("replayed_as"),
            "rerun_of": record["rerun_of"] or None,
            "parent_run_id": record["parent_run"] or None,
            "bulk_retry": record.get("bulk") or None,
        },
        "handled_by": record.get("handled_by") or None,
        "handled_reason": record.get("handled_reason") or None,
        "handled_at": _time(record.get("handled_at")),
        "taken_by": record.get("taken_by"),
        "taken_at": _time(record.get("taken_at")),
        "first_at": rfc3339(int(record["first_at"])),
        "failed_at": at,
        "last_at": at,
    }


def _past_attempt(one: Mapping[str, Any]) -> dict[str, Any]:
    return {**one, "started_at": rfc3339(one["started_at"]), "ended_at": rfc3339(one["ended_at"])}
