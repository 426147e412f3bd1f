"""The promises as pure functions over a history: what clients asked and were told, what workers executed, the
timelines.

A history is gathered from outside and trusts cordum in nothing it can know by itself: executions come from the
workers' own files, and a call whose answer never came (`unknown`) may have been carried out or not. Each function
gives one line for each violation; `broken_promises` runs them all. P12 and P14 cannot be seen in a history.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Outcome = Literal["ok", "fail", "unknown"]
Event = Mapping[str, Any]  # of the timeline: type, step_id, job_id, attempt, actor, from, to, data; `at` in seconds

STEP_ENDED = frozenset({"succeeded", "failed", "denied", "timed_out", "cancelled", "skipped"})
RUN_ENDED = STEP_ENDED - {"skipped"}
FAILED = frozenset({"failed", "denied", "timed_out"})
# CONTRACT.md 3.1 and 3.13, as users see it: what a step may become.
EDGES: Mapping[str, frozenset[str]] = {
    "pending": frozenset({"queued", "running", "waiting", "retrying"}) | (STEP_ENDED - {"succeeded"}),
    "queued": frozenset({"running", "pending", "retrying", "timed_out", "cancelled"}),
    "running": frozenset({"waiting", "retrying"}) | (STEP_ENDED - {"skipped"}),
    "waiting": frozenset({"waiting", "succeeded", "pending", "running", "denied", "timed_out", "cancelled"}),
    "retrying": frozenset({"waiting", "failed", "denied", "timed_out", "cancelled"}),
}
# The next attempt is decided and waits for room inside cordum, which is no event of its own.
SENT_ON_SILENTLY = frozenset({"retrying", "running"})
CLOCK_SEC = 0.002  # times are told in whole milliseconds
AFTER_THE_END = frozenset({"result.ignored", "dead_letter.added"})


@dataclass(frozen=True)
class Call:
    """One request of one client. `key` and `body` of a submit, `job` of a decision, `run` of what was answered."""

    kind: Literal["submit", "approve", "reject", "cancel"]
    outcome: Outcome
    tenant: str = "default"
    person: str = ""
    workflow: str = ""
    key: str | None = None
    body: str = ""
    run: str | None = None
    job: str | None = None


@dataclass(frozen=True)
class Execution:
    """User code was entered for a job; from the worker's own file."""

    job: str


@dataclass(frozen=True)
class RunHistory:
    """What is known of one run in the end.

    `steps` are statuses, `attempts` numbers, `definition` the user's document.
    """

    id: str
    status: str
    definition: Mapping[str, Any]
    steps: Mapping[str, str]
    attempts: Mapping[str, int]
    events: Sequence[Event]
    tenant: str = "default"
    created_by: str = ""

    def spec(self, step: str) -> Mapping[str, Any]:
        spec: Mapping[str, Any] = self.definition["steps"][step]
        return spec

    def kind(self, step: str) -> str:
        return str(self.spec(step).get("type", "worker"))

    def of(self, step: str) -> list[Event]:
        return [event for event in self.events if event.get("step_id") == step]


@dataclass(frozen=True)
class History:
    """`faults_over_at` and `seen_at` (seconds) matter to P7 only: when the last fault ended, and when all was read."""

    calls: Sequence[Call] = ()
    executions: Sequence[Execution] = ()
    runs: Mapping[str, RunHistory] = field(default_factory=dict)
    dead_letters: Sequence[str] = ()  # job ids
    faults_over_at: float | None = None
    seen_at: float = 0.0
    patience_sec: float = 30.0

    def ok(self, *kinds: str) -> list[Call]:
        return [call for call in self.calls if call.kind in kinds and call.outcome == "ok"]


def broken_promises(history: History) -> list[str]:
    """Every violation, `<promise>: <what>`."""
    return [f"{name}: {line}" for name, check in PROMISES.items() for line in check(history)]


def _run_of(job: str) -> str:
    return job.partition(":")[0]


# -- P1, P2: what was accepted -----------------------------------------------------------------------------------


def p1_accepted_is_kept(history: History) -> Iterator[str]:
    """Whatever was answered with ok is there: runs, decisions, cancels; and every state is one of the contract's."""
    for call in history.ok("submit"):
        if call.run not in history.runs:
            yield f"run {call.run} was accepted and is gone"
    for call in history.ok("cancel"):
        run = history.runs.get(call.run or "")
        if run is None or run.status not in RUN_ENDED:
            yield f"run {call.run} was cancelled and has not ended"
    for call in history.ok("approve", "reject"):
        run = history.runs.get(_run_of(call.job or ""))
        told = [] if run is None else [e["type"] for e in run.events if e.get("job_id") == call.job]
        if {"approve": "approval.approved", "reject": "approval.rejected"}[call.kind] not in told:
            yield f"{call.kind} of {call.job} was accepted and is not on its timeline"
    for run in history.runs.values():
        unknown = {run.status} - RUN_ENDED - {"pending", "running", "waiting", "paused"}
        unknown |= set(run.steps.values()) - STEP_ENDED - EDGES.keys()
        if unknown:
            yield f"{run.id} knows states that nobody knows: {sorted(unknown)}"


def p2_one_run_a_key(history: History) -> Iterator[str]:
    groups: dict[tuple[str, str, str], list[Call]] = defaultdict(list)
    for call in history.calls:
        if call.kind == "submit" and call.key is not None:
            groups[call.tenant, call.workflow, call.key].append(call)
    for scope, calls in groups.items():
        done = [call for call in calls if call.outcome == "ok"]
        if len({call.run for call in done}) > 1:
            yield f"{scope} made several runs: {sorted(str(call.run) for call in done)}"
        if len({call.body for call in done}) > 1:
            yield f"{scope} was accepted with different requests"
    keyless = [call for call in history.calls if call.kind == "submit" and call.key is None and call.outcome != "fail"]
    possible = len(keyless) + sum(any(call.outcome != "fail" for call in calls) for calls in groups.values())
    if history.calls and len(history.runs) > possible:
        yield f"there are {len(history.runs)} runs, and only {possible} could have been submitted"
    owners = {(call.run, call.tenant) for call in history.ok("submit")}
    for run_id, tenant in owners:
        if run_id in history.runs and history.runs[run_id].tenant != tenant:
            yield f"{tenant} was answered with {run_id} of {history.runs[run_id].tenant}"


# -- P3: states --------------------------------------------------------------------------------------------------


def p3_legal_and_single_ending(history: History) -> Iterator[str]:
    for run in history.runs.values():
        yield from _one_ending(run)
        for step in run.steps:
            yield from _legal_states(run, step)


def _one_ending(run: RunHistory) -> Iterator[str]:
    ends = [number for number, event in enumerate(run.events) if event["type"] in {f"run.{s}" for s in RUN_ENDED}]
    if len(ends) != (run.status in RUN_ENDED):
        yield f"{run.id} is {run.status} and ended {len(ends)} times"
    elif ends:
        if run.events[ends[0]]["type"] != f"run.{run.status}":
            yield f"{run.id} is {run.status}, its end was {run.events[ends[0]]['type']}"
        after = {event["type"] for event in run.events[ends[0] + 1 :]} - AFTER_THE_END
        if after:
            yield f"{run.id} went on after its end: {sorted(after)}"
        if open_ := [step for step, status in run.steps.items() if status not in STEP_ENDED]:
            yield f"{run.id} has ended, its steps have not: {open_}"


def _legal_states(run: RunHistory, step: str) -> Iterator[str]:
    state, decided_again = "pending", False
    for event in run.of(step):
        source, target = event.get("from"), event.get("to")
        # Another policy than the one that has asked people may let the job go without them.
        decided_again = state == "waiting" and (decided_again or event["type"] == "step.decision")
        if target is None:
            continue
        if source != state and not (source == "pending" and (state in SENT_ON_SILENTLY or decided_again)):
            yield f"{run.id}:{step} was {state}, and {event['type']} left {source}"
        if state in STEP_ENDED or target not in EDGES.get(str(source), frozenset()):
            yield f"{run.id}:{step} went from {state} ({source}) to {target} by {event['type']}"
        state = target
    settled = state == run.steps[step] or run.steps[step] not in STEP_ENDED
    if not settled:
        yield f"{run.id}:{step} is {run.steps[step]}, its timeline ends with {state}"


# -- P4, P5, P6: attempts ----------------------------------------------------------------------------------------


def p4_dispatched_and_claimed_once(history: History) -> Iterator[str]:
    """Once for each decision: a job that its policy sent back may be queued again under the same id."""
    for run in history.runs.values():
        queued: Counter[str] = Counter()
        started: Counter[str] = Counter()
        for event in run.events:
            job = event.get("job_id") or ""
            match event["type"]:
                case "step.queued":
                    queued[job] += 1
                case "step.ready" if event.get("from") == "queued":
                    queued[job] -= 1
                case "step.started":
                    started[job] += 1
            if queued[job] not in (0, 1):
                yield f"{job} was queued {queued[job]} times"
        yield from (f"{job} was claimed {count} times" for job, count in started.items() if count > 1)


def p5_one_result_applied(history: History) -> Iterator[str]:
    executions = Counter(execution.job.rpartition("@")[0] for execution in history.executions)
    for run in history.runs.values():
        for step, status in run.steps.items():
            told = [event["type"] for event in run.of(step)]
            applied = told.count("step.succeeded") + (run.kind(step) == "approval") * told.count("approval.approved")
            if applied != (status == "succeeded"):
                yield f"{run.id}:{step} is {status}, a success was applied {applied} times"
            if executions[f"{run.id}:{step}"] > run.attempts[step]:
                yield f"{run.id}:{step} ran {executions[f'{run.id}:{step}']} times in {run.attempts[step]} attempts"


def p6_at_most_once_an_attempt(history: History) -> Iterator[str]:
    executed = Counter(execution.job for execution in history.executions)
    yield from (f"{job} was executed {count} times" for job, count in executed.items() if count > 1)
    for run in history.runs.values():
        for step, status in run.steps.items():
            if run.kind(step) == "worker":
                yield from _one_holder(run, step)
                job = f"{run.id}:{step}@{run.attempts[step]}"
                if status == "succeeded" and not executed[job]:
                    yield f"{job} succeeded, and nobody executed it"


def _one_holder(run: RunHistory, step: str) -> Iterator[str]:
    """An attempt begins only when the one before it has ended."""
    held: str | None = None
    for event in run.of(step):
        if event["type"] == "step.started":
            if held is not None:
                yield f"{event['job_id']} began while {held} was held"
            held = event["job_id"]
        elif event["type"] == "step.worker_lost" or event.get("from") == "running":
            held = None


# -- P7: progress ------------------------------------------------------------------------------------------------


def p7_goes_on_after_faults(history: History) -> Iterator[str]:
    """No run that waits for nobody stands still for longer than the patience after the last fault."""
    if history.faults_over_at is None:
        return
    for run in history.runs.values():
        times = [event["at"] for event in run.events]
        before = [event["type"] for event in run.events if event["at"] <= history.faults_over_at]
        rest = bool(before) and (before[-1] == "run.waiting" or before[-1] in {f"run.{end}" for end in RUN_ENDED})
        following = min((at for at in times if at > history.faults_over_at), default=history.seen_at)
        if before and not rest and following - history.faults_over_at > history.patience_sec:
            yield f"{run.id} stood still for {following - history.faults_over_at:.1f} s after the faults"
        last = max([*times, history.faults_over_at])
        if run.status in ("pending", "running") and history.seen_at - last > history.patience_sec:
            yield f"{run.id} is {run.status} and has stood still for {history.seen_at - last:.1f} s"


# -- P8: order ---------------------------------------------------------------------------------------------------


def p8_order_and_join(history: History) -> Iterator[str]:
    for run in history.runs.values():
        ended: set[str] = set()
        started: set[str] = set()
        released: Counter[str] = Counter()
        owner = {child: step for step in run.steps for child in run.spec(step).get("steps", ())}
        for event in run.events:
            step = event.get("step_id")
            if step is None:
                continue
            if event["type"] in ("step.ready", "step.queued", "approval.requested", "step.started"):
                yield from _out_of_turn(run, step, event["type"], ended, started, owner)
            released[step] += event["type"] == "step.ready" and event.get("from") is None and not event.get("data")
            if event["type"] == "step.started":
                started.add(step)
            if event.get("to") in STEP_ENDED:
                ended.add(step)
        yield from (f"{run.id}:{step} was released {count} times" for step, count in released.items() if count > 1)


def _out_of_turn(
    run: RunHistory, step: str, what: str, ended: set[str], started: set[str], owner: Mapping[str, str]
) -> Iterator[str]:
    users = [user for user in run.steps if run.spec(user).get("on_error") == step]
    early = [needed for needed in run.spec(step).get("depends_on", ()) if needed not in ended and needed not in users]
    if early:
        yield f"{run.id}:{step}: {what} before {early} had ended"
    if users and not ended & set(users):
        yield f"{run.id}:{step}: {what}, and none of {users} had ended"
    if step in owner and owner[step] not in started:
        yield f"{run.id}:{step}: {what} before its group {owner[step]}"


# -- P9: time ----------------------------------------------------------------------------------------------------


def p9_no_retry_too_early(history: History) -> Iterator[str]:
    """The next attempt is not decided before its back-off is over, counted from the last thing told of this one."""
    for run in history.runs.values():
        for step in run.steps:
            earliest: float | None = None
            last = 0.0
            for event in run.of(step):
                if event["type"] == "step.retrying":
                    earliest = last + event.get("data", {}).get("backoff_ms", 0) / 1000
                elif earliest is not None and event["type"] in ("step.decision", "step.queued", "approval.requested"):
                    if event["at"] < earliest - CLOCK_SEC:
                        yield f"{event['job_id']} was tried {earliest - event['at']:.3f} s too early"
                    earliest = None
                last = event["at"]


# -- P10: policy -------------------------------------------------------------------------------------------------


def p10_decided_before_dispatched(history: History) -> Iterator[str]:
    """Each time a message leaves there is a decision for it that no other dispatch has used; P11 looks at people."""
    for run in history.runs.values():
        decided: dict[str, str] = {}
        for event in run.events:
            job = event.get("job_id") or ""
            if event["type"] == "step.decision":
                decided[job] = event.get("data", {}).get("decision", "")
            elif event["type"] == "step.queued" and decided.pop(job, "") not in ("allow", "require_approval"):
                yield f"{job} was dispatched without a decision that lets it"


# -- P11: approvals ----------------------------------------------------------------------------------------------


def p11_decided_once_by_another(history: History) -> Iterator[str]:
    for run in history.runs.values():
        asked: Counter[str] = Counter()
        verdict: dict[str, str] = {}
        policy: dict[str, str] = {}
        approved: dict[str, str] = {}  # under which policy
        for event in run.events:
            job, step, data = event.get("job_id") or "", event.get("step_id") or "", event.get("data", {})
            if event["type"] == "step.decision":
                policy[step] = data.get("policy_snapshot", "")
            match event["type"]:
                case "approval.requested":
                    asked[job] = 1
                    verdict[step] = "asked"
                case "approval.approved" | "approval.rejected":
                    if not asked[job]:
                        yield f"{job}: {event['type']}, and nobody was asked, or somebody had decided"
                    if event.get("actor") == run.created_by:
                        yield f"{job}: {event['type']} by {run.created_by}, who submitted the run"
                    asked[job] = 0
                    verdict[step] = event["type"]
                    if event["type"] == "approval.approved" and step in policy:
                        approved[step] = policy[step]
                case "step.decision" if data.get("decision") == "allow":
                    verdict[step] = "allowed"
                case "step.decision" if step in approved and approved[step] == policy[step]:
                    verdict[step] = "approval.approved"  # unless people are asked anew, about something else
                case "step.queued" if verdict.get(step) not in (None, "allowed", "approval.approved"):
                    yield f"{job} was dispatched: {verdict[step]}"
    for call in history.ok("approve", "reject"):
        run = history.runs.get(_run_of(call.job or ""))
        if run is not None and call.person == run.created_by:
            yield f"{call.person} was allowed to {call.kind} {call.job} of a run of their own"


# -- P13: conservation -------------------------------------------------------------------------------------------


def p13_nothing_vanishes(history: History) -> Iterator[str]:
    """Every leaf that failed for good is a dead letter once, under the id of its last attempt, and nothing else is."""
    expected: Counter[str] = Counter()
    for run in history.runs.values():
        told = [event.get("job_id") for event in run.events if event["type"] == "dead_letter.added"]
        failed = [step for step, status in run.steps.items() if status in FAILED and run.kind(step) != "parallel"]
        jobs = Counter(f"{run.id}:{step}@{run.attempts[step]}" for step in failed)
        if Counter(told) != jobs:
            yield f"{run.id} told of the dead letters {sorted(map(str, told))}, failed for good have {sorted(jobs)}"
        expected += jobs
    if Counter(history.dead_letters) != expected:
        wrong = (Counter(history.dead_letters) - expected) + (expected - Counter(history.dead_letters))
        yield f"dead letters that are missing, or too many: {sorted(wrong)}"


PROMISES: Mapping[str, Callable[[History], Iterator[str]]] = {
    "P1": p1_accepted_is_kept,
    "P2": p2_one_run_a_key,
    "P3": p3_legal_and_single_ending,
    "P4": p4_dispatched_and_claimed_once,
    "P5": p5_one_result_applied,
    "P6": p6_at_most_once_an_attempt,
    "P7": p7_goes_on_after_faults,
    "P8": p8_order_and_join,
    "P9": p9_no_retry_too_early,
    "P10": p10_decided_before_dispatched,
    "P11": p11_decided_once_by_another,
    "P13": p13_nothing_vanishes,
}
