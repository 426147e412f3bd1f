"""`output_path` of what workers and people have ended: written into the run's context before anything reads that."""

from __future__ import annotations

from cordum.domain.states import StepStatus
from cordum.domain.turn import Turn


def write_outputs(turn: Turn) -> None:
    """In the order in which the steps ended."""
    done = [
        (state.completed_at or 0, number, ref)
        for number, (ref, state) in enumerate(turn.steps.items())
        if state.status is StepStatus.SUCCEEDED
        and not state.written
        and turn.instances[ref].step.output_path is not None
    ]
    for _, _, ref in sorted(done):
        turn.write_output(ref)
