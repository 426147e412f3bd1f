"""The table of step kinds: adding a kind adds an entry and its module, never a branch elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from cordum.domain.steps import approval, job, parallel
from cordum.domain.turn import Turn
from cordum.domain.workflow import Step

__all__ = ["KINDS", "Kind", "settle_groups"]


@dataclass(frozen=True, slots=True)
class Kind:
    """What the planner asks of a kind.

    `ready`: the step's turn has come. `settle`: a step of this kind is running and its children, or the time, may
    have decided it.
    """

    ready: Callable[[Turn, Step], None]
    settle: Callable[[Turn, Step], None] | None = None


KINDS: Mapping[str, Kind] = {
    "worker": Kind(ready=job.ready),
    "approval": Kind(ready=approval.ready, settle=approval.settle),
    "parallel": Kind(ready=parallel.ready, settle=parallel.settle),
}


def settle_groups(turn: Turn) -> None:
    """Let every kind that waits for something else than a job look whether it is decided.

    Backwards through the definition, so that a group inside a group is usually settled before the one around it.
    """
    for step in reversed(list(turn.workflow.steps.values())):
        settle = KINDS[step.kind].settle
        if settle is not None and not turn.steps[step.id].status.terminal:
            settle(turn, step)
