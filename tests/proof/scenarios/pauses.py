"""Runs that are paused and go on, while workers and coordinators are at work in them."""

from __future__ import annotations

from tests.proof.explorer.cast import canceller, coordinator, pauser, publisher, resumer, sweeper, time, worker
from tests.proof.explorer.scenario import Scenario, scenario

CHAIN = "steps: {a: {topic: job.t}, b: {topic: job.t, depends_on: [a]}}"
ELSE = "{version: '1', default_decision: allow, rules: [{id: x, match: {topics: [job.x]}, decision: deny}]}"


@scenario("claim.run_paused")
def a_pause_before_a_claim() -> Scenario:
    """The message lies on its queue when the run is paused; it is claimed, given back, and sent again after it."""
    return Scenario(
        CHAIN,
        (
            pauser("bob"),
            worker("w", "r1:a@1"),
            worker("again", "r1:a@1", incarnation="w2"),
            resumer("carol"),
            coordinator("c1"),
        ),
    )


@scenario()
def a_pause_while_it_runs() -> Scenario:
    """What runs may finish, and its result counts; what follows waits until the run goes on."""
    return Scenario(
        CHAIN,
        (
            worker("w", "r1:a@1"),
            pauser("bob"),
            resumer("carol"),
            coordinator("c1", 2),
            worker("next", "r1:b@1", incarnation="w2"),
        ),
    )


@scenario()
def a_pause_takes_back_what_was_not_sent() -> Scenario:
    """Two steps share one place: when the first is recorded, the second must not slip onto the queue."""
    return Scenario(
        "steps: {a: {topic: job.t}, b: {topic: job.t}}",
        (
            worker("wa", "r1:a@1"),
            pauser("bob"),
            resumer("carol"),
            coordinator("c1"),
            worker("wb", "r1:b@1", incarnation="w2"),
        ),
        window=1,
    )


@scenario()
def a_pause_a_cancel_and_a_new_policy() -> Scenario:
    """A paused run can be cancelled, and goes on under the policy of that moment."""
    return Scenario(
        CHAIN,
        (
            pauser("bob"),
            resumer("carol"),
            publisher("admin", ELSE),
            canceller("dave"),
            worker("w", "r1:a@1"),
        ),
    )


@scenario("apply_plan.no_later_timer")
def time_goes_on_while_it_is_paused() -> Scenario:
    """The attempt runs out of time while the run is paused; nothing is sent until it goes on, whoever sweeps."""
    return Scenario(
        "steps: {a: {topic: job.t, timeout_sec: 1, retry: {max_retries: 1, initial_backoff_sec: 0}}}",
        (
            worker("w", "r1:a@1"),
            pauser("bob"),
            time(1000),
            sweeper("s1"),
            resumer("carol"),
            coordinator("c1"),
        ),
        faults=0,
    )
