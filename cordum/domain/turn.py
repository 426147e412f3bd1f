"""The working copy that one planning turn changes until nothing more follows, and the Plan made from what changed.

A Turn knows how a change is written down (state, event, dead letter, withdrawal). It does not know why a change is
made: that is the business of `attempts`, `readiness`, `endings` and of the step kinds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from cordum.domain.ids import JobId
from cordum.domain.limits import Limits
from cordum.domain.plan import ApprovalRequest, DeadLetter, Event, Job, Plan, RunChange, StepChange, Withdrawal
from cordum.domain.policy import Policy
from cordum.domain.run import Failure, RunState, StepState
from cordum.domain.states import SkipReason, StepStatus, may_plan
from cordum.domain.workflow import JSON, Workflow

POLICY_RETRY_MS = 1000

_ON_THE_WAY = frozenset({StepStatus.READY, StepStatus.QUEUED, StepStatus.RUNNING})
_EVENT_OF = {
    StepStatus.FAILED: "step.failed",
    StepStatus.DENIED: "step.denied",
    StepStatus.TIMED_OUT: "step.timed_out",
}


class Turn:
    """One run, looked at once. `now` is milliseconds by Redis' clock; `policy` None means that it cannot be had now."""

    def __init__(
        self, workflow: Workflow, run: RunState, policy: Policy | None, now: int, limits: Limits = Limits()
    ) -> None:
        self.workflow = workflow
        self.run = run
        self.policy = policy
        self.now = now
        self.limits = limits
        self.steps: dict[str, StepState] = {step: run.steps[step] for step in workflow.steps}
        self.outputs: dict[str, JSON] = {}
        self.status = run.status
        self.ending: RunChange | None = None
        self._events: list[Event] = []
        self._jobs: list[Job] = []
        self._approvals: list[ApprovalRequest] = []
        self._closed: list[tuple[str, str]] = []
        self._withdrawals: list[Withdrawal] = []
        self._dead: list[DeadLetter] = []
        self._rescued: list[str] = []
        self._held = False
        self._failures = max((state.failure_number or 0 for state in self.steps.values()), default=0)

    # -- reading -------------------------------------------------------------------------------------------------

    def scope(self) -> Mapping[str, Any]:
        """What expressions of this run can see (CONTRACT.md section 4)."""
        return {
            "input": self.run.input,
            "ctx": {},
            "steps": _StepsScope(self),
            "run": {
                "id": self.run.id,
                "workflow_id": self.run.workflow_id,
                "tenant": self.run.tenant,
                "labels": dict(self.run.labels),
            },
        }

    def output_of(self, step: str) -> JSON:
        return self.outputs[step] if step in self.outputs else self.run.outputs.get(step)

    def job_id(self, step: str, attempt: int | None = None) -> str:
        return str(JobId(self.run.id, step, self.steps[step].attempt if attempt is None else attempt))

    # -- writing -------------------------------------------------------------------------------------------------

    def event(self, type_: str, step: str | None = None, **fields: Any) -> None:
        self._events.append(Event(type_, step, **fields))

    def move(
        self,
        step: str,
        status: StepStatus,
        event: str,
        data: Mapping[str, JSON] | None = None,
        actor: str | None = None,
        **facts: Any,
    ) -> None:
        """Change the state of a step; an edge that is not in the transition table is a bug in the planner."""
        before = self.steps[step]
        if before.status is not status and not may_plan(before.status, status):
            raise AssertionError(f"{step}: no transition {before.status} -> {status}")
        self._leave(step, before)
        after = replace(before, status=status, **facts)
        self.steps[step] = after
        self.event(
            event,
            step,
            attempt=after.attempt or None,
            source=before.status.public.value,
            target=status.public.value,
            actor=actor,
            data=data or {},
        )

    def admit(self, step: str, after: StepState) -> None:
        """The next attempt is on its way; its decision stands on the timeline, `release` will write step.queued."""
        before = self.steps[step]
        if not may_plan(before.status, after.status):
            raise AssertionError(f"{step}: no transition {before.status} -> {after.status}")
        self.steps[step] = after

    def _leave(self, step: str, before: StepState) -> None:
        """Take back what the old state had sent out: a message, a running job, an open approval."""
        if before.topic is not None and before.status in _ON_THE_WAY:
            self._withdrawals.append(
                Withdrawal(step, before.attempt, before.status, before.topic, before.priority, before.worker)
            )
        asked = self.run.steps[step].status is StepStatus.WAITING  # else this very turn would have asked
        if before.status is StepStatus.WAITING and before.approval is not None and asked:
            self._closed.append((before.approval, "closed"))

    def succeed(self, step: str, output: JSON) -> None:
        self.outputs[step] = output
        self.move(step, StepStatus.SUCCEEDED, "step.succeeded", completed_at=self.now)

    def skip(self, step: str, reason: SkipReason) -> None:
        self.move(
            step,
            StepStatus.SKIPPED,
            "step.skipped",
            {"reason": reason.value},
            skip_reason=reason,
            completed_at=self.now,
        )

    def cancel(self, step: str, reason: str) -> None:
        self.move(step, StepStatus.CANCELLED, "step.cancelled", {"reason": reason}, completed_at=self.now)

    def revoke(self, step: str, actor: str, reason: str) -> None:
        """A cancel of this one step: the run goes on around it as around a failure (`StepState.revoked`)."""
        self._failures += 1
        self.move(
            step,
            StepStatus.CANCELLED,
            "step.cancelled",
            {"reason": reason},
            actor,
            failure=Failure("cancelled", f"{reason} by {actor}"),
            failure_number=self._failures,
            completed_at=self.now,
        )

    def end(self, step: str, status: StepStatus, failure: Failure, *, leaf: bool, attempt: int | None = None) -> None:
        """The step has failed for good; a leaf leaves a dead letter."""
        before = self.steps[step]
        number = before.attempt if attempt is None else attempt
        dead = self.job_id(step, number) if leaf else None
        self._failures += 1
        self.move(
            step,
            status,
            _EVENT_OF[status],
            {"error": failure.document()},
            attempt=number,
            failure=failure,
            failure_number=self._failures,
            completed_at=self.now,
            dead_letter=dead,
        )
        if leaf:
            self._dead.append(self._dead_letter(step, before, status, failure, number))
            self.event("dead_letter.added", step, attempt=number, data={"reason_code": failure.code})

    def _dead_letter(
        self, step: str, before: StepState, status: StepStatus, failure: Failure, attempt: int
    ) -> DeadLetter:
        return DeadLetter(
            step=step,
            attempt=attempt,
            status=status,
            reason_code=failure.code,
            failure=failure,
            topic=before.topic or self.workflow.steps[step].topic,
            worker=before.worker,
            first_at=before.ready_at or self.now,
            evidence={"retries": before.retries, "losses": before.losses, "decision": dict(before.decision or {})},
        )

    def mark_rescued(self, step: str) -> None:
        state = self.steps[step]
        if state.dead_letter is not None:
            self._rescued.append(state.dead_letter)
        self.steps[step] = replace(state, rescued=True)

    def send(self, job: Job) -> None:
        self._jobs.append(job)

    def ask(self, request: ApprovalRequest) -> None:
        self._approvals.append(request)

    def hold_for_policy(self) -> None:
        """Nothing may be dispatched now; look again soon."""
        self._held = True

    # -- the result ----------------------------------------------------------------------------------------------

    def plan(self) -> Plan:
        order = {step: index for index, step in enumerate(self.workflow.steps)}
        return Plan(
            changes=tuple(
                StepChange(step, self.run.steps[step], after)
                for step, after in self.steps.items()
                if after != self.run.steps[step]
            ),
            outputs=self.outputs,
            events=tuple(self._events),
            jobs=tuple(sorted(self._current_jobs(), key=lambda job: order[job.step])),
            approvals=tuple(a for a in self._approvals if self.steps[a.step].status is StepStatus.WAITING),
            closed_approvals=tuple(self._closed),
            withdrawals=tuple(self._withdrawn()),
            dead_letters=tuple(self._dead),
            rescued=tuple(self._rescued),
            run=self.ending or self._status_change(),
            wake_at=self._wake_at(),
        )

    def _current_jobs(self) -> Iterator[Job]:
        """Jobs decided in this turn, less those that the same turn has taken back (a sibling's failure ended them)."""
        return (job for job in self._jobs if self.steps[job.step].status is StepStatus.READY)

    def _withdrawn(self) -> Iterator[Withdrawal]:
        """What was sent out before this turn and must be taken back; what was never committed needs no withdrawal."""
        for withdrawal in self._withdrawals:
            if self.run.steps[withdrawal.step].status in _ON_THE_WAY:
                yield withdrawal

    def _status_change(self) -> RunChange | None:
        return RunChange(self.status) if self.status is not self.run.status else None

    def _wake_at(self) -> int | None:
        if self.run.status.terminal or self.ending:  # for an ended run a timer would go off again and again
            return None
        times = [self.run.deadline] if self.run.deadline is not None else []
        if self._held:
            times.append(self.now + POLICY_RETRY_MS)
        for state in self.steps.values():
            if (due := due_at(state)) is not None:
                times.append(due)
        return min(times, default=None)


def due_at(state: StepState) -> int | None:
    """When something happens to a step by time alone."""
    if state.status is StepStatus.RETRYING:
        return state.retry_at
    if state.status in (StepStatus.RUNNING, StepStatus.WAITING):
        return state.deadline
    if state.status in (StepStatus.READY, StepStatus.QUEUED):
        return state.queue_deadline
    return None


class _StepsScope(Mapping[str, Any]):
    """`steps.<id>.{output,status,error,attempts}`, made only for the steps that an expression asks for."""

    def __init__(self, turn: Turn) -> None:
        self._turn = turn

    def __getitem__(self, step: str) -> Mapping[str, Any]:
        state = self._turn.steps[step]
        return {
            "output": self._turn.output_of(step),
            "status": state.status.public.value,
            "error": state.failure.document() if state.failure and state.status.unsuccessful else None,
            "attempts": state.attempt,
        }

    def __iter__(self) -> Iterator[str]:
        return iter(self._turn.steps)

    def __len__(self) -> int:
        return len(self._turn.steps)
