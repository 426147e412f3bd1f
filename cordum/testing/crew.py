"""Scripted workers: they claim what is queued, do what their entries say, and die when they are told to.

Every claimed job has a worker incarnation of its own, so that one worker can die without the others. May speak to the
engine only as Celery's workers do: lease, claim, record.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from cordum.domain.ids import JobId
from cordum.domain.run import Failure, OutcomeClass
from cordum.domain.workflow import JSON
from cordum.engine import Engine, Outcome, WorkerInfo, shaped
from cordum.store.jobs import ClaimReply
from cordum.testing.bench import Message
from cordum.testing.scenario import Do, Entry

_REPORTS = frozenset({Do.SUCCEED, Do.RETRY, Do.FATAL})


@dataclass(frozen=True, slots=True)
class Hand:
    """One worker with the one job it has claimed."""

    worker: WorkerInfo
    job: JobId
    topic: str
    entry: Entry
    lease_ends: int
    shape: JSON = None

    @property
    def nonce(self) -> str:
        return f"delivery-{self.worker.name}"


@dataclass(frozen=True, slots=True)
class Call:
    """User code entered once."""

    job: JobId
    input: JSON


class Crew:
    def __init__(self, engine: Engine, scripts: Mapping[str, tuple[Entry, ...]]) -> None:
        self._engine = engine
        self._scripts = scripts
        self._working: dict[str, Hand] = {}  # by job id, in the order of the claims
        self._crashed: list[Hand] = []
        self._claims: dict[str, Hand] = {}  # every claim there was
        self._hired = 0
        self._entered: Counter[str] = Counter()  # by step, over all runs: each call takes the next entry
        self.calls: list[Call] = []
        self.told_to_stop: list[str] = []  # job ids

    # -- claiming ------------------------------------------------------------------------------------------------

    def claim(self, message: Message, now: int) -> None:
        """What a worker does first with a message; anything but CLAIMED means that user code is never entered."""
        worker = self._hire(message.topic, now)
        self._engine.jobs.renew(worker)
        claim = self._engine.jobs.claim(
            message.job_id, message.topic, message.priority, worker.incarnation, f"delivery-{worker.name}"
        )
        job = JobId.parse(message.job_id)
        if claim.word is not ClaimReply.CLAIMED or job is None:
            self._engine.jobs.leave(worker.incarnation)
            return
        lease_ends = now + self._engine.settings.lease_ms
        hand = Hand(worker, job, message.topic, self._next_entry(job.step), lease_ends, claim.shape)
        self._entered[job.step] += 1
        self.calls.append(Call(job, claim.input))
        self._claims[message.job_id] = hand
        if hand.entry.do is Do.CRASH:
            self._crashed.append(hand)
        else:
            self._working[message.job_id] = hand

    def _hire(self, topic: str, now: int) -> WorkerInfo:
        self._hired += 1
        name = f"worker-{self._hired}"
        return WorkerInfo(name, "scenario", name, pid=self._hired, slots=1, topics=(topic,), started_at_ms=now)

    def _next_entry(self, step: str) -> Entry:
        """The entry of this call: the step's own script, that of the step which fans out, or everybody's."""
        owner = step.partition("[")[0]
        script = next((self._scripts[key] for key in (step, owner, "*") if key in self._scripts), (Entry(),))
        return script[min(self._entered[step], len(script) - 1)]

    # -- reporting -----------------------------------------------------------------------------------------------

    def report(self) -> bool:
        """Let the earliest claimed job that has something to say report; False when all hang."""
        hand = next((hand for hand in self._working.values() if hand.entry.do in _REPORTS), None)
        if hand is None:
            return False
        self._record(hand, hand.entry)
        return True

    def deliver(self, job_id: str, topic: str, entry: Entry) -> None:
        """What the worker of this attempt would send, at once; an attempt that was never claimed has no worker."""
        job = JobId.parse(job_id)
        hand = self._claims.get(job_id)
        if hand is None and job is not None:
            nobody = WorkerInfo("nobody", "scenario", "nobody", pid=0, slots=1, topics=(topic,), started_at_ms=0)
            hand = Hand(nobody, job, topic, entry, 0)
        if hand is not None:
            self._record(hand, entry)

    def _record(self, hand: Hand, entry: Entry) -> None:
        outcome = shaped(_outcome(entry), hand.shape)
        self._engine.jobs.record(str(hand.job), hand.topic, hand.worker.incarnation, hand.nonce, outcome)
        self._dismiss(hand)

    def _dismiss(self, hand: Hand) -> None:
        if self._working.pop(str(hand.job), None) is not None:
            self._engine.jobs.leave(hand.worker.incarnation)

    # -- leases --------------------------------------------------------------------------------------------------

    def renew(self) -> None:
        """Every living worker renews its lease, and stops what it is told to stop."""
        for hand in list(self._working.values()):
            if stops := self._engine.jobs.renew(hand.worker).stops:
                self.told_to_stop += stops
                self._dismiss(hand)

    def next_lease_end(self) -> int | None:
        """When the first lease of a worker that died without a word is over, of those that cordum still counts on."""
        known = self._engine.store.workers.known()
        self._crashed = [hand for hand in self._crashed if hand.worker.incarnation in known]
        return min((hand.lease_ends + 1 for hand in self._crashed), default=None)


def _outcome(entry: Entry) -> Outcome:
    match entry.do:
        case Do.RETRY:
            return Outcome(OutcomeClass.RETRYABLE, failure=Failure("retryable", entry.error))
        case Do.FATAL:
            return Outcome(OutcomeClass.FATAL, failure=Failure("fatal", entry.error))
        case _:
            return Outcome(OutcomeClass.SUCCESS, output=entry.output)
