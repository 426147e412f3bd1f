"""Single jobs: submitted, looked at, cancelled. A thin layer over runs; any job of a workflow can be looked at, too."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from cordum.domain.definition import Limits as DefinitionLimits
from cordum.domain.definition import Media, canonical, check_workflow, digest, parse_document
from cordum.domain.ids import JobId
from cordum.domain.single_jobs import SINGLE_JOB, definition_of, first_job, input_of, placed
from cordum.domain.workflow import JSON
from cordum.engine.core import Core
from cordum.engine.jobs import Jobs
from cordum.engine.previews import Preview
from cordum.engine.runs import Runs
from cordum.engine.starting import Start
from cordum.engine.values import Caller, Page, Started
from cordum.errors import DefinitionInvalid, IdempotencyKeyReused, NotFound, Unprocessable
from cordum.store.runs import CreateReply, Idempotency

_JSON: Media = "json"


class SingleJobs:
    def __init__(self, core: Core, runs: Runs, jobs: Jobs) -> None:
        self._core = core
        self._runs = runs
        self._jobs = jobs
        self._limits = DefinitionLimits(core.settings.max_definition_bytes, core.settings.max_steps)

    # -- submitting ----------------------------------------------------------------------------------------------

    def submit(self, caller: Caller, asked: Mapping[str, Any], key: str | None = None) -> Started:
        """Start it, once for an idempotency key; `run` of the answer is the job as a document.

        `asked`: topic, input (or prompt and context), priority, labels, retry, timeout_sec, …; see `definition_of`.
        A job that the policy denies is started and `denied`.
        """
        start = self._start(caller, asked)
        self._core.store.workflows.announce(*start.workflow.topics)
        created, _ = self._core.create(start, self._once(key, start))
        if created.word is CreateReply.KEY_REUSED:
            raise IdempotencyKeyReused("this Idempotency-Key was used with another job: use a new one")
        replayed, job_id = created.word is CreateReply.REPLAYED, first_job(created.run_id)
        return Started(job_id, replayed, lambda: self.get(caller.tenant, job_id))

    def preview(self, caller: Caller, asked: Mapping[str, Any]) -> Preview:
        """What `submit` would do now."""
        return self._core.preview_start(self._start(caller, asked))

    def _start(self, caller: Caller, asked: Mapping[str, Any]) -> Start:
        try:
            document = parse_document(json.dumps(definition_of(asked)).encode(), _JSON, limits=self._limits)
            workflow, _ = check_workflow(document, limits=self._limits)
        except DefinitionInvalid as refused:
            problems = [placed(one) for one in refused.problems]
            raise Unprocessable(f"the job is not usable: {problems[0]}", problems=problems) from None
        text = canonical(document, SINGLE_JOB)
        return Start(
            tenant=caller.tenant,
            person=caller.person,
            workflow=workflow,
            version=(1, digest(text)),
            input=input_of(asked),
            labels=asked.get("labels") or {},
            definition=text.decode(),
        )

    def _once(self, key: str | None, start: Start) -> Idempotency | None:
        if key is None:
            return None
        said = json.dumps([start.definition, start.input, dict(start.labels)], sort_keys=True, separators=(",", ":"))
        return Idempotency(key, hashlib.sha256(said.encode()).hexdigest(), self._core.settings.idempotency_ttl_sec)

    # -- looking -------------------------------------------------------------------------------------------------

    def get(self, tenant: str, job_id: str) -> dict[str, Any]:
        """A job by the id of any attempt it has had."""
        job = _parsed(job_id)
        try:
            run = self._runs.get(tenant, job.run_id)
        except NotFound:
            raise _no_job(job_id) from None
        step = run["steps"].get(job.step)
        if step is None or step["topic"] is None or job.attempt > max(step["attempts"], 1):
            raise _no_job(job_id)
        return job_view(job_id, run, step)

    def list(self, tenant: str, *, limit: int, after: str | None, state: str | None, topic: str | None) -> Page:
        """Single jobs, the newest first. What is looked for is looked for in what is there, page by page."""
        items: list[dict[str, Any]] = []
        position = after
        while run_ids := self._core.store.runs.newest(tenant, SINGLE_JOB, position, limit):
            for run_id in run_ids:
                position = run_id
                shown = self._shown(tenant, run_id)
                if shown is not None and state in (None, shown["state"]) and topic in (None, shown["topic"]):
                    items.append(shown)
                if len(items) == limit:
                    return Page(items, position)
        return Page(items)

    def _shown(self, tenant: str, run_id: str) -> dict[str, Any] | None:
        try:
            return self.get(tenant, first_job(run_id))
        except NotFound:  # removed meanwhile
            return None

    # -- ending --------------------------------------------------------------------------------------------------

    def cancel(self, caller: Caller, job_id: str, reason: str, *, dry_run: bool = False) -> dict[str, Any]:
        """End it now; one that has ended stays as it is. A job of a workflow is cancelled as that step of its run."""
        self.get(caller.tenant, job_id)
        job = _parsed(job_id)
        if self._core.look_as(caller.tenant, job.run_id).run.definition is not None:
            told = self._runs.cancel(caller, job.run_id, reason, dry_run=dry_run)
        else:
            told = self._jobs.cancel_step(job_id, caller.person, reason, dry_run=dry_run)
        return told if told is not None else self.get(caller.tenant, job_id)


def job_view(job_id: str, run: Mapping[str, Any], step: Mapping[str, Any]) -> dict[str, Any]:
    """A job as its step in a shown run. `job_id` of its latest attempt; `trace_id` ties together what belongs to it."""
    error: Mapping[str, JSON] = step["error"] or {}
    return {
        "id": job_id,
        "job_id": step["job_id"] or job_id,
        "state": step["status"],
        "topic": step["topic"],
        "tenant": run["tenant"],
        "result": step["output"],
        "error": error.get("message"),
        "error_code": error.get("code"),
        "trace_id": run["id"],
        "run_id": run["id"],
        "workflow_id": run["workflow_id"],
        "step_id": step["step_id"],
        "attempts": step["attempts"],
        "worker": step["worker"],
        "input": step["input"],
        "labels": run["labels"],
        "decision": step["decision"],
        "wait": step["wait"],
        "created_by": run["created_by"],
        "created_at": run["created_at"],
        "started_at": step["started_at"],
        "completed_at": step["completed_at"],
        "updated_at": run["updated_at"],
    }


def _parsed(job_id: str) -> JobId:
    job = JobId.parse(job_id)
    if job is None:
        raise _no_job(job_id)
    return job


def _no_job(job_id: str) -> NotFound:
    return NotFound(f"there is no job {job_id}")
