"""Everything that can happen to a cell, in any order, to the model and to the real thing at once.

After each act both must have answered alike and be in the same state. `Machine` needs a `Rig` in its class attribute
`rig`; make a subclass for each test (`machine_on`).
"""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from typing import Any, NoReturn

import pytest
from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from cordum.domain.ids import JobId
from cordum.engine import Caller
from cordum.errors import NotFound
from cordum.store.approvals import Resolution
from tests.proof.cell import Cell, Queue
from tests.proof.definitions import POLICIES, TOPICS, definitions
from tests.proof.history import Call, Execution, History, Outcome, RunHistory, broken_promises
from tests.proof.rig import TENANTS, Rig
from tests.proof.state import POLICY_PAUSE_MS, RUN_ENDED
from tests.proof.wire import Fault, ProcessDied

START_MS = 1_000_000
WORKERS = ["w1", "w2"]
MOST_RUNS = 8
MOST_ROUNDS = 60  # of a second each
PICK = st.integers(0, 11)
CALLS = st.sampled_from([Fault.NONE] * 6 + [Fault.LOST_REPLY, Fault.LOST_CALL])
DEATHS = st.sampled_from([Fault.NONE] * 6 + [Fault.LOST_REPLY, Fault.DIES_BEFORE, Fault.DIES_AFTER])
KINDS = st.sampled_from(["success", "success", "retryable", "fatal", "timeout"])


ACTS = (
    "submit",
    "submit again",
    "submit another",
    "submit while the policy changes",
    "revoke",
    "cancel",
    "decide",
    "decide while the policy changes",
    "claim",
    "work",
    "lose message",
    "claim duplicate",
    "claim older",
    "claim repeated",
    "turn",
    "turn repeated",
    "late result",
    "foreign result",
    "old resend",
    "finish: success",
    "went straight",
    "finish: retryable",
    "finish: fatal",
    "finish: timeout",
    "progress",
    "once",
    "heartbeat",
    "fall silent",
    "lose",
    "child dies",
    "leave",
    "free",
    "forget",
    "tick",
    "sweep",
    "sweep and die",
    "coordinate",
    "take due and die",
    "ring",
    "lose scripts",
    "publish",
    "nowhere",
    "advance",
    "advance while the policy changes",
    "look",
    "overtake",
    "commit",
    "ran to the end",
)
"""Everything that the rules do, by the names under which it is counted."""


class Disagreement(AssertionError):
    """The model and the real thing are not the same; `at_the_end`: seen after the acts of the example."""

    def __init__(self, about: str, *, at_the_end: bool) -> None:
        super().__init__(about)
        self.at_the_end = at_the_end


def differences(expected: Any, seen: Any, path: str = "") -> list[str]:
    """Where two views differ, one line each."""
    if isinstance(expected, dict) and isinstance(seen, dict):
        names = sorted({*expected, *seen}, key=str)
        return [line for name in names for line in differences(expected.get(name), seen.get(name), f"{path}/{name}")]
    return [] if expected == seen else [f"{path}: the model says {expected!r}, it is {seen!r}"]


class Machine(RuleBasedStateMachine):
    rig: Rig
    ruled: Counter[str]
    drains_after: int | None = None  # acts after which an example goes on, without faults, until every run has ended

    def __init__(self) -> None:
        super().__init__()
        self.rig.reset(START_MS)
        self.model = Cell(POLICIES, TOPICS, START_MS)
        self.claims: list[tuple[str, str, str]] = []  # (job, worker, nonce) of every claim that was granted
        self.jobs: list[str] = []  # every job that ever had a message
        self.looks: list[tuple[Any, Any]] = []
        self.calls: list[Call] = []  # of people, as a history knows them
        self.nonces = 0
        self.turns: Counter[str] = Counter()
        self.acts = 0
        self.disagreed = False
        self.at_the_end = False
        self.workflows: list[dict[str, Any]] = []

    # -- both sides at once --------------------------------------------------------------------------------------

    def both(self, act: str, *args: Any, **options: Any) -> Any:
        expected = getattr(self.model, act)(*args, **options)
        seen = getattr(self.rig, act)(*args, **options)
        return self.agree(expected, seen, act, *args)

    def agree(self, expected: Any, seen: Any, *about: Any) -> Any:
        if expected != seen:
            self._disagree(f"{about}: the model answers {expected!r}, it answered {seen!r}")
        note(f"  {about} -> {seen!r}")
        return seen

    def _disagree(self, about: str) -> NoReturn:
        self.disagreed = True
        raise Disagreement(about, at_the_end=self.at_the_end)

    def count(self, name: str) -> None:
        self.ruled[name] += 1

    def _compare(self) -> None:
        if found := differences(self.model.view(), self.rig.view()):
            self._disagree("\n".join(found))

    @invariant()
    def the_same_state(self) -> None:
        self._compare()
        self.rig.wire.calm()
        self.acts += 1
        self.jobs += [job for jobs in self.model.lists.values() for job in jobs if job not in self.jobs]

    @invariant()
    def no_run_is_forgotten(self) -> None:
        """P7: a run that nobody is called to look at, now or by its timer, has nothing to do."""
        for run_id in self._open():
            run = self.model.runs[run_id]
            if run.due is None and run.timer is not None and run.timer > self.model.now + POLICY_PAUSE_MS:
                parked = self.model.parked  # whose turn comes is looked at then
                changed = [one for one in self.model.look(run_id).changed() if run.job(one) not in parked]
                if changed:
                    self._disagree(f"{run_id} is marked by nobody, and {changed} could go on")

    # -- candidates ----------------------------------------------------------------------------------------------

    def _queues(self) -> list[Queue]:
        return sorted(queue for queue, jobs in self.model.lists.items() if jobs)

    def _running(self) -> list[tuple[str, str, str]]:
        found = [(one, self.model.step_in(one[0], "running")) for one in self.claims]
        return [one for one, step in found if step is not None and step.nonce == one[2]]

    def _unfinished(self) -> list[str]:
        return sorted(job for topic in TOPICS for job in self.model.unfinished(topic))

    def _older(self) -> list[str]:
        """The attempt before each one that is queued: its message may still come."""
        queued = [job.rpartition("@") for job in self._unfinished() if self.model.step_in(job, "queued")]
        return [f"{step}@{int(attempt) - 1}" for step, _, attempt in queued if int(attempt) > 1]

    def _due(self) -> list[str]:
        return [run.id for run in self.model.runs.values() if run.due is not None]

    def at_times(self, number: int) -> bool:
        """Of acts that lead nowhere by themselves: now and then, so that what they disturb gets somewhere."""
        return self.acts % number == 0

    def _open(self) -> list[str]:
        return [run.id for run in self.model.runs.values() if run.status not in RUN_ENDED]

    # -- the beginning -------------------------------------------------------------------------------------------

    @initialize(
        workflows=st.lists(definitions(), min_size=1, max_size=2),
        policy=st.sampled_from(["open"] * 5 + ["asking"] * 2 + ["closed", "none"]),
        runs=st.integers(1, 2),
    )
    def begin(self, workflows: list[dict[str, Any]], policy: str, runs: int) -> None:
        self.workflows = workflows
        if policy != "none":
            self.both("publish", policy)
        for worker in WORKERS:
            self.both("heartbeat", worker)
        for number in range(runs):
            self._submit(number, TENANTS[number], None, False, Fault.NONE)

    # -- people --------------------------------------------------------------------------------------------------

    @precondition(lambda self: len(self._open()) < 2 or self.at_times(5))
    @rule(
        pick=PICK,
        tenant=st.sampled_from(TENANTS),
        key=st.sampled_from([None, "k"]),
        what=st.sampled_from(["submit", "submit", "submit again", "submit another", "submit while the policy changes"]),
        policy=st.sampled_from(list(POLICIES)),
        fault=DEATHS,
    )
    def submit(self, pick: int, tenant: str, key: str | None, what: str, policy: str, fault: Fault) -> None:
        self.count(what)
        if what in ("submit again", "submit another"):
            self._submit_again(pick, what == "submit again")
        elif len(self.model.runs) < MOST_RUNS:
            if what == "submit":
                self._submit(pick, tenant, key, False, fault)
            else:
                self._submit_while_the_policy_changes(pick, policy)

    def _submit(self, pick: int, tenant: str, key: str | None, body: bool, fault: Fault) -> None:
        number = pick % len(self.workflows)
        args = f"r{len(self.model.runs)}", tenant, f"w{number}", self.workflows[number], {"x": body}, key
        self.rig.wire.break_next("create_run", fault)
        try:
            seen = self.rig.submit(*args)
        except ProcessDied:
            if fault is Fault.DIES_AFTER:
                self.model.submit(*args)
            self._note_submit(tenant, number, key, body, "unknown", None)
            return
        word, run_id = self.agree(self.model.submit(*args), seen, "submit", *args)
        self._note_submit(tenant, number, key, body, "fail" if word == "KEY_REUSED" else "ok", run_id)

    def _note_submit(self, tenant: str, number: int, key: str | None, body: Any, end: Outcome, run: str | None) -> None:
        call = Call("submit", end, tenant, "alice", f"w{number}", key, str(body), run)
        self.calls.append(call)

    def _submit_again(self, pick: int, same: bool) -> None:
        """The same key, with the same request or another one."""
        if not self.model.keys:
            return
        known = sorted(self.model.keys.items())
        (tenant, workflow, key), (_, body) = known[pick % len(known)]
        definition = self.workflows[int(workflow[1:])]
        request = body if same else {"x": "other"}
        word, run_id = self.both("submit", "again", tenant, workflow, definition, request, key)
        end: Outcome = "ok" if word == "REPLAYED" else "fail"
        self._note_submit(tenant, int(workflow[1:]), key, request["x"], end, run_id)

    def _submit_while_the_policy_changes(self, pick: int, policy: str) -> None:
        self.rig.wire.before_next("create_run", lambda: self.rig.publish(policy))
        number = pick % len(self.workflows)
        args = f"r{len(self.model.runs)}", "acme", f"w{number}", self.workflows[number], {"x": 1}
        expected = self.model.submit(*args, meanwhile=policy)
        self._note_submit("acme", number, None, 1, "ok", expected[1])
        self.agree(expected, self.rig.submit(*args), "submit while the policy changes", *args)

    @precondition(lambda self: self.jobs and self.at_times(8))
    @rule(pick=PICK, what=st.sampled_from(["revoke", "cancel"]), fault=CALLS)
    def end_early(self, pick: int, what: str, fault: Fault) -> None:
        self.count(what)
        self.rig.wire.break_next("apply_plan", fault)
        job = self.jobs[-1 - pick % len(self.jobs)]
        if what == "revoke":
            self.both("revoke", job)
        else:
            run_id = job.partition(":")[0]
            self.both("cancel", run_id)
            self.calls.append(Call("cancel", "ok", run=run_id))

    @precondition(lambda self: self.model.open_questions() or (self.model.approvals and self.at_times(7)))
    @rule(
        pick=PICK,
        decision=st.sampled_from(["approved", "approved", "rejected"]),
        person=st.sampled_from(["bob", "bob", "carol", "alice"]),
        fault=st.sampled_from([Fault.NONE, Fault.NONE, Fault.LOST_REPLY, Fault.DIES_AFTER]),
    )
    def decide(self, pick: int, decision: str, person: str, fault: Fault) -> None:
        self.count("decide")
        jobs = [*self.model.open_questions(), *self.model.approvals]
        args = jobs[pick % len(jobs)], decision, person
        # Whether it dies or finds its decision taken already (by itself, but it cannot know): others advance the run.
        expected = self.model.decide(*args, dies=fault is not Fault.NONE)
        self.rig.wire.break_next("resolve_approval", fault)
        end: Outcome = "unknown"
        with suppress(ProcessDied):
            word = self.agree(expected, self.rig.decide(*args), "decide", *args)
            end = "ok" if word == "OK" else "fail"
        self.calls.append(Call("approve" if decision == "approved" else "reject", end, person=person, job=args[0]))

    @precondition(lambda self: self.model.open_questions())
    @rule(
        pick=PICK,
        decision=st.sampled_from(["approved", "approved", "rejected"]),
        policy=st.sampled_from(["asking", "asking_more", *POLICIES]),
    )
    def decide_while_the_policy_changes(self, pick: int, decision: str, policy: str) -> None:
        """Somebody answers a question, and before the answer is there it is asked by another policy, or not at all."""
        self.count("decide while the policy changes")
        jobs = self.model.open_questions()
        args = jobs[pick % len(jobs)], decision, "bob"

        def others() -> None:
            self.rig.publish(policy)
            self.rig.advance(args[0].partition(":")[0])

        self.rig.wire.before_next("resolve_approval", others)
        expected = self.model.decide(*args, meanwhile=policy)
        word = self.agree(expected, self.rig.decide(*args), "decide while the policy changes", *args, policy)
        name, end = "approve" if decision == "approved" else "reject", "ok" if word == "OK" else "fail"
        self.calls.append(Call(name, end, person="bob", job=args[0]))

    def _publish(self, policy: str, fault: Fault) -> None:
        expected = self.model.publish(policy)
        self.rig.wire.break_next("publish_policy", fault)
        seen = self.rig.publish(policy)
        # A publish that is sent again, because its reply was lost, is known by its request.
        self.agree(expected, seen, "publish", policy)

    # -- workers -------------------------------------------------------------------------------------------------

    def _nonce(self) -> str:
        self.nonces += 1
        return f"n{self.nonces}"

    def _claim(self, job: str, worker: str, nonce: str, fault: Fault) -> None:
        self.rig.wire.break_next("claim", fault)
        try:
            seen = self.rig.claim(job, worker, nonce)
        except ProcessDied:
            if fault is Fault.DIES_AFTER:
                self.model.claim(job, worker, nonce)
            return
        expected = self.model.claim(job, worker, nonce)
        if fault is Fault.LOST_REPLY and expected[0] == "POLICY_CHANGED":
            expected = "STALE", None  # sent again it finds the step sent back: not this worker's either way
        self.agree(expected, seen, "claim", job, worker, nonce)
        if seen[0] == "CLAIMED" and (job, worker, nonce) not in self.claims:
            self.claims.append((job, worker, nonce))

    def _turn(self, topic: str, worker: str, fault: Fault) -> tuple[str, str, str] | None:
        """A worker takes one message, and claims it as it takes it or else by itself; the claim, granted or not."""
        self.turns[worker] += 1
        turn = self.turns[worker]
        self.rig.wire.break_next("take_jobs", fault)
        try:
            seen = self.rig.turn(topic, worker, turn)
        except ProcessDied:
            if fault is Fault.DIES_AFTER:
                self.model.turn(topic, worker, turn)
            return None
        expected = self.model.turn(topic, worker, turn)
        if fault is Fault.LOST_REPLY and not expected[1]:
            expected = "", "", None  # a message that is not claimed with its turn is lost with the answer
        job, word, _ = self.agree(expected, seen, "turn", topic, worker, turn)
        if not job:
            return None
        if word == "CLAIMED":
            claim = job, worker, f"{worker}#{turn}"
            self.claims.append(claim)
        else:
            claim = job, worker, self._nonce()
            self._claim(*claim, Fault.NONE)
        return claim

    @precondition(lambda self: self._queues())
    @rule(pick=PICK, worker=st.sampled_from(["w1", "w1", "w1", "w2"]), fault=DEATHS, again=st.booleans())
    def turn(self, pick: int, worker: str, fault: Fault, again: bool) -> None:
        self.count("turn")
        queues = self._queues()
        topic = queues[pick % len(queues)][0]
        claim = self._turn(topic, worker, fault)
        if again and claim is not None and claim[2].startswith(worker):
            self.count("turn repeated")
            self.both("turn", topic, worker, self.turns[worker])

    @precondition(lambda self: self._queues())
    @rule(pick=PICK, worker=st.sampled_from(["w1", "w1", "w1", "w2"]), fault=DEATHS)
    def claim(self, pick: int, worker: str, fault: Fault) -> None:
        self.count("claim")
        queues = self._queues()
        job = self.both("pop", *queues[pick % len(queues)])
        self._claim(job, worker, self._nonce(), fault)
        if fault is Fault.NONE:
            self.both("once", job, "mail")

    @precondition(lambda self: self._queues())
    @rule(
        pick=PICK,
        kind=st.sampled_from(["success", "success", "retryable", "retryable", "fatal"]),
        looks=st.booleans(),
        turns=st.booleans(),
    )
    def work(self, pick: int, kind: str, looks: bool, turns: bool) -> None:
        """What happens nearly always: it carries runs far enough for the rest to be worth trying."""
        self.count("work")
        queues = self._queues()
        queue = queues[pick % len(queues)]
        self.both("heartbeat", "w1")
        if turns:
            claim = self._turn(queue[0], "w1", Fault.NONE)
            assert claim is not None
        else:
            claim = self.both("pop", *queue), "w1", self._nonce()
            self._claim(*claim, Fault.NONE)
        self.both("progress", claim[0], "w1")
        self.both("once", claim[0], "mail")
        self._record(claim, kind, None, Fault.NONE)
        if looks:
            self.both("coordinate")

    @precondition(lambda self: self.jobs and self.at_times(2))
    @rule(
        pick=PICK,
        what=st.sampled_from(
            ["lose message", "claim duplicate", "claim repeated", "late result", "foreign result", "old resend"]
        ),
        worker=st.sampled_from(WORKERS),
        kind=st.sampled_from(["success", "retryable"]),
    )
    def disturb(self, pick: int, what: str, worker: str, kind: str) -> None:
        """Messages vanish and come twice, calls are sent twice, results come late or from nobody."""
        queues, claims = self._queues(), self.claims[::-1]
        if what == "lose message" and queues:
            self.both("pop", *queues[pick % len(queues)])
        elif what == "claim duplicate":
            self._claim(self.jobs[-1 - pick % len(self.jobs)], worker, self._nonce(), Fault.NONE)
        elif what == "claim repeated" and claims:
            self._claim(*claims[pick % len(claims)], Fault.NONE)
        elif what == "late result" and claims:
            self._record(claims[pick % len(claims)], kind, None, Fault.NONE)
        elif what == "foreign result" and claims:
            self._record((claims[pick % len(claims)][0], worker, "stranger"), kind, None, Fault.NONE)
        elif what == "old resend":
            job = self.jobs[-1 - pick % len(self.jobs)]
            self.agree(False, self.rig.resend_as_of(job, "1"), "resend", job)
        else:
            return
        self.count(what)

    @precondition(lambda self: self._older())
    @rule(pick=PICK, worker=st.sampled_from(WORKERS))
    def claim_older(self, pick: int, worker: str) -> None:
        self.count("claim older")
        older = self._older()
        self._claim(older[pick % len(older)], worker, self._nonce(), Fault.NONE)

    def _record(self, claim: tuple[str, str, str], kind: str, pause: int | None, fault: Fault) -> None:
        self.rig.wire.break_next("record_result", fault)
        output = {"n": len(self.jobs)} if kind == "success" else None
        try:
            seen = self.rig.record(*claim, kind, output, pause)
        except ProcessDied:
            if fault is Fault.DIES_AFTER:
                self.model.record(*claim, kind, output, pause)
            return
        run = self.model.find(claim[0])[0]
        version = run.version
        expected = self.model.record(*claim, kind, output, pause)
        if run.version > version:
            self.count("went straight")
        if fault is Fault.LOST_REPLY and expected == "ADVANCE":
            expected = "RECORDED"
        self.agree(expected, seen, "record", *claim, kind)

    @precondition(lambda self: self._running())
    @rule(pick=PICK, kind=KINDS, pause=st.sampled_from([None, None, 0, 700]), fault=DEATHS)
    def finish(self, pick: int, kind: str, pause: int | None, fault: Fault) -> None:
        self.count(f"finish: {kind}")
        running = self._running()
        self._record(running[pick % len(running)], kind, pause if kind == "retryable" else None, fault)

    @precondition(lambda self: self.claims and self.at_times(4))
    @rule(pick=PICK, worker=st.sampled_from(WORKERS), name=st.sampled_from([None, "mail"]), fault=CALLS)
    def ask(self, pick: int, worker: str, name: str | None, fault: Fault) -> None:
        """User code tells how far it is, or asks for a name."""
        claims = [*self._running(), *reversed(self.claims)]
        job = claims[pick % len(claims)][0]
        self.count("progress" if name is None else "once")
        self.rig.wire.break_next("once", fault)
        if name is None:
            self.both("progress", job, worker)
        else:
            self.both("once", job, name)

    @precondition(lambda self: self.at_times(2))
    @rule(
        pick=PICK,
        worker=st.sampled_from(WORKERS),
        what=st.sampled_from(["heartbeat"] * 3 + ["lose", "child dies", "leave", "free", "forget"]),
        fault=CALLS,
    )
    def worker_lives_or_dies(self, pick: int, worker: str, what: str, fault: Fault) -> None:
        """It renews, it goes, or somebody thinks that it has gone, rightly or not."""
        held = self.model.held(worker)
        if what in ("lose", "child dies"):
            if not self.claims:
                return
            job = held[pick % len(held)] if held else self.claims[-1 - pick % len(self.claims)][0]
            self._lose(job, worker, what == "child dies", fault)
        else:
            script = {"heartbeat": "renew_lease", "leave": "end_lease"}.get(what, "forget_worker")
            self.rig.wire.break_next(script, fault if what != "forget" else Fault.NONE)
            self.both(what, worker)
        self.count(what)

    def _lose(self, job: str, worker: str, child_died: bool, fault: Fault) -> None:
        self.rig.wire.break_next("lose_attempt", fault)
        expected = self.model.lose(job, worker, child_died=child_died)
        seen = self.rig.lose(job, worker, child_died=child_died)
        repeated = fault is Fault.LOST_REPLY and expected == "ADVANCE"
        self.agree("STALE" if repeated else expected, seen, "lose", job, worker)

    # -- coordinators and time -----------------------------------------------------------------------------------

    @precondition(lambda self: self.at_times(4) or not (self._queues() or self._running() or self._due()))
    @rule(ms=st.sampled_from([1, 100, 500, 500, 1000, 1000, 1000, 2500, 6000]))
    def tick(self, ms: int) -> None:
        self.count("tick")
        self.both("tick", ms)

    @precondition(lambda self: self.at_times(2) and any(self.model.held(worker) for worker in WORKERS))
    @rule()
    def fall_silent(self) -> None:
        """A worker dies in the middle of its jobs, the other one and the coordinators go on."""
        self.count("fall silent")
        worker = next(worker for worker in WORKERS if self.model.held(worker))
        for _ in range(6):
            self.both("tick", 1000)
            for other in WORKERS:
                if other != worker:
                    self.both("heartbeat", other)
            self.both("forget", worker)  # a sweep that has not seen what the worker still holds
            self.both("sweep")

    @precondition(lambda self: self._due() or self.at_times(5))
    @rule(
        script=st.sampled_from(["apply_plan", "read_run", "lose_attempt", "resend_message", "find_unclaimed"]),
        fault=CALLS,
    )
    def coordinate(self, script: str, fault: Fault) -> None:
        self.count("coordinate")
        self.rig.wire.break_next(script, fault)
        self.both("coordinate")

    @precondition(lambda self: self.at_times(3))
    @rule(
        what=st.sampled_from(
            ["sweep", "sweep and die", "take due and die", "ring", "ring", "lose scripts", "publish", "nowhere"]
        ),
        policy=st.sampled_from(["open", "open", "open", "asking", "closed"]),
        fault=CALLS,
    )
    def meddle(self, what: str, policy: str, fault: Fault) -> None:
        self.count(what)
        match what:
            case "sweep" | "sweep and die":
                self.both("sweep", dies=what == "sweep and die")
            case "take due and die":
                self.both("take_due")
            case "ring":
                self.both("ring")
            case "lose scripts":  # Redis was restarted
                self.rig.wire.lose_scripts()
            case "publish":
                self._publish(policy, fault)
            case _:
                with pytest.raises(NotFound):
                    self.rig.api.run("acme", "nowhere")
                with pytest.raises(NotFound):
                    self.rig.api.start_run(Caller("acme"), "nowhere", {})
                nobody = Resolution("approved", "bob", "", True, "succeeded:1")
                assert self.rig.store.approvals.resolve("acme", JobId("r0", "nowhere", 1), nobody) == "NOT_FOUND"

    @precondition(lambda self: self._due() or self.at_times(6))
    @rule(pick=PICK, fault=DEATHS)
    def advance(self, pick: int, fault: Fault) -> None:
        self.count("advance")
        runs = self._open() or list(self.model.runs)
        run_id = runs[pick % len(runs)]
        self.rig.wire.break_next("apply_plan", fault)
        try:
            self.rig.advance(run_id)
        except ProcessDied:
            if fault is Fault.DIES_BEFORE:
                return
        self.model.advance(run_id)

    @precondition(lambda self: self._due())
    @rule(pick=PICK, policy=st.sampled_from(list(POLICIES)))
    def advance_while_the_policy_changes(self, pick: int, policy: str) -> None:
        self.count("advance while the policy changes")
        runs = self._due()
        run_id = runs[pick % len(runs)]
        self.rig.wire.before_next("apply_plan", lambda: self.rig.publish(policy))
        self.rig.advance(run_id)
        planned = self.model.look(run_id)
        self.model.publish(policy)
        if self.model.commit(planned) == "POLICY_CHANGED":
            self.model.advance(run_id)

    @precondition(lambda self: len(self.looks) < 3 and self._open() and self.at_times(2))
    @rule(pick=PICK)
    def look(self, pick: int) -> None:
        """A coordinator looks and plans; when it will commit, if ever, is another matter."""
        self.count("look")
        runs = [run_id for run_id in self._open() if run_id in self._due()] or self._open()
        run_id = runs[pick % len(runs)]
        self.looks.append((self.model.look(run_id), self.rig.look(run_id)))

    @precondition(lambda self: self._unfinished())
    @rule(
        pick=PICK,
        revoking=st.booleans(),
        kind=KINDS,
        others=st.sampled_from(["nobody", "coordinator", "lost", *POLICIES]),
    )
    def overtake(self, pick: int, revoking: bool, kind: str, others: str) -> None:
        """Between a look and its commit a result comes in, and perhaps others have looked, or changed the policy."""
        self.count("overtake")
        jobs = self._unfinished()
        job = jobs[pick % len(jobs)]
        run_id = job.partition(":")[0]
        mates = [other for other in jobs if other != job and self.model.find(other)[0].id == run_id]
        revoked = mates[-1] if mates and revoking else None
        expected, seen = self.model.look(run_id, revoked), self.rig.look(run_id, revoked)
        self._finish(job, kind)
        if others == "coordinator":
            self.both("advance", run_id)
        elif others == "lost":  # a coordinator that died with what it had taken
            self.both("take_due")
        elif others != "nobody":
            self._publish(others, Fault.NONE)
        self.agree(self.model.commit(expected), self.rig.commit(seen), "commit", run_id, revoked)

    def _finish(self, job: str, kind: str) -> None:
        if self.model.step_in(job, "queued"):
            self.both("heartbeat", "w1")
            self._claim(job, "w1", self._nonce(), Fault.NONE)
        for claim in [one for one in self._running() if one[0] == job]:
            self._record(claim, kind, None, Fault.NONE)

    @precondition(lambda self: self.looks)
    @rule(pick=PICK, again=st.booleans(), policy=st.sampled_from([None, None, None, *POLICIES]))
    def commit(self, pick: int, again: bool, policy: str | None) -> None:
        """What was planned from a look, perhaps long ago; `again`: because the first reply was lost."""
        self.count("commit")
        if policy is not None:
            self._publish(policy, Fault.NONE)
        expected, seen = self.looks.pop(pick % len(self.looks))
        for _ in range(1 + again):
            self.agree(self.model.commit(expected), self.rig.commit(seen), "commit", expected.run.id)

    # Rules are chosen evenly among those that are possible; these are what the others live on.
    claim_2 = claim
    finish_2 = finish
    finish_3 = finish

    # -- the end -------------------------------------------------------------------------------------------------

    def teardown(self) -> None:
        if self.disagreed or self.drains_after is None or self.acts < self.drains_after:
            return
        self.at_the_end = True
        self._drain()
        if broken := broken_promises(self._history()):
            self._disagree("\n".join(broken))

    def _history(self) -> History:
        """What can be known of the example without looking into Redis or the model."""
        view = self.rig.view()
        runs = {}
        for run_id, seen in view["runs"].items():
            tenant, definition = self.rig.definitions[run_id]
            statuses = {step: state[0] for step, state in seen["steps"].items()}
            attempts = {step: state[1] for step, state in seen["steps"].items()}
            events = [{**event, "at": event["at_ms"] / 1000} for event in self.rig.timeline(run_id)]
            runs[run_id] = RunHistory(
                run_id, seen["status"], definition, statuses, attempts, events, tenant=tenant, created_by="alice"
            )
        executions = [Execution(job) for job, _, _ in self.claims]
        return History(self.calls, executions, runs, list(view["dead"]))

    def _drain(self) -> None:
        """All faults are over, workers and people do what they should: every run ends (P7)."""
        self.rig.wire.calm()
        self.both("publish", "open")
        for worker in WORKERS:
            self.both("leave", worker)
        for _ in range(MOST_ROUNDS):
            if not self._open():
                break
            self.both("tick", 1000)
            self.both("heartbeat", "w1")
            self.both("coordinate")
            for job in self.model.open_questions():
                self.both("decide", job, "approved", "bob")
            for queue in self._queues():
                job, nonce = self.both("pop", *queue), self._nonce()
                self._claim(job, "w1", nonce, Fault.NONE)
                self.both("once", job, "mail")
                self._record((job, "w1", nonce), "success", None, Fault.NONE)
        self._compare()
        if self._open():
            self._disagree(f"{self._open()} do not end")
        self.count("ran to the end")
        self._count_conserved()

    def _count_conserved(self) -> None:
        """P13: what was accepted has ended; the counters say what the runs say."""
        counters = self.rig.store.figures.read().counters
        ended = Counter(f"runs_ended:{run.status}" for run in self.model.runs.values())
        letters = [run.steps[name] for run, name in self.model.dead.values()]
        open_letters = sum(not one.rescued for one in letters)
        expected = {"runs_started": ended.total(), **ended, "dead_letters_open": open_letters}
        seen = {name: counters.get(name, 0) for name in expected}
        self.agree(expected, seen, "counters")
        assert not any(count for name, count in counters.items() if name.startswith("runs_open"))


def machine_on(rig: Rig, ruled: Counter[str]) -> type[Machine]:
    return type("MachineOnRig", (Machine,), {"rig": rig, "ruled": ruled})
