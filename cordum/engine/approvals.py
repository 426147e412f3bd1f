"""Approvals: who may decide, and what the decision does."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from cordum.domain.decision_point import UNAVAILABLE
from cordum.domain.ids import JobId
from cordum.domain.roles import Role
from cordum.domain.run import Failure
from cordum.domain.workflow import JSON
from cordum.engine.approval_figures import MOST_COUNTED, waiting_times
from cordum.engine.core import Core
from cordum.engine.evidence import around
from cordum.engine.looks import Look
from cordum.engine.values import Caller, Page
from cordum.engine.views import approval_view
from cordum.errors import Forbidden, NotFound, StateConflict
from cordum.store import codec
from cordum.store.approvals import Resolution, ResolveReply, question

ANONYMOUS = "anonymous"


class Approvals:
    def __init__(self, core: Core) -> None:
        self._core = core
        self._store = core.store.approvals

    def list(self, tenant: str, *, include_resolved: bool, limit: int, after: str | None) -> Page:
        records = self._store.page(tenant, after, limit, resolved_too=include_resolved)
        following = records[-1]["job_id"] if len(records) == limit else None
        return Page([approval_view(record) for record in records], following)

    def get(self, tenant: str, job_id: str) -> dict[str, Any]:
        """The approval, and what whoever decides should know: what it rests on, and what goes on after it."""
        record = self._record(tenant, job_id)
        return {**approval_view(record), **around(self._core.look_as(tenant, record["run_id"]), record)}

    def stats(self, tenant: str) -> dict[str, Any]:
        """How long the tenant's newest questions waited, from their own records."""
        records = self._store.page(tenant, None, MOST_COUNTED, resolved_too=True)
        oldest = self._store.oldest_open_at(tenant)
        return waiting_times(records, self._core.decider_now()[1], oldest, self._store.count_open(tenant))

    def approve(self, caller: Caller, job_id: str, reason: str | None) -> dict[str, Any]:
        return self._decide(caller, job_id, "approved", reason or "")

    def reject(self, caller: Caller, job_id: str, reason: str) -> dict[str, Any]:
        return self._decide(caller, job_id, "rejected", reason)

    def _record(self, tenant: str, job_id: str) -> dict[str, str]:
        record = self._store.get(tenant, job_id)
        if record is None:
            raise NotFound(f"there is no approval {job_id}")
        return record

    def _decide(self, caller: Caller, job_id: str, decision: str, comment: str) -> dict[str, Any]:
        """Take the decision and have the run advanced; a repeat of the first decision gets the first answer."""
        record = self._record(caller.tenant, job_id)
        verified = self._check_person(caller, record)
        job = JobId(record["run_id"], record["step_id"], int(record["attempt"]))
        look = self._core.look_as(caller.tenant, job.run_id)
        if record["state"] == "pending":
            self._check_policy(look, record)
        resolution = _resolution(look, record, decision, caller, comment, verified)
        reply = self._store.resolve(caller.tenant, job, resolution)
        if reply is ResolveReply.RESOLVED:
            self._core.advance(job.run_id)
        settled = self._record(caller.tenant, job_id)
        if reply is ResolveReply.STALE:
            raise _stale(record, settled)
        if reply is ResolveReply.ALREADY and settled["state"] != decision:
            raise _conflict(look, settled)
        return approval_view(settled)

    def _check_policy(self, look: Look, record: dict[str, str]) -> None:
        """What one policy has asked is not answered under another: the step is decided again, and may ask anew."""
        now = UNAVAILABLE if look.policy is None else look.policy.digest
        if record["gate"] != "policy" or now in (record["policy_digest"], UNAVAILABLE):
            return
        self._core.advance(look.run.id)
        raise StateConflict(
            "the policy has changed since this was asked; the step has been decided again: look at it now",
            code="approval_stale_snapshot",
        )

    def _check_person(self, caller: Caller, record: dict[str, str]) -> bool:
        """Refuse the submitter; the answer says whether the person is known to be another one."""
        submitter = record["submitted_by"]
        if caller.person == ANONYMOUS:
            if submitter == ANONYMOUS and self._core.settings.allow_anonymous_approval:
                return False
            raise Forbidden("an approval needs a name: send X-Principal-Id", code="self_approval_denied")
        if caller.person == submitter:
            raise Forbidden("whoever submitted a run cannot approve it", code="self_approval_denied")
        _check_approver(caller, json.loads(record["approvers"]))
        return True


def _check_approver(caller: Caller, approvers: Sequence[str]) -> None:
    """Only those who were asked, by name or by role (`role:x`); without a list, anybody."""
    roles = {name.removeprefix("role:") for name in approvers if name.startswith("role:")}
    fits = any(caller.role.includes(role) for role in Role if role.value in roles)
    if approvers and caller.person not in approvers and not fits:
        raise Forbidden(f"this is for {', '.join(approvers)} to decide", code="not_an_approver")


def _resolution(
    look: Look, record: dict[str, str], decision: str, caller: Caller, comment: str, verified: bool
) -> Resolution:
    attempt, seen = int(record["attempt"]), question(record)
    rule = record["rule_id"]
    if decision == "rejected":
        message = comment or f"rejected by {caller.person}"
        failure = Failure("approval_rejected", message)
        return Resolution(
            decision, caller.person, comment, verified, f"settling:{attempt}", failure=failure, seen=seen, rule_id=rule
        )
    if record["gate"] == "policy":
        # The attempt has not begun; the planner decides once more and finds this very request approved.
        covered = f"{record['request_hash']} {record['policy_digest']}"
        after = f"pending:{attempt - 1}"
        return Resolution(
            decision, caller.person, comment, verified, after, approved_request=covered, seen=seen, rule_id=rule
        )
    output: dict[str, JSON] = {"decision": decision, "decided_by": caller.person, "reason": comment or None}
    after = f"succeeded:{attempt}"
    return Resolution(
        decision, caller.person, comment, verified, after, output=codec.to_json(output), seen=seen, rule_id=rule
    )


def _stale(seen: dict[str, str], now: dict[str, str]) -> StateConflict:
    """The question has changed between the look at it and the answer."""
    if seen["request_hash"] != now["request_hash"]:
        return StateConflict("something else is asked by now: look at it again", code="approval_stale_request")
    if seen["policy_digest"] != now["policy_digest"]:
        return StateConflict("another policy asks by now: look at it again", code="approval_stale_snapshot")
    return StateConflict("it has been handed to others meanwhile", code="approval_escalated")


def _conflict(look: Look, settled: dict[str, str]) -> StateConflict:
    if settled["state"] in ("approved", "rejected"):
        return StateConflict(
            f"{settled['decided_by']} has {settled['state']} this already", code="approval_already_resolved"
        )
    if look.run.status.terminal:
        return StateConflict(f"the run has ended: {look.run.status.value}", code="run_terminal")
    return StateConflict("the step does not wait for this approval any more", code="approval_already_resolved")
