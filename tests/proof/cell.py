"""The model of a whole cell: what people, workers, coordinators and time do to runs, as far as anybody can see it.

Messages, windows, leases, marks and timers, around the laws of `model.py`. Imports nothing of cordum's. Every method is
one act and gives what the act is answered with; `rig.py` has the same methods on the real thing.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from tests.proof.model import cancel, conclude, dispatch, end_when_over, revoke
from tests.proof.state import ENDED, JOB_TIMEOUT_MS, PRIORITY, RUN_ENDED, RUN_TIMEOUT_MS, Look, Policy, Run, Step

Queue = tuple[str, int]  # topic, priority
_ON_ITS_WAY = {"pending", "ready", "queued", "running", "settling", "retrying", "succeeded"}
LEASE_MS, SWEEP_MS, GRACE_MS, ASIDE_MS, WINDOW = 5000, 1000, 3000, 2000, 3
NEW, OLD = 0, 1


class Turn(NamedTuple):
    """When a tenant is next: those that are new first. `had`: jobs as a new one, or turns for which it is known."""

    age: int
    number: int
    had: int = 0


@dataclass
class Cell:
    policies: dict[str, dict[str, str]]  # by name: topic -> verdict
    topics: list[str]
    now: int
    policy: Policy | None = None
    runs: dict[str, Run] = field(default_factory=dict)
    keys: dict[tuple[str, str, str], tuple[str, Any]] = field(default_factory=dict)  # idempotency: run, request
    approvals: dict[str, tuple[str, str | None]] = field(default_factory=dict)  # job id -> state, policy asked under
    dead: dict[str, tuple[Run, str]] = field(default_factory=dict)  # job id -> whose last attempt it was
    ready: dict[tuple[str, int, str], list[str]] = field(default_factory=dict)  # topic, priority, tenant -> job ids
    parked: set[str] = field(default_factory=set)  # those of them that were not taken back
    turns: dict[str, dict[tuple[int, str], Turn]] = field(default_factory=dict)  # topic -> priority, tenant
    lists: dict[Queue, list[str]] = field(default_factory=dict)  # Celery's queues: job ids, oldest first
    answered: dict[str, tuple[str, str, Any]] = field(default_factory=dict)  # what was answered
    sent: dict[Queue, dict[str, int]] = field(default_factory=dict)  # unclaimed messages, and when they were sent
    suspects: dict[Queue, dict[tuple[str, int], int]] = field(default_factory=dict)
    leases: dict[str, int] = field(default_factory=dict)  # worker -> end
    stops: dict[str, list[str]] = field(default_factory=dict)  # worker -> jobs it must stop
    heard: dict[str, list[str]] = field(default_factory=dict)  # ... of which its last renewal told it
    names: dict[tuple[str, str, str], int] = field(default_factory=dict)  # run, step, name -> attempt it went to
    bell: bool = False  # a call waits for the coordinators
    swept: int | None = None
    spare_until: int = 0

    # -- finding -------------------------------------------------------------------------------------------------

    def find(self, job: str) -> tuple[Run, str, int]:
        run, _, rest = job.partition(":")
        step, _, attempt = rest.partition("@")
        return self.runs[run], step, int(attempt)

    def step_in(self, job: str, status: str) -> Step | None:
        """The step, if this very attempt is in this state."""
        run, name, attempt = self.find(job)
        step = run.steps[name]
        return step if (step.status, step.attempt) == (status, attempt) else None

    def queue_of(self, run: Run, name: str) -> Queue:
        return run.spec(name)["topic"], PRIORITY[run.spec(name).get("priority", "interactive")]

    def _steps(self) -> list[tuple[Run, str, Step]]:
        return [(run, name, step) for run in self.runs.values() for name, step in run.steps.items()]

    def unfinished(self, topic: str) -> set[str]:
        """Jobs of a topic whose message has left cordum and whose attempt has not ended."""
        mine = ((run, name) for run, name, step in self._steps() if step.status in ("queued", "running"))
        return {run.job(name) for run, name in mine if run.spec(name).get("topic") == topic}

    def held(self, worker: str) -> list[str]:
        mine = ((run, name, step) for run, name, step in self._steps() if step.worker == worker)
        return sorted(run.job(name) for run, name, step in mine if step.status == "running")

    def alive(self, worker: str) -> bool:
        return self.leases.get(worker, -1) >= self.now

    def open_questions(self) -> list[str]:
        return [job for job, (state, _) in self.approvals.items() if state == "pending"]

    # -- people --------------------------------------------------------------------------------------------------

    def tick(self, ms: int) -> None:
        self.now += ms

    def publish(self, name: str) -> bool:
        if self.policy is not None and self.policy.name == name:
            return False
        self.policy = Policy(name, 1 + (self.policy.epoch if self.policy else 0), self.policies[name])
        for job in self.open_questions():
            self.find(job)[0].due = self.now
            self.bell = True
        return True

    def submit(
        self,
        run_id: str,
        tenant: str,
        workflow: str,
        definition: dict[str, Any],
        input: Any,
        key: str | None = None,
        *,
        meanwhile: str | None = None,
    ) -> tuple[str, str]:
        """3.11. The word, and the id of the run that counts; `meanwhile` another policy becomes the active one."""
        scope = (tenant, workflow, key or "")
        if key is not None and scope in self.keys:
            first, request = self.keys[scope]
            return ("REPLAYED", first) if request == input else ("KEY_REUSED", "")
        timeout = definition.get("timeout_sec")
        deadline = self.now + (RUN_TIMEOUT_MS if timeout is None else int(timeout * 1000))
        steps = {name: Step() for name in definition["steps"]}
        self.runs[run_id] = Run(run_id, tenant, definition, input, deadline, steps)
        if key is not None:
            self.keys[scope] = run_id, input
        first_look = self.look(run_id)
        if meanwhile is not None:
            self.publish(meanwhile)
        if self.commit(first_look) == "POLICY_CHANGED":
            self.advance(run_id)
        self.runs[run_id].due = None  # nobody was called before it was there
        return "CREATED", run_id

    def cancel(self, run_id: str) -> None:
        """3.7. Of an ended run a no-op."""
        if self.runs[run_id].status not in RUN_ENDED:
            look = Look(self.runs[run_id], self.policy, self.now)
            cancel(look)
            self.commit(look)

    def revoke(self, job: str) -> None:
        run, name, attempt = self.find(job)
        step = run.steps[name]
        if run.status not in RUN_ENDED and step.status not in ENDED and step.attempt == attempt:
            self.commit(self.look(run.id, job))

    def decide(self, job: str, decision: str, person: str, *, dies: bool = False, meanwhile: str | None = None) -> str:
        """3.6. OK or the code of the refusal; `dies`: whoever was told, before it has the run advanced.

        `meanwhile` another policy becomes the active one, and a coordinator looks at the run.
        """
        run, name, _ = self.find(job)
        seen, over = self.approvals[job], run.status in RUN_ENDED
        if person == "alice":
            return "self_approval_denied"
        if seen[0] == "pending" and not self._asks_still(job):
            self.advance(run.id)
            return "approval_stale_snapshot"
        if meanwhile is not None:
            self.publish(meanwhile)
            self.advance(run.id)
        step, (state, asked_under) = run.steps[name], self.approvals[job]
        if state != "pending":
            unasked = state in ("closed", "superseded")
            refusal = "run_terminal" if unasked and over else "approval_already_resolved"
            return "OK" if state == decision else refusal
        if seen[0] == "pending" and asked_under != seen[1]:
            return "approval_stale_snapshot"
        self.approvals[job] = decision, asked_under
        if decision == "rejected":
            facts: dict[str, Any] = {"status": "settling", "outcome": "rejected", "ended_at": self.now}
        elif run.kind(name) == "approval":
            output = {"decision": decision, "decided_by": person, "reason": None}
            facts = {"status": "succeeded", "output": output}
        else:
            facts = {"status": "pending", "attempt": step.attempt - 1, "approved": asked_under}
        run.steps[name] = replace(step, until=None, **facts)
        self._signal(run)
        if not dies:
            self.advance(run.id)
        return "OK"

    def _asks_still(self, job: str) -> bool:
        """A question about a job is that of one policy; an approval step's is its own."""
        asked_under = self.approvals[job][1]
        return asked_under is None or self.policy is None or asked_under == self.policy.name

    # -- workers -------------------------------------------------------------------------------------------------

    def pop(self, topic: str, priority: int) -> str:
        """A worker takes a message from its list; what it does with it is its business."""
        return self.lists[topic, priority].pop(0)

    def claim(self, job: str, worker: str, nonce: str) -> tuple[str, Any]:
        run, name, attempt = self.find(job)
        queue = self.queue_of(run, name)
        running, queued = self.step_in(job, "running"), self.step_in(job, "queued")
        if running is not None and running.nonce == nonce:
            return "CLAIMED", run.input_of(name)
        if queued is None:
            return "STALE", None
        if not self.alive(worker):
            return "NO_LEASE", None
        self.sent[queue].pop(job, None)
        if self.policy is None or queued.epoch != self.policy.epoch:
            run.steps[name] = replace(queued, status="pending", attempt=attempt - 1, until=None)
            self._signal(run)
            self.release(queue[0])
            return "POLICY_CHANGED", None
        timeout = run.spec(name).get("timeout_sec")
        until = self.now + (JOB_TIMEOUT_MS if timeout is None else int(timeout * 1000))
        run.steps[name] = replace(queued, status="running", until=until, worker=worker, nonce=nonce)
        run.timer = until if run.timer is None else min(run.timer, until)
        return "CLAIMED", run.input_of(name)

    def turn(self, topic: str, worker: str, turn: int) -> tuple[str, str, Any]:
        """A worker takes the oldest message of the highest priority, and has its claim if that may be granted.

        Asked for the same turn again it is told the same, and takes nothing.
        """
        nonce = f"{worker}#{turn}"
        if nonce in self.answered:
            return self.answered[nonce]
        job = self.pop(*min(queue for queue, jobs in self.lists.items() if queue[0] == topic and jobs))
        queued = self.step_in(job, "queued")
        decided = queued is not None and self.policy is not None and queued.epoch == self.policy.epoch
        answer = job, "", None
        if decided and self.alive(worker):
            answer = job, *self.claim(job, worker, nonce)
            self.answered[nonce] = answer
        return answer

    def record(self, job: str, worker: str, nonce: str, kind: str, output: Any = None, pause: int | None = None) -> str:
        run, name, _ = self.find(job)
        step = self.step_in(job, "running")
        if step is None:
            return "RECORDED" if run.steps[name].recorded == nonce else "STALE"
        if step.nonce != nonce:
            return "STALE"
        facts: dict[str, Any] = {"status": "settling", "outcome": kind, "pause": pause}
        if kind == "success":
            facts = {"status": "succeeded", "output": output}
        run.steps[name] = replace(step, until=None, ended_at=self.now, recorded=nonce, **facts)
        self.release(run.spec(name)["topic"])
        if kind == "success" and name in run.foreseen and self._is_as_foreseen(run):
            run.signals += 1
            self._go_straight(run, name)
            return "RECORDED"
        self._signal(run)
        return "ADVANCE"

    # What is known beforehand needs no look: plain jobs after plain jobs, allowed whatever they are given.

    def _foresee(self, look: Look, run: Run) -> None:
        """What a look has begun, and what follows from that. Of what was foreseen before nothing may have been lost."""
        seen, policy = look.seen, look.policy
        if policy is None or run.version == seen.version or run.status in RUN_ENDED:
            return
        if run.foreseen_by not in (None, (seen.version, policy.epoch)):
            return
        if {step.status for step in run.steps.values()} - _ON_ITS_WAY:
            return
        waiting = {name: [n for n in run.steps if name in run.spec(n).get("depends_on", ())] for name in run.steps}
        plain = {name for name in run.steps if self._is_plain(run, name)}
        known = {name for name in plain if self._is_allowed_at_once(run, policy, name)}
        begun = look.new("ready")
        for name in begun:
            if name in plain and plain >= {*waiting[name]}:
                begun += [n for n in waiting[name] if n not in begun]
        ends = plain == run.steps.keys()
        found = {n: waiting[n] for n in begun if n in plain and known >= {*waiting[n]} and (waiting[n] or ends)}
        if found or run.foreseen_by:
            run.foreseen |= found
            run.foreseen_by = run.version, policy.epoch

    def _is_plain(self, run: Run, name: str) -> bool:
        alone = run.kind(name) == "worker" and run.owner(name) is None and not run.handled(name)
        return alone and not run.spec(name).keys() & {"condition", "on_error"}

    def _is_allowed_at_once(self, run: Run, policy: Policy, name: str) -> bool:
        spec = run.spec(name)
        alone = all(self._is_plain(run, one) for one in spec.get("depends_on", ()))
        return alone and policy.verdicts[spec["topic"]] == "allow" and "queue_timeout_sec" not in spec

    def _is_as_foreseen(self, run: Run) -> bool:
        return self.policy is not None and run.foreseen_by == (run.version, self.policy.epoch)

    def _go_straight(self, run: Run, name: str) -> None:
        look = Look(run, self.policy, self.now)
        if not run.foreseen[name] and {step.status for step in run.steps.values()} == {"succeeded"}:
            end_when_over(look)
            run.version += 1
            run.status, run.output, run.timer = look.run.status, look.run.output, None
        begun = [
            n for n in run.foreseen[name] if all(run.standing(m) == "satisfied" for m in run.spec(n)["depends_on"])
        ]
        for following in begun:
            look.run.steps[following].begun = True
            dispatch(look, following)
        if not begun:
            return
        run.steps |= {following: replace(look.run.steps[following]) for following in begun}
        run.version += 1
        run.foreseen_by = run.version, run.foreseen_by[1] if run.foreseen_by else 0
        self._send(run, look)

    def progress(self, job: str, worker: str) -> bool:
        step = self.step_in(job, "running")
        return step is not None and step.worker == worker

    def once(self, job: str, name: str) -> bool:
        """True for the first attempt of a step that asks for a name, and for the same again."""
        run, step, attempt = self.find(job)
        if self.step_in(job, "running") is None:
            return False
        return self.names.setdefault((run.id, step, name), attempt) == attempt

    def heartbeat(self, worker: str) -> list[str]:
        """The jobs that this worker must stop; what it has heard once is not said again."""
        self.leases[worker] = self.now + LEASE_MS
        self.stops[worker] = [job for job in self.stops.get(worker, []) if job not in self.heard.get(worker, ())]
        self.heard[worker] = list(self.stops[worker])
        return self.heard[worker]

    def leave(self, worker: str) -> None:
        if worker in self.leases:
            self.leases[worker] = 0
        self.free(worker, "left")

    def free(self, worker: str, outcome: str = "lost") -> int:
        """Somebody thinks that this worker is gone. How many attempts it lost."""
        lost = [self.lose(job, worker, outcome) for job in self.held(worker)].count("ADVANCE")
        self.forget(worker)
        return lost

    def lose(self, job: str, worker: str, outcome: str = "lost", *, child_died: bool = False) -> str:
        run, name, _ = self.find(job)
        if not child_died and self.alive(worker):
            return "ALIVE"
        step = self.step_in(job, "running")
        if step is None or step.worker != worker:
            return "STALE"
        run.steps[name] = replace(step, status="settling", outcome=outcome, until=None, ended_at=self.now)
        self._signal(run)
        self.release(run.spec(name)["topic"])
        return "ADVANCE"

    def forget(self, worker: str) -> bool:
        if self.alive(worker) or self.held(worker):
            return False
        self.leases.pop(worker, None)
        self.stops.pop(worker, None)
        return True

    # -- coordinators --------------------------------------------------------------------------------------------

    def look(self, run_id: str, revoked: str | None = None) -> Look:
        """What follows for a run now; `revoked`: a job of its that somebody wants cancelled."""
        look = Look(self.runs[run_id], self.policy, self.now, foresees=revoked is None)
        if revoked is not None:
            run, name, attempt = self.find(revoked)
            step = run.steps[name]
            if run.status not in RUN_ENDED and step.status not in ENDED and step.attempt == attempt:
                revoke(look, name)
        conclude(look)
        return look

    def advance(self, run_id: str) -> None:
        self.commit(self.look(run_id))

    def commit(self, look: Look) -> str:
        """A look counts only if nobody has changed the run, or a step that it changes, since; else nothing happens."""
        run, changed = self.runs[look.run.id], look.changed()
        marks = ((run.steps[name], look.seen.steps[name]) for name in changed)
        if run.version != look.seen.version or any((a.status, a.attempt) != (b.status, b.attempt) for a, b in marks):
            return "CONFLICT"
        if look.decided and look.policy != self.policy:
            return "POLICY_CHANGED"
        run.version += bool(changed) or look.run.status != look.seen.status
        run.status, run.output, run.error = look.run.status, look.run.output, look.run.error
        run.steps |= {name: replace(look.run.steps[name]) for name in changed}
        if look.foresees:
            self._foresee(look, run)
        self._send(run, look)
        self.approvals |= {job: (why, None) for job, why in look.closed.items()}
        self.approvals |= {run.job(name): ("pending", run.steps[name].asked) for name in look.questions()}
        self.dead |= {run.job(name): (run, name) for name in look.dead}
        if run.status in RUN_ENDED:
            run.timer = None
        elif look.wake_at is not None:
            run.timer = look.wake_at if run.timer is None else min(run.timer, look.wake_at)
        self._unmark(run, look)
        return "COMMITTED"

    def _unmark(self, run: Run, look: Look) -> None:
        """Nobody has to look any more, if nobody has called since: no worker or person, no new policy, no timer."""
        if run.fired is not None and run.fired <= look.now:
            run.fired = None
        quiet = run.signals == look.seen.signals and look.policy == self.policy and run.fired is None
        run.due = None if quiet else self.now

    def _send(self, run: Run, look: Look) -> None:
        """Take messages back, put new ones on their way, and give free places to whoever is next."""
        topics = {run.spec(name)["topic"] for name in look.new("ready")}
        for name, job, worker in look.withdrawn:
            topic, priority = self.queue_of(run, name)
            topics.add(topic)
            self.sent.get((topic, priority), {}).pop(job, None)
            self.parked.discard(job)
            if worker is not None:
                self.stops.setdefault(worker, []).append(job)
        for name in sorted(look.new("ready"), key=lambda name: self.queue_of(run, name)[1]):
            topic, priority = self.queue_of(run, name)
            if not self.turns.get(topic) and len(self.unfinished(topic)) < WINDOW:
                run.steps[name].status = "queued"
                self._put_on_list(topic, priority, run.job(name))
                continue
            waiting = self.ready.setdefault((topic, priority, run.tenant), [])
            waiting.append(run.job(name))
            self.parked.add(run.job(name))
            self._enter_turns(topic, (priority, run.tenant), len(waiting))
        for topic in sorted(topics):
            self.release(topic)

    def release(self, topic: str) -> None:
        """3.13: by priority, then tenants in turn, then time, while the topic has room."""
        while self.turns.get(topic) and len(self.unfinished(topic)) < WINDOW:
            turn = min(self.turns[topic], key=lambda one: (one[0], self.turns[topic][one], one[1]))
            waiting, served = self.ready[topic, *turn], False
            while waiting:
                job = waiting.pop(0)
                if job not in self.parked:  # it has been taken back
                    continue
                self.parked.discard(job)
                step = self.step_in(job, "ready")
                if step and step.epoch == (self.policy.epoch if self.policy else 0):
                    step.status = "queued"
                    self._put_on_list(topic, turn[0], job)
                elif step:  # decided by an older policy: it is decided anew
                    self._signal(self.find(job)[0])
                served = True
                break
            self._next_turn(topic, turn, served)

    def _enter_turns(self, topic: str, who: tuple[int, str], waiting: int) -> None:
        """Whoever is not known is new, and comes first; who has been away for a while goes on from where it was."""
        turns = self.turns.setdefault(topic, {})
        known = turns.get(who)
        if known is None:
            turns[who] = Turn(NEW, self._last_new(topic, who[0])[1] + 1)
        elif waiting == 1 and known.age:
            turns[who] = Turn(OLD, max(known.number - known.had, 0))

    def _next_turn(self, topic: str, who: tuple[int, str], served: bool) -> None:
        """One window of jobs as a new one, then one a turn; who has none left is known for another window of turns."""
        turns = self.turns[topic]
        turn = turns[who]
        had = turn.had + 1
        if not self.ready[topic, *who]:
            if not served or len(turns) == 1:
                del turns[who]
            elif turn.age is NEW:
                turns[who] = Turn(OLD, self._turn_of_all(topic, who[0]) + had, WINDOW)
            else:
                turns[who] = Turn(OLD, turn.number + 1 + WINDOW, WINDOW)
        elif turn.age:
            turns[who] = Turn(OLD, turn.number + 1)
        elif had >= WINDOW:
            turns[who] = Turn(OLD, self._turn_of_all(topic, who[0]))
        else:
            last, number = self._last_new(topic, who[0])
            turns[who] = Turn(NEW, number if last == who else number + 1, had)

    def _last_new(self, topic: str, priority: int) -> tuple[tuple[int, str] | None, int]:
        new = [(turn, who) for who, turn in self.turns[topic].items() if turn.age is NEW and who[0] == priority]
        last = max(new, key=lambda one: (one[0], one[1]), default=None)
        return (None, -1) if last is None else (last[1], last[0].number)

    def _turn_of_all(self, topic: str, priority: int) -> int:
        regular = (turn.number for who, turn in self.turns[topic].items() if turn.age and who[0] == priority)
        return min(regular, default=0)

    def _put_on_list(self, topic: str, priority: int, job: str) -> None:
        self.lists.setdefault((topic, priority), []).append(job)
        self.sent.setdefault((topic, priority), {})[job] = self.now

    def _signal(self, run: Run) -> None:
        run.signals += 1
        run.due = self.now
        self.bell = True

    def ring(self) -> bool:
        rung, self.bell = not self.bell, True
        return rung

    def coordinate(self) -> None:
        self.bell = False
        self.sweep()
        while due := self.take_due():
            looks = [self.look(run_id) for run_id in due]
            for run_id in [look.run.id for look in looks if self.commit(look) != "COMMITTED"]:
                self.advance(run_id)

    def take_due(self) -> list[str]:
        """The runs to look at now; whoever takes them has them for a while."""
        due = sorted((run.due, run.id) for run in self.runs.values() if run.due is not None and run.due <= self.now)
        for _, run_id in due:
            self.runs[run_id].due = self.now + ASIDE_MS
        return [run_id for _, run_id in due]

    def sweep(self, *, dies: bool = False) -> bool:
        """What happens by time alone. After a silence longer than a lease nobody is declared dead for another lease."""
        last = self.now if self.swept is None else self.swept
        if self.swept is not None and self.now - last < SWEEP_MS / 2:
            return False
        for run in self.runs.values():
            if run.timer is not None and run.timer <= self.now:
                run.timer, run.due, run.fired = None, self.now, self.now
        if self.now - last > LEASE_MS:
            self.spare_until = self.now + LEASE_MS
        self.swept = self.now
        edge = 1 if self.now < self.spare_until else self.now
        if not dies:
            for _, worker in sorted((end, worker) for worker, end in self.leases.items() if end < edge):
                self.free(worker)
            for topic in self.topics:
                for priority in sorted(PRIORITY.values()):
                    self._resend_lost((topic, priority))
                self.release(topic)
        return True

    def _resend_lost(self, queue: Queue) -> None:
        """3.5: a message that was taken and never claimed is sent again under the same job id."""
        sent, left, suspects = self.sent.get(queue, {}), self.lists.get(queue, []), self.suspects.setdefault(queue, {})
        if not sent:
            suspects.clear()
        elif not left or left[0] in sent:
            edge = sent[left[0]] if left else self.now + 1
            for job, at in sorted(sent.items(), key=lambda one: (one[1], one[0])):
                since = suspects.setdefault((job, at), self.now) if at < edge else self.now
                if self.now - since >= GRACE_MS:
                    del suspects[job, at]
                    self._put_on_list(*queue, job)

    # -- looking -------------------------------------------------------------------------------------------------

    def view(self) -> dict[str, Any]:
        """Everything that must be the same on the real thing."""
        return {
            "runs": {run.id: self._run_view(run) for run in self.runs.values()},
            "approvals": {job: state for job, (state, _) in self.approvals.items()},
            "open": set(self.open_questions()),
            "dead": {job: self._dead_view(run.steps[name]) for job, (run, name) in self.dead.items()},
            "open_letters": sorted(job for job, (run, name) in self.dead.items() if not run.steps[name].rescued),
            "lists": {queue: list(jobs) for queue, jobs in self.lists.items() if jobs},
            "sent": {queue: dict(jobs) for queue, jobs in self.sent.items() if jobs},
            "unfinished": {topic: jobs for topic in self.topics if (jobs := self.unfinished(topic))},
            "held": {worker: jobs for worker in self.leases if (jobs := self.held(worker))},
            "stops": {worker: list(jobs) for worker, jobs in self.stops.items() if jobs},
            "leases": dict(self.leases),
            "bell": self.bell,
        }

    def _run_view(self, run: Run) -> dict[str, Any]:
        return {
            "status": run.status,
            "error": run.error,
            "output": run.output,
            "due": run.due,
            "timer": run.timer,
            "steps": {name: self._step_view(step) for name, step in run.steps.items()},
        }

    def _step_view(self, step: Step) -> tuple[Any, ...]:
        code = step.code if step.status in ENDED and step.rank else None
        return step.status, step.attempt, step.retries, step.losses, step.skip, code, step.output

    def _dead_view(self, step: Step) -> tuple[str, str | None, bool]:
        return step.status, step.code, step.rescued
