"""Attempts: claimed, recorded, late, duplicated, tried again."""

from __future__ import annotations

from collections.abc import Callable

from tests.proof.explorer.actors import Process
from tests.proof.explorer.cast import (
    FATAL,
    RETRYABLE,
    child_death,
    coordinator,
    reporter,
    time,
    watcher,
    worker,
)
from tests.proof.explorer.scenario import Scenario, scenario

CHAIN = "steps: {a: {topic: job.t}, b: {topic: job.t, depends_on: [a]}}"
FORK = "steps: {a: {topic: job.t}, b: {topic: job.t}, c: {topic: job.t, depends_on: [a, b]}}"
RETRY = "steps: {a: {topic: job.t, retry: {max_retries: 1, initial_backoff_sec: 1}}}"
TIMEOUT = "steps: {a: {topic: job.t, timeout_sec: 1, retry: {max_retries: 1, initial_backoff_sec: 0}}}"


@scenario("claim.own_claim", "claim.step_queued", "record_result.own_result", "record_result.mark_due")
def a_message_comes_twice() -> Scenario:
    """Two deliveries of one message, two coordinators, and the step that follows."""
    return Scenario(
        CHAIN,
        (
            worker("first", "r1:a@1"),
            worker("second", "r1:a@1", incarnation="w2"),
            coordinator("c1"),
            coordinator("c2"),
            worker("next", "r1:b@1"),
        ),
    )


@scenario("apply_plan.no_newer_signal")
def two_results_and_a_join() -> Scenario:
    """Each result is planned by whoever comes first; the join begins once."""
    return Scenario(
        FORK,
        (
            worker("wa", "r1:a@1"),
            worker("wb", "r1:b@1", incarnation="w2"),
            coordinator("c1", 2),
            coordinator("c2"),
            worker("wc", "r1:c@1"),
        ),
    )


@scenario("record_result.attempt_running")
def a_result_after_the_time_is_up() -> Scenario:
    """The attempt times out while its worker is at work; the next attempt is claimed; the late result comes."""
    return Scenario(
        TIMEOUT,
        (
            time(1000, 1000),
            worker("late", "r1:a@1"),
            worker("second", "r1:a@2", incarnation="w2"),
            coordinator("c1", 2),
            coordinator("c2"),
        ),
    )


@scenario("claim.step_queued")
def a_message_of_an_older_attempt() -> Scenario:
    """The first attempt has failed and the second is queued when the first one's message comes once more."""
    return Scenario(
        RETRY,
        (
            worker("first", "r1:a@1", RETRYABLE, after_ms=0),
            worker("once more", "r1:a@1", incarnation="w2"),
            worker("second", "r1:a@2", incarnation="w2"),
            coordinator("c1", 2),
            coordinator("c2"),
        ),
    )


@scenario()
def a_retry_waits_for_its_time() -> Scenario:
    """The worker fails, the clock moves, two coordinators look; the run fails when the second attempt does."""
    return Scenario(
        RETRY,
        (
            worker("first", "r1:a@1", RETRYABLE),
            time(500, 500),
            coordinator("c1", 2),
            coordinator("c2"),
            worker("second", "r1:a@2", FATAL),
        ),
    )


@scenario("record_result.same_claim")
def a_result_that_nobody_asked_for() -> Scenario:
    """Somebody records for an attempt that another delivery holds."""
    return Scenario(
        CHAIN,
        (
            worker("holder", "r1:a@1"),
            reporter("stranger", "r1:a@1"),
            reporter("another", "r1:a@1", "w1"),
            coordinator("c1"),
            coordinator("c2"),
        ),
    )


@scenario("lose_attempt.attempt_held", "lose_attempt.attempt_running", "lose_attempt.mark_due")
def the_child_of_a_second_delivery_dies() -> Scenario:
    """Two workers were handed the message. The child of one dies before its claim, and its parent says so."""
    return Scenario(
        CHAIN,
        (
            worker("holder", "r1:a@1"),
            child_death("parent", "r1:a@1", "w2"),
            child_death("own parent", "r1:a@1", "w1"),
            coordinator("c1", 2),
            coordinator("c2"),
            worker("again", "r1:a@2", incarnation="w2"),
        ),
    )


def _mail(job_id: str) -> Callable[[Process], None]:
    def during(process: Process) -> None:
        if process.jobs.once(job_id, "mail"):
            process.note("first", job_id.partition("@")[0], "mail")

    return during


@scenario("once.first_only", "once.attempt_running")
def a_name_is_handed_out_once() -> Scenario:
    """Two attempts of one step ask for the same name; the first may have been given up before it asks."""
    return Scenario(
        "steps: {a: {topic: job.t, retry: {max_retries: 1, initial_backoff_sec: 0}}}",
        (
            worker("first", "r1:a@1", RETRYABLE, during=_mail("r1:a@1")),
            child_death("parent", "r1:a@1", "w1"),
            worker("second", "r1:a@2", incarnation="w2", during=_mail("r1:a@2")),
            coordinator("c1", 2),
        ),
    )


@scenario("still_running.attempt_running", "still_running.attempt_held")
def progress_is_told_by_the_holder() -> Scenario:
    """The holder and another worker ask whether they still have the attempt, while it is timed out and tried again."""
    return Scenario(
        TIMEOUT,
        (
            time(1000),
            worker("holder", "r1:a@1"),
            watcher("heart", "r1:a@1", "w1"),
            watcher("stranger", "r1:a@1", "w2"),
            coordinator("c1", 2),
            worker("second", "r1:a@2", incarnation="w2"),
        ),
    )
