"""A workflow definition as values: what validation makes and the planner reads. Durations are milliseconds here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias

from cordum.domain.expressions import Expression, Template

if TYPE_CHECKING:
    from cordum.domain.instances import Instances
    from cordum.domain.policy import Policy

JSON: TypeAlias = bool | int | float | str | list["JSON"] | dict[str, "JSON"] | None


class FailurePolicy(StrEnum):
    FAIL_FAST = "fail_fast"
    CONTINUE_INDEPENDENT = "continue_independent"


class Strategy(StrEnum):
    ALL = "all"
    ANY = "any"
    N_OF_M = "n_of_m"


class StorageOperation(StrEnum):
    READ = "read"
    WRITE = "write"
    DELETE = "delete"


class NotifyChannel(StrEnum):
    LOG = "log"
    WEBHOOK = "webhook"


class OnExpire(StrEnum):
    REJECT = "reject"
    ESCALATE = "escalate"


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
class Concurrency:
    """At most `limit` jobs of a tenant at one time whose `key` renders to the same text."""

    key: Template
    limit: int


# -- what belongs to one kind of step only -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Group:
    """`parallel`: the named steps as one."""

    steps: tuple[str, ...]
    strategy: Strategy = Strategy.ALL
    required: int = 0
    max_parallel: int | None = None


@dataclass(frozen=True, slots=True)
class Loop:
    """`loop`: `body` again and again. `while_` must hold before each iteration, `until` must not."""

    body: str
    max_iterations: int = 100
    while_: Expression | None = None
    until: Expression | None = None


@dataclass(frozen=True, slots=True)
class Gauge:
    """`condition`: the truth of an expression is the output."""

    condition: Expression


@dataclass(frozen=True, slots=True)
class Case:
    """One branch of a switch: taken when the value equals `value`, a literal."""

    value: JSON
    target: str


@dataclass(frozen=True, slots=True)
class Switch:
    """`switch`: the first case that fits names the branch. `by_text`: compare the text of the value (mapping form)."""

    condition: Expression
    cases: tuple[Case, ...]
    default: str | None = None
    by_text: bool = False

    @property
    def targets(self) -> frozenset[str]:
        """Every step that some branch leads to."""
        return frozenset(case.target for case in self.cases) | ({self.default} if self.default else frozenset())


@dataclass(frozen=True, slots=True)
class Delay:
    """`delay`: exactly one of both. `seconds` renders to a number of seconds, `until` to an RFC 3339 time."""

    seconds: Template | None = None
    until: Template | None = None


@dataclass(frozen=True, slots=True)
class Notify:
    """`notify`: `input` holds level, message, code and component."""

    channel: NotifyChannel = NotifyChannel.LOG


@dataclass(frozen=True, slots=True)
class Storage:
    """`storage`: the run's context by dotted key; `key` renders to text, `value` (write only) to anything."""

    operation: StorageOperation
    key: Template
    value: Template | None = None


@dataclass(frozen=True, slots=True)
class SubworkflowCall:
    """`subworkflow`: a child run. `version` is a version number of the stored definition; None: the latest."""

    workflow_id: str
    version: int | None = None
    input_mapping: Template | None = None
    output_mapping: Template | None = None


@dataclass(frozen=True, slots=True)
class SignalWait:
    """`signal`: waits for an event of this name; `correlation` renders to the text that finds it without a run id."""

    name: str
    correlation: Template | None = None


@dataclass(frozen=True, slots=True)
class Gate:
    """`approval`: who may decide, how many have to, and what happens when nobody does."""

    approvers: tuple[str, ...] = ()
    quorum: int = 1
    expires_ms: int | None = None
    on_expire: OnExpire = OnExpire.REJECT
    escalate_to: tuple[str, ...] = ()
    remind_ms: int | None = None


UNDO_RETRIES = 5


@dataclass(frozen=True, slots=True)
class Compensation:
    """What undoes a step that has succeeded, when its run comes to a bad end (CONTRACT.md 3.9): one job."""

    topic: str
    input: Template | None = None
    retry: RetryPolicy = RetryPolicy(max_retries=UNDO_RETRIES)


Own: TypeAlias = Group | Loop | Gauge | Switch | Delay | Notify | Storage | SubworkflowCall | SignalWait | Gate


@dataclass(frozen=True, slots=True)
class Step:
    """One step. `topic` is set on steps that dispatch jobs; `own` holds what only its kind has (None for those).

    `for_each` makes one child per item; `max_parallel` bounds the children at work. `output_path` names keys of the
    run's context (without `ctx`), `result_path` the part of a worker's result that becomes the output. The schemas are
    JSON Schemas, checked against the rendered input and the output. `route_labels` are those that a worker of its jobs
    must have (`domain.routing` knows two that mean something else), `worker_id` is the preferred one.
    """

    id: str
    kind: str
    name: str | None = None
    depends_on: tuple[str, ...] = ()
    condition: Expression | None = None
    for_each: Expression | None = None
    max_parallel: int | None = None
    input: Template | None = None
    input_schema: JSON = None
    output_schema: JSON = None
    output_path: tuple[str, ...] | None = None
    result_path: tuple[str, ...] | None = None
    on_error: str | None = None
    retry: RetryPolicy = RetryPolicy()
    timeout_ms: int | None = None
    queue_timeout_ms: int | None = None
    priority: Priority = Priority.INTERACTIVE
    topic: str | None = None
    concurrency: Concurrency | None = None
    own: Own | None = None
    meta: Meta = Meta()
    compensate: Compensation | None = None
    route_labels: Mapping[str, str] = field(default_factory=dict)
    worker_id: str | None = None

    @property
    def group(self) -> Group | None:
        return self.own if isinstance(self.own, Group) else None

    @property
    def owned(self) -> tuple[str, ...]:
        """The steps that start only when this one says so."""
        match self.own:
            case Group(steps=steps):
                return steps
            case Loop(body=body):
                return (body,)
        return ()


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
    input_schema: JSON = None
    labels: Mapping[str, str] = field(default_factory=dict)
    policy_override: Policy | None = None

    @cached_property
    def instances(self) -> Instances:
        """Which instances of the steps a run may have."""
        from cordum.domain.instances import Instances  # it is made of the values of this module

        return Instances(self.steps)

    @cached_property
    def has_children(self) -> bool:
        """Whether a run can have children of fan-outs or loops."""
        return any(step.for_each is not None or isinstance(step.own, Loop) for step in self.steps.values())

    @cached_property
    def switched_by(self) -> Mapping[str, tuple[str, ...]]:
        """{step id: the switches that may lead to it}."""
        found: dict[str, list[str]] = {}
        for step in self.steps.values():
            for target in step.own.targets if isinstance(step.own, Switch) else ():
                found.setdefault(target, []).append(step.id)
        return {target: tuple(switches) for target, switches in found.items()}

    @cached_property
    def owner(self) -> Mapping[str, str]:
        """{step id: id of the parallel or loop step that owns it}."""
        return {child: step.id for step in self.steps.values() for child in step.owned}

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

    @cached_property
    def calls(self) -> Mapping[str, SubworkflowCall]:
        """{step id: the other workflow it runs}."""
        return {step.id: step.own for step in self.steps.values() if isinstance(step.own, SubworkflowCall)}

    @property
    def topics(self) -> frozenset[str]:
        """Of all its jobs, compensations included."""
        own = (step.topic for step in self.steps.values() if step.topic is not None)
        return frozenset((*own, *(step.compensate.topic for step in self.steps.values() if step.compensate)))
