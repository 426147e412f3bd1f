"""A scenario as values: what is done, by whom, and what is expected. `reading` makes them of files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from cordum.domain.workflow import JSON


class Do(StrEnum):
    """What a worker does with a job."""

    SUCCEED = "succeed"
    RETRY = "retry"
    FATAL = "fatal"
    HANG = "hang"
    CRASH = "crash"


def _ok() -> JSON:
    return {"ok": True}


@dataclass(frozen=True, slots=True)
class Entry:
    """One call of a step's user code."""

    do: Do = Do.SUCCEED
    output: JSON = field(default_factory=_ok)
    error: str = "scripted failure"


@dataclass(frozen=True, slots=True)
class When:
    """What must hold, all at the same moment, before an action is done."""

    run: str | None = None
    step: str | None = None
    child_step: str | None = None
    status: str | None = None
    attempts: int | None = None
    after_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Action:
    """`options` are the keys that belong to what is done; `person` None means the one who usually does it."""

    do: str
    when: When
    options: Mapping[str, JSON]
    person: str | None = None
    expect_status: str | None = None
    expect_error: str | None = None


@dataclass(frozen=True, slots=True)
class Scenario:
    """One case. `expect` is checked by the table of `expectations`, whose keys are the ones allowed here."""

    name: str
    workflow: dict[str, JSON]
    expect: Mapping[str, JSON]
    group: str = ""
    workflows: Sequence[dict[str, JSON]] = ()
    input: dict[str, JSON] = field(default_factory=dict)
    policy: dict[str, JSON] | None = None
    workers: Mapping[str, tuple[Entry, ...]] = field(default_factory=dict)
    actions: tuple[Action, ...] = ()
