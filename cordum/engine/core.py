"""What all use cases share: the store, the numbers, and two caches of things that never change once read."""

from __future__ import annotations

import json
import logging
import os
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from cordum.domain.decision_point import DecisionPoint, Guarded
from cordum.domain.definition import load_workflow
from cordum.domain.ids import new_run_id
from cordum.domain.limits import Limits
from cordum.domain.plan import Handling, Plan, Spawn
from cordum.domain.planner import plan, plan_retry
from cordum.domain.policy import Policy
from cordum.domain.policy_document import read_policy
from cordum.domain.pools import PoolMap, read_pool_map
from cordum.domain.quotas import Quota
from cordum.domain.run import Parent, RunState
from cordum.domain.undoing import compensating
from cordum.domain.workflow import JSON, Workflow
from cordum.engine.dispatch import Dispatch
from cordum.engine.foresight import Foresight
from cordum.engine.looks import Look, complete, whole_run
from cordum.engine.patterns import Patterns
from cordum.engine.previews import Preview, preview
from cordum.engine.starting import Start
from cordum.errors import CordumError, NotFound, TooManyRequests, Unavailable, Unprocessable
from cordum.settings import Settings
from cordum.store import Store
from cordum.store.policies import PolicyNow
from cordum.store.prepared import Prepared, PreparedChildren
from cordum.store.runs import CommitReply, Created, CreateReply, Creation, Idempotency, Snapshot
from cordum.store.schedules import ScheduleStep

Check = Callable[[DecisionPoint | None, RunState], Quota | None]
"""Refuses a run that is about to begin, by raising, or names the rate within which such runs may begin."""

DecisionPointOf = Callable[[Policy], DecisionPoint]
"""Who decides while a policy is active: the policy itself, or something that stands in for it."""

_LOG = logging.getLogger(__name__)
_CACHED_WORKFLOWS = 256
_MOST_ATTEMPTS = 100
_POOLS_AGE_SEC = 1.0


class Core:
    def __init__(
        self, store: Store, settings: Settings, limits: Limits, decision_point_of: DecisionPointOf | None = None
    ) -> None:
        self.store = store
        self.settings = settings
        self.limits = limits
        self._foresight = Foresight(store.runs)
        self._patterns = Patterns(store.runs, self._foresight)
        self._decision_point_of = decision_point_of or _built_in
        self._workflows: OrderedDict[tuple[str, str, str], Workflow] = OrderedDict()
        self._policy: Policy | None = None
        self._decides: Guarded | None = None
        self._unreadable = ""
        self._pools_at = -_POOLS_AGE_SEC
        self.dispatch = Dispatch(store, lambda: self.limits.pools)

    # -- reading -------------------------------------------------------------------------------------------------

    def workflow(self, tenant: str, workflow_id: str, digest: str) -> Workflow:
        """One immutable version, parsed once."""
        return self._remembered((tenant, workflow_id, digest), self._load)

    def _load(self, tenant: str, workflow_id: str, digest: str) -> Workflow:
        text = self.store.workflows.document(tenant, workflow_id, digest)
        if text is None:
            raise NotFound(f"workflow {workflow_id} has no version {digest}")
        return load_workflow(text.encode(), "json")

    def workflow_of(self, run: RunState) -> Workflow:
        """What a run does: its definition, its own or its workflow's, or the undoing of the run that it compensates."""
        if run.definition is not None:
            text = run.definition.encode()
            return self._remembered((run.tenant, run.workflow_id, run.digest), lambda *_: load_workflow(text, "json"))
        if run.compensates is None:
            return self.workflow(run.tenant, run.workflow_id, run.digest)
        return self._remembered((run.tenant, run.compensates, "compensation"), self._compensating)

    def _compensating(self, tenant: str, run_id: str, _: str) -> Workflow:
        whole = whole_run(self.store, run_id)
        if whole is None:
            raise NotFound(f"there is no run {run_id}")
        workflow = self.workflow(tenant, whole.run.workflow_id, whole.run.digest)
        return compensating(workflow, whole.run, whole.inputs, whole.error)

    def _remembered(self, key: tuple[str, str, str], make: Callable[[str, str, str], Workflow]) -> Workflow:
        found = self._workflows.get(key)
        if found is None:
            found = self._workflows[key] = make(*key)
            if len(self._workflows) > _CACHED_WORKFLOWS:
                self._workflows.popitem(last=False)
        return found

    def policy_now(self) -> Policy | None:
        """The active rules, for people; None: there are none that can be used."""
        self.decider_now()
        return self._policy

    def decider_now(self) -> tuple[Guarded | None, int]:
        """Who decides now (None: no policy is published) and Redis' time in milliseconds."""
        return self._learn(self.store.policies.current(self._known_epoch))

    def version_and_decider_now(
        self, tenant: str, workflow_id: str
    ) -> tuple[tuple[int, str] | None, tuple[Guarded | None, int]]:
        """Number and digest of the latest version of a workflow, and `decider_now`, in one round trip."""
        store = self.store
        version, policy = store.connection.run_all(
            [store.workflows.latest_call(tenant, workflow_id), store.policies.current_call(self._known_epoch)]
        )
        return store.workflows.read_latest(version), self._learn(store.policies.read(policy))

    @property
    def _known_epoch(self) -> int:
        """0: ask again, also for what could not be used before."""
        return self._policy.epoch if self._policy else 0

    def _learn(self, current: PolicyNow) -> tuple[Guarded | None, int]:
        if current.source is not None:
            self._policy = self._loaded(current.source, current.epoch) if current.epoch else None
            point = self._decision_point_of(self._policy) if self._policy else None
            self._decides = Guarded(point, current.epoch, frozenset(current.open_tenants)) if current.epoch else None
        return self._decides, current.now

    def _loaded(self, source: str, epoch: int) -> Policy | None:
        """What is published and cannot be read (a newer version wrote it) is as good as away."""
        try:
            return read_policy(source.encode(), epoch)
        except Unprocessable as error:
            if source != self._unreadable:  # it is asked for again and again, and told of once
                self._unreadable = source
                _LOG.error("the active policy cannot be used: %s", error.detail)
            return None

    def _decider_of(self, epoch: int) -> Guarded | None:
        return self._decides if self._policy and self._policy.epoch == epoch else self.decider_now()[0]

    # -- pools ---------------------------------------------------------------------------------------------------

    def read_pools(self) -> PoolMap | None:
        """The map of topics and pools as it is now; None: there is none. From here on plans are made with it."""
        self._pools_at = time.monotonic()
        found = self.store.pools.current()
        known = self.limits.pools
        if found.document is None:
            self.limits = replace(self.limits, pools=None)
        elif known is None or known.epoch != found.epoch:
            read, wrong = read_pool_map(json.loads(found.document), found.epoch)
            if read is None:
                _LOG.error("the pools cannot be used: %s", "; ".join(wrong))
            self.limits = replace(self.limits, pools=read)
        return self.limits.pools

    def refresh_pools(self) -> None:
        """Learn what has been changed, now and then: it is asked for before every plan."""
        if time.monotonic() - self._pools_at >= _POOLS_AGE_SEC:
            self.read_pools()

    def limits_for(self, workflow: Workflow) -> Limits:
        """For a plan: a topic that nobody serves is asked about once more, it may be new."""
        pools = self.limits.pools
        if pools is not None and any(pools.pools_of(topic) is None for topic in workflow.topics):
            self.read_pools()
        return self.limits

    def look(self, run_id: str) -> Look | None:
        snapshot = self.store.runs.snapshot(run_id)
        return self._look_at(snapshot) if snapshot else None

    def _look_at(self, snapshot: Snapshot) -> Look:
        workflow = self.workflow_of(snapshot.run)
        run = complete(self.store, self.workflow, workflow, snapshot.run)
        return Look(workflow, replace(snapshot, run=run), self._decider_of(snapshot.epoch))

    def look_as(self, tenant: str, run_id: str) -> Look:
        """The run, if it is this tenant's; another tenant's looks exactly like a missing one."""
        look = self.look(run_id)
        if look is None or look.run.tenant != tenant:
            raise _no_run(run_id)
        return look

    def check_tenant(self, tenant: str, run_id: str) -> None:
        """The same refusal for those who do not need the run itself."""
        if self.store.runs.tenant_of(run_id) != tenant:
            raise _no_run(run_id)

    # -- changing ------------------------------------------------------------------------------------------------

    def advance(self, run_id: str) -> None:
        """Plan and commit until nobody has moved the run in between."""
        self.change(lambda: self.look(run_id), self._plan, self._foreseen)

    def advance_all(self, run_ids: Sequence[str]) -> None:
        """Advance several runs in two round trips; those that somebody has moved in between, one by one."""
        looks = [self._look_at(snapshot) for snapshot in self.store.runs.snapshots(run_ids) if snapshot]
        plans = [(look.run, *self._placed(look, self._plan(look), self._foreseen)) for look in looks]
        replies = self.store.runs.apply_all(plans)
        for (run, decided, _, _), reply in zip(plans, replies, strict=True):
            if reply is CommitReply.COMMITTED:
                self._start_children(run, decided)
            else:
                self.advance(run.id)

    def act(self, run_id: str, decide: Callable[[Look], Plan | None], *, dry_run: bool = False) -> Preview | None:
        """What an operator does with a run: one plan, committed, or told by a dry run. No plan: nothing to do."""
        if not dry_run:
            self.change(lambda: self.look(run_id), decide)
            return None
        look = self.look(run_id)
        if look is None:
            return None
        decided = decide(look)
        return preview(look.run, Plan() if decided is None else decided)

    def change(
        self,
        look: Callable[[], Look | None],
        decide: Callable[[Look], Plan | None],
        foresee: Callable[[Look, Plan], Prepared | None] = lambda *_: None,
    ) -> None:
        """Look, decide, commit; when the run has moved meanwhile, do it again. No plan: nothing has to be done.

        `foresee`: what follows from the plan without a look; by default nothing, as after whatever a person does.
        Someone else's progress is the only reason to repeat, so this ends; the bound is there for what nobody thought
        of.
        """
        for _ in range(_MOST_ATTEMPTS):
            seen = look()
            if seen is None:
                return
            decided = decide(seen)
            if decided is None:
                return
            decided, prepared, ahead = self._placed(seen, decided, foresee)
            if self.store.runs.apply(seen.run, decided, prepared, ahead) is CommitReply.COMMITTED:
                self._start_children(seen.run, decided)
                return
        raise Unavailable("the run is changing too fast, try again", code="conflict_repeated")

    def _plan(self, look: Look) -> Plan:
        return plan(look.workflow, look.run, look.policy, look.snapshot.now, self.limits_for(look.workflow))

    def _placed(
        self, look: Look, decided: Plan, foresee: Callable[[Look, Plan], Prepared | None]
    ) -> tuple[Plan, Prepared | None, list[PreparedChildren]]:
        return self.dispatch.placed(decided), foresee(look, decided), self._ahead(look, decided)

    def _foreseen(self, look: Look, decided: Plan) -> Prepared | None:
        return self._prepare(look.workflow, look.run, decided, look.policy, look.snapshot.now, self.limits)

    def _ahead(self, look: Look, decided: Plan) -> list[PreparedChildren]:
        return self._foresight.children(look, decided, self.limits) if self.settings.straight else []

    # -- beginning -----------------------------------------------------------------------------------------------

    def create(
        self,
        start: Start,
        idempotency: Idempotency | None = None,
        check: Check | None = None,
        known: tuple[Guarded | None, int] | None = None,
        show: bool = False,
        tick: ScheduleStep | None = None,
    ) -> tuple[Created, Guarded | None]:
        """Store a run with everything its first plan decides; the policy it was decided by comes with the answer.

        `check` may refuse the run under that policy, by raising, and names the rate within which such runs may begin;
        TooManyRequests when that has no room. `known`: the policy and the time, read just now.
        `show`: the answer holds the run itself.
        `tick`: the step of the schedule that it is a run of; both are written, or neither.
        """
        run_id = start.run_id
        for _ in range(_MOST_ATTEMPTS):
            policy, now = known or self.decider_now()
            known = None
            run_id = run_id or self.new_run_id(now)
            alike = (
                {}
                if show or tick
                else self._create_alike(start, {run_id: start.input}, [idempotency], check, policy, now)
            )
            if run_id in alike:
                created = self._begun(start, None, alike[run_id])
            else:
                creation = self._creation(start, run_id, check, policy, now)
                creation = creation._replace(idempotency=idempotency, tick=tick, show=show)
                created = self._begun(start, creation, self.store.runs.create_all([creation])[0])
            if created.word is not CreateReply.POLICY_CHANGED:
                return created, policy
        raise Unavailable("the policy is changing too fast, try again")

    def create_all(
        self,
        start: Start,
        inputs: Sequence[JSON],
        check: Check | None,
        known: tuple[Guarded | None, int],
        idempotency: Sequence[Idempotency | None] = (),
    ) -> list[Created | CordumError]:
        """As `create`, for a run of each input in one round trip or two; an error stands where its run would."""
        policy, now = known
        given = {self.new_run_id(now): input_ for input_ in inputs}
        used = dict(zip(given, idempotency or [None] * len(inputs), strict=True))
        begun = self._create_alike(start, given, [*used.values()], check, policy, now)
        answers: dict[str, Created | CordumError] = {}
        creations: dict[str, Creation] = {}
        for run_id in [one for one in given if one not in begun]:
            try:
                creation = self._creation(replace(start, input=given[run_id]), run_id, check, policy, now)
                creations[run_id] = creation._replace(idempotency=used[run_id])
            except CordumError as error:
                answers[run_id] = error
        begun |= zip(creations, self.store.runs.create_all([*creations.values()]), strict=True)
        for run_id, created in begun.items():
            try:
                if created.word is CreateReply.POLICY_CHANGED:
                    again = replace(start, input=given[run_id])
                    answers[run_id], _ = self.create(again, used[run_id], check)
                else:
                    answers[run_id] = self._begun(start, creations.get(run_id), created)
            except CordumError as error:
                answers[run_id] = error
        return [answers[run_id] for run_id in given]

    def _create_alike(
        self,
        start: Start,
        inputs: Mapping[str, JSON],
        idempotency: Sequence[Idempotency | None],
        check: Check | None,
        policy: Guarded | None,
        now: int,
    ) -> dict[str, Created]:
        """Of the runs {id: input} store those that begin like others of this start: {id: what was answered}."""
        if not inputs:
            return {}
        first = replace(start, input=next(iter(inputs.values())))
        limits = self.limits_for(start.workflow)

        pattern = self._patterns.of(
            first,
            policy,
            limits,
            check,
            lambda run_id: self._creation(first, run_id, check, policy, now),
            alone=len(inputs) == 1,
        )
        return (
            {} if pattern is None else self._patterns.create(pattern, start, inputs, idempotency, (policy, now), limits)
        )

    def _creation(
        self,
        start: Start,
        run_id: str,
        check: Check | None,
        policy: Guarded | None,
        now: int,
    ) -> Creation:
        """A run with its first plan."""
        run = complete(self.store, self.workflow, start.workflow, start.run(run_id, now, self.limits))
        rate = None if check is None else check(policy, run)
        limits = self.limits_for(start.workflow)
        decided = plan(start.workflow, run, policy, now, limits)
        prepared = self._prepare(start.workflow, run, decided, policy, now, limits)
        return Creation(run, self.dispatch.placed(decided), rate=rate, prepared=prepared)

    def _begun(self, start: Start, creation: Creation | None, created: Created) -> Created:
        """What was answered to a creation (None: to a run of a pattern); raises when that is a refusal."""
        if created.word is CreateReply.CREATED and creation is not None:
            self._start_children(creation.run, creation.plan)
        if created.word is CreateReply.WORKFLOW_GONE:
            raise NotFound(f"there is no workflow {start.workflow.id}: it has been deleted")
        if created.word is CreateReply.THROTTLED:
            raise _too_many(creation and creation.rate, created.wait_ms)
        return created

    def _prepare(
        self, workflow: Workflow, run: RunState, decided: Plan, policy: Guarded | None, now: int, limits: Limits
    ) -> Prepared | None:
        return self._foresight.prepare(workflow, run, decided, policy, now, limits) if self.settings.straight else None

    def preview_start(self, start: Start) -> Preview:
        """What `create` would do now."""
        policy, now = self.decider_now()
        run_id = start.run_id or self.new_run_id(now)
        run = complete(self.store, self.workflow, start.workflow, start.run(run_id, now, self.limits))
        return preview(run, plan(start.workflow, run, policy, now, self.limits), new=True)

    def new_run_id(self, now: int) -> str:
        return new_run_id(self.settings.cell, now, os.urandom(10))

    def _start_children(self, parent: RunState, decided: Plan) -> None:
        """Start the child runs that a committed plan asks for; until they exist, every look at it asks again."""
        for run_id in decided.reopened:
            by = decided.handling
            self._reopen_child(
                run_id, Handling("parent run", f"step of {parent.id} is retried", by.bulk if by is not None else "")
            )
        for spawn in decided.spawns:
            try:
                self._start_child(parent, spawn)
            except NotFound as gone:  # its definition was deleted: the next look at the parent finds that out
                _LOG.warning("the child run of %s in %s cannot begin: %s", spawn.step, parent.id, gone.detail)

    def _start_child(self, parent: RunState, spawn: Spawn) -> None:
        self.create(
            Start(
                tenant=parent.tenant,
                person=parent.created_by,
                workflow=self.workflow(parent.tenant, spawn.workflow_id, spawn.pin.digest),
                version=(spawn.pin.version, spawn.pin.digest),
                input=spawn.input,
                labels=parent.labels,
                run_id=spawn.run_id,
                parent=Parent(parent.id, spawn.step),
                depth=parent.depth + 1,
            )
        )

    def _reopen_child(self, run_id: str, handling: Handling) -> None:
        """Retry a failed child run with its parent; one that goes on already is left alone."""

        def decide(look: Look) -> Plan:
            archived = self.store.runs.children(run_id) if look.workflow.has_children else {}
            now = look.snapshot.now
            return plan_retry(
                look.workflow, look.run, look.policy, now, self.limits, archived=archived, handling=handling
            )

        self.change(lambda: self.look(run_id), decide)


def _too_many(rate: Quota | None, wait_ms: int) -> TooManyRequests:
    assert rate is not None
    message = f"the policy rule {rate.name} lets {rate.most} runs begin in {rate.window_ms / 1000:g} s"
    return TooManyRequests(message, code="policy_throttled", retry_after_sec=max(1, -(-wait_ms // 1000)))


def _no_run(run_id: str) -> NotFound:
    return NotFound(f"there is no run {run_id}")


def _built_in(policy: Policy) -> DecisionPoint:
    return policy
