from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cordum.domain.policy import Constraints
from cordum.domain.run import OutcomeClass
from cordum.engine import Outcome
from cordum.errors import Unavailable
from cordum.execution import attempt
from cordum.execution.attempt import Abandoned, Delivery, Ending, work
from cordum.execution.handlers import registry
from cordum.execution.stops import Stops
from cordum.settings import Settings
from cordum.store.jobs import ClaimReply

TOPIC = "job.test.attempt"
JOB = Delivery("r1:s@1", TOPIC, 0)
QUICK = Settings(lease_ms=40, lease_renew_ms=10)


class Ran:
    """Counts, and ends as it is told to."""

    def __init__(self) -> None:
        self.times = 0
        self.error: Exception | None = None

    def __call__(self, ctx: Any) -> str:
        self.times += 1
        if self.error:
            raise self.error
        return "done"


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> Ran:
    one = Ran()
    monkeypatch.setattr(registry, "_handlers", dict(registry._handlers))
    registry._handlers.pop(TOPIC, None)
    monkeypatch.setattr(registry, "_followers", [])
    registry.add(TOPIC, one)
    return one


def do(port: Any, **options: Any) -> Ending | None:
    return work(JOB, port=port, incarnation="w", settings=QUICK, stops=Stops(), **options)


def test_claim_run_record(fake_port: Any, ran: Ran) -> None:
    ending = do(fake_port)
    outcome = Outcome(OutcomeClass.SUCCESS, output="done")
    assert ending == Ending(outcome, applied=True, retries_left=0)
    assert fake_port.told == [("claim", "r1:s@1", JOB.nonce), ("record", outcome, JOB.nonce)]


def test_a_result_larger_than_the_policy_allows_fails_the_attempt(
    fake_port: Any, ran: Ran, monkeypatch: pytest.MonkeyPatch
) -> None:
    granted = fake_port.claim
    tight = Constraints(max_result_bytes=5)  # "done" takes six with its quotes
    monkeypatch.setattr(fake_port, "claim", lambda *given, **how: granted(*given, **how)._replace(constraints=tight))
    ending = do(fake_port)
    assert ending is not None and ending.outcome.failure is not None
    assert (ending.outcome.kind, ending.outcome.failure.code) == (OutcomeClass.FATAL, "result_too_large")


def test_two_deliveries_differ_in_their_nonce() -> None:
    assert Delivery("r1:s@1", TOPIC, 0).nonce != Delivery("r1:s@1", TOPIC, 0).nonce


@pytest.mark.parametrize("word", [ClaimReply.STALE, ClaimReply.POLICY_CHANGED])
def test_a_refused_claim_runs_and_records_nothing(fake_port: Any, ran: Ran, word: ClaimReply) -> None:
    fake_port.claim_words = [word]
    assert do(fake_port) is None
    assert (ran.times, fake_port.names()) == (0, ["claim"])


def test_a_lease_that_comes_back_lets_the_job_run(fake_port: Any, ran: Ran) -> None:
    fake_port.claim_words = [ClaimReply.NO_LEASE, ClaimReply.NO_LEASE]
    assert do(fake_port) is not None
    assert fake_port.names() == ["claim", "claim", "claim", "record"]


def test_a_lease_that_stays_away_drops_the_message(fake_port: Any, ran: Ran) -> None:
    fake_port.claim_words = [ClaimReply.NO_LEASE] * 1_000
    assert do(fake_port) is None
    assert ran.times == 0


def test_user_code_runs_once_however_often_the_record_is_sent(
    fake_port: Any, ran: Ran, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = fake_port.record

    def reply_lost_twice(*args: Any) -> str:
        fake_port.record = answer_late
        answer(*args)
        raise Unavailable("the reply was lost")

    def answer_late(*args: Any) -> str:
        fake_port.record = answer
        raise Unavailable("away")

    fake_port.record = reply_lost_twice
    assert do(fake_port) is not None
    assert (ran.times, fake_port.names()) == (1, ["claim", "record", "record"])


def test_a_failure_is_recorded_with_the_same_persistence(fake_port: Any, ran: Ran) -> None:
    ran.error = ValueError("bad")
    fake_port.away = [Unavailable("away")]
    ending = do(fake_port)
    assert ending is not None
    assert ending.outcome.kind is OutcomeClass.RETRYABLE
    assert (ran.times, fake_port.names()) == (1, ["claim", "record"])


def test_an_outcome_that_cannot_be_recorded_is_not_lost_silently(fake_port: Any, ran: Ran) -> None:
    def away(*args: Any) -> str:
        raise Unavailable("away")

    fake_port.record = away
    with pytest.raises(Abandoned, match="could not be recorded"):
        do(fake_port, patience_sec=0)
    assert ran.times == 1


@pytest.mark.parametrize(
    ("kind", "left", "applied", "retried"),
    [
        (OutcomeClass.RETRYABLE, 1, True, True),
        (OutcomeClass.TIMEOUT, 1, True, True),
        (OutcomeClass.RETRYABLE, 0, True, False),
        (OutcomeClass.RETRYABLE, 1, False, False),
        (OutcomeClass.FATAL, 1, True, False),
        (OutcomeClass.SUCCESS, 1, True, False),
    ],
)
def test_an_attempt_is_retried_when_it_counted_and_retries_are_left(
    kind: OutcomeClass, left: int, applied: bool, retried: bool
) -> None:
    assert Ending(Outcome(kind), applied=applied, retries_left=left).retried is retried


def test_an_outcome_that_came_too_late_is_not_applied(
    fake_port: Any, ran: Ran, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fake_port, "record", lambda *_: "STALE")
    ending = do(fake_port)
    assert ending is not None
    assert not ending.applied


def test_a_claim_that_nobody_answers_runs_nothing(fake_port: Any, ran: Ran) -> None:
    fake_port.away = [Unavailable("away")]
    with pytest.raises(Abandoned, match="its claim"):
        do(fake_port, patience_sec=0)
    assert ran.times == 0


def test_an_error_of_our_own_is_not_repeated(fake_port: Any, ran: Ran) -> None:
    fake_port.away = [RuntimeError("a script answered what it must not")]
    with pytest.raises(RuntimeError):
        do(fake_port)


def test_the_pause_grows_and_stays_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    from cordum.execution import persistence

    pauses: list[float] = []
    monkeypatch.setattr(persistence.time, "sleep", pauses.append)
    answers: list[Exception | None] = [Unavailable("away")] * 20 + [None]

    def ask() -> str:
        error = answers.pop(0)
        if error:
            raise error
        return "here"

    assert persistence.insist(ask, attempt.PATIENCE_SEC) == "here"
    assert len(pauses) == 20
    assert pauses[0] <= 0.1
    assert max(pauses) <= 2.0
    assert min(pauses[10:]) >= 1.0


def test_a_stop_reaches_only_the_job_it_names(eventually: Callable[..., Any]) -> None:
    stops = Stops()
    a, b = stops.begin("a"), stops.begin("b")
    stops.stop(["b", "unknown"])
    assert (a.is_set(), b.is_set()) == (False, True)
    stops.end("a")
    stops.stop(["a"])
    assert not a.is_set()
