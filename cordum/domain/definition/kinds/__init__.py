"""The kinds of steps, each a module of its own: a new kind is a module and a row here."""

from __future__ import annotations

from collections.abc import Mapping

from cordum.domain.definition.kinds.approval import APPROVAL
from cordum.domain.definition.kinds.condition import CONDITION
from cordum.domain.definition.kinds.delay import DELAY
from cordum.domain.definition.kinds.job import WORKER, dispatched_as
from cordum.domain.definition.kinds.kind import Given, Kind
from cordum.domain.definition.kinds.loop import LOOP
from cordum.domain.definition.kinds.notify import NOTIFY
from cordum.domain.definition.kinds.parallel import PARALLEL
from cordum.domain.definition.kinds.signal import SIGNAL
from cordum.domain.definition.kinds.storage import STORAGE
from cordum.domain.definition.kinds.subworkflow import SUBWORKFLOW
from cordum.domain.definition.kinds.switch import SWITCH
from cordum.domain.definition.kinds.transform import TRANSFORM

__all__ = ["ALIASES", "DEFAULT_KIND", "KINDS", "Given", "Kind"]

KINDS: Mapping[str, Kind] = {
    "worker": WORKER,
    **{name: dispatched_as(name) for name in ("llm", "http", "container", "script", "input")},
    "approval": APPROVAL,
    "condition": CONDITION,
    "switch": SWITCH,
    "parallel": PARALLEL,
    "loop": LOOP,
    "delay": DELAY,
    "notify": NOTIFY,
    "transform": TRANSFORM,
    "storage": STORAGE,
    "subworkflow": SUBWORKFLOW,
    "signal": SIGNAL,
}
ALIASES = {"job": "worker"}
DEFAULT_KIND = "worker"
