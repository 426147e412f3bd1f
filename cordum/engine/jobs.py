"""What workers do: lease, claim, progress, record, and what is done for them when they die."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence

import orjson

from cordum.domain.audit import Act
from cordum.domain.endings import is_revocable
from cordum.domain.ids import JobId
from cordum.domain.plan import Event, Plan
from cordum.domain.planner import plan_cancel_step
from cordum.domain.policy import NO_CONSTRAINTS, Constraints
from cordum.domain.pools import NO_POOLS, PoolMap
from cordum.domain.routing import Candidate
from cordum.domain.run import OutcomeClass
from cordum.domain.workflow import JSON
from cordum.engine.core import Core
from cordum.engine.looks import Look
from cordum.engine.previews import Preview, preview
from cordum.engine.values import Claim, Orders, Outcome, WorkerInfo
from cordum.store import codec
from cordum.store.jobs import (
    Claimed,
    ClaimReply,
    Delivered,
    Exchanged,
    GiveBackReply,
    LossReply,
    Recording,
    RecordReply,
)
from cordum.store.workers import Registered

STALE_WORKER, NOT_TAKEN = "stale_worker", "reservation_expired"
HOLD_MS = 5000
"""How long a job is held for one worker that does not claim it."""


class Jobs:
    def __init__(self, core: Core) -> None:
        self._core = core
        self._store = core.store
        self._together: Mapping[str, int] = {}  # of the worker whose lease is held here

    # -- leases --------------------------------------------------------------------------------------------------

    def register(self, worker: WorkerInfo) -> None:
        """Take a lease, and free at once what a dead predecessor of the same host and name held."""
        for incarnation, info in self._store.workers.known().items():
            same = info.get("host") == worker.host and info.get("name") == worker.name
            if same and incarnation != worker.incarnation and not _alive(worker.host, info.get("pid")):
                self._store.workers.end_lease(incarnation)
                self.free_worker(incarnation, "its worker was restarted")
        self.renew(worker)
        # After it is known: who drains its pool at this moment either finds it or is found by it.
        drained = self._store.workers.drained_pools()
        if worker.pools and drained.keys() >= set(worker.pools):
            by = Act(drained[worker.pools[0]].by, self._core.settings.admin_tenant)
            self._store.workers.drain(worker.incarnation, by, told=False)

    def renew(self, worker: WorkerInfo, heard: Sequence[str] = ()) -> Orders:
        """Hold the lease; the answer names jobs of this worker that must stop, until it has said that it `heard`."""
        lease_ms = self._core.settings.lease_ms
        orders = Orders(*self._store.workers.renew(worker.incarnation, worker.document(), lease_ms, heard))
        if worker.together != self._together:
            self._together = worker.together
            self.set_windows(self._store.workers.census())
        return orders

    def set_windows(self, census: Sequence[Registered]) -> None:
        """A topic may have little more unfinished messages than its workers take at once.

        Whoever submits later cannot be sent before what is on its way already.
        """
        taken: dict[str, int] = {}
        for one in census:
            slots, together = int(one.info.get("slots", 0)), one.info.get("together", {})
            for topic in one.info.get("topics", ()):
                taken[topic] = taken.get(topic, 0) + slots * int(together.get(topic, 1))
        ahead = self._core.settings.window_ahead
        self._store.queues.set_windows({topic: window_of(count, ahead) for topic, count in taken.items()})

    def leave(self, incarnation: str) -> None:
        """A clean goodbye: what the worker still holds is freed at once."""
        self._store.workers.end_lease(incarnation)
        self.free_worker(incarnation, "its worker shut down", left=True)

    def free_worker(self, incarnation: str, reason: str, *, left: bool = False) -> int:
        """Take every attempt from a worker whose lease is over; the number of attempts that were lost with it.

        `left`: the worker went in order, which is not counted against its jobs.
        """
        lost = 0
        self.give_back(incarnation, STALE_WORKER)
        for job_id in self._store.workers.held(incarnation):
            job = JobId.parse(job_id)
            topic = job and self._topic_of(job)
            if job and topic:
                reply = self._store.jobs.lose(job, topic, incarnation, reason, left=left)
                lost += reply is LossReply.ADVANCE
        self._store.workers.forget(incarnation)
        return lost

    def give_back(self, incarnation: str, reason: str) -> int:
        """Take what lies on a worker's own queue for others, oldest first: what is overdue, or all when it is gone."""
        given = 0
        hold_ms = 0 if reason == STALE_WORKER else HOLD_MS
        for job, sent_at in self._store.workers.reserved(incarnation):
            look = self._core.look(job.run_id)
            state = look.run.steps.get(job.step) if look else None
            if state is None or state.topic is None:
                continue
            reply = self._store.jobs.give_back(
                job, state.topic, state.priority or 0, incarnation, sent_at, hold_ms, reason
            )
            given += reply is GiveBackReply.GIVEN_BACK
        return given

    def routes(self, worker: WorkerInfo) -> list[str]:
        """Those of the routes on which jobs wait that this worker may serve, as it is now."""
        able = Candidate(
            id=worker.incarnation,
            slots=worker.slots,
            topics=frozenset(worker.topics),
            pools=worker.pools,
            labels=worker.labels,
            capabilities=worker.capabilities,
        )
        return self._core.dispatch.routes_of(able)

    def pools(self) -> PoolMap:
        """Which pools serve which topics, as it is now."""
        return self._core.read_pools() or NO_POOLS

    def _topic_of(self, job: JobId) -> str | None:
        look = self._core.look(job.run_id)
        state = look.run.steps.get(job.step) if look else None
        return state.topic if state else None

    # -- attempts ------------------------------------------------------------------------------------------------

    def claim(
        self, job_id: str, topic: str, priority: int, incarnation: str, nonce: str, *, direct: bool = False
    ) -> Claim:
        """Begin an attempt, at most once for each job id; `nonce` is this delivery's own.

        `direct`: it came from the worker's own queue.
        """
        job = JobId.parse(job_id)
        if job is None:
            return Claim(ClaimReply.STALE)
        return read_claim(job, self._store.jobs.claim(job, topic, priority, incarnation, nonce, direct=direct))

    def record(self, job_id: str, topic: str, incarnation: str, nonce: str, outcome: Outcome) -> RecordReply:
        """Write down how the attempt ended. STALE: it was not this worker's any more, and nothing was changed."""
        job = JobId.parse(job_id)
        if job is None:
            return RecordReply.STALE
        output = output_text(outcome)
        return self._store.jobs.record(
            job, topic, incarnation, nonce, outcome.kind, output, outcome.failure, outcome.retry_after_ms
        )

    def exchange(
        self,
        incarnation: str,
        recordings: Sequence[Recording],
        deliveries: Sequence[Delivered],
        topics: Sequence[str],
        want: int,
        routes: Sequence[str] = (),
        turn: int = 0,
    ) -> Exchanged:
        """Record, claim, and take and claim new jobs, many in one round trip; safe to repeat as the single calls are.

        A claim is answered unread: `read_claim` is for the process that runs the job. `turn` stays the same until the
        answer to it is known.
        """
        return self._store.jobs.exchange(incarnation, recordings, deliveries, topics, want, routes, turn)

    def lost(self, job_id: str, topic: str, incarnation: str, reason: str, *, left: bool = False) -> LossReply:
        """A living worker reports that the pool child that ran this job is dead; `left`: that none will begin it."""
        job = JobId.parse(job_id)
        if job is None:
            return LossReply.STALE
        return self._store.jobs.lose(job, topic, incarnation, reason, child_died=True, left=left)

    def cancel_step(self, job_id: str, actor: str, reason: str, *, dry_run: bool = False) -> Preview | None:
        """Cancel the step whose latest attempt this is, wherever it is; an attempt that is over changes nothing.

        Any number of workers may say so at once: the first commit counts, the others find nothing left to cancel.
        """
        job = JobId.parse(job_id)
        look = self._core.look(job.run_id) if job else None
        if job is None or look is None:
            return None
        if not is_revocable(look.workflow, look.run, job.step, job.attempt):
            return preview(look.run, Plan()) if dry_run else None

        def decide(look: Look) -> Plan:
            return plan_cancel_step(
                look.workflow,
                look.run,
                look.policy,
                look.snapshot.now,
                self._core.limits,
                step=job.step,
                attempt=job.attempt,
                actor=actor,
                reason=reason,
            )

        return self._core.act(job.run_id, decide, dry_run=dry_run)

    def still_running(self, job_id: str, incarnation: str) -> bool:
        """False once the attempt is no longer this worker's business: cancelled, timed out, or given to another."""
        job = JobId.parse(job_id)
        return job is not None and self._store.jobs.still_running(job, incarnation)

    def progress(self, job_id: str, incarnation: str, fraction: float | None, note: str | None) -> bool:
        """Tell the timeline how far the attempt is; False as for `still_running`."""
        job = JobId.parse(job_id)
        if job is None:
            return False
        data: dict[str, JSON] = {"fraction": fraction, "note": note}
        event = Event("step.progress", job.step, job.attempt, actor=incarnation, data=data)
        return self._store.jobs.still_running(job, incarnation, event)

    def once(self, job_id: str, name: str) -> bool:
        """True for the first attempt of this step that asks for `name`, whenever it asks."""
        job = JobId.parse(job_id)
        return job is not None and self._store.jobs.once(job, name)


def window_of(slots: int, ahead: int) -> int:
    """Unfinished messages of a topic of which so many are taken at once; `ahead` 0: as many beyond as keep all busy.

    A record sends the next job and fetches it in one round trip, so little has to lie there.
    """
    return slots + (ahead or max(1, slots // 8))


def read_claim(job: JobId, claimed: Claimed) -> Claim:
    """The answer to a claim with its texts read."""
    if claimed.word is not ClaimReply.CLAIMED:
        return Claim(claimed.word)
    word, tenant, workflow_id, labels, input_, timeout_ms, retries_left, shape, decision = claimed
    return Claim(
        word,
        codec.from_json(input_),
        *job,
        tenant,
        workflow_id,
        orjson.loads(labels),
        timeout_ms,
        retries_left,
        codec.from_json(shape) if shape else None,
        # Most decisions have none.
        Constraints.of(orjson.loads(decision)) if '"constraints"' in decision else NO_CONSTRAINTS,
    )


def output_text(outcome: Outcome) -> str:
    """What is kept of an outcome's output; empty unless it is a success."""
    if outcome.kind is not OutcomeClass.SUCCESS:
        return ""
    return codec.to_json(outcome.output) if outcome.text is None else outcome.text


def _alive(host: str, pid: object) -> bool:
    """Whether a process of this machine lives; of another machine nothing is known, and its lease will tell."""
    if host != socket.gethostname() or not isinstance(pid, int):
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
