"""A run that is about to begin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from cordum.domain.limits import Limits
from cordum.domain.rerun import Base
from cordum.domain.run import Parent, RunState, StepState
from cordum.domain.workflow import JSON, Workflow


@dataclass(frozen=True, slots=True)
class Start:
    """Who starts what with which input. `run_id` None: a new one is made; a child run's is given by its parent."""

    tenant: str
    person: str
    workflow: Workflow
    version: tuple[int, str]  # number and digest
    input: JSON
    labels: Mapping[str, str] = field(default_factory=dict)
    run_id: str | None = None
    parent: Parent | None = None
    depth: int = 0
    rerun_of: str | None = None
    triggered_by: str | None = None
    reason: str | None = None
    base: Base | None = None
    definition: str | None = None  # of a single job, which no workflow has

    @property
    def plain(self) -> bool:
        """It belongs to nothing else, and takes over nothing."""
        tied = (self.run_id, self.parent, self.rerun_of, self.triggered_by, self.base, self.definition)
        return all(one is None for one in tied)

    def after(self, base: Base) -> Start:
        """The same start, taking over what was done before."""
        return replace(self, base=base)

    def run(self, run_id: str, now: int, limits: Limits) -> RunState:
        """The run as it is before its first plan."""
        return RunState(
            id=run_id,
            tenant=self.tenant,
            workflow_id=self.workflow.id,
            workflow_version=self.version[0],
            digest=self.version[1],
            created_by=self.person,
            created_at=now,
            input=self.input,
            steps=self.base.steps if self.base else {ref: StepState() for ref in self.workflow.instances.initial},
            outputs=self.base.outputs if self.base else {},
            writes=self.base.writes if self.base else {},
            deadline=now + limits.of_run(self.workflow),
            labels={**self.workflow.labels, **self.labels},
            parent=self.parent,
            depth=self.depth,
            rerun_of=self.rerun_of,
            triggered_by=self.triggered_by,
            reason=self.reason,
            definition=self.definition,
        )
