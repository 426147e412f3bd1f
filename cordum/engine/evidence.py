"""What a person should know who decides about a step: what the run has found so far, and what goes on afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cordum.domain.redaction import MOST_CHARS, shown_to_people
from cordum.domain.states import StepStatus
from cordum.domain.surroundings import downstream, upstream
from cordum.domain.workflow import Group
from cordum.engine.looks import Look

MOST_EVIDENCE_CHARS = 64 * 1024
"""All evidence of one approval together; what finds no room is named without its output."""


def around(look: Look, record: Mapping[str, str]) -> dict[str, Any]:
    """`evidence`: the outputs that the step rests on, bounded and without secrets; `downstream`: what waits for it."""
    steps, run = look.workflow.steps, look.run
    step = look.workflow.instances[record["step_id"]].step.id
    return {
        "run_input": shown_to_people(run.input),
        # A group only gathers what its members found.
        "evidence": _evidence(look, [one for one in upstream(steps, step) if not isinstance(steps[one].own, Group)]),
        "downstream": [
            {
                "step_id": name,
                "name": steps[name].name,
                "type": steps[name].kind,
                "topic": steps[name].topic,
                "status": run.steps[name].status.public.value if name in run.steps else None,
            }
            for name in downstream(steps, step)
        ],
    }


def _evidence(look: Look, names: list[str]) -> list[dict[str, Any]]:
    found, left = [], MOST_EVIDENCE_CHARS
    for name in names:
        state = look.run.steps.get(name)
        if state is None or state.status is not StepStatus.SUCCEEDED:
            continue
        output = shown_to_people(look.run.outputs.get(name), min(MOST_CHARS, left)) if left > 0 else None
        named = look.workflow.steps[name].name
        found.append({"step_id": name, "name": named, "output": output, "left_out": left <= 0})
        left -= len(repr(output))
    return found
