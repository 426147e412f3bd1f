"""Dead letters that several people deal with at once, one by one and in bulk."""

from __future__ import annotations

from tests.proof.explorer.cast import (
    FATAL,
    bulk_beginner,
    bulk_carrier,
    bulk_stopper,
    canceller,
    coordinator,
    discarder,
    letter_retrier,
    letter_taker,
    retrier,
    sweeper,
    time,
    worker,
)
from tests.proof.explorer.scenario import Scenario, scenario

ONE = "steps: {a: {topic: job.t}}"
FORK = "steps: {a: {topic: job.t}, b: {topic: job.t}}"


@scenario()
def two_clicks_on_a_dead_letter() -> Scenario:
    """One attempt more, whoever asks; who discards it first has the last word."""
    return Scenario(
        ONE,
        (
            worker("wa", "r1:a@1", FATAL),
            coordinator("c1"),
            letter_retrier("bob", "r1:a@1"),
            letter_retrier("carol", "r1:a@1", ({"n": 2},)),
            discarder("dave", "r1:a@1"),
            worker("again", "r1:a@2", incarnation="w2"),
        ),
    )


@scenario()
def a_dead_letter_and_its_run_are_retried() -> Scenario:
    """One generation more, whether the run is retried or the letter; a cancelled run is not."""
    return Scenario(
        FORK,
        (
            worker("wa", "r1:a@1", FATAL),
            worker("wb", "r1:b@1", FATAL, incarnation="w2"),
            coordinator("c1", 2),
            letter_retrier("bob", "r1:a@1"),
            retrier("carol"),
            canceller("dave"),
        ),
    )


@scenario()
def a_dead_letter_is_rescued_or_discarded() -> Scenario:
    """Its handler makes good for it while somebody puts it aside or tries it again."""
    return Scenario(
        "steps: {a: {topic: job.t, on_error: h}, h: {topic: job.t}}",
        (
            worker("wa", "r1:a@1", FATAL),
            coordinator("c1", 2),
            discarder("bob", "r1:a@1"),
            letter_retrier("carol", "r1:a@1"),
            worker("wh", "r1:h@1", incarnation="w2"),
        ),
    )


@scenario("begin_bulk_retry.bulk_is_new", "record_of_bulk_retry.position", "stop_bulk_retry.bulk_goes_on")
def two_coordinators_carry_a_bulk_retry_on() -> Scenario:
    """Each letter is tried again once and counted once, whoever dies or stops it in between."""
    return Scenario(
        ONE,
        (
            worker("wa", "r1:a@1", FATAL),
            coordinator("c1"),
            bulk_beginner("bob", "r1:a@1", times=2),
            bulk_carrier("k1"),
            bulk_carrier("k2"),
            bulk_stopper("carol"),
        ),
    )


@scenario()
def a_bulk_retry_and_people() -> Scenario:
    """What people have dealt with before its turn is skipped."""
    return Scenario(
        ONE,
        (
            worker("wa", "r1:a@1", FATAL),
            coordinator("c1"),
            bulk_beginner("bob", "r1:a@1"),
            bulk_carrier("k1", 2),
            letter_retrier("carol", "r1:a@1"),
            discarder("dave", "r1:a@1"),
        ),
    )


@scenario("take_dead_letter.not_taken")
def a_dead_letter_is_handed_over_to_code() -> Scenario:
    """Its message comes three times, once while somebody tries it again."""
    return Scenario(
        ONE,
        (
            worker("wa", "r1:a@1", FATAL),
            coordinator("c1"),
            letter_taker("t1", "r1:a@1"),
            letter_taker("t2", "r1:a@1"),
            letter_taker("t3", "r1:a@1"),
            letter_retrier("bob", "r1:a@1"),
            discarder("dave", "r1:a@1"),
        ),
    )


@scenario()
def a_cancel_meets_everything() -> Scenario:
    """An attempt is claimed, recorded, looked at, swept: nothing begins after the cancel, no result is applied late."""
    return Scenario(
        "steps: {a: {topic: job.t, timeout_sec: 1, retry: {max_retries: 1, initial_backoff_sec: 0}}, "
        "b: {topic: job.t, depends_on: [a]}}",
        (
            worker("wa", "r1:a@1"),
            canceller("bob"),
            time(1000),
            sweeper("s1"),
            coordinator("c1"),
            worker("late", "r1:a@2", incarnation="w2"),
        ),
        faults=0,
    )
