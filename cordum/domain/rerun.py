"""A new run from a step of an old one: what lies before that step is taken over, the rest is left out (3.8)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from cordum.domain.context import Write
from cordum.domain.run import RunState, StepState
from cordum.domain.standing import Standing, standing
from cordum.domain.states import SkipReason, StepStatus
from cordum.domain.turn import Turn
from cordum.domain.workflow import JSON, Step, Workflow


@dataclass(frozen=True, slots=True)
class Base:
    """What a rerun begins with. `unsatisfied`: steps before it that have not come to a good end; then there is none.

    `undone`: steps before it that a compensation of the old run undoes.
    """

    steps: Mapping[str, StepState]
    outputs: Mapping[str, JSON]
    writes: Mapping[str, tuple[Write, ...]]
    unsatisfied: tuple[str, ...] = ()
    undone: tuple[str, ...] = ()


def base_of(workflow: Workflow, run: RunState, from_step: str) -> Base:
    """`from_step` is one of the steps that exist from the beginning of a run."""
    again = _after(workflow, from_step)
    before = _before(workflow, from_step) - again
    turn = Turn(workflow, run, None, 0)
    initial = workflow.instances.initial
    taken = [ref for ref in initial if ref in before]
    good = (Standing.SATISFIED, Standing.ABSENT)
    handlers = workflow.handled_by
    unsatisfied = tuple(ref for ref in taken if ref not in handlers and standing(turn, ref) not in good)
    steps = {ref: _start(run.steps[ref], taken=ref in before, again=ref in again) for ref in initial}
    outputs = {ref: run.outputs[ref] for ref in taken if ref in run.outputs}
    writes = {step: own for step, own in run.writes.items() if step in before}
    undone = tuple(ref for ref in taken if _undone(workflow, workflow.steps[ref], run.steps[ref]))
    return Base(steps, outputs, writes, unsatisfied, undone)


def _undone(workflow: Workflow, step: Step, state: StepState) -> bool:
    """Whether a compensation undoes it, or what was done inside it."""
    inside = any(_undone(workflow, workflow.steps[name], state) for name in step.owned)
    return inside or (step.compensate is not None and state.status is StepStatus.SUCCEEDED and not state.taken_over)


def _start(old: StepState, *, taken: bool, again: bool) -> StepState:
    if again:
        return StepState()
    if taken and old.status.terminal:
        return old.but(taken_over=True, dead_letter=None, child_run=None, total=None, started=0, settled=0)
    return StepState(status=StepStatus.SKIPPED, skip_reason=SkipReason.NOT_IN_RERUN)


def _after(workflow: Workflow, step: str) -> set[str]:
    """The step, what waits for it however indirectly, what those own, their handlers, and the groups around it."""
    edges: dict[str, list[str]] = {name: [] for name in workflow.steps}
    for one in workflow.steps.values():
        for needed in _needs(workflow, one):
            edges[needed].append(one.id)
        edges[one.id] += [*one.owned, *([one.on_error] if one.on_error else [])]
    owners = _owners(workflow, step)
    again = _reach(edges, [step])
    for owner in owners:  # a group runs again for its child, with what waits for the group
        again |= {owner} | _reach(edges, [name for name in edges[owner] if name not in workflow.steps[owner].owned])
    return again


def _before(workflow: Workflow, step: str) -> set[str]:
    """What the step and all that runs again with it need to have happened."""
    edges: dict[str, list[str]] = {name: [] for name in workflow.steps}
    for one in workflow.steps.values():
        edges[one.id] += [*_needs(workflow, one), *one.owned, *([one.on_error] if one.on_error else [])]
    needed = [name for one in (step, *_owners(workflow, step)) for name in _needs(workflow, workflow.steps[one])]
    return _reach(edges, needed) | _siblings(workflow, step)


def _owners(workflow: Workflow, step: str) -> list[str]:
    """The group that owns the step, the one around that, and so on."""
    owners = []
    owner = workflow.owner.get(step)
    while owner is not None:
        owners.append(owner)
        owner = workflow.owner.get(owner)
    return owners


def _siblings(workflow: Workflow, step: str) -> set[str]:
    """Of a group's child, the other children: the group counts them."""
    owner = workflow.owner.get(step)
    return set(workflow.steps[owner].owned) - {step} if owner is not None else set()


def _needs(workflow: Workflow, step: Step) -> Iterator[str]:
    yield from step.depends_on
    yield from workflow.switched_by.get(step.id, ())


def _reach(edges: Mapping[str, Iterable[str]], first: Iterable[str]) -> set[str]:
    found: set[str] = set()
    open_ = list(first)
    while open_:
        name = open_.pop()
        if name not in found:
            found.add(name)
            open_ += edges[name]
    return found
