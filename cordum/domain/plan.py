"""What the planner decides: values that one script commits together, or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from cordum.domain.context import Write
from cordum.domain.quotas import Quota
from cordum.domain.routing import Route
from cordum.domain.run import Failure, Pin, StepState
from cordum.domain.states import RunStatus, StepStatus
from cordum.domain.workflow import JSON


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the timeline; the script adds number and time. `source` and `target` are shown as from and to."""

    type: str
    step: str | None = None
    attempt: int | None = None
    source: str | None = None
    target: str | None = None
    actor: str | None = None
    data: Mapping[str, JSON] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StepChange:
    """A step from the state the snapshot showed to the state it shall have; the commit checks the first.

    `before` None: the instance comes into being.
    """

    step: str
    before: StepState | None
    after: StepState


@dataclass(frozen=True, slots=True)
class Target:
    """A worker that may be given a job on its direct queue while it has fewer than `most`."""

    worker: str
    most: int


@dataclass(frozen=True, slots=True)
class Job:
    """One attempt to be dispatched. `input` None means: the run's input, which is not copied.

    `quotas` are those it must find room in first; among those that wait, `since` (milliseconds) says whose turn it is.
    """

    step: str
    attempt: int
    topic: str
    priority: int
    timeout_ms: int
    retries_left: int  # how many retryable ends after this attempt's would be followed by another attempt
    input: JSON = None
    own_input: bool = False
    rule_id: str | None = None  # the policy's rule that allowed it, None for its default
    policy_digest: str = ""
    route: Route | None = None  # what it asks of its worker beside its topic
    worker: str | None = None  # the preferred one
    targets: tuple[Target, ...] = ()  # who may have it at once; filled in when the plan is committed
    shape: JSON = None  # {path, schema}: which part of the result is the output, and what it must look like
    quotas: tuple[Quota, ...] = ()
    since: int = 0


@dataclass(frozen=True, slots=True)
class ApprovalRequest:
    """A question to people. `request_hash` and `policy_digest` are what the answer will be bound to."""

    step: str
    attempt: int
    gate: str  # "step" for an approval step, "policy" for a rule that asks for a person
    topic: str
    request_hash: str
    policy_digest: str
    rule_id: str | None
    reason: str | None
    request: JSON
    approvers: tuple[str, ...] = ()  # persons and `role:…`; empty: anybody who may approve
    quorum: int = 1


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """A job that must not go on: taken off its queue or ready set, or its worker told to stop."""

    step: str
    attempt: int
    status: StepStatus
    topic: str | None
    priority: int | None
    worker: str | None
    quotas: tuple[Quota, ...] = ()
    route: str | None = None
    direct: str | None = None  # the queue of one worker on which it lies


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """Evidence of a leaf that failed for good (CONTRACT.md 3.5).

    `payload_digest`: SHA-256 of the input that it failed with, as compact JSON; None when there was none. `input`: that
    input, where no job has stored it (`own_input`).
    """

    step: str
    attempt: int
    status: StepStatus
    reason_code: str
    failure: Failure
    topic: str | None
    worker: str | None
    first_at: int
    evidence: Mapping[str, JSON]
    payload_digest: str | None = None
    input: JSON = None
    own_input: bool = False
    replay_of: str | None = None


@dataclass(frozen=True, slots=True)
class Handling:
    """Who has dealt with dead letters, and why. `bulk`: the bulk retry that it was a part of."""

    actor: str
    reason: str
    bulk: str = ""


@dataclass(frozen=True, slots=True)
class Spawn:
    """A child run that must exist; starting it twice is starting it once."""

    step: str
    run_id: str
    workflow_id: str
    pin: Pin
    input: JSON


@dataclass(frozen=True, slots=True)
class RunChange:
    """What happens to the run itself. `output` counts only when `has_output`; the last ones are None where unchanged.

    `paused` is (when, by whom), or empty for a run that goes on. `undo`: a person has asked for compensations.
    """

    status: RunStatus
    output: JSON = None
    has_output: bool = False
    error: Mapping[str, JSON] | None = None
    paused: tuple[int, str] | tuple[()] | None = None
    generation: int | None = None
    deadline: int | None = None
    undo: bool = False


@dataclass(frozen=True, slots=True)
class Linked:
    """A run that the same commit creates: it undoes the steps of this one. Its first look gives it its steps."""

    run_id: str
    deadline: int


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that follows from one snapshot. An empty plan is committed too: it clears the run's mark.

    `archived` instances leave the run's open state. `items` are the pinned items of fan-outs, by (ref, block).
    `undoable`: among those archived is one that has a compensation. `finished` is an event for the timeline of the run
    that this one compensates.

    `wake_after` says for a fan-out how many of its children's results must have come, all in all, before somebody has
    to look. `stirred` are child runs that have to look at their parent. `again`: look once more at once.
    """

    changes: tuple[StepChange, ...] = ()
    outputs: Mapping[str, JSON] = field(default_factory=dict)
    events: tuple[Event, ...] = ()
    jobs: tuple[Job, ...] = ()
    approvals: tuple[ApprovalRequest, ...] = ()
    closed_approvals: tuple[tuple[str, str], ...] = ()  # (job id, state it ends in)
    handed_on: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # job id -> who may decide from now on
    withdrawals: tuple[Withdrawal, ...] = ()
    dead_letters: tuple[DeadLetter, ...] = ()
    archived: Mapping[str, StepState] = field(default_factory=dict)
    items: Mapping[tuple[str, int], list[JSON]] = field(default_factory=dict)
    wake_after: Mapping[str, int] = field(default_factory=dict)
    writes: Mapping[str, tuple[Write, ...]] = field(default_factory=dict)
    taken: tuple[int, ...] = ()  # numbers of the signals that steps have taken
    spawns: tuple[Spawn, ...] = ()
    reopened: tuple[str, ...] = ()  # child runs that shall be retried
    brought_back: tuple[str, ...] = ()  # archived instances that are open again
    replayed: tuple[str, ...] = ()  # job ids of dead letters whose step runs again
    stirred: tuple[str, ...] = ()
    undoable: bool = False
    compensation: Linked | None = None
    finished: Event | None = None
    again: bool = False
    epoch: int | None = None  # of the policy by which something was decided; None: nothing was
    rescued: tuple[str, ...] = ()  # job ids of dead letters whose step a handler has rescued
    held: bool = False  # something would have been dispatched and was not, for want of a decision
    discarded: tuple[str, ...] = ()  # job ids of dead letters that a person has put aside
    relabelled: Mapping[str, StepState] = field(default_factory=dict)  # put away instances, with another label
    handling: Handling | None = None  # by whom the replayed and discarded ones were dealt with
    run: RunChange | None = None
    wake_at: int | None = None  # when to look at the run again though nothing has happened

    @property
    def empty(self) -> bool:
        """Whether nothing but the mark and the wake-up time would be written."""
        return not (self.changes or self.archived or self.events or self.run or self.rescued)
