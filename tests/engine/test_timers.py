"""Everything that happens by time alone, in virtual time: not a millisecond early, and how late it was is counted.

`sweep` is what looks; a coordinator that happens to look earlier must find nothing to do, so each is looked at by force
one millisecond before its time.
"""

from __future__ import annotations

import pytest

from cordum.domain.run import OutcomeClass
from cordum.engine import Engine
from cordum.engine.metrics import LATENESS_BUCKETS
from cordum.store.scripts import Library
from tests.engine.hands import Hands
from tests.engine.test_schedules import START, Clock, clock, clock_without

__all__ = ["clock", "clock_without"]  # fixtures

WAITS = {
    "delay": ("steps: {s: {type: delay, delay_sec: 10}}", 10_000, "succeeded"),
    "attempt time-out": ("steps: {s: {topic: job.t, timeout_sec: 10}}", 10_000, "timed_out"),
    "queue time-out": ("steps: {s: {topic: job.t, queue_timeout_sec: 10}}", 10_000, "timed_out"),
    "retry": (
        "steps: {s: {topic: job.t, retry: {max_retries: 1, initial_backoff_sec: 10, jitter: 0}}}",
        10_000,
        "queued",
    ),
    "run time-out": ("timeout_sec: 10\nsteps: {s: {type: approval}}", 10_000, "timed_out"),
    "approval's expiry": ("steps: {s: {type: approval, expires_sec: 10}}", 10_000, "denied"),
    "signal's time-out": ("steps: {s: {type: signal, name: go, timeout_sec: 10}}", 10_000, "timed_out"),
}


def begin(clock: Clock, what: str) -> str:
    """A run whose step `s` waits for its time."""
    hands = Hands(clock.engine)
    run_id = hands.start(WAITS[what][0])
    if what in ("attempt time-out", "retry"):
        assert hands.claim(run_id, "s").word == "CLAIMED"
    if what == "retry":
        hands.finish(run_id, "s", kind=OutcomeClass.RETRYABLE)
        assert status(clock, run_id) == "retrying"
    return run_id


def status(clock: Clock, run_id: str) -> str:
    return str(clock.engine.run("default", run_id)["steps"]["s"]["status"])


def look(clock: Clock, run_id: str) -> None:
    clock.engine._core.advance(run_id)
    clock.engine.coordinate()


@pytest.mark.parametrize("what", WAITS)
def test_nothing_that_happens_by_time_is_early(clock: Clock, what: str) -> None:
    run_id = begin(clock, what)
    _, after_ms, then = WAITS[what]
    before = status(clock, run_id)
    clock.at(START + after_ms - 1)
    Hands(clock.engine)  # renews the lease
    look(clock, run_id)
    assert status(clock, run_id) == before
    clock.at(START + after_ms)
    look(clock, run_id)
    assert status(clock, run_id) == then


def test_a_reminder_is_not_early_and_comes_again(clock: Clock) -> None:
    hands = Hands(clock.engine)
    run_id = hands.start("steps: {s: {type: approval, remind_sec: 10}}")
    for moment, reminders in ((9_999, 0), (10_000, 1), (19_999, 1), (20_000, 2)):
        clock.at(START + moment)
        look(clock, run_id)
        assert hands.events(run_id).count("approval.reminded") == reminders


def test_how_late_timers_go_off_is_counted_once_for_each(clock: Clock) -> None:
    hands = Hands(clock.engine)
    for _ in range(3):
        hands.start(WAITS["delay"][0])
    clock.at(START + 10_000 + 400)
    clock.engine.coordinate()
    assert lateness(clock.engine) == {"0.1": 0, "0.25": 0, "0.5": 3, "+Inf": 3, "sum": 1.2}
    clock.at(START + 20_000)
    clock.engine.coordinate()
    assert lateness(clock.engine)["+Inf"] == 3


def test_the_script_and_the_metric_have_the_same_buckets() -> None:
    bounds = ", ".join(LATENESS_BUCKETS[:-1])
    assert f"ipairs({{{bounds}}})" in Library()["sweep"].source


def lateness(engine: Engine) -> dict[str, float]:
    (metric,) = [one for one in engine.metrics() if one.name == "cordum_timer_lateness_seconds"]
    shown: dict[str, float] = {labels[0][1]: value for labels, value in metric.series["_bucket"].items()}
    return {bound: shown[bound] for bound in ("0.1", "0.25", "0.5", "+Inf")} | {"sum": metric.series["_sum"][()]}
