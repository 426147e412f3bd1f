"""Events from outside: sent, sent again, too early, too late."""

from __future__ import annotations

from tests.proof.explorer.cast import canceller, coordinator, correlator, signaller, time, worker
from tests.proof.explorer.scenario import Scenario, scenario

WAIT = "steps: {s: {type: signal, name: go}, b: {topic: job.t, depends_on: [s]}}"


@scenario("send_signal.first_only", "send_signal.mark_due", "send_signal.run_open")
def a_signal_comes_twice() -> Scenario:
    """One signal from two senders that have the same token, and what follows."""
    return Scenario(
        WAIT,
        (
            signaller("left", "t1"),
            signaller("right", "t1"),
            coordinator("c1"),
            canceller("bob"),
            worker("w", "r1:b@1"),
        ),
    )


@scenario("send_signal.run_open")
def two_signals_for_two_steps() -> Scenario:
    """Two steps wait for the same name: each signal is one step's, and a third finds nobody, or the run at its end."""
    return Scenario(
        "steps: {s: {type: signal, name: go}, t: {type: signal, name: go, depends_on: [s]}}",
        (
            signaller("bob", "t1"),
            signaller("carol", "t2"),
            signaller("dave", "t3"),
            coordinator("c1"),
        ),
    )


@scenario("send_signal.mark_due")
def a_signal_before_its_step() -> Scenario:
    """It is kept until the step asks for it."""
    return Scenario(
        "steps: {a: {topic: job.t}, s: {type: signal, name: go, depends_on: [a]}}",
        (
            worker("w", "r1:a@1"),
            signaller("bob", "t1"),
            signaller("again", "t1"),
            coordinator("c1"),
            coordinator("c2"),
        ),
    )


@scenario()
def a_signal_and_its_time_out() -> Scenario:
    """The step's time runs out while the signal comes: one of them decides."""
    return Scenario(
        "steps: {s: {type: signal, name: go, timeout_sec: 1, on_error: h}, h: {topic: job.t}}",
        (
            time(1000),
            signaller("bob", "t1"),
            signaller("carol", "t2"),
            coordinator("c1", 2),
            worker("w", "r1:h@1"),
        ),
    )


ABOUT = "steps: {a: {topic: job.t}, s: {type: signal, name: go, correlation: it, depends_on: [a]}}"
WAITS = "steps: {s: {type: signal, name: go, correlation: it}, b: {topic: job.t, depends_on: [s]}}"


@scenario("deliver_signal.waiting_as_seen")
def a_signal_about_it_and_a_step_that_begins_to_wait() -> Scenario:
    """It finds the step, or is kept and the step finds it."""
    return Scenario(
        ABOUT,
        (
            worker("w", "r1:a@1"),
            correlator("bob", "k1"),
            coordinator("c1"),
            coordinator("c2"),
            canceller("carol"),
        ),
    )


@scenario("deliver_signal.first_only", "deliver_signal.mark_due")
def a_signal_about_it_comes_twice() -> Scenario:
    """Two runs wait; one delivery from two senders, and another one."""
    return Scenario(
        WAITS,
        (
            correlator("left", "k1"),
            correlator("right", "k1"),
            correlator("other", "k2"),
            coordinator("c1"),
            canceller("carol", "r2"),
        ),
        runs=("r1", "r2"),
    )


@scenario("deliver_signal.same_signal", "deliver_signal.not_too_many")
def two_signals_in_one_delivery() -> Scenario:
    """The second is refused, and so is one for which there is no place."""
    return Scenario(
        ABOUT,
        (
            correlator("bob", "k1", "one", most_kept=1),
            correlator("carol", "k1", "two", most_kept=1),
            correlator("dave", "k2", "three", most_kept=1),
            worker("w", "r1:a@1"),
            coordinator("c1"),
        ),
    )
