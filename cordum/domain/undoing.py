"""The workflow of a run that compensates another one: a function of what that one has left behind (CONTRACT.md 3.9).

A run that is compensated has ended and cannot be retried, so this gives the same at every look.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cordum.domain.expressions import Template
from cordum.domain.instances import Instance
from cordum.domain.run import RunState
from cordum.domain.saga import has_compensation
from cordum.domain.scope import Scope
from cordum.domain.turn import Turn
from cordum.domain.workflow import JSON, Compensation, Step, Workflow

MAX_STEP_ID = 64
_AS_GIVEN = Template.compile("${step.input}")


@dataclass(frozen=True, slots=True)
class _Bound(Template):
    """A template that sees the run it was written for, whatever run it is rendered in."""

    seen: Mapping[str, Any] = field(repr=False, compare=False, default_factory=dict)

    def render(self, scope: Mapping[str, Any]) -> JSON:
        return Template.render(self, self.seen)


def compensating(workflow: Workflow, run: RunState, inputs: Mapping[str, JSON], error: JSON) -> Workflow:
    """One job after the other, the last to have succeeded first.

    `run` holds all its steps, those that were put away too, with their outputs and items; `inputs` are those of the
    steps that had one of their own, `error` is what the run ended with.
    """
    turn = Turn(workflow, run, None, 0)
    steps: dict[str, Step] = {}
    for number, instance in enumerate(_latest_first(turn), 1):
        what = instance.step.compensate
        assert what is not None
        before = tuple(steps)[-1:]
        step = _step(number, instance, what, before, _bound(turn, instance, what, inputs, error))
        steps[step.id] = step
    return Workflow(workflow.id, steps, name=f"compensation of {run.id}")


def compensated_steps(workflow: Workflow, run: RunState) -> list[str]:
    """The refs that a compensation undoes, in its order."""
    return [instance.ref for instance in _latest_first(Turn(workflow, run, None, 0))]


def _latest_first(turn: Turn) -> list[Instance]:
    """In the reverse order of completion; what ended in the same millisecond, in the reverse order of its causes."""
    ranks = _ranks(turn.workflow)
    found = [turn.instances[ref] for ref, state in turn.steps.items() if has_compensation(turn.instances[ref], state)]

    def completed(instance: Instance) -> tuple[int, tuple[int, ...], int]:
        return turn.steps[instance.ref].completed_at or 0, instance.path, ranks[instance.step.id]

    return sorted(found, key=completed, reverse=True)


def _ranks(workflow: Workflow) -> Mapping[str, int]:
    """A number for each step that is greater than those of all steps which have to end before it does."""
    ranks: dict[str, int] = {}
    open_ = [(step, False) for step in reversed([*workflow.steps])]
    seen: set[str] = set()
    while open_:
        name, leaving = open_.pop()
        if leaving:
            ranks[name] = len(ranks)
        elif name not in seen:
            seen.add(name)
            open_ += [(name, True), *((before, False) for before in reversed(_before(workflow, name)))]
    return ranks


def _before(workflow: Workflow, name: str) -> list[str]:
    step = workflow.steps[name]
    owner = workflow.owner.get(name)
    gates = workflow.steps[owner].depends_on if owner is not None else ()
    users, switches = workflow.handled_by.get(name, ()), workflow.switched_by.get(name, ())
    return [*step.depends_on, *switches, *users, *gates, *step.owned]


def _bound(turn: Turn, instance: Instance, what: Compensation, inputs: Mapping[str, JSON], error: JSON) -> Template:
    """Sees what the step's own input sees, and `step` (id, input, output, attempts) and `error`."""
    ref = instance.ref
    step: dict[str, JSON] = {
        "id": ref,
        "input": inputs.get(ref, turn.run.input),
        "output": turn.output_of(ref),
        "attempts": turn.steps[ref].attempt,
    }
    written = what.input or _AS_GIVEN
    return _Bound(written.source, written._root, Scope(turn, instance, step=step, error=error))


def _step(number: int, instance: Instance, what: Compensation, before: tuple[str, ...], input_: Template) -> Step:
    """Its id says what it undoes and when: `<number>-<step>`, with the indexes of a child behind dots."""
    label = ".".join((instance.step.id, *map(str, instance.path)))
    return Step(
        id=f"{number}-{label}"[:MAX_STEP_ID],
        kind="worker",
        name=f"undo {instance.ref}",
        depends_on=before,
        input=input_,
        retry=what.retry,
        priority=instance.step.priority,
        topic=what.topic,
        meta=instance.step.meta,
    )
