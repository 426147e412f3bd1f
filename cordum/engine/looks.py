"""A look at a run: its snapshot, and what planning may ask for beyond that (`domain.wants`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from cordum.domain.decision_point import Guarded
from cordum.domain.limits import Limits
from cordum.domain.run import ChildRun, Parent, Pin, RunState
from cordum.domain.states import RunStatus
from cordum.domain.wants import Wants, wants
from cordum.domain.workflow import JSON, Workflow
from cordum.errors import NotFound
from cordum.store import Store
from cordum.store.codec import from_json
from cordum.store.runs import Snapshot

WorkflowOf = Callable[[str, str, str], Workflow]
"""(tenant, workflow id, digest) -> the definition."""


@dataclass(frozen=True, slots=True)
class Look:
    """A run at one moment, together with everything a plan for it depends on."""

    workflow: Workflow
    snapshot: Snapshot
    policy: Guarded | None

    @property
    def run(self) -> RunState:
        return self.snapshot.run

    @property
    def governed(self) -> bool:
        """Whether there is a policy that can be used."""
        return self.policy is not None and self.policy.usable

    def of(self, limits: Limits) -> tuple[Workflow, RunState, Guarded | None, int, Limits]:
        """What every function that plans takes first."""
        return self.workflow, self.run, self.policy, self.snapshot.now, limits


def complete(store: Store, workflow_of: WorkflowOf, workflow: Workflow, run: RunState) -> RunState:
    """The run with all that a plan for it may ask for. Most runs need nothing more."""
    if run.parent is not None and not run.status.terminal:
        run = replace(run, parent=_parent(store, run.id, run.parent))
    wanted = wants(workflow, run)
    if wanted.outputs or wanted.items or wanted.inputs:
        brought = store.runs.brought(run.id, wanted)
        outputs = store.runs.texts(run.outputs, brought.outputs)
        run = replace(run, outputs=outputs, items=brought.items, inputs=brought.inputs)
    if wanted.children or wanted.pins:
        pins = {pin: _pin(store, workflow_of, run.tenant, *pin) for pin in wanted.pins}
        run = replace(run, children=_children(store, wanted), pins=pins)
    return run


@dataclass(frozen=True, slots=True)
class Whole:
    """Everything that an ended run has left: all its steps with outputs and items, their inputs, its error."""

    run: RunState
    inputs: Mapping[str, JSON]
    error: JSON
    fields: Mapping[str, str]


def whole_run(store: Store, run_id: str) -> Whole | None:
    """Read piece by piece, so for a run that does not change any more."""
    snapshot = store.runs.snapshot(run_id)
    if snapshot is None:
        return None
    run = snapshot.run
    full = replace(
        run,
        steps={**store.runs.children(run_id), **run.steps},
        outputs={**run.outputs, **store.runs.child_outputs(run_id)},
        items=store.runs.items(run_id),
    )
    return Whole(full, store.runs.inputs(run_id), _value(snapshot.fields.get("error")), snapshot.fields)


def _parent(store: Store, run_id: str, parent: Parent) -> Parent:
    status, error, mark, child, undo = store.runs.step_of(parent.run_id, parent.step)
    wanted = mark is not None and mark.startswith("running:") and child == run_id
    why: Any = _value(error)
    by_itself = status == "timed_out" and "step_id" not in (why or {})  # else a step's time-out has ended it
    undone = undo or (status is not None and RunStatus(status).retryable)
    return replace(parent, wanted=wanted, paused=status == "paused", timed_out=by_itself, undone=undone)


def _pin(store: Store, workflow_of: WorkflowOf, tenant: str, workflow_id: str, version: int | None) -> Pin | None:
    found = store.workflows.pinned(tenant, workflow_id, version)
    if found is None:
        return None
    number, digest = found
    try:
        return Pin(number, digest, workflow_of(tenant, workflow_id, digest).input_schema)
    except NotFound:  # deleted just now
        return None


def _children(store: Store, wanted: Wants) -> Mapping[str, ChildRun | None]:
    snapshots = store.runs.snapshots([run_id for _, run_id in wanted.children])
    return {
        ref: None if snapshot is None else _child(snapshot)
        for (ref, _), snapshot in zip(wanted.children, snapshots, strict=True)
    }


def _child(snapshot: Snapshot) -> ChildRun:
    run = snapshot.run
    if not run.status.terminal:
        return ChildRun(run.status, run.generation)
    error = _value(snapshot.fields.get("error"))
    document: dict[str, Any] = {
        "run_id": run.id,
        "workflow_id": run.workflow_id,
        "status": run.status.value,
        "input": run.input,
        "output": _value(snapshot.fields.get("output")),
        "error": error,
        "steps": {
            ref: {
                "output": run.outputs.get(ref),
                "status": state.status.public.value,
                "error": state.failure.document() if state.failure and state.status.unsuccessful else None,
                "attempts": state.attempt,
            }
            for ref, state in run.steps.items()
        },
    }
    why = error if isinstance(error, dict) else None
    return ChildRun(run.status, run.generation, document, why, compensated=run.compensation is not None)


def _value(text: str | None) -> JSON:
    return from_json(text) if text else None
