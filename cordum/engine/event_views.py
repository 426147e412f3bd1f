"""Events of timelines as documents, and the decisions among them (CONTRACT.md sections 5 and 11)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from cordum.engine.views import SYSTEM, rfc3339

# Why what always happens for the same reason; whoever has another one says so in the event.
_WHY = {
    "run.created": "somebody or something started it",
    "run.started": "its first plan was made",
    "run.waiting": "nothing is in flight, and an approval, a signal or a delay is awaited",
    "run.resumed": "something is in flight again",
    "run.succeeded": "all its steps are settled",
    "step.ready": "what it depends on is settled",
    "step.decision": "the policy is asked before every dispatch",
    "step.queued": "the policy allows it, and its topic has room",
    "step.started": "a worker has claimed it, or what it owns has begun",
    "step.progress": "its worker says how far it is",
    "step.succeeded": "it did what it is there for",
    "step.cancelled": "nobody needs it any more",
    "approval.requested": "its definition asks for a person",
    "approval.reminded": "nobody has decided yet",
    "approval.escalated": "nobody decided in time",
    "approval.expired": "nobody decided in time",
    "approval.approved": "its person allows it",
    "approval.rejected": "its person does not allow it",
    "run.reopened": "somebody retries it",
    "signal.received": "somebody sent it",
    "result.ignored": "the attempt is not the one that counts",
    "notify": "its definition says so",
}


def event_view(run_id: str, event: Mapping[str, Any]) -> dict[str, Any]:
    time = rfc3339(event["at_ms"])
    return {
        "seq": event["seq"],
        "time": time,
        "timestamp": time,
        "type": event["type"],
        "run_id": run_id,
        "step_id": event.get("step_id"),
        "job_id": event.get("job_id"),
        "attempt": event.get("attempt"),
        "actor": event.get("actor") or SYSTEM,
        "from": event.get("from"),
        "to": event.get("to"),
        "reason": reason_of(event),
        "data": event.get("data", {}),
        "message": _message(event),
    }


def reason_of(event: Mapping[str, Any]) -> str | None:
    """Why it happened, in words: somebody's, the error's, or what is always the reason for such an event."""
    data = event.get("data", {})
    error = data.get("error") or {}
    said = error.get("message") or data.get("reason") or data.get("comment") or data.get("reason_code")
    return str(said) if said else _WHY.get(str(event["type"]))


def _message(event: Mapping[str, Any]) -> str:
    """One line for people."""
    data = event.get("data", {})
    about = f"{event['step_id']}: " if event.get("step_id") else ""
    text = str(event["type"]).replace(".", " ").replace("_", " ")
    error = data.get("error") or {}
    detail = error.get("message") or data.get("reason") or data.get("decision") or data.get("topic") or data.get("note")
    return f"{about}{text}" + (f" ({detail})" if detail else "")


def decision_view(run_id: str, event: Mapping[str, Any]) -> dict[str, Any]:
    """One answer of the policy. `seq` is its place on the run's timeline, or in the audit."""
    place = {"seq": event["seq"], "time": rfc3339(event["at_ms"])}
    return {**place, **decision_of(event.get("data", {}), {**event, "run_id": run_id})}


def decision_of(data: Mapping[str, Any], about: Mapping[str, Any]) -> dict[str, Any]:
    """What was decided, and about which job."""
    return {
        "run_id": about.get("run_id"),
        "step_id": about.get("step_id"),
        "job_id": about.get("job_id"),
        "attempt": about.get("attempt"),
        "topic": data.get("topic"),
        "decision": data.get("decision"),
        "rule_id": data.get("rule_id"),
        "reason": data.get("reason"),
        "policy_snapshot": data.get("policy_snapshot"),
        "epoch": data.get("epoch"),
        "job_hash": data.get("job_hash"),
        "constraints": data.get("constraints"),
        "remediations": data.get("remediations"),
    }


def decisions_among(run_id: str, step: str, events: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """What the policy has said of one step, whichever attempt it was about."""
    for event in events:
        if event["type"] == "step.decision" and event.get("step_id") == step:
            yield decision_view(run_id, event)
