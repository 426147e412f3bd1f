"""The values of the model: runs, steps, and one look at a run. Imports nothing of cordum's.

A definition is the document a user writes, a `dict`. States beyond the contract's: `ready` (decided, its message is
still inside cordum) and `settling` (the attempt has ended without a success, nobody has judged it yet). Times are
milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

ENDED = {"succeeded", "failed", "denied", "timed_out", "cancelled", "skipped"}
RESCUABLE = {"failed", "denied", "timed_out"}
BUSY = {"ready", "queued", "running", "settling", "retrying"}
RUN_ENDED = ENDED - {"skipped"}
DAY_MS = 24 * 3600 * 1000
RUN_TIMEOUT_MS, JOB_TIMEOUT_MS, MAX_LOSSES, POLICY_PAUSE_MS = 7 * DAY_MS, 900_000, 3, 1000
PRIORITY = {"critical": 0, "interactive": 3, "batch": 6}


@dataclass
class Step:
    status: str = "pending"
    attempt: int = 0
    retries: int = 0  # retryable ends that used up `max_retries`
    losses: int = 0  # attempts whose worker died
    outcome: str | None = None  # of a settling attempt: retryable, fatal, timeout, lost, left or rejected
    code: str | None = None
    rank: int = 0  # the n-th failure of its run
    skip: str | None = None
    output: Any = None
    begun: bool = False  # its turn has come, its condition has been evaluated
    until: int | None = None  # when its present state ends by time alone
    ended_at: int = 0  # of the attempt
    pause: int | None = None  # what the worker asked for before a retry
    epoch: int = 0  # of the policy that allowed it
    asked: str | None = None  # the policy that has asked people about it last
    approved: str | None = None  # the policy under which a person has allowed it
    worker: str | None = None
    nonce: str | None = None  # of the delivery that claimed the attempt
    recorded: str | None = None  # the nonce whose result was written down last
    rescued: bool = False  # a handler has made good for it


@dataclass
class Run:
    id: str
    tenant: str
    definition: dict[str, Any]
    input: Any
    deadline: int
    steps: dict[str, Step]
    status: str = "pending"
    output: Any = None
    error: tuple[str | None, str] | None = None  # the step that decided, and why
    version: int = 0  # commits that changed something
    signals: int = 0  # what workers and people have said
    due: int | None = None  # from when on a coordinator has to look
    timer: int | None = None  # when time alone makes it due
    fired: int | None = None  # when its timer went off, until a later look has been committed
    foreseen: dict[str, list[str]] = field(default_factory=dict)  # step -> what follows when it succeeds
    foreseen_by: tuple[int, int] | None = None  # the version it holds for, and the epoch of the policy

    def spec(self, name: str) -> dict[str, Any]:
        spec: dict[str, Any] = self.definition["steps"][name]
        return spec

    def kind(self, name: str) -> str:
        return str(self.spec(name).get("type", "worker"))

    def owner(self, name: str) -> str | None:
        return next((other for other in self.steps if name in self.members(other)), None)

    def members(self, name: str) -> list[str]:
        return list(self.spec(name).get("steps", ()))

    def handled(self, name: str) -> list[str]:
        """The steps that name this one as their handler."""
        return [other for other in self.steps if self.spec(other).get("on_error") == name]

    def job(self, name: str, attempt: int | None = None) -> str:
        return f"{self.id}:{name}@{self.steps[name].attempt if attempt is None else attempt}"

    def copy(self) -> Run:
        return replace(self, steps={name: replace(step) for name, step in self.steps.items()})

    def input_of(self, name: str) -> Any:
        """3.13: a job gets the run's input, a handler the first error too."""
        failed = [user for user in self.handled(name) if self.steps[user].status in RESCUABLE]
        if not failed:
            return self.input
        first = min(failed, key=lambda user: self.steps[user].rank)
        step = self.steps[first]
        error = {"step_id": first, "status": step.status, "code": step.code, "attempt": step.attempt}
        return {**self.input, "error": error}

    def standing(self, name: str) -> str:
        """3.2 and 3.3: what a step means to those that wait for it."""
        step = self.steps[name]
        if step.status == "skipped":
            return "satisfied" if step.skip == "condition_false" else "absent"
        while step.status in RESCUABLE and (handler := self.spec(name).get("on_error")):
            name, step = handler, self.steps[handler]
        if step.status == "succeeded":
            return "satisfied"
        return "unsatisfied" if step.status in ENDED else "open"


@dataclass
class Policy:
    name: str
    epoch: int
    verdicts: dict[str, str]  # topic -> allow, deny or require_approval


@dataclass
class Look:
    """One look at a run, and everything that follows from it. `run` is a copy: nothing has happened yet."""

    seen: Run
    policy: Policy | None
    now: int
    foresees: bool = False  # it is no person's act, so that what follows from it can be known beforehand
    run: Run = field(init=False)
    closed: dict[str, str] = field(default_factory=dict)  # approvals that nobody has to answer any more: job id -> why
    dead: list[str] = field(default_factory=list)  # steps that have failed for good, leaves only
    withdrawn: list[tuple[str, str, str | None]] = field(default_factory=list)  # step, job, the worker that runs it
    held: bool = False  # for want of a policy
    decided: bool = False  # the policy has said something, and it counts only while that policy does

    def __post_init__(self) -> None:
        self.seen, self.run = self.seen.copy(), self.seen.copy()

    @property
    def wake_at(self) -> int | None:
        """When time alone will change something."""
        if self.run.status in RUN_ENDED:
            return None
        times = [self.run.deadline, *(step.until for step in self.run.steps.values() if step.until is not None)]
        return min([*times, self.now + POLICY_PAUSE_MS] if self.held else times)

    def changed(self) -> list[str]:
        return [name for name, step in self.run.steps.items() if step != self.seen.steps[name]]

    def new(self, status: str) -> list[str]:
        """Steps that this look brings into a state, in the order of the definition."""
        mark = {name: (step.status, step.attempt, step.epoch) for name, step in self.seen.steps.items()}
        steps = self.run.steps.items()
        return [n for n, step in steps if step.status == status and mark[n] != (status, step.attempt, step.epoch)]

    def questions(self) -> list[str]:
        """Steps about which this look asks people, also once more about the same attempt."""
        asked_anew = (name for name, step in self.run.steps.items() if step.asked != self.seen.steps[name].asked)
        waiting = {*self.new("waiting"), *asked_anew}
        return [name for name, step in self.run.steps.items() if name in waiting and step.status == "waiting"]

    def move(self, name: str, status: str, until: int | None = None, **facts: Any) -> None:
        """Change a step, and take back what its old state had sent out."""
        before, sent = self.run.steps[name], self.seen.steps[name]
        if sent.status == before.status and before.status in ("ready", "queued", "running") and self.is_job(name):
            worker = before.worker if before.status == "running" else None
            self.withdrawn.append((name, self.run.job(name), worker))
        if sent.status == before.status == "waiting":
            self.closed[self.seen.job(name)] = "closed"
        self.run.steps[name] = replace(before, status=status, until=until, **facts)

    def is_job(self, name: str) -> bool:
        return self.run.kind(name) == "worker"

    def end(self, name: str, status: str, code: str, attempt: int | None = None) -> None:
        """3.5: a failure for good; leaves leave a dead letter."""
        rank = 1 + max(step.rank for step in self.run.steps.values())
        attempt = self.run.steps[name].attempt if attempt is None else attempt
        self.move(name, status, code=code, rank=rank, attempt=attempt)
        if self.run.kind(name) != "parallel":
            self.dead.append(name)
