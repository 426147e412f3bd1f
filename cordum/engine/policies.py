"""The policy as people work with it: asked, explained, tried out, tested, published, rolled back.

Only a text that reads without a fault, and passes the cases it is given, becomes the active policy. Whatever else is
brought changes nothing: the last good one stays.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from typing import Any

from cordum.domain.policy import Decision, Policy, PolicyRequest, Rule, RuleReport, digest_of
from cordum.domain.policy_cases import Case, load_cases, report_of, run_cases
from cordum.domain.policy_document import read_policy
from cordum.domain.policy_lint import lint
from cordum.domain.policy_match import glob_of
from cordum.domain.workflow import JSON
from cordum.engine.core import Core
from cordum.engine.dry_run import Trial, decision_view, tried, tried_start
from cordum.engine.metrics import Metric
from cordum.engine.replays import MOST_RUNS, replay
from cordum.engine.values import Caller, Page
from cordum.engine.views import rfc3339
from cordum.errors import (
    Forbidden,
    IdempotencyKeyReused,
    NotFound,
    Problem,
    StateConflict,
    Unavailable,
    Unprocessable,
)
from cordum.store.policies import Answered, Draft, How, Published

_LOG = logging.getLogger(__name__)


class Policies:
    def __init__(self, core: Core) -> None:
        self._core = core
        self._store = core.store.policies

    # -- asking --------------------------------------------------------------------------------------------------

    def evaluate(self, caller: Caller, request: PolicyRequest) -> dict[str, Any]:
        """What the active policy says to this request now. Unavailable (`policy_unavailable`) while there is none."""
        _own_tenant(caller, request)
        return decision_view(self._active().decide(request))

    def explain(self, caller: Caller, request: PolicyRequest) -> dict[str, Any]:
        """The decision, and for each rule that is about the caller's tenant the first field that did not match."""
        _own_tenant(caller, request)
        return _explained(self._active(), caller, request)

    def simulate(self, caller: Caller, request: PolicyRequest, source: bytes) -> dict[str, Any]:
        """What this text would decide, beside what the active policy decides."""
        _own_tenant(caller, request)
        candidate = read_policy(source)
        active = self._core.policy_now()
        now = active.decide(request) if active else None
        then = candidate.decide(request)
        return {
            **_explained(candidate, caller, request),
            "active": decision_view(now) if now else None,
            "changes": now is None or (now.verdict, now.constraints) != (then.verdict, then.constraints),
        }

    def rules(self, caller: Caller) -> dict[str, Any]:
        """The active rules, as far as they are about the caller's tenant."""
        policy = self._active()
        own = policy.tenants.get(caller.tenant)
        default = own.default if own and own.default is not None else policy.default
        return {
            "policy_snapshot": policy.digest,
            "epoch": policy.epoch,
            "default_decision": default.value,
            "items": [_rule_view(rule) for rule in policy.rules if _concerns(rule, caller)],
        }

    def dry_run(
        self, caller: Caller, workflow_id: str, input_: dict[str, JSON], labels: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """What would be said to a start, and to each step that dispatches a job; nothing is dispatched or kept."""
        found = self._core.store.workflows.latest(caller.tenant, workflow_id)
        if found is None:
            raise NotFound(f"there is no workflow {workflow_id}")
        version, digest = found
        workflow = self._core.workflow(caller.tenant, workflow_id, digest)
        trial = Trial(workflow, self._active(), caller, input_, {**workflow.labels, **(labels or {})})
        steps, warnings = tried(trial, self._core.store.workers.known())
        return {
            "workflow_id": workflow_id,
            "version": version,
            "dry_run": True,
            "start": tried_start(trial),
            "steps": steps,
            "warnings": warnings,
        }

    def replay(
        self,
        caller: Caller,
        source: bytes,
        *,
        tenant: str | None = None,
        workflow_id: str | None = None,
        limit: int = MOST_RUNS,
    ) -> dict[str, Any]:
        """Which decisions of the newest runs this text would have made otherwise."""
        return replay(self._core, tenant or caller.tenant, source, workflow_id=workflow_id, limit=limit)

    def test(self, cases: bytes, source: bytes | None = None) -> dict[str, Any]:
        """Run a catalogue against this text, or against the active policy."""
        policy = self._active() if source is None else read_policy(source)
        return {**report_of(run_cases(policy, load_cases(cases))), "policy_snapshot": policy.digest}

    # -- changing ------------------------------------------------------------------------------------------------

    def publish(
        self,
        source: bytes,
        actor: str,
        *,
        how: How = "publish",
        note: str = "",
        cases: bytes | None = None,
        request: str = "",
    ) -> dict[str, Any]:
        """Make this text the active policy.

        Unprocessable with all its problems when it is none, or with the cases that it fails; then nothing changes. The
        same `request` again (its answer was lost) publishes nothing a second time, whatever was published since.
        """
        policy = read_policy(source)
        _refuse_failed(policy, load_cases(cases) if cases is not None else ())
        answered = self._publish(policy, source, actor, how, note, request)
        if answered.digest != policy.digest:
            raise IdempotencyKeyReused("this Idempotency-Key was used with another policy: use a new one")
        return _published_answer(answered, policy)

    def _publish(self, policy: Policy, source: bytes, actor: str, how: How, note: str, request: str) -> Answered:
        # One of our own for who gave none: the store repeats a call whose reply was lost.
        known = request or ("" if how == "startup" else os.urandom(16).hex())
        return self._store.publish(
            policy.digest,
            source.decode(),
            actor,
            how,
            note,
            open_tenants=policy.open_tenants,
            request=known,
            tenant=self._core.settings.admin_tenant,
        )

    def publish_file(self, source: bytes, actor: str) -> None:
        """At a start-up: a broken file is told of and leaves the active policy; the very first has to be good."""
        try:
            self.publish(source, actor, how="startup")
        except Unprocessable as error:
            if not self._store.current(-1).epoch:
                raise
            fault = "; ".join(map(str, error.problems)) or error.detail
            _LOG.error("the policy file cannot be used, the active policy stays: %s", fault)
            self._store.note_fault(fault[:2000])

    def rollback(self, actor: str, *, epoch: int | None = None, note: str = "", request: str = "") -> dict[str, Any]:
        """Publish again what was active: at this epoch, or before the active one. A repeated `request` does nothing."""
        history = self._store.history()
        answered = self._store.answered(request) if request else None
        if answered is not None:
            target = next(entry for entry in history if entry.digest == answered.digest)
        else:
            target = _to_go_back_to(history, epoch)
        source = self._store.source(target.digest)
        if source is None:
            raise NotFound(f"the text of epoch {target.epoch} is not kept")
        policy = read_policy(source.encode())
        if answered is None:
            answered = self._publish(policy, source.encode(), actor, "rollback", note, request)
        earlier = (one.epoch for one in history if one.digest == answered.digest and one.epoch < answered.epoch)
        return {**_published_answer(answered, policy), "rolled_back_to": next(earlier, target.epoch)}

    def history(self, limit: int, after: str | None) -> Page:
        """Which policies were active, newest first."""
        entries = [one for one in self._store.history() if after is None or one.epoch < int(after)]
        shown = entries[:limit]
        return Page([_published_view(one) for one in shown], str(shown[-1].epoch) if len(entries) > limit else None)

    def state(self) -> dict[str, Any]:
        """Whether there is a policy that can be used, which, and what is wrong."""
        policy = self._core.policy_now()
        current = self._store.current(-1)
        fault = self._store.fault()
        if policy is None and current.epoch:
            fault = "the active policy cannot be read by this version; nothing is dispatched"
        return {
            "usable": policy is not None,
            "epoch": current.epoch,
            "policy_snapshot": policy.digest if policy else None,
            "fault": fault,
        }

    def health(self, caller: Caller) -> dict[str, Any]:
        """`ok`; `degraded`: a policy that should be active is not, the last good one is; `unavailable`: none can be
        used, and jobs wait, or go where their tenant's `fail_mode` is open. What is wrong is for the cell's admins.
        """
        state, (decides, _) = self.state(), self._core.decider_now()
        status = "unavailable" if not state["usable"] else "degraded" if state["fault"] else "ok"
        own_mode = "open" if decides is not None and caller.tenant in decides.open_tenants else "closed"
        counters = self._core.store.figures.counters()
        return {
            "status": status,
            "policy": {
                "usable": state["usable"],
                "epoch": state["epoch"],
                "policy_snapshot": state["policy_snapshot"],
                "fail_mode": own_mode,
                "fault": state["fault"] if caller.cell else None,
            },
            "policy_unavailable_total": counters.get("policy_unavailable", 0) if caller.cell else None,
            "decisions_fail_open_total": counters.get("decisions_fail_open", 0) if caller.cell else None,
        }

    def metrics(self) -> list[Metric]:
        state = self.state()
        return [
            Metric(
                "cordum_policy_usable", "gauge", "Whether there is a policy that can be used", {(): state["usable"]}
            ),
            Metric(
                "cordum_policy_faults",
                "gauge",
                "Whether a policy that should be active cannot be used, while the last good one stays",
                {(): float(state["fault"] is not None)},
            ),
            Metric("cordum_policy_epoch", "gauge", "Number of the active policy", {(): state["epoch"]}),
        ]

    # -- drafts --------------------------------------------------------------------------------------------------

    def save_draft(self, draft_id: str, source: bytes, actor: str) -> dict[str, Any]:
        """Keep a draft, good or not; what is wrong with it is in the answer."""
        self._store.save_draft(draft_id, digest_of(source), actor, source.decode(), self._core.settings.admin_tenant)
        return self.draft(draft_id)

    def draft(self, draft_id: str) -> dict[str, Any]:
        return _draft_view(self._draft(draft_id))

    def drafts(self) -> list[dict[str, Any]]:
        return [_draft_view(draft) for draft in self._store.drafts()]

    def delete_draft(self, draft_id: str, actor: str) -> None:
        if not self._store.delete_draft(draft_id, actor, self._core.settings.admin_tenant):
            raise _no_draft(draft_id)

    def draft_source(self, draft_id: str) -> bytes:
        return self._draft(draft_id).source.encode()

    def _draft(self, draft_id: str) -> Draft:
        found = self._store.draft(draft_id)
        if found is None:
            raise _no_draft(draft_id)
        return found

    def _active(self) -> Policy:
        policy = self._core.policy_now()
        if policy is None:
            raise _unavailable()
        return policy


def _to_go_back_to(history: Sequence[Published], epoch: int | None) -> Published:
    if epoch is not None:
        target = next((entry for entry in history if entry.epoch == epoch), None)
        if target is None:
            raise NotFound(f"there was no policy of epoch {epoch}")
        return target
    target = next((entry for entry in history[1:] if entry.digest != history[0].digest), None)
    if target is None:
        raise StateConflict("there is no earlier policy to go back to", code="nothing_to_roll_back_to")
    return target


def _unavailable() -> Unavailable:
    return Unavailable("there is no policy that can be used: nothing is dispatched", code="policy_unavailable")


def _own_tenant(caller: Caller, request: PolicyRequest) -> None:
    if request.tenant != caller.tenant and not caller.cell:
        raise Forbidden("this asks about another tenant", code="tenant_mismatch")


def _concerns(rule: Rule, caller: Caller) -> bool:
    """Whether a caller may see a rule: what is about other tenants only names them."""
    tenants = rule.match.tenants
    return caller.cell or not tenants or any(glob_of(pattern)(caller.tenant) for pattern in tenants)


def _refuse_failed(policy: Policy, cases: Sequence[Case]) -> None:
    failed = [one for one in run_cases(policy, cases) if not one.passed]
    if failed:
        problems = [
            Problem("/cases", "case_failed", f"{one.case.name}: {'; '.join(one.wrong)}", one.case.line)
            for one in failed
        ]
        raise Unprocessable(
            f"the policy fails {len(failed)} of {len(cases)} cases and is not published",
            code="policy_tests_failed",
            problems=problems,
        )


def _no_draft(draft_id: str) -> NotFound:
    return NotFound(f"there is no policy draft {draft_id}")


# -- documents -----------------------------------------------------------------------------------------------------


def _explained(policy: Policy, caller: Caller, request: PolicyRequest) -> dict[str, Any]:
    decision = policy.decide(request)
    reports = [_report_view(one, decision) for one in policy.reports(request) if _concerns(one.rule, caller)]
    return {**decision_view(decision), "rules": reports}


def _report_view(report: RuleReport, decision: Decision) -> dict[str, Any]:
    rule = report.rule
    return {
        "rule_id": rule.id,
        "line": rule.line,
        "decision": rule.verdict.value,
        "matched": report.matched,
        "decided": rule.id == decision.rule_id,
        "failed_field": report.failed,
        "wanted": rule.match.document().get(report.failed or ""),
        "unjudged": list(report.unjudged),
    }


def _rule_view(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.id,
        "line": rule.line,
        "match": rule.match.document(),
        "decision": rule.verdict.value,
        "reason": rule.reason,
        "constraints": rule.constraints.document() if rule.constraints else None,
        "remediations": [one.document() for one in rule.remediations],
    }


def _published_answer(answered: Answered, policy: Policy) -> dict[str, Any]:
    return {
        "published": answered.published,
        "epoch": answered.epoch,
        "digest": policy.digest,
        "policy_snapshot": policy.digest,
        "warnings": lint(policy),
    }


def _published_view(entry: Published) -> dict[str, Any]:
    return {
        "epoch": entry.epoch,
        "policy_snapshot": entry.digest,
        "how": entry.how,
        "actor": entry.actor,
        "note": entry.note or None,
        "published_at": rfc3339(entry.at),
    }


def _draft_view(draft: Draft) -> dict[str, Any]:
    problems, warnings = policy_problems(draft.source.encode())
    return {
        "id": draft.id,
        "digest": draft.digest,
        "policy": draft.source,
        "valid": not problems,
        "errors": problems,
        "warnings": warnings,
        "saved_by": draft.actor,
        "saved_at": rfc3339(draft.at),
    }


def policy_problems(source: bytes) -> tuple[list[Problem], list[Problem]]:
    """Why a text cannot become the active policy, and what is odd about it."""
    try:
        policy = read_policy(source)
    except Unprocessable as error:
        return list(error.problems), []
    return [], lint(policy)
