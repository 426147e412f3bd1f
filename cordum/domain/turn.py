"""The working copy that one planning turn changes until nothing more follows, and the Plan made from what changed.

A Turn knows how a change is written down (state, event, dead letter, withdrawal). It does not know why a change is
made: that is the business of `attempts`, `readiness`, `endings` and of the step kinds.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from cordum.domain import context
from cordum.domain.context import Write
from cordum.domain.decision_point import DecisionPoint
from cordum.domain.ids import JobId
from cordum.domain.instances import Instance, Role, is_child
from cordum.domain.limits import Limits
from cordum.domain.pinned import BLOCK, blocks_of
from cordum.domain.plan import (
    ApprovalRequest,
    DeadLetter,
    Event,
    Handling,
    Job,
    Linked,
    Plan,
    RunChange,
    Spawn,
    StepChange,
    Withdrawal,
)
from cordum.domain.retry import chance_of
from cordum.domain.run import Failure, RunState, Signal, StepState
from cordum.domain.saga import has_compensation
from cordum.domain.scope import Scope
from cordum.domain.states import RunStatus, SkipReason, StepStatus, may_plan
from cordum.domain.workflow import JSON, Workflow

POLICY_RETRY_MS = 1000
# The most children that one plan lets begin, so that no commit keeps Redis from others for long.
MOST_CHILDREN = 64

_ON_THE_WAY = frozenset({StepStatus.READY, StepStatus.QUEUED, StepStatus.RUNNING})
# What falls due in these while the run is paused waits for the run; a timer would go off again and again.
_WAIT_FOR_THE_RUN = frozenset({StepStatus.RETRYING, StepStatus.READY, StepStatus.QUEUED})
_EVENT_OF = {
    StepStatus.FAILED: "step.failed",
    StepStatus.DENIED: "step.denied",
    StepStatus.TIMED_OUT: "step.timed_out",
}

_ABSENT = StepState()
_MOST_PAST, _MOST_OF_A_MESSAGE = 20, 300
_CLOSED = "closed"  # an approval that nobody needs any more


class Turn:
    """One run, looked at once. `now` is milliseconds by Redis' clock; `policy` None means that it cannot be had now."""

    def __init__(
        self, workflow: Workflow, run: RunState, policy: DecisionPoint | None, now: int, limits: Limits = Limits()
    ) -> None:
        self.workflow = workflow
        self.instances = workflow.instances
        self.run = run
        self.policy = policy
        self.now = now
        self.limits = limits
        self.steps: dict[str, StepState] = self._in_order(run.steps)
        self.outputs: dict[str, JSON] = {}
        self.status = run.status
        self.ending: RunChange | None = None
        self.pausing: RunChange | None = None  # the run is paused, resumed or reopened by this turn
        self.children_left = MOST_CHILDREN
        self.context: dict[str, JSON] = context.fold(run.writes)
        self._archived: dict[str, StepState] = {}
        self.undoable = run.undoable
        self._compensation: Linked | None = None
        self._finished: Event | None = None
        self._items: dict[tuple[str, int], list[JSON]] = {}
        self._wake_after: dict[str, int] = {}
        self._writes: dict[str, tuple[Write, ...]] = {}
        self._written = max((write.number for own in run.writes.values() for write in own), default=0)
        self._inbox: list[Signal] = list(run.inbox)
        self._taken: list[int] = []
        self._spawns: list[Spawn] = []
        self._reopened: list[str] = []
        self._brought_back: list[str] = []
        self._replayed: list[str] = []
        self._stirred: list[str] = []
        self._again = False
        self._added = False  # since the steps were last put in order
        self._events: list[Event] = []
        self._jobs: list[Job] = []
        self._approvals: list[ApprovalRequest] = []
        self._closed: list[tuple[str, str]] = []
        self._handed_on: dict[str, tuple[str, ...]] = {}
        self._withdrawals: list[Withdrawal] = []
        self._dead: list[DeadLetter] = []
        self._rescued: list[str] = []
        self._discarded: list[str] = []
        self._relabelled: dict[str, StepState] = {}
        self.handling: Handling | None = None
        self._held = False
        self.decided = False  # by the policy; what follows from it counts only while that policy does
        self._closing = _CLOSED
        self._failures = max((state.failure_number or 0 for state in self.steps.values()), default=0)

    def _in_order(self, steps: Mapping[str, StepState]) -> dict[str, StepState]:
        initial = self.instances.initial
        later = sorted((ref for ref in steps if ref not in initial), key=self.instances.order)
        return {ref: steps[ref] for ref in (*initial, *later) if ref in steps}

    # -- reading -------------------------------------------------------------------------------------------------

    def all(self) -> list[Instance]:
        """Every instance there is now: those of the definition in its order, then children in theirs."""
        if self._added:
            self.steps, self._added = self._in_order(self.steps), False
        return [self.instances[ref] for ref in self.steps]

    def children(self, ref: str) -> list[str]:
        """The open children of a fan-out or loop, in the order of their indexes."""
        return [child for child in self.steps if is_child(child) and self.instances[child].host == ref]

    def inside(self, ref: str) -> list[str]:
        """What exists only within this instance, however deep."""
        if self.instances[ref].role is Role.UNIT:
            return []
        return [child for child in self.steps if is_child(child) and ref in self._contexts(child)]

    def companions(self, ref: str) -> list[str]:
        """What came into being with a child: the members of a group, handlers beside it, and what is inside those."""
        found: list[str] = []
        for born in self.instances.born_with(self.instances[ref]):
            found += [one for one in (*self.inside(born), *self.companions(born), born) if one not in found]
        return [one for one in found if one in self.steps]

    def _contexts(self, ref: str) -> Iterator[str]:
        around = self.instances[ref].context
        while around is not None:
            yield around
            around = self.instances[around].context

    def scope(self, instance: Instance | None = None) -> Mapping[str, Any]:
        """What expressions can see (CONTRACT.md section 4), of this instance or of the run as a whole."""
        return Scope(self, instance)

    def output_of(self, ref: str) -> JSON:
        return self.outputs[ref] if ref in self.outputs else self.run.outputs.get(ref)

    def has_output(self, ref: str) -> bool:
        """Whether a child's output can be had in this turn."""
        return ref in self.outputs or ref in self.run.outputs

    def item(self, fan: str, index: int) -> JSON:
        block = (fan, index // BLOCK)
        return (self._items[block] if block in self._items else self.run.items[block])[index % BLOCK]

    def job_id(self, ref: str, attempt: int | None = None) -> str:
        return str(JobId(self.run.id, ref, self.steps[ref].attempt if attempt is None else attempt))

    # -- writing -------------------------------------------------------------------------------------------------

    def event(self, type_: str, step: str | None = None, **fields: Any) -> None:
        self._events.append(Event(type_, step, **fields))

    def add(self, ref: str) -> None:
        """An instance comes into being, with all that exists only within it from its beginning."""
        self.steps[ref] = StepState()
        self._added = True
        for companion in self.instances.born_with(self.instances[ref]):
            self.add(companion)

    def archive(self, ref: str) -> None:
        """A child that has been counted leaves the open state with all that came into being with it.

        Its output can still be asked for.
        """
        for gone in self.belongings(ref):
            self._archived[gone] = self.steps.pop(gone)
            self.undoable |= has_compensation(self.instances[gone], self._archived[gone])

    def belongings(self, ref: str) -> list[str]:
        """A child with all that came into being with it and is there."""
        found = dict.fromkeys((*self.inside(ref), *self.companions(ref), ref))
        return [one for one in found if one in self.steps]

    def pin(self, fan: str, items: list[JSON]) -> None:
        self._items.update({(fan, number): block for number, block in enumerate(blocks_of(items))})

    def wake_after(self, fan: str, results: int) -> None:
        """Nobody has to look at the run until so many more children of this fan-out have succeeded."""
        self._wake_after[fan] = self.run.recorded.get(fan, 0) + results

    def write(self, step: str, path: tuple[str, ...], value: JSON = None, *, deleted: bool = False) -> None:
        """Put a value into the run's context, or take one away, in the name of a step of the definition."""
        self._written += 1
        write = Write(self._written, path, value, deleted)
        known = self._writes.get(step, self.run.writes.get(step, ()))
        self._writes[step] = context.with_write(known, write)
        self.context = dict(self.context)
        context.put(self.context, write)

    def take_signal(self, name: str, correlation: str | None) -> Signal | None:
        """The oldest signal of this name that no step has taken; one that carries a correlation must carry this one."""
        for signal in self._inbox:
            if signal.name == name and signal.correlation in (None, correlation):
                self._inbox.remove(signal)
                self._taken.append(signal.number)
                return signal
        return None

    def spawn(self, spawn: Spawn) -> None:
        self._spawns.append(spawn)

    def reopen_child(self, step: str) -> None:
        """The step's child run shall be retried."""
        child = self.steps[step].child_run
        assert child is not None
        self._reopened.append(child)

    def stir_children(self) -> None:
        """Have every open child run look at this one."""
        for ref, state in self.steps.items():
            self._stir_child(ref, state)

    def _stir_child(self, ref: str, state: StepState) -> None:
        """Have the step's child run look at this one, unless it is over.

        One that has not been seen may begin before this plan is committed, and one that shall be retried go on.
        """
        if state.status is not StepStatus.RUNNING or state.child_run is None:
            return
        child = self.run.children.get(ref)
        if child is None or not child.status.terminal or child.generation < state.child_generation:
            self._stirred.append(state.child_run)

    def take_back(self, step: str) -> None:
        """A job that was decided and not sent is pending again; its attempt is not used."""
        before = self.steps[step]
        self._leave(step, before)
        self.steps[step] = before.but(status=StepStatus.PENDING, attempt=before.attempt - 1, epoch=None)

    def reset(self, step: str) -> None:
        """What has ended is pending again; attempts are counted on, so that job ids stay unique."""
        before = self.steps[step]
        if before.dead_letter is not None and not before.discarded:
            self._replayed.append(before.dead_letter)
            self.event("dead_letter.replayed", step, attempt=before.attempt, **self._handled())
        self.steps[step] = _anew(before)

    def discard_letter(self, step: str, archived: StepState | None = None) -> None:
        """A person says that nothing is to be done about a step's dead letter. `archived`: it was put away."""
        state = self.steps[step] if archived is None else archived
        assert state.dead_letter is not None
        marked = state.but(discarded=True)
        if archived is None:
            self.steps[step] = marked
        else:
            self._relabelled[step] = marked
        self._discarded.append(state.dead_letter)
        self.event("dead_letter.discarded", step, attempt=state.attempt, **self._handled())

    def _handled(self) -> dict[str, Any]:
        if self.handling is None:
            return {}
        return {"actor": self.handling.actor, "data": {"reason": self.handling.reason}}

    def edit_input(self, step: str, text: str) -> None:
        """The step is given this, JSON text, instead of its own input from now on."""
        self.steps[step] = self.steps[step].but(edited=text)

    def bring_back(self, step: str, archived: StepState) -> None:
        """What was put away belongs to the open state again, as it was."""
        self._brought_back.append(step)
        self._added = True
        self.steps[step] = archived

    def compensate(self, linked: Linked) -> None:
        """The run that is ending now gets one that undoes its steps."""
        self._compensation = linked
        self.event("compensation.started", data={"run_id": linked.run_id})

    def tell_compensated(self, status: RunStatus) -> None:
        """The run that this one compensates hears of its end."""
        data: dict[str, JSON] = {"run_id": self.run.id, "status": status.value}
        self._finished = Event("compensation.finished", data=data)

    def look_again(self) -> None:
        """More could be done than one plan should do, or with values that only the next look brings."""
        self._again = True

    def move(
        self,
        step: str,
        status: StepStatus,
        event: str,
        data: Mapping[str, JSON] | None = None,
        actor: str | None = None,
        **facts: Any,
    ) -> None:
        """Change the state of a step; an edge that is not in the transition table is a bug in the planner."""
        before = self.steps[step]
        if before.status is not status and not may_plan(before.status, status):
            raise AssertionError(f"{step}: no transition {before.status} -> {status}")
        self._leave(step, before)
        after = before.but(status=status, **facts)
        self.steps[step] = after
        self.event(
            event,
            step,
            attempt=after.attempt or None,
            source=before.status.public.value,
            target=status.public.value,
            actor=actor,
            data=data or {},
        )

    def admit(self, step: str, after: StepState) -> None:
        """The next attempt is on its way; its decision stands on the timeline, `release` will write step.queued."""
        before = self.steps[step]
        if not may_plan(before.status, after.status):
            raise AssertionError(f"{step}: no transition {before.status} -> {after.status}")
        if before.status is StepStatus.WAITING:  # people were asked, and need not answer any more
            self._leave(step, before)
        self.steps[step] = after

    def _leave(self, step: str, before: StepState) -> None:
        """Take back what the old state had sent out: a message, a running job, an open approval."""
        if before.topic is not None and before.status in _ON_THE_WAY:
            self._withdrawals.append(
                Withdrawal(
                    step,
                    before.attempt,
                    before.status,
                    before.topic,
                    before.priority,
                    before.worker,
                    before.quotas,
                    before.route,
                    before.direct,
                )
            )
        self._stir_child(step, before)
        asked = self._before(step).status is StepStatus.WAITING  # else this very turn would have asked
        if before.status is StepStatus.WAITING and before.approval is not None and asked:
            self._closed.append((before.approval, self._closing))

    def _before(self, step: str) -> StepState:
        return self.run.steps.get(step, _ABSENT)

    def succeed(self, step: str, output: JSON, **facts: Any) -> None:
        self.outputs[step] = output
        self.move(step, StepStatus.SUCCEEDED, "step.succeeded", completed_at=self.now, **facts)
        self.write_output(step)

    def write_output(self, step: str) -> None:
        """Put what a step has yielded into the run's context, where its `output_path` says so."""
        instance, state = self.instances[step], self.steps[step]
        if instance.head and instance.step.output_path is not None and not state.written:
            self.write(instance.step.id, instance.step.output_path, self.output_of(step))
            self.steps[step] = state.but(written=True)

    def complete(self, step: str, output: JSON, actor: str, comment: str) -> None:
        """Succeed because a person says so."""
        self.outputs[step] = output
        said = {"comment": comment}
        self.move(step, StepStatus.SUCCEEDED, "step.completed_by_hand", said, actor, completed_at=self.now)
        self.write_output(step)

    def skip(self, step: str, reason: SkipReason, actor: str | None = None, comment: str | None = None) -> None:
        self.move(
            step,
            StepStatus.SKIPPED,
            "step.skipped",
            {"reason": reason.value} | ({"comment": comment} if comment else {}),
            actor,
            skip_reason=reason,
            completed_at=self.now,
        )

    def cancel(self, step: str, reason: str) -> None:
        self.move(step, StepStatus.CANCELLED, "step.cancelled", {"reason": reason}, completed_at=self.now)

    def revoke(self, step: str, actor: str, reason: str) -> None:
        """A cancel of this one step: the run goes on around it as around a failure (`StepState.revoked`)."""
        self._failures += 1
        self.move(
            step,
            StepStatus.CANCELLED,
            "step.cancelled",
            {"reason": reason},
            actor,
            failure=Failure("cancelled", f"{reason} by {actor}"),
            failure_number=self._failures,
            completed_at=self.now,
        )

    def end(
        self,
        step: str,
        status: StepStatus,
        failure: Failure,
        *,
        leaf: bool,
        attempt: int | None = None,
        payload: tuple[JSON] | None = None,
        refused: bool = False,
    ) -> None:
        """The step has failed for good; a leaf leaves a dead letter.

        `payload`: what it would have been sent with, in a tuple. `refused`: what it was to be given could not be put
        together.
        """
        before = self.steps[step]
        number = before.attempt if attempt is None else attempt
        dead = self.job_id(step, number) if leaf else None
        self._failures += 1
        self.move(
            step,
            status,
            _EVENT_OF[status],
            {"error": failure.document(), **_by_policy(before, failure)},
            attempt=number,
            failure=failure,
            failure_number=self._failures,
            completed_at=self.now,
            dead_letter=dead,
        )
        if leaf:
            letter = self._dead_letter(step, before, status, failure, number)
            own = payload is not None and payload[0] is not self.run.input
            digest = None if refused else self._payload_digest(step, before, payload)
            self._dead.append(replace(letter, payload_digest=digest, input=payload and payload[0], own_input=own))
            self.event("dead_letter.added", step, attempt=number, data={"reason_code": failure.code})

    def _dead_letter(
        self, step: str, before: StepState, status: StepStatus, failure: Failure, attempt: int
    ) -> DeadLetter:
        return DeadLetter(
            step=step,
            attempt=attempt,
            status=status,
            reason_code=failure.code,
            failure=failure,
            topic=before.topic or self.instances[step].step.topic,
            worker=before.worker,
            first_at=before.ready_at or self.now,
            evidence={
                "retries": before.retries,
                "losses": before.losses,
                "decision": dict(before.decision or {}),
                "generation": self.run.generation,
                "history": [*map(dict, before.past), attempt_end(before, attempt, failure, self.now)],
            },
            replay_of=before.replay_of,
        )

    def _payload_digest(self, step: str, before: StepState, payload: tuple[JSON] | None) -> str | None:
        """Of the input that the step failed with; what neither is sent nor asks people has none."""
        if not self.instances[step].is_job and before.approval is None:
            return None
        text = self.run.inputs.get(step) if payload is None else None
        if text is None:
            text = json.dumps(
                self.run.input if payload is None else payload[0], ensure_ascii=False, separators=(",", ":")
            )
        return "sha256:" + hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()

    def mark_rescued(self, step: str) -> None:
        state = self.steps[step]
        if state.dead_letter is not None:
            self._rescued.append(state.dead_letter)
        self.steps[step] = state.but(rescued=True)

    def send(self, job: Job) -> None:
        self._jobs.append(job)

    def ask(self, request: ApprovalRequest) -> None:
        self._approvals.append(request)

    def hand_on(self, approval: str, approvers: tuple[str, ...]) -> None:
        """Others may decide from now on."""
        self._handed_on[approval] = approvers

    @contextmanager
    def closing_as(self, state: str) -> Iterator[None]:
        """Say what becomes of an open approval that the changes in here put an end to."""
        self._closing = state
        try:
            yield
        finally:
            self._closing = _CLOSED

    def hold_for_policy(self) -> None:
        """Nothing may be dispatched now; look again soon."""
        self._held = True

    # -- the result ----------------------------------------------------------------------------------------------

    def plan(self) -> Plan:
        ended = self.status.terminal
        return Plan(
            changes=tuple(self._changes()),
            outputs=self.outputs,
            events=tuple(self._events),
            jobs=tuple(sorted(self._current_jobs(), key=lambda job: self.instances.order(job.step))),
            approvals=tuple(a for a in self._approvals if self._now(a.step) is StepStatus.WAITING),
            closed_approvals=tuple(self._closed_approvals()),
            handed_on=self._handed_on,
            withdrawals=tuple(self._withdrawn()),
            dead_letters=tuple(self._dead),
            archived=self._archived,
            items=self._items,
            wake_after={} if ended else self._wake_after,
            writes=self._writes,
            taken=tuple(self._taken),
            spawns=tuple(spawn for spawn in self._spawns if self._now(spawn.step) is StepStatus.RUNNING),
            reopened=tuple(self._reopened),
            brought_back=tuple(self._brought_back),
            replayed=tuple(self._replayed),
            stirred=tuple(dict.fromkeys(self._stirred)),
            undoable=self.undoable and not self.run.undoable,
            compensation=self._compensation,
            finished=self._finished,
            again=self._again and not ended,
            epoch=self.policy.epoch if self.policy and self.decided else None,
            rescued=tuple(self._rescued),
            held=self._held,
            discarded=tuple(self._discarded),
            relabelled=self._relabelled,
            handling=self.handling,
            run=self.ending or self._status_change(),
            wake_at=self._wake_at(),
        )

    def _closed_approvals(self) -> Iterator[tuple[str, str]]:
        """Without those that the same turn asks again under the same job id, unless it takes that back too."""
        waiting = (one for one in self._approvals if self._now(one.step) is StepStatus.WAITING)
        asked = {self.job_id(one.step, one.attempt) for one in waiting}
        return ((job_id, state) for job_id, state in dict(self._closed).items() if job_id not in asked)

    def _changes(self) -> Iterator[StepChange]:
        for step, after in (*self.steps.items(), *self._archived.items()):
            before = self.run.steps.get(step)
            if after is not before and after != before:
                yield StepChange(step, before, after)

    def _now(self, step: str) -> StepStatus | None:
        state = self.steps.get(step)
        return state.status if state else None

    def _current_jobs(self) -> Iterator[Job]:
        """Jobs decided in this turn, less those that the same turn has taken back (a sibling's failure ended them)."""
        return (job for job in self._jobs if self._now(job.step) is StepStatus.READY)

    def _withdrawn(self) -> Iterator[Withdrawal]:
        """What was sent out before this turn and must be taken back; what was never committed needs no withdrawal."""
        for withdrawal in self._withdrawals:
            if self._before(withdrawal.step).status in _ON_THE_WAY:
                yield withdrawal

    def _status_change(self) -> RunChange | None:
        if self.pausing is not None:
            return replace(self.pausing, status=self.status)
        return RunChange(self.status) if self.status is not self.run.status else None

    def _patience_ms(self) -> int:
        """Until the policy is asked for again: not all runs at one moment, when many wait for its return."""
        chance = chance_of(self.run.id) if self.limits.jitter else 0.0
        return int(POLICY_RETRY_MS * (1 + chance))

    def _wake_at(self) -> int | None:
        if self.status.terminal:  # for an ended run a timer would go off again and again
            return None
        deadline = self.pausing.deadline if self.pausing and self.pausing.deadline else self.run.deadline
        times = [deadline] if deadline is not None else []
        if self._held:
            times.append(self.now + self._patience_ms())
        paused = self.status is RunStatus.PAUSED
        for state in self.steps.values():
            if (due := due_at(state)) is not None and not (paused and state.status in _WAIT_FOR_THE_RUN):
                times.append(due)
        return min(times, default=None)


def _by_policy(state: StepState, failure: Failure) -> dict[str, JSON]:
    """Which rule of which policy has ended a step, where one has."""
    decision = state.decision if failure.code == "safety_denied" else None
    return {name: decision.get(name) for name in ("rule_id", "policy_snapshot")} if decision else {}


def _anew(ended: StepState) -> StepState:
    """The pending step of the next generation: what was pinned stays, so do the numbers of its attempts."""
    return StepState(
        attempt=ended.attempt,
        total=ended.total,
        started=ended.started,
        settled=ended.settled,
        child_run=ended.child_run,
        child_version=ended.child_version,
        child_generation=ended.child_generation,
        replay_of=ended.dead_letter or ended.replay_of,
        edited=ended.edited,
    )


def attempt_end(state: StepState, attempt: int, failure: Failure, now: int) -> dict[str, JSON]:
    """One line of the history that dead letters hold. Times are milliseconds; an attempt that never began has none."""
    began = attempt == state.attempt
    return {
        "attempt": attempt,
        "code": failure.code,
        "class": failure.kind,
        "message": failure.message[:_MOST_OF_A_MESSAGE],
        "worker": state.worker if began else None,
        "started_at": state.started_at if began else None,
        "ended_at": (state.completed_at if began else None) or now,
    }


def with_past(state: StepState, failure: Failure, now: int) -> tuple[Mapping[str, JSON], ...]:
    """The history with the attempt that has just ended, not longer than somebody will read."""
    return (*state.past, attempt_end(state, state.attempt, failure, now))[-_MOST_PAST:]


def due_at(state: StepState) -> int | None:
    """When something happens to a step by time alone."""
    if state.status is StepStatus.RETRYING:
        return state.retry_at
    if state.status in (StepStatus.RUNNING, StepStatus.WAITING):
        times = [at for at in (state.deadline, state.due, state.expires_at) if at is not None]
        return min(times, default=None)
    if state.status in (StepStatus.READY, StepStatus.QUEUED):
        return state.queue_deadline
    return None
