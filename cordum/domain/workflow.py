"""A workflow definition as values: what validation makes and the planner reads. Durations are milliseconds here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import TypeAlias

from cordum.domain.expressions import Expression, Template

JSON: TypeAlias = bool | int | float | str | list["JSON"] | dict[str, "JSON"] | None


class FailurePolicy(StrEnum):
    FAIL_FAST = "fail_fast"
    CONTINUE_INDEPENDENT = "continue_independent"


class Strategy(StrEnum):
    ALL = "all"
    ANY = "any"
    N_OF_M = "n_of_m"


class Priority(StrEnum):
    CRITICAL = "critical"
    INTERACTIVE = "interactive"
    BATCH = "batch"


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often, and after how long, a retryable outcome is tried again (CONTRACT.md 3.5)."""

    max_retries: int = 0
    initial_backoff_ms: int = 1000
    max_backoff_ms: int | None = None
    multiplier: float = 2.0
    jitter: float = 0.1


@dataclass(frozen=True, slots=True)
class Meta:
    """Who acts, and what is at stake: what policy looks at."""

    actor_id: str | None = None
    actor_type: str | None = None
    capability: str | None = None
    risk_tags: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Group:
    """The own keys of a `parallel` step."""

    steps: tuple[str, ...]
    strategy: Strategy = Strategy.ALL
    required: int = 0
    max_parallel: int | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One step. `topic` is set on steps that dispatch jobs, `group` on parallel steps, `approvers` on approvals."""

    id: str
    kind: str
    name: str | None = None
    depends_on: tuple[str, ...] = ()
    condition: Expression | None = None
    input: Template | None = None
    on_error: str | None = None
    retry: RetryPolicy = RetryPolicy()
    timeout_ms: int | None = None
    queue_timeout_ms: int | None = None
    priority: Priority = Priority.INTERACTIVE
    topic: str | None = None
    group: Group | None = None
    meta: Meta = Meta()


@dataclass(frozen=True)
class Workflow:
    """A whole definition, already valid. `steps` keeps the definition's order, which is the order of dispatch."""

    id: str
    steps: Mapping[str, Step]
    name: str | None = None
    description: str | None = None
    version_label: str | None = None
    timeout_ms: int | None = None
    on_failure: FailurePolicy = FailurePolicy.FAIL_FAST
    output: Template | None = None
    labels: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def owner(self) -> Mapping[str, str]:
        """{child step id: id of the parallel step that owns it}."""
        return {child: step.id for step in self.steps.values() if step.group for child in step.group.steps}

    @cached_property
    def handled_by(self) -> Mapping[str, tuple[str, ...]]:
        """{handler step id: the steps whose `on_error` names it}."""
        users: dict[str, list[str]] = {}
        for step in self.steps.values():
            if step.on_error is not None:
                users.setdefault(step.on_error, []).append(step.id)
        return {handler: tuple(steps) for handler, steps in users.items()}

    @cached_property
    def sinks(self) -> tuple[str, ...]:
        """Steps that nothing depends on and that are neither owned children nor handlers: the default output."""
        needed = {dependency for step in self.steps.values() for dependency in step.depends_on}
        return tuple(s for s in self.steps if s not in needed and s not in self.owner and s not in self.handled_by)

    @property
    def topics(self) -> frozenset[str]:
        return frozenset(step.topic for step in self.steps.values() if step.topic is not None)
