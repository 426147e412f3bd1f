"""Approvals: questions to people, each answered once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from cordum.domain.ids import JobId
from cordum.domain.plan import Event
from cordum.domain.run import Failure
from cordum.store import codec, keys
from cordum.store.commit import event_text
from cordum.store.connection import Connection
from cordum.store.envelope import coordinator_message
from cordum.store.indexed import Indexed


class ResolveReply(StrEnum):
    RESOLVED = "RESOLVED"
    COUNTED = "COUNTED"
    STALE = "STALE"
    ALREADY = "ALREADY"
    NOT_FOUND = "NOT_FOUND"


@dataclass(frozen=True, slots=True)
class Resolution:
    """One person's decision and what it does to the step.

    `after` is the step's new mark; `output` (JSON text) is what an approval step yields; `approved_request` is the
    request that a policy gate lets through; `failure` says why it was turned down.
    """

    decision: str  # "approved" or "rejected"
    person: str
    comment: str
    verified: bool
    after: str
    output: str = ""
    failure: Failure | None = None
    approved_request: str = ""
    rule_id: str = ""  # the policy's, where one has asked
    seen: str = "  "  # what was asked, under which policy and of whom, as the person saw it: see `question`


def question(record: Mapping[str, str]) -> str:
    """What an approval is bound to: the request, the policy that asked, and those who may decide."""
    return f"{record['request_hash']} {record['policy_digest']} {record['approvers']}"


class Approvals:
    def __init__(self, connection: Connection, cell: keys.CellKeys) -> None:
        self._connection = connection
        self._cell = cell
        self._records = Indexed(connection, keys.approval)

    def get(self, tenant: str, job_id: str) -> dict[str, str] | None:
        return self._records.get(self._cell.approvals(tenant), job_id)

    def page(self, tenant: str, before: str | None, count: int, *, resolved_too: bool) -> list[dict[str, str]]:
        index = self._cell.approvals(tenant) if resolved_too else self._cell.open_approvals(tenant)
        return self._records.page(index, before, count)

    def count_open(self, tenant: str) -> int:
        found: Any = self._connection.read(lambda client: client.zcard(self._cell.open_approvals(tenant)))
        return int(found)

    def oldest_open_at(self, tenant: str) -> int | None:
        """When the question was asked that waits longest, in milliseconds."""
        key = self._cell.open_approvals(tenant)
        found: Any = self._connection.read(lambda client: client.zrange(key, 0, 0, withscores=True))
        return int(found[0][1]) if found else None

    def resolve(self, tenant: str, job: JobId, resolution: Resolution) -> ResolveReply:
        """Take a decision; COUNTED when more people have to approve, ALREADY when there is a decision or nobody is
        asked any more, STALE when what the person has seen is not what is asked now.
        """
        own = keys.RunKeys.of(job.run_id)
        status = resolution.after.partition(":")[0]
        request, digest, _ = resolution.seen.split(" ", 2)
        event = Event(
            f"approval.{resolution.decision}",
            job.step,
            job.attempt,
            source="waiting",
            target="running" if status == "settling" else status,
            actor=resolution.person,
            data={
                "comment": resolution.comment,
                "verified": resolution.verified,
                "request_hash": request,
                "policy_snapshot": digest or None,
                "rule_id": resolution.rule_id or None,
            },
        )
        reply = self._connection.run(
            "resolve_approval",
            {
                "approval": keys.approval(job.run_id, str(job)),
                "run": own.run,
                "steps": own.steps,
                "facts": own.facts,
                "outputs": own.outputs_of(job.step),
                "timeline": own.timeline,
                "clock": self._cell.clock,
                "open_approvals": self._cell.open_approvals(tenant),
                "asked": self._cell.asked,
                "wakeups": self._cell.wakeups,
                "coordinator": self._cell.coordinator,
                "stats": self._cell.stats,
                "audit": self._cell.audit(tenant),
                "audited": self._cell.audited,
            },
            tenant=tenant,
            run_id=job.run_id,
            job_id=str(job),
            step=job.step,
            decision=resolution.decision,
            person=resolution.person,
            comment=resolution.comment,
            verified="1" if resolution.verified else "0",
            after=resolution.after,
            output=resolution.output,
            failure=codec.failure_text(resolution.failure),
            approved_request=resolution.approved_request,
            event=event_text(job.run_id, event),
            vote_event=event_text(job.run_id, replace(event, target="waiting")),
            seen=resolution.seen,
            message=coordinator_message(),
        )
        return ResolveReply(reply[0])
