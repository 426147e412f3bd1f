"""Jobs that lie on the queue of one worker, which dies, is slow, or works while a sweep takes them away."""

from __future__ import annotations

from tests.proof.explorer.cast import canceller, coordinator, direct_worker, freer, returner, taker, time
from tests.proof.explorer.scenario import Scenario, scenario

PREFERRED = "steps: {a: {topic: job.t, worker_id: w1@h}}"


@scenario("give_back.still_unclaimed", "give_back.mark_due")
def a_job_is_given_back_twice() -> Scenario:
    """Two sweeps find the worker gone; the job is sent anew in between, under the same id."""
    return Scenario(
        PREFERRED,
        (
            time(6000),
            returner("s1", "w1"),
            returner("s2", "w1"),
            coordinator("c1"),
            taker("other", "r1:a@1", dies=False, incarnation="w2"),
            canceller("carol"),
        ),
    )


@scenario()
def a_job_is_cancelled_where_it_lies() -> Scenario:
    """In the queue of one worker, which claims it; a sweep finds it overdue."""
    return Scenario(
        PREFERRED,
        (
            time(4000, 2000),
            direct_worker("w", "r1:a@1", "w1"),
            returner("s1", "w1", 2),
            coordinator("c1"),
            canceller("carol"),
        ),
        faults=0,
    )


@scenario()
def a_worker_dies_with_a_job_in_its_own_queue() -> Scenario:
    """Its job goes to whoever takes it from the topic's queue; late claims change nothing."""
    return Scenario(
        PREFERRED,
        (
            time(6000),
            direct_worker("w", "r1:a@1", "w1"),
            freer("s1", "w1", 2),
            coordinator("c1"),
            taker("other", "r1:a@1", dies=False, incarnation="w2"),
        ),
    )
