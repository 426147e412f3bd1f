"""What callers of the engine give and get."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any, NamedTuple

from cordum._version import __version__
from cordum.domain.policy import NO_CONSTRAINTS, Constraints
from cordum.domain.roles import Role
from cordum.domain.run import Failure, OutcomeClass
from cordum.domain.workflow import JSON
from cordum.errors import Problem
from cordum.store.jobs import ClaimReply


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: a person within a tenant; `anonymous` when nobody said.

    `cell`: an admin who looks after the whole cell, not only after a tenant. `key_id`: the key that said so.
    """

    tenant: str
    person: str = "anonymous"
    role: Role = Role.ADMIN
    cell: bool = False
    key_id: str | None = None


@dataclass(frozen=True, slots=True)
class Saved:
    """A stored definition; `created` is False when this very content was stored before."""

    id: str
    version: int
    digest: str
    created: bool
    warnings: tuple[Problem, ...] = ()


@dataclass(frozen=True)
class Started:
    """A started run; `replayed` when an earlier request with the same key has started it."""

    id: str
    replayed: bool
    show: Callable[[], dict[str, Any]] = field(repr=False, compare=False)

    @cached_property
    def run(self) -> dict[str, Any]:
        """The run as a document, as it was started."""
        return self.show()


@dataclass(frozen=True, slots=True)
class Page:
    """Some documents, and the place to go on from (None: that was all)."""

    items: list[dict[str, Any]]
    next: str | None = None


@dataclass(frozen=True, slots=True)
class WorkerInfo:
    """One incarnation of a worker; a restart of the same worker is another."""

    incarnation: str
    host: str
    name: str
    pid: int
    slots: int
    topics: tuple[str, ...]
    started_at_ms: int
    pools: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    capabilities: tuple[str, ...] = ()
    together: Mapping[str, int] = field(default_factory=dict)  # by topic, how many short jobs a slot takes at once
    version: str = __version__

    def document(self) -> dict[str, Any]:
        return asdict(self)


class Orders(NamedTuple):
    """What a worker hears when it renews its lease: jobs that must stop, and whether it may take new ones."""

    stops: list[str]
    draining: bool


class Claim(NamedTuple):
    """The answer to a claim; only CLAIMED carries work."""

    word: ClaimReply
    input: JSON = None
    run_id: str = ""
    step_id: str = ""
    attempt: int = 0
    tenant: str = ""
    workflow_id: str = ""
    labels: Mapping[str, str] = MappingProxyType({})
    timeout_ms: int = 0
    retries_left: int = 0
    shape: JSON = None  # {path, schema}: see `shaped`
    constraints: Constraints = NO_CONSTRAINTS


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt ended. `output` counts for a success, `failure` for everything else."""

    kind: OutcomeClass
    output: JSON = None
    failure: Failure | None = None
    retry_after_ms: int | None = None
    text: str | None = field(default=None, compare=False, repr=False)  # the output's, if somebody has made it
