"""The table of step kinds: adding a kind adds an entry and its module, never a branch elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from cordum.domain.instances import Instance, Role
from cordum.domain.steps import (
    approval,
    delay,
    fan_out,
    inline,
    job,
    loop,
    notify,
    parallel,
    signal,
    storage,
    subworkflow,
    switch,
)
from cordum.domain.turn import Turn

__all__ = ["KINDS", "Kind", "kind_of", "settle_groups"]


@dataclass(frozen=True, slots=True)
class Kind:
    """What the planner asks of a kind.

    `ready`: the step's turn has come. `settle`: a step of this kind has begun and is not over, and its children, other
    runs or the time may have decided it.
    """

    ready: Callable[[Turn, Instance], None]
    settle: Callable[[Turn, Instance], None] | None = None


_JOB = Kind(job.ready)
KINDS: Mapping[str, Kind] = {
    "worker": _JOB,
    "llm": _JOB,
    "http": _JOB,
    "container": _JOB,
    "script": _JOB,
    "input": _JOB,
    "approval": Kind(approval.ready, approval.settle),
    "condition": Kind(inline.condition),
    "switch": Kind(switch.ready),
    "parallel": Kind(parallel.ready, parallel.settle),
    "loop": Kind(loop.ready, loop.settle),
    "delay": Kind(delay.ready, delay.settle),
    "notify": Kind(notify.ready),
    "transform": Kind(inline.transform),
    "storage": Kind(storage.ready),
    "subworkflow": Kind(subworkflow.ready, subworkflow.settle),
    "signal": Kind(signal.ready, signal.settle),
}
_FAN_OUT = Kind(fan_out.ready, fan_out.settle)


def kind_of(instance: Instance) -> Kind:
    return _FAN_OUT if instance.role is Role.FAN else KINDS[instance.step.kind]


def settle_groups(turn: Turn) -> bool:
    """Let every kind that waits for something else than a job look whether it is decided; False: there is none.

    First what does something itself, in the order of the definition: a signal goes to the first step that waits for it.
    Then what has children, backwards, so that what lies inside something else is usually settled before it.
    """
    everything = [instance for instance in turn.all() if kind_of(instance).settle is not None]
    units = [instance for instance in everything if instance.role is Role.UNIT]
    for instance in (*units, *(owner for owner in reversed(everything) if owner.role is not Role.UNIT)):
        settle = kind_of(instance).settle
        state = turn.steps.get(instance.ref)  # None: settled and put away with what it was inside of
        if settle is not None and state is not None and not state.status.terminal:
            settle(turn, instance)
    return bool(everything)
