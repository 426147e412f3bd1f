"""Runs: started, read, listed, told, cancelled."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from cordum.domain.decision_point import DecisionPoint, Guarded, Undecided
from cordum.domain.ids import JobId
from cordum.domain.plan import Plan
from cordum.domain.planner import plan_cancel
from cordum.domain.policy import START_TOPIC, PolicyRequest
from cordum.domain.quotas import Quota
from cordum.domain.run import RunState
from cordum.domain.schemas import violations
from cordum.domain.states import StepStatus
from cordum.domain.undoing import compensated_steps
from cordum.domain.workflow import JSON, Workflow
from cordum.engine import views
from cordum.engine.core import Core
from cordum.engine.event_views import decisions_among, event_view
from cordum.engine.looks import Look
from cordum.engine.previews import Preview
from cordum.engine.starting import Start
from cordum.engine.values import Caller, Page, Started
from cordum.engine.workflows import Workflows
from cordum.errors import CordumError, Forbidden, IdempotencyKeyReused, NotFound, Problem, Unavailable, Unprocessable
from cordum.store.queues import Pause
from cordum.store.quotas import Standing
from cordum.store.runs import CreateReply, Idempotency

# How old the answer to a start may be in what it says about workers.
_OLD_NEWS_MS = 1000
_TOGETHER = 32  # runs that are started in one round trip
_SCANNED = 1000  # events that are read at once to find some of them


class Runs:
    def __init__(self, core: Core, workflows: Workflows) -> None:
        self._core = core
        self._store = core.store.runs
        self._workflows = workflows
        self._served: frozenset[str] = frozenset()
        self._served_at = 0
        self._paused: Mapping[str, Pause] = {}

    # -- starting ------------------------------------------------------------------------------------------------

    def start(
        self,
        caller: Caller,
        workflow_id: str,
        input_: dict[str, JSON],
        idempotency_key: str | None = None,
        labels: Mapping[str, str] | None = None,
        *,
        show: bool = True,
    ) -> Started:
        """Start a run, once for an idempotency key; everything its first plan dispatches is committed with it.

        `show`: the run as it was started comes with the answer; else it is read when it is asked for.
        """
        found, known = self._core.version_and_decider_now(caller.tenant, workflow_id)
        version, digest = self._workflows.required(workflow_id, found)
        workflow = self._core.workflow(caller.tenant, workflow_id, digest)
        check_input(workflow, input_)
        created, policy = self._core.create(
            Start(
                tenant=caller.tenant,
                person=caller.person,
                workflow=workflow,
                version=(version, digest),
                input=input_,
                labels=labels or {},
            ),
            self._idempotency(idempotency_key, input_, labels or {}),
            check=refuse_by_policy,
            known=known,
            show=show,
        )
        if created.word is CreateReply.KEY_REUSED:
            raise IdempotencyKeyReused("this Idempotency-Key was used with another request: use a new one")
        if created.snapshot is not None:
            look = Look(workflow, created.snapshot, policy)
            conditions = self._conditions(look, _OLD_NEWS_MS)
            return Started(created.run_id, replayed=False, show=partial(self._view, look, created.inputs, conditions))
        # EXISTS: the reply to our own first sending was lost; the run is there, and it is ours.
        replayed = created.word is CreateReply.REPLAYED
        return Started(created.run_id, replayed, partial(self.get, caller.tenant, created.run_id))

    def start_all(
        self, caller: Caller, workflow_id: str, inputs: Sequence[dict[str, JSON]], labels: Mapping[str, str]
    ) -> list[str | CordumError]:
        """Start a run for each input, many in a round trip: their ids; an error stands where its run would."""
        answers: list[str | CordumError] = []
        for first in range(0, len(inputs), _TOGETHER):
            found, known = self._core.version_and_decider_now(caller.tenant, workflow_id)
            version, digest = self._workflows.required(workflow_id, found)
            workflow = self._core.workflow(caller.tenant, workflow_id, digest)
            start = Start(
                tenant=caller.tenant,
                person=caller.person,
                workflow=workflow,
                version=(version, digest),
                input={},
                labels=labels,
            )
            answers += self._start_together(start, inputs[first : first + _TOGETHER], known)
        return answers

    def _start_together(
        self, start: Start, inputs: Sequence[dict[str, JSON]], known: tuple[Guarded | None, int]
    ) -> list[str | CordumError]:
        answers: list[str | CordumError] = [""] * len(inputs)
        good: list[int] = []
        for number, input_ in enumerate(inputs):
            try:
                check_input(start.workflow, input_)
                good.append(number)
            except CordumError as error:
                answers[number] = error
        created = self._core.create_all(start, [inputs[number] for number in good], refuse_by_policy, known)
        for number, answer in zip(good, created, strict=True):
            answers[number] = answer if isinstance(answer, CordumError) else answer.run_id
        return answers

    def _idempotency(self, key: str | None, input_: JSON, labels: Mapping[str, str]) -> Idempotency | None:
        """The key with the fingerprint of the request: SHA-256 of the canonical JSON of body and flags."""
        if key is None:
            return None
        text = json.dumps([input_, dict(labels)], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        fingerprint = hashlib.sha256(text.encode()).hexdigest()
        return Idempotency(key, fingerprint, self._core.settings.idempotency_ttl_sec)

    def check_start(self, caller: Caller, workflow_id: str, input_: dict[str, JSON]) -> None:
        """Refuse what a start would be refused for, whatever the policy says."""
        found, _ = self._core.version_and_decider_now(caller.tenant, workflow_id)
        _, digest = self._workflows.required(workflow_id, found)
        check_input(self._core.workflow(caller.tenant, workflow_id, digest), input_)

    # -- reading -------------------------------------------------------------------------------------------------

    def get(self, tenant: str, run_id: str) -> dict[str, Any]:
        look = self._core.look_as(tenant, run_id)
        return self._view(look, self._store.inputs(run_id), self._conditions(look))

    def _view(self, look: Look, inputs: Mapping[str, Any], conditions: views.Conditions) -> dict[str, Any]:
        """With the children that are over, where the workflow can have any."""
        children = views.Children()
        if look.workflow.has_children:
            children = views.Children(self._store.children(look.run.id), self._store.child_outputs(look.run.id))
        shown = views.run_view(look.workflow, look.snapshot, inputs, conditions, children)
        if look.run.compensation is not None and (undoing := self._core.look(look.run.compensation)):
            shown["compensation"] = self._compensation(look, undoing, children)
        return shown

    def _compensation(self, look: Look, undoing: Look, children: views.Children) -> dict[str, Any]:
        """Where the run that undoes this one is; the names of its steps follow from what this one has left."""
        undone = compensated_steps(look.workflow, replace(look.run, steps={**children.over, **look.run.steps}))
        steps = [
            (step, ref, undoing.run.steps.get(step)) for step, ref in zip(undoing.workflow.steps, undone, strict=True)
        ]
        return views.compensation_view(undoing.snapshot.fields, steps)

    def children(self, tenant: str, run_id: str) -> list[dict[str, Any]]:
        """Runs that steps of this one have started, children that are over included, and the one that undoes it."""
        look = self._core.look_as(tenant, run_id)
        over = self._store.children(run_id) if look.workflow.has_children else {}
        ids = [state.child_run for state in (*look.run.steps.values(), *over.values()) if state.child_run]
        ids += [look.run.compensation] if look.run.compensation else []
        return [views.run_summary(fields) for fields in self._store.fields(ids)]

    def _conditions(self, look: Look, max_age_ms: int = 0) -> views.Conditions:
        """Workers are asked about only when a step waits for one, and not again within `max_age_ms`."""
        now = look.snapshot.now
        waits = any(state.status in views.WAITS_FOR_WORKERS for state in look.run.steps.values())
        if waits and now - self._served_at >= max_age_ms:
            self._served, self._served_at = self._core.store.workers.served_topics(now), now
            self._paused = self._core.store.queues.paused()
        routes = {s.route for s in look.run.steps.values() if s.route and s.status in views.WAITS_FOR_WORKERS}
        return views.Conditions(
            governed=look.governed,
            served=self._served if waits else frozenset(),
            paused=self._paused if waits else {},
            limited=self._limited(look),
            routed=frozenset(filter(self._core.dispatch.has_eligible, routes)),
        )

    def _limited(self, look: Look) -> dict[str, Standing]:
        """Those of its steps that wait for a place; nothing is asked about a run that needs none."""
        ready = {
            ref: state for ref, state in look.run.steps.items() if state.quotas and state.status is StepStatus.READY
        }
        if not ready:
            return {}
        jobs = {str(JobId(look.run.id, ref, state.attempt)): (ref, state.quotas) for ref, state in ready.items()}
        found = self._core.store.quotas.standings(look.run.tenant, {job: quotas for job, (_, quotas) in jobs.items()})
        return {jobs[job][0]: standing for job, standing in found.items()}

    def list(self, tenant: str, workflow_id: str | None, status: str | None, limit: int, after: str | None) -> Page:
        """Newest first, without input, output and steps. A status is looked for in what is there, page by page."""
        items: list[dict[str, Any]] = []
        position = after
        while ids := self._store.newest(tenant, workflow_id, position, limit):
            for fields in self._store.fields(ids):
                position = fields["id"]
                if status in (None, fields["status"]):
                    items.append(views.run_summary(fields))
                if len(items) == limit:
                    return Page(items, position)
        return Page(items)

    def timeline(self, tenant: str, run_id: str, limit: int, after: str | None, order: str = "asc") -> Page:
        """Events by their numbers, rising or falling."""
        self._core.check_tenant(tenant, run_id)
        if order == "asc":
            events = self._store.timeline(run_id, int(after or 0) + 1, limit)
        else:
            last = int(after) - 1 if after else self._store.timeline_length(run_id)
            first = max(last - limit + 1, 1)
            events = self._store.timeline(run_id, first, last - first + 1)[::-1]
        following = str(events[-1]["seq"]) if len(events) == limit else None
        return Page([event_view(run_id, event) for event in events], following)

    def decisions(self, tenant: str, job: JobId, limit: int, after: str | None) -> Page:
        """Everything that the policy has ever said of this job's step, oldest first."""
        look = self._core.look(job.run_id)
        if look is None or look.run.tenant != tenant or look.workflow.instances.get(job.step) is None:
            raise NotFound(f"there is no job {job}")
        found: list[dict[str, Any]] = []
        position = int(after or 0)
        while len(found) <= limit and (events := self._store.timeline(job.run_id, position + 1, _SCANNED)):
            found += decisions_among(job.run_id, job.step, events)
            position = events[-1]["seq"]
        shown = found[:limit]
        return Page(shown, str(shown[-1]["seq"]) if len(found) > limit else None)

    # -- ending --------------------------------------------------------------------------------------------------

    def cancel(
        self, caller: Caller, run_id: str, reason: str | None, *, compensate: bool = False, dry_run: bool = False
    ) -> Preview | None:
        """End the run now, with its compensations if asked for; an ended one stays as it is."""

        def decide(look: Look) -> Plan | None:
            if look.run.status.terminal:
                return None
            return plan_cancel(look.workflow, look.run, look.snapshot.now, caller.person, reason, undo=compensate)

        self._core.look_as(caller.tenant, run_id)
        return self._core.act(run_id, decide, dry_run=dry_run)


def check_input(workflow: Workflow, input_: JSON) -> None:
    """Unprocessable with everything in which the input is not what the workflow takes."""
    wrong = violations(workflow.input_schema, input_) if workflow.input_schema is not None else ()
    if wrong:
        problems = tuple(Problem("", "schema_validation_failed", one) for one in wrong)
        message = f"the input is not what {workflow.id} takes: {wrong[0]}"
        raise Unprocessable(message, code="schema_validation_failed", problems=problems)


def refuse_by_policy(policy: DecisionPoint | None, run: RunState) -> Quota | None:
    """Steps are decided when their turn comes; a run as a whole only where a rule is about starts.

    The rate that the rule allows, if it does, is for the commit to judge.
    """
    request = PolicyRequest(
        START_TOPIC,
        run.tenant,
        run.workflow_id,
        actor_id=run.created_by,
        labels=run.labels,
        input=run.input,
    )
    try:
        decision = policy.decide_start(request) if policy else None
    except Undecided as fault:
        raise Unavailable(f"nobody can say whether this may start: {fault}", code="policy_unavailable") from None
    if decision is not None and not decision.verdict.runs:
        raise Forbidden(decision.reason or f"denied by policy rule {decision.rule_id}", code="policy_denied")
    return next((replace(quota, token=run.id) for quota in decision.quotas), None) if decision else None
