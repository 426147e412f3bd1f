"""A run as the planner sees it: one consistent snapshot, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from cordum.domain.context import Write
from cordum.domain.quotas import Quota
from cordum.domain.states import RunStatus, SkipReason, StepStatus
from cordum.domain.workflow import JSON

WORKER_LEFT = "worker_left"  # a lost attempt's code when its worker shut down in order
WORKER_LOST = "worker_lost"


class OutcomeClass(StrEnum):
    """How an attempt ended."""

    SUCCESS = "success"
    RETRYABLE = "retryable"
    FATAL = "fatal"
    TIMEOUT = "timeout"
    QUEUE_TIMEOUT = "queue_timeout"
    LOST = "lost"
    REJECTED = "rejected"  # an approval that a person turned down


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a step or an attempt did not succeed. `code` is a reason code of CONTRACT.md 3.5."""

    code: str
    message: str
    kind: str | None = None  # the class of the exception, where there was one
    traceback: str | None = None

    def document(self) -> dict[str, JSON]:
        shown: dict[str, JSON] = {"code": self.code, "message": self.message}
        if self.kind is not None:
            shown["class"] = self.kind
        if self.traceback is not None:
            shown["traceback"] = self.traceback
        return shown


@dataclass(frozen=True)
class StepState:
    """One step of one run. Times are milliseconds since the epoch, by Redis' clock.

    `attempt` is the number of the latest attempt (0: none yet); `retries` counts the retryable outcomes that used up
    `max_retries`, `losses` the attempts whose worker died; both restart with a generation.

    Not with slots: `made` and `but` then need not touch the many facts that a step does not have.
    """

    status: StepStatus = StepStatus.PENDING
    attempt: int = 0
    retries: int = 0
    losses: int = 0
    outcome: OutcomeClass | None = None  # of the attempt that a SETTLING step has just ended
    failure: Failure | None = None
    failure_number: int | None = (
        None  # which of the run's failed steps this is, from 1: two may fail in one millisecond
    )
    worker: str | None = None  # the incarnation that holds the attempt
    topic: str | None = None  # of the job on its way
    route: str | None = None  # what that job asks of its worker, as text; None: any of its topic
    direct: str | None = None  # the queue of one worker to which that job was sent
    priority: int | None = None
    epoch: int | None = None  # of the policy that allowed the job
    decision: Mapping[str, JSON] | None = None
    quotas: tuple[Quota, ...] = ()  # in which the latest attempt has places, or waits for them
    ready_at: int | None = None
    started_at: int | None = None
    completed_at: int | None = None
    deadline: int | None = None  # of the attempt, the group or the approval
    queue_deadline: int | None = None
    retry_at: int | None = None
    retry_after_ms: int | None = None  # what the worker asked for with its failure
    skip_reason: SkipReason | None = None
    approval: str | None = None  # job id of the approval that is open, or that covers the next dispatch
    approved_request: str | None = None  # hash of the request that a person has allowed
    total: int | None = None  # of a fan-out: its items
    started: int = 0  # of a fan-out or loop: children that have come into being
    settled: int = 0  # … and those of them that have ended and been counted
    due: int | None = None  # when a delay is over, or an approval's next reminder
    expires_at: int | None = None  # of an approval: when nobody can decide any more
    escalated: bool = False  # that approval has been handed to others
    child_run: str | None = None  # of a sub-workflow
    child_version: int | None = None
    child_generation: int = 1  # the child's end counts from this generation on
    correlation: str | None = None  # what a signal must carry to be this step's
    awaits: str | None = None  # name of the signal that finds the step by its correlation
    written: bool = False  # its output stands in the context
    dead_letter: str | None = None  # job id of the dead letter of this step
    rescued: bool = False  # that dead letter is marked: a handler has made good for the step
    taken_over: bool = False  # from the run that this one repeats: nothing of it happened here
    discarded: bool = False  # a person has said that nothing is to be done about it
    replay_of: str | None = None  # the dead letter that this generation tries again
    edited: str | None = None  # JSON text of the input that a person has given it instead of its own
    past: tuple[Mapping[str, JSON], ...] = ()  # how this generation's earlier attempts ended, the latest ones only

    @classmethod
    def made(cls, facts: dict[str, Any]) -> StepState:
        """The same as `StepState(**facts)`, at a fraction of its cost; takes the dictionary over."""
        if not facts.keys() <= cls.__dataclass_fields__.keys():
            raise TypeError(f"a step has no {', '.join(sorted(facts.keys() - cls.__dataclass_fields__.keys()))}")
        state = object.__new__(cls)
        object.__setattr__(state, "__dict__", facts)
        return state

    def but(self, **facts: Any) -> StepState:
        """The same as `dataclasses.replace`, at a fraction of its cost."""
        return self.made({**self.__dict__, **facts})

    @property
    def facts(self) -> Mapping[str, Any]:
        """What was ever said of the step; all else is as in a step that has not begun."""
        return self.__dict__

    @property
    def revoked(self) -> bool:
        """Cancelled by itself, not with its run or its group: that counts as a failure nobody rescues."""
        return self.status is StepStatus.CANCELLED and self.failure_number is not None

    @property
    def failed(self) -> bool:
        """Whether the step answers for a failure."""
        return self.status.unsuccessful or self.revoked


class KnownAhead(NamedTuple):
    """What is known of a fan-out's next children: by which policy, up to which index, after how many results."""

    epoch: int
    until: int
    counted: int


@dataclass(frozen=True, slots=True)
class ChildRun:
    """A child run, as its parent sees it. All but `status` counts only when it has ended."""

    status: RunStatus
    generation: int = 1
    document: Mapping[str, JSON] = field(default_factory=dict)  # what `child` is in output_mapping
    error: Mapping[str, JSON] | None = None
    compensated: bool = False  # what it had done has been undone, or will be


@dataclass(frozen=True, slots=True)
class Parent:
    """The step that a child run belongs to. `wanted`: that step still waits for this run.

    `paused`, `timed_out`: that step's run is paused, or its own time is up. `undone`: it has come to an end after
    which compensations run.
    """

    run_id: str
    step: str
    wanted: bool = True
    paused: bool = False
    timed_out: bool = False
    undone: bool = False


@dataclass(frozen=True, slots=True)
class Pin:
    """The version of a workflow that a child run starts with."""

    version: int
    digest: str
    input_schema: JSON = None


@dataclass(frozen=True, slots=True)
class Signal:
    """An event from outside that no step has taken yet, in the order of arrival."""

    number: int
    name: str
    payload: JSON
    correlation: str | None = None


@dataclass(frozen=True, slots=True)
class RunState:
    """One run. `version` and `signals` are what a commit is checked against (see store/lua/apply_plan.lua).

    `steps` holds what exists from the beginning and the open children of fan-outs and loops. `outputs` and `items` hold
    at least what planning may ask for (see `wants`). `recorded` counts, for each fan-out, the results of its children.
    What is known of other runs (`children`, `pins`, `parent`) was read after the rest.
    """

    id: str
    tenant: str
    workflow_id: str
    digest: str
    workflow_version: int
    created_by: str
    created_at: int
    input: JSON
    steps: Mapping[str, StepState]
    outputs: Mapping[str, JSON] = field(default_factory=dict)
    status: RunStatus = RunStatus.PENDING
    version: int = 0
    signals: int = 0
    generation: int = 1
    deadline: int | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    looked_at: int = 0  # when the snapshot was made
    epoch: int = 0  # of the policy at the moment of the snapshot; 0: none was published
    paused_at: int | None = None
    paused_by: str | None = None
    rerun_of: str | None = None
    triggered_by: str | None = None  # the schedule or hook that has started it for `created_by`
    reason: str | None = None  # of a rerun that is about to begin
    depth: int = 0  # how many parents are above it
    writes: Mapping[str, tuple[Write, ...]] = field(default_factory=dict)
    items: Mapping[tuple[str, int], list[JSON]] = field(default_factory=dict)
    recorded: Mapping[str, int] = field(default_factory=dict)
    ahead: Mapping[str, KnownAhead] = field(default_factory=dict)  # fan-outs whose next children begin without a look
    held: bool = False  # those do not, because a plan was refused
    inbox: tuple[Signal, ...] = ()
    inputs: Mapping[str, str] = field(default_factory=dict)  # JSON texts of what failing steps were given as their own
    children: Mapping[str, ChildRun | None] = field(default_factory=dict)
    pins: Mapping[tuple[str, int | None], Pin | None] = field(default_factory=dict)
    parent: Parent | None = None
    undoable: bool = False  # a child that was put away has succeeded and has a compensation
    definition: str | None = None  # JSON text of its own definition (a single job); None: its workflow's
    compensates: str | None = None  # the run whose steps this one undoes
    compensation: str | None = None  # the run that undoes the steps of this one
    foreseen: tuple[int, int] | None = None  # the version and the policy's epoch for which its prepared steps hold
