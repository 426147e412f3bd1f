"""What callers of the engine give and get."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

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


@dataclass(frozen=True, slots=True)
class Started:
    """A started run as a document; `replayed` when an earlier request with the same key has started it."""

    run: dict[str, Any]
    replayed: bool


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

    def document(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Claim:
    """The answer to a claim; only CLAIMED carries work."""

    word: ClaimReply
    input: JSON = None
    run_id: str = ""
    step_id: str = ""
    attempt: int = 0
    tenant: str = ""
    workflow_id: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
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
