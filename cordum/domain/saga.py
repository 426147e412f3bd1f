"""Which steps of a run have to be undone when it comes to a bad end (CONTRACT.md 3.9)."""

from __future__ import annotations

import hashlib

from cordum.domain.ids import child_run_id
from cordum.domain.instances import Instance, Role
from cordum.domain.run import StepState
from cordum.domain.states import StepStatus


def has_compensation(instance: Instance, state: StepState) -> bool:
    """Whether it has succeeded in this run, and its step says how to undo that. Of a fan-out, each child has."""
    if instance.step.compensate is None or instance.role is Role.FAN:
        return False
    return state.status is StepStatus.SUCCEEDED and not state.taken_over


def compensation_id(run_id: str) -> str:
    """The id of the run that undoes this one; there is one at most, because a run that is undone cannot go on."""
    return child_run_id(run_id, hashlib.sha256(f"{run_id}:compensation".encode()).digest())
