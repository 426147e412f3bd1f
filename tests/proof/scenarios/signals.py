"""Events from outside: sent, sent again, too early, too late."""

from __future__ import annotations

from tests.proof.explorer.cast import canceller, coordinator, signaller, time, worker
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
