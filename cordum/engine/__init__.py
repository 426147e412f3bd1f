"""The use cases.

What edges ask for, in terms of the domain, carried out on the store. Knows neither Celery nor Flask.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cordum import failpoints
from cordum.domain.audit import Act
from cordum.domain.definition import Checked, Media
from cordum.domain.ids import JobId
from cordum.domain.limits import Limits
from cordum.domain.workflow import JSON, Workflow
from cordum.engine.api_keys import ApiKeys
from cordum.engine.approvals import Approvals
from cordum.engine.audit import Audit
from cordum.engine.bulk_retries import BulkRetries
from cordum.engine.bundles import Bundles
from cordum.engine.concurrency import usage_view
from cordum.engine.coordinator import Coordinator
from cordum.engine.core import Core, DecisionPointOf
from cordum.engine.dead_letters import DeadLetters
from cordum.engine.fleet import Fleet
from cordum.engine.hooks import Delivery, Hooks
from cordum.engine.jobs import Jobs
from cordum.engine.metrics import Metric, metrics_of
from cordum.engine.operations import Operations, required_reason
from cordum.engine.policies import Policies
from cordum.engine.pools import PoolSettings
from cordum.engine.previews import Preview
from cordum.engine.results import shaped
from cordum.engine.retention import Retention
from cordum.engine.runs import Runs
from cordum.engine.schedules import Schedules
from cordum.engine.signals import Signals
from cordum.engine.single_jobs import SingleJobs
from cordum.engine.values import Caller, Claim, Orders, Outcome, Page, Saved, Started, WorkerInfo
from cordum.engine.workflows import Workflows
from cordum.redis_address import RedisAddress
from cordum.settings import Settings
from cordum.store import Store
from cordum.store.checkpoints import CheckpointFile
from cordum.store.connection import Connection
from cordum.store.scripts import Library
from cordum.timeouts import Timeouts, load_timeouts

__all__ = [
    # the engine
    "Engine",
    # what it is given and gives
    "Caller",
    "Claim",
    "Delivery",
    "Metric",
    "Orders",
    "Outcome",
    "Page",
    "Preview",
    "Saved",
    "Started",
    "WorkerInfo",
    # what is done to a result before it is recorded
    "shaped",
]


class Engine:
    """One cell of cordum. Safe to share between threads; after a fork every process needs its own."""

    def __init__(
        self,
        store: Store,
        settings: Settings,
        limits: Limits | None = None,
        checkpoints: CheckpointFile | None = None,
        *,
        decision_point_of: DecisionPointOf | None = None,
    ) -> None:
        core = Core(store, settings, limits or _limits(settings), decision_point_of)
        self.store = store
        self.settings = settings
        self.jobs = Jobs(core)
        self.api_keys = ApiKeys(core)
        self.policies = Policies(core)
        self.audit = Audit(core, checkpoints)
        self.pools = PoolSettings(core)
        self._core = core
        self._workflows = Workflows(core)
        self._runs = Runs(core, self._workflows)
        self._operations = Operations(core)
        self.single_jobs = SingleJobs(core, self._runs, self.jobs)
        self._approvals = Approvals(core)
        self._retention = Retention(core)
        self._bundles = Bundles(core, self._runs)
        self.signals = Signals(core)
        self.hooks = Hooks(core, self._workflows, self.signals)
        self.schedules = Schedules(core, self._runs, self._workflows)
        self.letters = DeadLetters(core)
        self.fleet = Fleet(core, self.letters)
        self.bulk_retries = BulkRetries(core, self.letters)
        self._coordinator = Coordinator(
            core, self.jobs, self._retention, self.audit, self.schedules, self.letters, self.bulk_retries
        )

    @classmethod
    def connect(cls, settings: Settings, address: RedisAddress, library: Library | None = None) -> Engine:
        """An engine on this Redis; nothing is sent before the first call. Sets the failpoints of this process."""
        failpoints.arm(settings.failpoints)
        store = Store(
            Connection.open(address, library),
            settings.cell,
            settings.window_minimum,
            settings.weights,
            forward_dead_letters=settings.forward_dead_letters,
        )
        return cls(store, settings, checkpoints=CheckpointFile(settings.checkpoint_file))

    def close(self) -> None:
        self.store.close()

    def ping(self) -> None:
        """Raise Unavailable when Redis does not answer."""
        self.store.ping()

    # -- workflows -----------------------------------------------------------------------------------------------

    def validate_workflow(self, tenant: str, data: bytes, media: Media, default_id: str | None = None) -> Checked:
        return self._workflows.validate(tenant, data, media, default_id)

    def save_workflow(
        self, tenant: str, data: bytes, media: Media, default_id: str | None = None, *, actor: str = "cordum"
    ) -> Saved:
        return self._workflows.save(tenant, data, media, default_id, actor)

    def workflow(self, tenant: str, workflow_id: str, version: int | None = None) -> dict[str, Any]:
        return self._workflows.get(tenant, workflow_id, version)

    def workflows(self, tenant: str) -> list[dict[str, Any]]:
        return self._workflows.list(tenant)

    def workflow_versions(self, tenant: str, workflow_id: str) -> list[dict[str, Any]]:
        return self._workflows.versions(tenant, workflow_id)

    def definition(self, tenant: str, workflow_id: str, version: int | None = None) -> Workflow:
        """A stored definition as values."""
        return self._workflows.definition(tenant, workflow_id, version)

    def definition_of_run(self, tenant: str, run_id: str) -> tuple[Workflow, dict[str, str]]:
        """The version that a run is pinned to, and {step id: status}."""
        look = self._core.look_as(tenant, run_id)
        return look.workflow, {step: state.status.public.value for step, state in look.run.steps.items()}

    def delete_workflow(self, tenant: str, workflow_id: str, *, actor: str = "cordum") -> None:
        self._workflows.delete(tenant, workflow_id, actor)

    def topics(self) -> list[str]:
        """Every topic that a stored definition names, of whatever tenant: what a worker's patterns are held against."""
        return self.store.jobs.topics()

    # -- runs ----------------------------------------------------------------------------------------------------

    def start_run(
        self,
        caller: Caller,
        workflow_id: str,
        input: dict[str, JSON],
        *,
        idempotency_key: str | None = None,
        labels: Mapping[str, str] | None = None,
        show: bool = True,
    ) -> Started:
        self._core.refresh_pools()
        return self._runs.start(caller, workflow_id, input, idempotency_key, labels, show=show)

    def try_start(
        self, caller: Caller, workflow_id: str, input: dict[str, JSON], labels: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """What a start would meet: refused as that would be, else the policy's word to each step. Nothing is kept."""
        self._runs.check_start(caller, workflow_id, input)
        return self.policies.dry_run(caller, workflow_id, input, labels)

    def run(self, tenant: str, run_id: str) -> dict[str, Any]:
        return self._runs.get(tenant, run_id)

    def runs(
        self,
        tenant: str,
        *,
        workflow_id: str | None = None,
        status: str | None = None,
        limit: int = 50,
        after: str | None = None,
    ) -> Page:
        return self._runs.list(tenant, workflow_id, status, limit, after)

    def timeline(
        self, tenant: str, run_id: str, *, after: str | None = None, limit: int = 50, order: str = "asc"
    ) -> Page:
        return self._runs.timeline(tenant, run_id, limit, after, order)

    def decisions(self, tenant: str, job: JobId, *, after: str | None = None, limit: int = 50) -> Page:
        """What the policy has ever said of this job's step."""
        return self._runs.decisions(tenant, job, limit, after)

    # Actions of operators. With `dry_run` nothing is changed, and the answer tells what would be (see `previews`).

    def cancel_run(
        self,
        caller: Caller,
        run_id: str,
        reason: str | None = None,
        *,
        compensate: bool = False,
        dry_run: bool = False,
    ) -> Preview | None:
        """End a run now. `compensate`: undo what it has done."""
        return self._runs.cancel(caller, run_id, reason, compensate=compensate, dry_run=dry_run)

    def pause_run(self, caller: Caller, run_id: str, reason: str, *, dry_run: bool = False) -> Preview | None:
        """Let nothing new begin; what runs may finish."""
        return self._operations.pause(caller, run_id, required_reason(reason), dry_run=dry_run)

    def resume_run(self, caller: Caller, run_id: str, reason: str, *, dry_run: bool = False) -> Preview | None:
        return self._operations.resume(caller, run_id, required_reason(reason), dry_run=dry_run)

    def signal_run(
        self,
        caller: Caller,
        run_id: str,
        name: str,
        payload: JSON,
        correlation: str | None = None,
        token: str | None = None,
        *,
        dry_run: bool = False,
    ) -> Preview | None:
        """Hand an event from outside to a run; StateConflict (`run_terminal`) when it has ended."""
        return self._operations.signal(caller, run_id, name, payload, correlation, token, dry_run=dry_run)

    def retry_run(self, caller: Caller, run_id: str, reason: str, *, dry_run: bool = False) -> Preview | None:
        """Let a failed run go on, in its next generation."""
        return self._operations.retry(caller, run_id, required_reason(reason), dry_run=dry_run)

    def rerun(self, caller: Caller, run_id: str, from_step: str | None, reason: str) -> Started:
        """A new run that takes over what lies before a step of an ended one."""
        started = self._operations.rerun(caller, run_id, from_step, required_reason(reason))
        return Started(started, replayed=False, show=lambda: self.run(caller.tenant, started))

    def preview_rerun(self, caller: Caller, run_id: str, from_step: str | None, reason: str) -> Preview:
        return self._operations.preview_rerun(caller, run_id, from_step, required_reason(reason))

    def skip_step(
        self, caller: Caller, run_id: str, step: str, reason: str, *, dry_run: bool = False
    ) -> Preview | None:
        return self._operations.by_hand(caller, run_id, step, required_reason(reason), skip=True, dry_run=dry_run)

    def complete_step(
        self, caller: Caller, run_id: str, step: str, reason: str, output: JSON = None, *, dry_run: bool = False
    ) -> Preview | None:
        return self._operations.by_hand(
            caller, run_id, step, required_reason(reason), output, skip=False, dry_run=dry_run
        )

    def bundle(self, tenant: str, run_id: str) -> dict[str, Any]:
        """Everything about a run as one document."""
        return self._bundles.make(tenant, run_id)

    def delete_run(self, caller: Caller, run_id: str, reason: str, *, dry_run: bool = False) -> dict[str, Any] | None:
        """Forget an ended run with all that belongs to it; StateConflict while somebody needs it."""
        act = Act(caller.person, caller.tenant, required_reason(reason))
        return self._retention.delete(run_id, act, dry_run=dry_run)

    def expire_runs(self, tenant: str) -> int:
        """Remove what a tenant has kept long enough, now; how many runs went."""
        return self._retention.expire(tenant)

    def child_runs(self, tenant: str, run_id: str) -> list[dict[str, Any]]:
        """Summaries of the runs that this run's sub-workflow steps have started."""
        return self._runs.children(tenant, run_id)

    def cancel_step(self, job_id: str, actor: str, reason: str) -> None:
        """Cancel one step by the id of its latest job; on_error does not run, the run goes on as after a failure."""
        self.jobs.cancel_step(job_id, actor, reason)

    # -- approvals and dead letters ------------------------------------------------------------------------------

    def approvals(
        self, tenant: str, *, include_resolved: bool = False, limit: int = 50, after: str | None = None
    ) -> Page:
        return self._approvals.list(tenant, include_resolved=include_resolved, limit=limit, after=after)

    def approval(self, tenant: str, job_id: str) -> dict[str, Any]:
        return self._approvals.get(tenant, job_id)

    def approval_stats(self, tenant: str) -> dict[str, Any]:
        return self._approvals.stats(tenant)

    def approve(self, caller: Caller, job_id: str, reason: str | None = None) -> dict[str, Any]:
        return self._approvals.approve(caller, job_id, reason)

    def reject(self, caller: Caller, job_id: str, reason: str) -> dict[str, Any]:
        return self._approvals.reject(caller, job_id, reason)

    def dead_letters(self, tenant: str, *, limit: int = 50, after: str | None = None, **filters: str) -> Page:
        """Newest first; `filters` are group, state, topic, reason_code and workflow_id."""
        return self.letters.list(tenant, limit=limit, after=after, filters=filters)

    # -- limits --------------------------------------------------------------------------------------------------

    def concurrency(self, tenant: str, *, limit: int = 50, after: str | None = None) -> Page:
        """What limits the tenant's jobs together and is in use, with those that hold places and those that wait."""
        found = [usage_view(usage) for usage in self.store.quotas.of_tenant(tenant, after, limit)]
        return Page(found, found[-1]["id"] if len(found) == limit else None)

    # -- policy --------------------------------------------------------------------------------------------------

    def publish_policy(self, source: bytes, actor: str) -> dict[str, Any]:
        """Make this text the active policy; Unprocessable with all its problems when it is not one."""
        return self.policies.publish(source, actor)

    # -- looking at the whole ------------------------------------------------------------------------------------

    def metrics(self) -> list[Metric]:
        """The cell's figures as monitoring wants them."""
        return [*metrics_of(self.store.figures.read()), *self.policies.metrics(), *self.audit.metrics()]

    # -- coordination --------------------------------------------------------------------------------------------

    def coordinate(self) -> None:
        """Advance every run that is due and look after timers, leases and lost messages."""
        self._core.refresh_pools()
        self._coordinator.coordinate()

    def ring(self) -> None:
        """Call a coordinator, unless one has been called already."""
        self._coordinator.ring()


def _limits(settings: Settings) -> Limits:
    """The planner's numbers from settings and `timeouts.yaml`."""
    timeouts = load_timeouts(settings.timeouts_file) if settings.timeouts_file.exists() else Timeouts()
    waiting = timeouts.queue_timeout_sec
    return Limits(
        job_timeout_ms=settings.default_job_timeout_sec * 1000,
        topic_timeouts_ms=_milliseconds(timeouts.topics),
        run_timeouts_ms=_milliseconds(timeouts.workflows),
        queue_timeout_ms=None if waiting is None else round(waiting * 1000),
        max_losses=settings.max_losses,
        max_items=settings.max_items,
        max_depth=settings.max_subworkflow_depth,
    )


def _milliseconds(limits: tuple[tuple[str, float], ...]) -> dict[str, int]:
    return {pattern: round(seconds * 1000) for pattern, seconds in limits}
