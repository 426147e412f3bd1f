"""A run in memory for planner tests: applies plans, and plays the worker, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from cordum.domain.definition import load_workflow
from cordum.domain.plan import Plan
from cordum.domain.planner import plan
from cordum.domain.policy import Policy
from cordum.domain.policy_document import read_policy
from cordum.domain.run import Failure, OutcomeClass, RunState, StepState
from cordum.domain.states import RunStatus, StepStatus
from cordum.domain.workflow import JSON, Workflow

ALLOW = read_policy(b"{version: '1', default_decision: allow, rules: []}", epoch=1)
START = 1_000_000


@dataclass
class Play:
    """One run; `now` is its clock in milliseconds."""

    workflow: Workflow
    run: RunState
    policy: Policy | None = ALLOW
    now: int = START
    dispatched: tuple[str, ...] = ()

    @classmethod
    def start(cls, definition: str, input: JSON = None, policy: Policy | None = ALLOW) -> Play:
        workflow = load_workflow(definition.encode(), "yaml", default_id="test")
        run = RunState(
            id="r1",
            tenant="default",
            workflow_id=workflow.id,
            digest="d",
            workflow_version=1,
            created_by="alice",
            created_at=START,
            input={} if input is None else input,
            steps={step: StepState() for step in workflow.steps},
            deadline=None if workflow.timeout_ms is None else START + workflow.timeout_ms,
        )
        play = cls(workflow, run, policy)
        play.advance()
        return play

    def advance(self, seconds: float = 0) -> Plan:
        """Let time pass, plan, apply; every job goes straight to a worker's queue."""
        self.now += round(seconds * 1000)
        decided = plan(self.workflow, self.run, self.policy, self.now)
        self.apply(decided)
        return decided

    def apply(self, decided: Plan) -> None:
        steps = dict(self.run.steps)
        for change in decided.changes:
            assert steps[change.step] == change.before
            steps[change.step] = change.after
        for job in decided.jobs:
            steps[job.step] = replace(steps[job.step], status=StepStatus.QUEUED)
            self.dispatched += (f"{job.step}@{job.attempt}",)
        outputs = {**self.run.outputs, **decided.outputs}
        status = decided.run.status if decided.run else self.run.status
        self.run = replace(self.run, steps=steps, outputs=outputs, status=status)

    def claim(self, step: str, timeout_sec: float = 900) -> None:
        self._set(step, status=StepStatus.RUNNING, started_at=self.now, deadline=self.now + round(timeout_sec * 1000))

    def succeed(self, step: str, output: JSON = None) -> Plan:
        self._set(step, status=StepStatus.SUCCEEDED, completed_at=self.now)
        self.run = replace(self.run, outputs={**self.run.outputs, step: output})
        return self.advance()

    def fail(self, step: str, outcome: OutcomeClass = OutcomeClass.RETRYABLE, message: str = "broke") -> Plan:
        failure = Failure("error", message)
        self._set(step, status=StepStatus.SETTLING, outcome=outcome, failure=failure, completed_at=self.now)
        return self.advance()

    def decide(self, step: str, *, approve: bool) -> Plan:
        if approve:
            return self.succeed(step, {"decision": "approved"})
        self._set(
            step,
            status=StepStatus.SETTLING,
            outcome=OutcomeClass.REJECTED,
            failure=Failure("approval_rejected", "no"),
            completed_at=self.now,
        )
        return self.advance()

    def _set(self, step: str, **facts: Any) -> None:
        self.run = replace(self.run, steps={**self.run.steps, step: replace(self.run.steps[step], **facts)})

    @property
    def statuses(self) -> Mapping[str, str]:
        return {step: state.status.value for step, state in self.run.steps.items()}

    @property
    def status(self) -> RunStatus:
        return self.run.status
