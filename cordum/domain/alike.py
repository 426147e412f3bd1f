"""Runs that begin alike: which runs have their first plan in common, and what each of them adds to it.

Such a run begins with plain jobs only. What the policy says of those does not depend on their input, and that input is
put together from the run's alone. So all that the first plan of another run of the same version, submitter and policy
has of its own is its id, its times, what its jobs are given, and the hashes by which their decisions are known.
"""

from __future__ import annotations

from dataclasses import dataclass

from cordum.domain.attempts import canonical, hash_of, request_frame
from cordum.domain.decision_point import Guarded
from cordum.domain.expressions import Template
from cordum.domain.limits import Limits
from cordum.domain.plan import Job, Plan, RunChange, StepChange
from cordum.domain.policy import START_TOPIC, Constraints
from cordum.domain.run import RunState, StepState
from cordum.domain.states import RunStatus
from cordum.domain.straight import asks_input, is_plain, is_plain_job
from cordum.domain.workflow import JSON, Workflow

_NEW = StepState()


@dataclass(frozen=True, slots=True)
class FirstJob:
    """A job with which such runs begin. `template` None: it is given the run's input."""

    step: str
    template: Template | None
    before: str
    after: str

    def given(self, input_: JSON) -> JSON:
        """Its input in a run with this one; that very value when it is the run's. Raises ExpressionError."""
        return input_ if self.template is None else self.template.render({"input": input_})

    def job_hash(self, payload: JSON) -> str:
        """By what its decision is known."""
        return hash_of(f"{self.before}{canonical(payload)}{self.after}")


def begin_alike(
    workflow: Workflow, run: RunState, decided: Plan, policy: Guarded | None, limits: Limits
) -> tuple[FirstJob, ...] | None:
    """The jobs with which `run` begins by `decided`, if all runs like it begin so; None: each has to be planned.

    A step that was looked at has changed or is told of, so what is neither did not come into it.
    """
    if policy is None or limits.pools is not None or not _is_new(run) or not _jobs_only(run, decided):
        return None
    # What the policy says of the start itself may not depend on the input either.
    if policy.asks_input(START_TOPIC):
        return None
    changes = {change.step: change for change in decided.changes}
    if changes.keys() != {job.step for job in decided.jobs}:
        return None
    in_turn = sorted(decided.jobs, key=lambda job: job.priority)  # as a commit sends them
    found = [_first_job(workflow, job, changes[job.step], policy) for job in in_turn]
    return None if not found or None in found else tuple(job for job in found if job is not None)


def _is_new(run: RunState) -> bool:
    """It belongs to no other run, and takes over nothing."""
    own = RunState(
        id=run.id,
        tenant=run.tenant,
        workflow_id=run.workflow_id,
        workflow_version=run.workflow_version,
        digest=run.digest,
        created_by=run.created_by,
        created_at=run.created_at,
        input=run.input,
        steps=dict.fromkeys(run.steps, _NEW),
        deadline=run.deadline,
        labels=run.labels,
    )
    return run == own


def _jobs_only(run: RunState, decided: Plan) -> bool:
    """The plan sends jobs, and nothing else follows from it."""
    return decided == Plan(
        changes=decided.changes,
        events=decided.events,
        jobs=decided.jobs,
        epoch=decided.epoch,
        run=RunChange(RunStatus.RUNNING),
        wake_at=run.deadline,
    )


def _first_job(workflow: Workflow, job: Job, change: StepChange, policy: Guarded) -> FirstJob | None:
    step = workflow.steps.get(job.step)
    if step is None or not is_plain(workflow, step) or not is_plain_job(job) or asks_input(workflow, policy, step):
        return None
    if change.after.queue_deadline is not None:
        return None
    if step.input is not None and any(path[0] != "input" for path in step.input.references()):
        return None
    return FirstJob(step.id, step.input, *request_frame(step, Constraints.of(change.after.decision)))
