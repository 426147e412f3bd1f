"""Workers that fall silent, come back, leave or die; messages that get lost with them."""

from __future__ import annotations

from tests.proof.explorer.cast import (
    coordinator,
    freer,
    leaver,
    renewer,
    resender,
    sweeper,
    taker,
    time,
    worker,
)
from tests.proof.explorer.scenario import Scenario, scenario

ONE = "steps: {a: {topic: job.t}}"


@scenario("claim.worker_lease", "forget_worker.lease_over", "lose_attempt.lease_over")
def a_silent_worker_comes_back() -> Scenario:
    """Its lease runs out before or while it works; it renews, claims and records while others take it for dead."""
    return Scenario(
        ONE,
        (
            time(6000),
            worker("w", "r1:a@1"),
            renewer("lease", "w1"),
            freer("s1", "w1"),
            freer("s2", "w1"),
            coordinator("c1"),
        ),
    )


@scenario("forget_worker.nothing_held")
def a_worker_falls_silent_twice() -> Scenario:
    """It comes back between the look at what it holds and its being forgotten, claims, and falls silent again."""
    return Scenario(
        ONE,
        (
            time(6000, 6000),
            renewer("lease", "w1"),
            worker("w", "r1:a@1"),
            freer("s1", "w1", 2),
            coordinator("c1"),
            worker("w2", "r1:a@2", incarnation="w2"),
        ),
        faults=0,
    )


@scenario()
def a_worker_leaves() -> Scenario:
    """It says goodbye while it claims and records; what it held goes to another."""
    return Scenario(
        ONE,
        (
            worker("w", "r1:a@1"),
            leaver("goodbye", "w1"),
            freer("s1", "w1"),
            coordinator("c1", 2),
            worker("other", "r1:a@2", incarnation="w2"),
        ),
    )


@scenario("resend_message.still_unclaimed")
def a_message_is_taken_and_lost() -> Scenario:
    """One process takes it and dies; two others find that out and send it again, while it is claimed after all."""
    return Scenario(
        ONE,
        (
            taker("dead", "r1:a@1", dies=True),
            time(1, 4000),
            resender("s1", 2),
            resender("s2", 2),
            taker("alive", "r1:a@1", dies=False),
        ),
    )


@scenario()
def two_whole_sweeps() -> Scenario:
    """Two sweeps at once over a worker that is gone."""
    return Scenario(
        ONE,
        (
            worker("w", "r1:a@1"),
            time(3000, 3000),
            sweeper("s1", 2),
            sweeper("s2"),
            coordinator("c1"),
        ),
        workers=("w1",),
        faults=0,
    )
