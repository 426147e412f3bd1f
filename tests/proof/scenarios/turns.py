"""Turns of the fast path: messages taken and claimed in one call, whose reply may be lost or come too late."""

from __future__ import annotations

from tests.proof.explorer.cast import (
    coordinator,
    freer,
    pauser,
    publisher,
    renewer,
    resender,
    resumer,
    time,
    turn,
    worker,
)
from tests.proof.explorer.scenario import Scenario, scenario

ONE = "steps: {a: {topic: job.t}}"
TWO = "steps: {a: {topic: job.t}, b: {topic: job.t}}"
CHAIN = "steps: {a: {topic: job.t}, b: {topic: job.t, depends_on: [a]}}"
ELSE = "{version: '1', default_decision: allow, rules: [{id: x, match: {topics: [job.x]}, decision: deny}]}"
DENY = "{version: '1', default_decision: deny, rules: []}"


@scenario("take_jobs.turn_taken", "take_jobs.own_claim", "take_jobs.step_queued")
def turns_of_two_workers() -> Scenario:
    """One takes all there is, the other what is left; a delivery of its own comes for what one of them has claimed."""
    return Scenario(
        TWO,
        (
            turn("t1", 1, want=1),
            turn("t2", 2),
            turn("other", 1, incarnation="w2", want=1),
            worker("twice", "r1:a@1", incarnation="w2"),
            coordinator("c1"),
        ),
    )


@scenario("take_jobs.turn_overtaken", "take_jobs.own_claim")
def a_turn_comes_too_late() -> Scenario:
    """Its worker has been answered on its second sending, and has gone on, when the first one arrives."""
    return Scenario(
        TWO,
        (
            turn("sent again", 1, want=1),
            turn("late", 1, want=1, heard=False),
            turn("next", 2, want=1),
            coordinator("c1"),
            worker("w", "r1:b@1", incarnation="w2"),
        ),
    )


@scenario("take_jobs.worker_lease")
def a_turn_of_a_silent_worker() -> Scenario:
    """Its lease runs out before or while it works; it comes back while others take it for dead."""
    return Scenario(
        ONE,
        (
            time(6000),
            turn("t1", 1),
            renewer("lease", "w1"),
            freer("s1", "w1"),
            coordinator("c1"),
            turn("other", 1, incarnation="w2"),
        ),
    )


@scenario("take_jobs.run_paused")
def a_pause_before_a_turn() -> Scenario:
    """The message lies on its queue when the run is paused."""
    return Scenario(
        CHAIN,
        (
            pauser("bob"),
            turn("t1", 1),
            turn("other", 1, incarnation="w2"),
            resumer("carol"),
            coordinator("c1"),
        ),
    )


@scenario("take_jobs.policy_epoch")
def a_new_policy_before_a_turn() -> Scenario:
    """Between dispatch and turn."""
    return Scenario(
        CHAIN,
        (
            turn("t1", 1),
            publisher("admin", ELSE),
            publisher("root", DENY),
            coordinator("c1", 2),
            turn("other", 1, incarnation="w2"),
        ),
    )


@scenario()
def what_a_dead_worker_took_in_its_turn() -> Scenario:
    """It dies with the answer in hand; its lease runs out, and another takes the next attempt."""
    return Scenario(
        ONE,
        (
            turn("dead", 1),
            time(6000),
            renewer("lease", "w2"),
            freer("s1", "w1"),
            coordinator("c1", 2),
            turn("heir", 1, incarnation="w2"),
            resender("s2", 2),
        ),
    )
