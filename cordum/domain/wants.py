"""What planning may ask for beyond a run's snapshot: a function of that snapshot, so that a look brings it beforehand.

A snapshot holds the open state only, whatever the number of children. Outputs of children, pinned items, the state of
child runs and the versions of workflows that may be started next are read after it; all but the last never change once
they are there, so reading them later is reading them at the same moment.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from cordum.domain.instances import Instance, Role, is_child
from cordum.domain.pinned import BLOCK
from cordum.domain.run import RunState, StepState
from cordum.domain.states import StepStatus
from cordum.domain.turn import MOST_CHILDREN, due_at
from cordum.domain.workflow import SubworkflowCall, Workflow

_SENT = frozenset({StepStatus.READY, StepStatus.QUEUED, StepStatus.RUNNING})


@dataclass(frozen=True, slots=True)
class Wants:
    """`outputs`, `inputs`: refs. `items`: (fan-out, block). `children`: (ref, run id). `pins`: (workflow, version)."""

    outputs: tuple[str, ...] = ()
    items: tuple[tuple[str, int], ...] = ()
    children: tuple[tuple[str, str], ...] = ()
    pins: tuple[tuple[str, int | None], ...] = ()
    inputs: tuple[str, ...] = ()


def wants(workflow: Workflow, run: RunState) -> Wants:
    """Empty for a run without children whose workflow calls no other."""
    if run.status.terminal and not run.status.retryable:
        return Wants()
    open_ = [(workflow.instances[ref], state) for ref, state in run.steps.items()]
    return Wants(
        outputs=tuple(dict.fromkeys(ref for instance, state in open_ for ref in _outputs(run, instance, state))),
        items=tuple(block for instance, state in open_ for block in _items(run, instance, state)),
        children=tuple(
            (instance.ref, state.child_run)
            for instance, state in open_
            if state.child_run is not None and state.status is not StepStatus.SUCCEEDED
        ),
        pins=tuple(dict.fromkeys(_pins(workflow, run))),
        inputs=tuple(instance.ref for instance, state in open_ if _may_fail(run, instance, state)),
    )


def _may_fail(run: RunState, instance: Instance, state: StepState) -> bool:
    """Whether this look may find that the step has failed for good: its dead letter tells what it was given."""
    if not instance.leaf or state.status.terminal:
        return False
    at = due_at(state)
    return state.status is StepStatus.SETTLING or (at is not None and at <= run.looked_at)


def _outputs(run: RunState, instance: Instance, state: StepState) -> Iterator[str]:
    if state.status is StepStatus.SUCCEEDED and is_child(instance.ref) and not _counted_only(run, instance):
        yield instance.ref
    if state.status.terminal:
        return
    if instance.role is Role.LOOP and state.started:
        yield from (f"{instance.ref}[{index}]" for index in range(max(state.started - 2, 0), state.started))
    elif (
        instance.role is Role.FAN and state.total and state.started == state.total and not _any_sent(run, instance.ref)
    ):
        yield from (f"{instance.ref}[{index}]" for index in range(state.started))


def _counted_only(run: RunState, instance: Instance) -> bool:
    """The child of a fan-out: nobody asks for its output before the end of the whole."""
    host = run.steps.get(instance.host or "")
    return host is not None and host.total is not None


def _any_sent(run: RunState, fan: str) -> bool:
    return any(ref.startswith(f"{fan}[") and state.status in _SENT for ref, state in run.steps.items())


def _items(run: RunState, instance: Instance, state: StepState) -> Iterator[tuple[str, int]]:
    """The items of open children and of those that may begin next."""
    if instance.role is not Role.FAN or state.status.terminal or not state.total:
        return
    prefix = f"{instance.ref}["
    indexes = [int(ref[len(prefix) :].partition("]")[0]) for ref in run.steps if ref.startswith(prefix)]
    indexes += range(state.started, min(state.started + MOST_CHILDREN, state.total), 1)
    yield from ((instance.ref, block) for block in sorted({index // BLOCK for index in indexes}))


def _pins(workflow: Workflow, run: RunState) -> Iterator[tuple[str, int | None]]:
    for step in workflow.steps.values():
        if isinstance(step.own, SubworkflowCall):
            yield step.own.workflow_id, step.own.version
    for ref, state in run.steps.items():
        call = workflow.instances[ref].step.own
        if isinstance(call, SubworkflowCall) and state.child_version is not None:
            yield call.workflow_id, state.child_version
