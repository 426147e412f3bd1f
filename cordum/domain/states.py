"""The states of runs and steps, and the one table of transitions.

Every write of a step's state is a row of `TRANSITIONS`, and each row is written by one script (or by the `release`
fragment that several scripts share). The scripts declare the rows they write in their headers; a test holds the two
lists together.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class RunStatus(StrEnum):
    PENDING = "pending"
    RUNNING = "running"
    WAITING = "waiting"
    PAUSED = "paused"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    DENIED = "denied"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"

    @property
    def terminal(self) -> bool:
        return self in _TERMINAL_RUN

    @property
    def retryable(self) -> bool:
        """Whether an operator may let a run that ended like this go on."""
        return self in (RunStatus.FAILED, RunStatus.DENIED, RunStatus.TIMED_OUT)


class StepStatus(StrEnum):
    """`READY` and `SETTLING` are cordum's own: users see them as `pending` and `running` (see `public`)."""

    PENDING = "pending"
    READY = "ready"  # decided and admitted; its message waits inside cordum until the topic's window has room
    QUEUED = "queued"  # its message lies on a Celery queue
    RUNNING = "running"
    SETTLING = "settling"  # the attempt has ended without a success; the planner has yet to say what follows
    WAITING = "waiting"
    RETRYING = "retrying"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    DENIED = "denied"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"

    @property
    def terminal(self) -> bool:
        return self in _TERMINAL_STEP

    @property
    def unsuccessful(self) -> bool:
        """Ended in a way that an `on_error` handler may rescue."""
        return self in _UNSUCCESSFUL_STEP

    @property
    def busy(self) -> bool:
        """On its way: such steps fill the places of `max_parallel`."""
        return self in _BUSY_STEP

    @property
    def public(self) -> StepStatus:
        """The state as the contract names it."""
        if self is StepStatus.READY:
            return StepStatus.PENDING
        if self is StepStatus.SETTLING:
            return StepStatus.RUNNING
        return self


_TERMINAL_RUN = frozenset(
    {RunStatus.SUCCEEDED, RunStatus.FAILED, RunStatus.DENIED, RunStatus.TIMED_OUT, RunStatus.CANCELLED}
)
_TERMINAL_STEP = frozenset(
    {
        StepStatus.SUCCEEDED,
        StepStatus.FAILED,
        StepStatus.DENIED,
        StepStatus.TIMED_OUT,
        StepStatus.CANCELLED,
        StepStatus.SKIPPED,
    }
)


_UNSUCCESSFUL_STEP = frozenset({StepStatus.FAILED, StepStatus.DENIED, StepStatus.TIMED_OUT})
_BUSY_STEP = frozenset(
    {StepStatus.READY, StepStatus.QUEUED, StepStatus.RUNNING, StepStatus.SETTLING, StepStatus.RETRYING}
)


class SkipReason(StrEnum):
    CONDITION_FALSE = "condition_false"
    UPSTREAM_SKIPPED = "upstream_skipped"
    UPSTREAM_FAILED = "upstream_failed"
    HANDLER_NOT_NEEDED = "handler_not_needed"
    RUN_TIMED_OUT = "run_timed_out"
    RUN_CANCELLED = "run_cancelled"
    BRANCH_NOT_TAKEN = "branch_not_taken"
    NOT_IN_RERUN = "not_in_rerun"
    BY_HAND = "by_hand"


class Transition(NamedTuple):
    """One legal change of a step's state, and the script that writes it."""

    source: StepStatus
    target: StepStatus
    script: str


def _rows(script: str, source: StepStatus, *targets: StepStatus) -> tuple[Transition, ...]:
    return tuple(Transition(source, target, script) for target in targets)


_S = StepStatus
TRANSITIONS: frozenset[Transition] = frozenset(
    # The planner's own moves.
    _rows(
        "apply_plan",
        _S.PENDING,
        _S.READY,
        _S.RUNNING,  # a group or a child run starts
        _S.WAITING,
        _S.SUCCEEDED,  # what is done by the planner itself
        _S.SKIPPED,
        _S.FAILED,  # an expression failed before anything was dispatched
        _S.DENIED,
        _S.TIMED_OUT,  # with its run, when a later attempt of it waits for a new decision
        _S.CANCELLED,
    )
    + _rows(
        "apply_plan",
        _S.READY,
        _S.PENDING,  # its run is paused before anything was sent
        _S.RETRYING,
        _S.SUCCEEDED,  # here and below: by hand
        _S.TIMED_OUT,
        _S.CANCELLED,
        _S.SKIPPED,
    )
    + _rows("apply_plan", _S.QUEUED, _S.RETRYING, _S.SUCCEEDED, _S.TIMED_OUT, _S.CANCELLED, _S.SKIPPED)
    + _rows(
        "apply_plan",
        _S.RUNNING,
        _S.SUCCEEDED,  # groups and child runs
        _S.FAILED,
        _S.DENIED,
        _S.RETRYING,  # time-out of an attempt
        _S.TIMED_OUT,
        _S.CANCELLED,
        _S.SKIPPED,
    )
    + _rows(
        "apply_plan",
        _S.SETTLING,
        _S.READY,  # a lost attempt goes out again at once
        _S.WAITING,
        _S.RETRYING,
        _S.SUCCEEDED,
        _S.FAILED,
        _S.DENIED,
        _S.TIMED_OUT,
        _S.CANCELLED,
        _S.SKIPPED,
    )
    + _rows(
        "apply_plan",
        _S.RETRYING,
        _S.READY,
        _S.WAITING,
        _S.SUCCEEDED,
        _S.FAILED,
        _S.DENIED,
        _S.TIMED_OUT,
        _S.CANCELLED,
        _S.SKIPPED,
    )
    + _rows("apply_plan", _S.WAITING, _S.READY)  # a new policy lets a job go for which people were asked
    + _rows("apply_plan", _S.WAITING, _S.SUCCEEDED, _S.FAILED, _S.DENIED, _S.TIMED_OUT, _S.CANCELLED, _S.SKIPPED)
    # An operator's retry of a failed run, and nothing else, reopens what has ended.
    + _rows("apply_plan", _S.FAILED, _S.PENDING)
    + _rows("apply_plan", _S.DENIED, _S.PENDING)
    + _rows("apply_plan", _S.TIMED_OUT, _S.PENDING)
    + _rows("apply_plan", _S.CANCELLED, _S.PENDING)
    + _rows("apply_plan", _S.SKIPPED, _S.PENDING)
    + _rows("apply_plan", _S.SUCCEEDED, _S.PENDING)  # a handler, which starts anew with the step it handles
    # A job leaves cordum's ready set for its Celery queue.
    + _rows("release", _S.READY, _S.QUEUED)
    # What a worker does.
    + _rows("claim", _S.QUEUED, _S.RUNNING, _S.PENDING)
    + _rows("take_jobs", _S.QUEUED, _S.RUNNING)
    + _rows("give_back", _S.QUEUED, _S.PENDING)  # its worker is gone, or has not taken it
    + _rows("record_result", _S.RUNNING, _S.SUCCEEDED, _S.SETTLING)
    + _rows("record_result", _S.PENDING, _S.READY)  # what was foreseen (`domain/straight.py`)
    + _rows("lose_attempt", _S.RUNNING, _S.SETTLING)
    # What a person decides.
    + _rows("resolve_approval", _S.WAITING, _S.SUCCEEDED, _S.SETTLING, _S.PENDING)
)

_PLANNED = frozenset((row.source, row.target) for row in TRANSITIONS if row.script == "apply_plan")


def may_plan(source: StepStatus, target: StepStatus) -> bool:
    """Whether the planner may move a step from `source` to `target`."""
    return (source, target) in _PLANNED
