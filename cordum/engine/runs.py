"""Runs: started, read, listed, told, cancelled."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from functools import partial
from typing import Any

from cordum.domain.ids import new_run_id
from cordum.domain.plan import Plan
from cordum.domain.planner import plan, plan_cancel
from cordum.domain.policy import Policy
from cordum.domain.run import RunState, StepState
from cordum.domain.workflow import JSON, Workflow
from cordum.engine import views
from cordum.engine.core import Core, Look
from cordum.engine.values import Caller, Page, Started
from cordum.engine.workflows import Workflows
from cordum.errors import IdempotencyKeyReused, Unavailable
from cordum.store.runs import Created, CreateReply, Idempotency

_MOST_ATTEMPTS = 20
# How old the answer to a start may be in what it says about workers.
_OLD_NEWS_MS = 1000


class Runs:
    def __init__(self, core: Core, workflows: Workflows) -> None:
        self._core = core
        self._store = core.store.runs
        self._workflows = workflows
        self._served: frozenset[str] = frozenset()
        self._served_at = 0

    # -- starting ------------------------------------------------------------------------------------------------

    def start(
        self,
        caller: Caller,
        workflow_id: str,
        input_: dict[str, JSON],
        idempotency_key: str | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> Started:
        """Start a run, once for an idempotency key; everything its first plan dispatches is committed with it."""
        found, (policy, now) = self._core.version_and_policy_now(caller.tenant, workflow_id)
        version, digest = self._workflows.required(workflow_id, found)
        workflow = self._core.workflow(caller.tenant, workflow_id, digest)
        idempotency = self._idempotency(idempotency_key, input_, labels or {})
        run_id: str | None = None
        for _ in range(_MOST_ATTEMPTS):
            run_id = run_id or new_run_id(self._core.settings.cell, now, os.urandom(10))
            run = self._new_run(run_id, caller, (version, digest), workflow, input_, labels or {}, now)
            created = self._create(run, workflow, policy, now, idempotency)
            if created.word is CreateReply.KEY_REUSED:
                raise IdempotencyKeyReused("this Idempotency-Key was used with another request: use a new one")
            if created.snapshot is not None:
                look = Look(workflow, created.snapshot, policy)
                conditions = self._conditions(look, _OLD_NEWS_MS)
                show = partial(views.run_view, workflow, created.snapshot, created.inputs, conditions)
                return Started(created.run_id, replayed=False, show=show)
            if created.word is not CreateReply.POLICY_CHANGED:
                # EXISTS: the reply to our own first sending was lost; the run is there, and it is ours.
                replayed = created.word is CreateReply.REPLAYED
                return Started(created.run_id, replayed, partial(self.get, caller.tenant, created.run_id))
            policy, now = self._core.policy_now()
        raise Unavailable("the policy is changing too fast, try again")

    def _create(
        self, run: RunState, workflow: Workflow, policy: Policy | None, now: int, idempotency: Idempotency | None
    ) -> Created:
        return self._store.create(run, plan(workflow, run, policy, now, self._core.limits), idempotency)

    def _new_run(
        self,
        run_id: str,
        caller: Caller,
        version: tuple[int, str],
        workflow: Workflow,
        input_: JSON,
        labels: Mapping[str, str],
        now: int,
    ) -> RunState:
        return RunState(
            id=run_id,
            tenant=caller.tenant,
            workflow_id=workflow.id,
            workflow_version=version[0],
            digest=version[1],
            created_by=caller.person,
            created_at=now,
            input=input_,
            steps={step: StepState() for step in workflow.steps},
            deadline=now + self._core.limits.of_run(workflow),
            labels={**workflow.labels, **labels},
        )

    def _idempotency(self, key: str | None, input_: JSON, labels: Mapping[str, str]) -> Idempotency | None:
        """The key with the fingerprint of the request: SHA-256 of the canonical JSON of body and flags."""
        if key is None:
            return None
        text = json.dumps([input_, dict(labels)], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        fingerprint = hashlib.sha256(text.encode()).hexdigest()
        return Idempotency(key, fingerprint, self._core.settings.idempotency_ttl_sec)

    # -- reading -------------------------------------------------------------------------------------------------

    def get(self, tenant: str, run_id: str) -> dict[str, Any]:
        look = self._core.look_as(tenant, run_id)
        return views.run_view(look.workflow, look.snapshot, self._store.inputs(run_id), self._conditions(look))

    def _conditions(self, look: Look, max_age_ms: int = 0) -> views.Conditions:
        """Workers are asked about only when a step waits for one, and not again within `max_age_ms`."""
        now = look.snapshot.now
        waits = any(state.status in views.WAITS_FOR_WORKERS for state in look.run.steps.values())
        if waits and now - self._served_at >= max_age_ms:
            self._served, self._served_at = self._core.store.workers.served_topics(now), now
        return views.Conditions(governed=look.policy is not None, served=self._served if waits else frozenset())

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

    def timeline(self, tenant: str, run_id: str, limit: int, after: str | None) -> Page:
        self._core.check_tenant(tenant, run_id)
        first = int(after) + 1 if after else 1
        events = self._store.timeline(run_id, first, limit)
        following = str(events[-1]["seq"]) if len(events) == limit else None
        return Page([views.event_view(run_id, event) for event in events], following)

    # -- ending --------------------------------------------------------------------------------------------------

    def cancel(self, caller: Caller, run_id: str, reason: str | None) -> None:
        """End the run now; an ended one stays as it is."""

        def decide(look: Look) -> Plan:
            return plan_cancel(look.workflow, look.run, look.snapshot.now, caller.person, reason)

        look = self._core.look_as(caller.tenant, run_id)
        if not look.run.status.terminal:
            self._core.change(lambda: self._core.look(run_id), decide)
