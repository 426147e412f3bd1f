"""Dead letters as a workbench: shown, grouped, tried again, put aside (CONTRACT.md 3.5, 3.8).

To try one again is to retry its run: the same run goes on in its next generation, through policy again. That is one
commit which checks that the letter is still the step's: any number of people who ask at once cause one attempt.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from cordum.domain.ids import JobId
from cordum.domain.plan import Handling, Plan
from cordum.domain.planner import plan_discard, plan_retry
from cordum.domain.routing import dead_letter_queue
from cordum.domain.run import StepState
from cordum.domain.schemas import violations
from cordum.domain.states import StepStatus
from cordum.domain.workflow import JSON
from cordum.engine.core import Core
from cordum.engine.looks import Look
from cordum.engine.operations import not_retryable
from cordum.engine.previews import Preview
from cordum.engine.values import Caller, Page
from cordum.engine.views import dead_letter_view, rfc3339
from cordum.errors import NotFound, StateConflict, Unprocessable
from cordum.store.codec import to_json
from cordum.store.dead_letters import Group

_LOG = logging.getLogger(__name__)
_TRIM = 200
_DEEPEST = 64

Edit = tuple[JSON]
"""The input that a step is to be given instead of its own; a tuple, because that input may be null."""


class DeadLetters:
    def __init__(self, core: Core) -> None:
        self._core = core
        self._store = core.store.dead_letters

    # -- reading -------------------------------------------------------------------------------------------------

    def groups(self, tenant: str) -> list[dict[str, Any]]:
        return [group_view(group) for group in self._store.groups(tenant)]

    def queues(self, now: int) -> list[dict[str, Any]]:
        """For each topic with dead letters that nobody has dealt with, of whatever tenant, `dlq.<topic>`.

        {name, depth, oldest_age_sec, consumers}; workers of these queues are Celery's affair, so nobody counts them.
        """
        groups = [group for tenant in self._store.tenants() for group in self._store.groups(tenant)]
        found: dict[str, dict[str, Any]] = {}
        for group in groups:
            if group.about["topic"]:
                name = dead_letter_queue(group.about["topic"])
                queue = found.setdefault(name, {"name": name, "depth": 0, "oldest_age_sec": 0.0, "consumers": None})
                queue["depth"] += group.count
                queue["oldest_age_sec"] = max(queue["oldest_age_sec"], (now - group.first_at) / 1000)
        return [found[name] for name in sorted(found)]

    def list(self, tenant: str, *, limit: int, after: str | None, filters: Mapping[str, str]) -> Page:
        """Newest first. `filters`: group, state, topic, reason_code, workflow_id."""
        wanted = {name: value for name, value in filters.items() if name != "group"}
        group, position = filters.get("group"), after
        items: Any = []
        while True:
            if group is None:
                records = self._store.page(tenant, position, limit)
            else:
                records = self._store.newest_of(tenant, group, position, limit)
            for record in records:
                position = record["job_id"]
                if all(record.get(name) == value for name, value in wanted.items()):
                    items.append(dead_letter_view(record))
                if len(items) == limit:
                    return Page(items, position)
            if len(records) < limit:
                return Page(items)

    def counts(self, tenant: str) -> dict[str, int]:
        """{open, over_limit}: how many nobody has dealt with, and by how many these are more than are kept."""
        open_ = self._store.count_open(tenant)
        return {"open": open_, "over_limit": max(open_ - self._core.settings.dead_letters_kept, 0)}

    def get(self, tenant: str, job_id: str) -> dict[str, Any]:
        """With the input it failed with, while its step has no newer one."""
        record = self._record(tenant, job_id)
        return {**dead_letter_view(record), "input": self._input(record), "next": _advice(record)}

    def _input(self, record: Mapping[str, str]) -> JSON:
        if not record["payload_digest"]:
            return None
        run_id, step = record["run_id"], record["step_id"]
        given = self._core.store.runs.inputs(run_id)
        if step in given:
            value: JSON = given[step]
            return value
        snapshot = self._core.store.runs.snapshot(run_id)
        return snapshot.run.input if snapshot else None

    def _record(self, tenant: str, job_id: str) -> dict[str, str]:
        record = self._store.get(tenant, job_id)
        if record is None:
            raise NotFound(f"there is no dead letter {job_id}")
        return record

    # -- dealing with them ---------------------------------------------------------------------------------------

    def retry(
        self,
        caller: Caller,
        job_id: str,
        reason: str,
        edit: Edit | None = None,
        *,
        bulk: str = "",
        dry_run: bool = False,
    ) -> dict[str, Any]:
        """Let the letter's run go on from what failed.

        A letter that was replayed before stays as it is, and the answer is that of the first time.
        """
        record = self._record(caller.tenant, job_id)
        root = self._root(record["run_id"])
        if edit is not None and root != record["run_id"]:
            raise StateConflict(
                f"{record['run_id']} is a child run, tried again with {root}: leave its input, or rerun {root}",
                code="edit_not_possible",
            )
        _refuse_handled(record, edited=edit is not None)
        if record["state"] == "replayed":
            return self._handled(record)
        handling = Handling(caller.person, reason, bulk)
        edits = {} if edit is None else {record["step_id"]: to_json(edit[0])}

        def decide(look: Look) -> Plan | None:
            if look.run.id == record["run_id"] and not self._is_open(look, record, edited=edit is not None):
                return None  # somebody was quicker
            if not look.run.status.retryable:
                raise _not_now(look)
            if edit is not None:
                _check_edit(look, record["step_id"], edit[0])
            decided = plan_retry(
                *look.of(self._core.limits), archived=self._archived(look), handling=handling, edits=edits
            )
            if look.run.id == record["run_id"] and not _tries_again(decided, record):
                raise StateConflict(
                    f"a retry of {look.run.id} would not run {record['step_id']}: rerun it from there",
                    code="run_not_retryable",
                )
            return decided

        shown = self._core.act(root, decide, dry_run=dry_run)
        if dry_run and shown is not None:
            return shown
        return self._handled(self._record(caller.tenant, job_id), dry_run=dry_run)

    def discard(self, caller: Caller, job_id: str, reason: str, *, dry_run: bool = False) -> Preview | None:
        """Say that nothing is to be done about it; it stays, with the reason, until its time is over."""
        record = self._record(caller.tenant, job_id)
        _refuse_undiscardable(record)
        if record["state"] == "discarded":
            return self._handled(record, dry_run=True) if dry_run else None
        handling = Handling(caller.person, reason)

        def decide(look: Look) -> Plan | None:
            found = self._current(look, job_id)
            if found is None:
                raise StateConflict(
                    f"{job_id} has just been tried again: cancel its run instead", code="dead_letter_replayed"
                )
            step, state, put_away = found
            if state.rescued:
                _refuse_undiscardable({**record, "state": "rescued"})
            if state.discarded:
                return None
            return plan_discard(
                *look.of(self._core.limits), step=step, archived=state if put_away else None, handling=handling
            )

        return self._core.act(record["run_id"], decide, dry_run=dry_run)

    def _is_open(self, look: Look, record: Mapping[str, str], *, edited: bool) -> bool:
        """Whether the letter is still its step's; refuses what somebody has done with it since it was read."""
        found = self._current(look, record["job_id"])
        if found is None:
            _refuse_handled({**record, "state": "replayed", "handled_by": "somebody else"}, edited=edited)
            return False
        state = found[1]
        if state.discarded or state.rescued:
            _refuse_handled({**record, "state": "discarded" if state.discarded else "rescued"}, edited=edited)
        return True

    def _current(self, look: Look, job_id: str) -> tuple[str, StepState, bool] | None:
        """The step whose failure this letter is, its state, and whether it was put away; None when it runs again."""
        job = JobId.parse(job_id)
        if job is None:
            return None
        state = look.run.steps.get(job.step)
        put_away = state is None
        if state is None:
            state = self._archived(look).get(job.step)
        if state is None or state.dead_letter != job_id:
            return None
        return job.step, state, put_away

    def _archived(self, look: Look) -> Mapping[str, StepState]:
        return self._core.store.runs.children(look.run.id) if look.workflow.has_children else {}

    def _root(self, run_id: str) -> str:
        """A child run is tried again by retrying the run it belongs to."""
        for _ in range(_DEEPEST):
            parent = self._core.store.runs.parent_of(run_id)
            if parent is None:
                return run_id
            run_id = parent
        return run_id

    def _handled(self, record: Mapping[str, str], *, dry_run: bool = False) -> dict[str, Any]:
        return {
            "job_id": record["job_id"],
            "run_id": record["run_id"],
            "state": record["state"],
            "replayed_as": record.get("replayed_as"),
            "handled_by": record.get("handled_by"),
            **({"dry_run": True} if dry_run else {}),
        }

    def take(self, job_id: str, topic: str, nonce: str, worker: str) -> dict[str, Any] | None:
        """The letter with its input, to the first who asks for it; None to everybody else.

        `nonce` tells one delivery of its message from another.
        """
        job = JobId.parse(job_id)
        if job is None or not self._store.take(job, topic, nonce, worker):
            return None
        tenant = self._core.store.runs.tenant_of(job.run_id)
        return self.get(tenant, job_id) if tenant is not None else None

    # -- retention -----------------------------------------------------------------------------------------------

    def trim(self, now: int) -> int:
        """Forget letters that were dealt with long ago, or are more than are kept; how many were forgotten.

        Those that nobody has dealt with are never forgotten. When they alone are more, that is counted and logged.
        """
        settings, forgotten = self._core.settings, 0
        for tenant, known in self._store.tenants().items():
            until = now - settings.dead_letters_kept_sec * 1000
            gone = self._store.outdated(tenant, until, settings.dead_letters_kept, _TRIM)
            over = max(self._store.count_open(tenant) - settings.dead_letters_kept, 0)
            if gone or over != known:
                self._store.trim(tenant, gone, settings.dead_letters_kept)
            if over > known:
                _LOG.warning(
                    "tenant %s has %d dead letters too many that nobody has dealt with: retry or discard them",
                    tenant,
                    over,
                )
            forgotten += len(gone)
        return forgotten


def group_view(group: Group) -> dict[str, Any]:
    about = group.about
    return {
        "id": group.id,
        "class": about["class"],
        "message": about["message"],
        "topic": about["topic"] or None,
        "reason_code": about["reason_code"],
        "governance": about["governance"],
        "count": group.count,
        "first_at": rfc3339(group.first_at),
        "last_at": rfc3339(group.last_at),
        "latest": group.latest,
    }


# -- what is refused, and what to do instead ---------------------------------------------------------------------

_ADVICE = {
    "open": "retry it, with another input if that was the cause, or discard it with a reason",
    "rescued": "nothing: its handler has made good for it",
    "replayed": "nothing: it was tried again",
    "discarded": "nothing: a person has put it aside; retry its run to try it again all the same",
}


def _advice(record: Mapping[str, str]) -> str:
    return _ADVICE[record["state"]]


def _tries_again(decided: Plan, record: Mapping[str, str]) -> bool:
    """Whether the letter's step would run; not, for example, in a group that has succeeded without it."""
    after = {change.step: change.after for change in decided.changes}.get(record["step_id"])
    skipped = after is not None and after.status is StepStatus.SKIPPED
    return record["job_id"] in decided.replayed and not skipped


def _refuse_handled(record: Mapping[str, str], *, edited: bool) -> None:
    job_id, state = record["job_id"], record["state"]
    if state == "rescued":
        raise StateConflict(
            f"{job_id} was made good by its handler: rerun {record['run_id']} from {record['step_id']} instead",
            code="dead_letter_rescued",
        )
    if state == "discarded":
        raise StateConflict(
            f"{job_id} was discarded by {record.get('handled_by')}: retry the run {record['run_id']} instead",
            code="dead_letter_discarded",
        )
    if state == "replayed" and edited:
        raise StateConflict(
            f"{job_id} was tried again by {record.get('handled_by')}: if it fails again, edit the new dead letter",
            code="dead_letter_replayed",
        )


def _refuse_undiscardable(record: Mapping[str, str]) -> None:
    job_id = record["job_id"]
    if record["state"] == "replayed":
        raise StateConflict(
            f"{job_id} was tried again by {record.get('handled_by')}: cancel its run instead",
            code="dead_letter_replayed",
        )
    if record["state"] == "rescued":
        raise StateConflict(f"{job_id} was made good by its handler: leave it as it is", code="dead_letter_rescued")


def _not_now(look: Look) -> StateConflict:
    run = look.run
    if run.status.terminal:
        return StateConflict(not_retryable(run), code="run_not_retryable")
    return StateConflict(
        f"the run {run.id} still goes on ({run.status.value}): wait for its end, or cancel it and rerun it",
        code="run_active",
    )


def _check_edit(look: Look, step: str, value: JSON) -> None:
    instance = look.workflow.instances[step]
    if not instance.is_job:
        raise StateConflict(
            f"{step} is no job ({instance.step.kind}): retry it with its input as it is",
            code="edit_not_possible",
        )
    schema = instance.step.input_schema
    if schema is not None and (wrong := violations(schema, value)):
        raise Unprocessable(f"the input is not what {step} takes: {wrong[0]}", code="schema_validation_failed")
