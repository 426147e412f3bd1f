"""Queues that are paused and resumed while workers, sweeps and coordinators are at work on them."""

from __future__ import annotations

from tests.proof.explorer.cast import (
    canceller,
    coordinator,
    queue_pauser,
    queue_resumer,
    resender,
    taker,
    time,
    worker,
)
from tests.proof.explorer.scenario import Scenario, scenario

TWO = "steps: {a: {topic: job.t}, b: {topic: job.t}}"


@scenario("resend_message.queue_open")
def a_lost_message_of_a_paused_queue() -> Scenario:
    """Its taker dies, a sweep finds it lost, and the queue is paused before it is sent again."""
    return Scenario(
        "steps: {a: {topic: job.t}}",
        (
            taker("dead", "r1:a@1", dies=True),
            time(1, 4000),
            resender("s1", 2),
            queue_pauser("ann"),
            queue_resumer("bob"),
            canceller("carol"),
            coordinator("c1"),
        ),
        faults=1,
    )


@scenario()
def a_queue_is_paused_and_goes_on() -> Scenario:
    """One message lies on the list and one job waits for room; both begin after it, once, whatever is cancelled."""
    return Scenario(
        TWO,
        (
            queue_pauser("ann"),
            queue_resumer("bob"),
            taker("wa", "r1:a@1", dies=False),
            worker("wb", "r1:b@1", incarnation="w2"),
            coordinator("c1", 2),
            canceller("carol"),
        ),
        window=1,
        faults=0,
    )
