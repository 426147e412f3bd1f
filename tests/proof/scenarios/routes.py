"""Jobs that lie on the queue of one worker, which dies, is slow, or works while a sweep takes them away."""

from __future__ import annotations

from tests.proof.explorer.cast import (
    canceller,
    coordinator,
    direct_worker,
    freer,
    leaver,
    returner,
    taker,
    time,
    worker,
)
from tests.proof.explorer.scenario import Scenario, scenario

PREFERRED = "steps: {a: {topic: job.t, worker_id: w1@h}}"
SHARED = "steps: {a: {topic: job.t, worker_id: w1@h, concurrency: {key: deploy, limit: 1}}}"
LABELLED = "steps: {a: {topic: job.t, route_labels: {region: eu}, concurrency: {key: deploy, limit: 1}}}"


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


@scenario("give_back.quotas_freed", "give_back.quota_room")
def a_place_is_held_from_the_queue_of_a_worker() -> Scenario:
    """The worker is gone before it has claimed the job: its place goes to the next run, and it stands in line again."""
    return Scenario(
        SHARED,
        (
            time(6000),
            returner("s1", "w1"),
            coordinator("c1", 2, "r1"),
            worker("other", "r2:a@1", incarnation="w2"),
            canceller("dave", "r1"),
            canceller("carol", "r3"),
        ),
        runs=("r1", "r2", "r3"),
    )


@scenario()
def a_place_and_a_worker_are_waited_for() -> Scenario:
    """Whoever gets the place of a run that is cancelled waits on its route, where nobody lives that may have it."""
    return Scenario(
        LABELLED,
        (
            canceller("carol", "r1"),
            canceller("dave", "r2"),
            canceller("erin", "r3"),
            coordinator("c1", 2, "r1"),
            coordinator("c2", 2, "r3"),
            leaver("w2", "w2"),
        ),
        runs=("r1", "r2", "r3"),
    )
