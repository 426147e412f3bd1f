"""One delivery of a job's message, from the claim to the record. Knows the port, not Celery.

User code runs only between a granted claim and its record, so at most once per attempt however often a message comes.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field

from cordum.domain.run import OutcomeClass
from cordum.engine import Claim, Outcome, shaped
from cordum.errors import Unavailable
from cordum.execution.context import JobContext
from cordum.execution.persistence import insist
from cordum.execution.port import JobPort
from cordum.execution.runner import run_job
from cordum.execution.stops import Stops
from cordum.settings import Settings
from cordum.store.unique import unique

__all__ = ["Abandoned", "Delivery", "Ending", "run_claimed", "work"]

_log = logging.getLogger(__name__)

CLAIMED, NO_LEASE, STALE = "CLAIMED", "NO_LEASE", "STALE"
_RETRYABLE = (OutcomeClass.RETRYABLE, OutcomeClass.TIMEOUT)
PATIENCE_SEC = 60.0


class Abandoned(Exception):
    """Redis was away for too long: the attempt must be reported lost, because nobody will record it any more."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message as it came; `nonce` tells this delivery from every other one of the same job."""

    job_id: str
    topic: str
    priority: int
    nonce: str = field(default_factory=unique)
    direct: bool = False  # it came from the worker's own queue


@dataclass(frozen=True, slots=True)
class Ending:
    """How an attempt ended; not `applied`: it was not this worker's any more, and its outcome changed nothing."""

    outcome: Outcome
    applied: bool
    retries_left: int

    @property
    def retried(self) -> bool:
        """Whether another attempt follows."""
        return self.applied and self.retries_left > 0 and self.outcome.kind in _RETRYABLE


def work(
    delivery: Delivery,
    *,
    port: JobPort,
    incarnation: str,
    settings: Settings,
    stops: Stops,
    patience_sec: float = PATIENCE_SEC,
) -> Ending | None:
    """Claim, run, record; None when there was nothing to do. Raises Abandoned."""
    claim = _claim(delivery, port, incarnation, settings, patience_sec)
    if claim.word != CLAIMED:
        _log.info("%s dropped: %s", delivery.job_id, claim.word)
        return None
    outcome = run_claimed(
        claim,
        delivery.job_id,
        delivery.topic,
        port=port,
        incarnation=incarnation,
        settings=settings,
        stops=stops,
    )
    word = _record(delivery, port, incarnation, outcome, patience_sec)
    return Ending(outcome, applied=word != STALE, retries_left=claim.retries_left)


def run_claimed(
    claim: Claim, job_id: str, topic: str, *, port: JobPort, incarnation: str, settings: Settings, stops: Stops
) -> Outcome:
    """Run the handler of a claimed job; asks the port only when the handler does."""
    stop = stops.begin(job_id)
    try:
        ctx = JobContext(claim, job_id, topic, incarnation=incarnation, port=port, stop=stop)
        most = min(settings.max_result_bytes, claim.constraints.max_result_bytes or settings.max_result_bytes)
        return shaped(run_job(topic, job_id, claim.input, ctx, max_result_bytes=most), claim.shape)
    finally:
        stops.end(job_id)


def _claim(delivery: Delivery, port: JobPort, incarnation: str, settings: Settings, patience_sec: float) -> Claim:
    """The reply to the claim; a lease that ran out, as in a pause of the machine, gets its own length to come back."""
    give_up = time.monotonic() + settings.lease_ms / 1000
    named = (delivery.job_id, delivery.topic, delivery.priority, incarnation, delivery.nonce)
    while True:
        try:
            claim = insist(lambda: port.claim(*named, direct=delivery.direct), patience_sec)
        except Unavailable as error:
            raise Abandoned(f"{delivery.job_id}: nobody answered its claim: {error.detail}") from None
        if claim.word != NO_LEASE or time.monotonic() >= give_up:
            return claim
        time.sleep(settings.lease_renew_ms / 2000)


def _record(delivery: Delivery, port: JobPort, incarnation: str, outcome: Outcome, patience_sec: float) -> str:
    try:
        word = insist(
            lambda: port.record(delivery.job_id, delivery.topic, incarnation, delivery.nonce, outcome), patience_sec
        )
    except Unavailable as error:
        raise Abandoned(f"{delivery.job_id}: its outcome could not be recorded: {error.detail}") from None
    _log.info("%s ended as %s: %s", delivery.job_id, outcome.kind.value, word)
    return word
