"""Operators' actions on runs that are at work: retry, skip and complete by hand."""

from __future__ import annotations

from tests.proof.explorer.cast import (
    FATAL,
    canceller,
    completer,
    coordinator,
    pauser,
    resumer,
    retrier,
    skipper,
    worker,
)
from tests.proof.explorer.scenario import Scenario, scenario

CHAIN = "steps: {a: {topic: job.t}, b: {topic: job.t, depends_on: [a]}}"
FORK = "steps: {a: {topic: job.t}, b: {topic: job.t}, c: {topic: job.t, depends_on: [a, b]}}"


@scenario()
def two_operators_retry() -> Scenario:
    """One generation more and one new attempt, however many ask; the late result of the other step does not count."""
    return Scenario(
        FORK,
        (
            worker("wa", "r1:a@1", FATAL),
            worker("wb", "r1:b@1", incarnation="w2"),
            coordinator("c1"),
            retrier("bob"),
            retrier("carol"),
            worker("again", "r1:a@2", incarnation="w2"),
        ),
    )


@scenario()
def a_retry_and_a_cancel() -> Scenario:
    """A cancelled run is not retried, a retried one can be cancelled."""
    return Scenario(
        CHAIN,
        (
            worker("wa", "r1:a@1", FATAL),
            coordinator("c1", 2),
            retrier("bob", times=2),
            canceller("carol"),
            worker("again", "r1:a@2", FATAL, incarnation="w2"),
        ),
    )


@scenario()
def a_retry_with_a_handler() -> Scenario:
    """The handler failed too: both run again."""
    return Scenario(
        "steps: {a: {topic: job.t, on_error: h}, h: {topic: job.t}}",
        (
            worker("wa", "r1:a@1", FATAL),
            worker("wh", "r1:h@1", FATAL),
            coordinator("c1", 3),
            retrier("bob"),
            retrier("carol"),
            worker("again", "r1:a@2", incarnation="w2"),
        ),
    )


@scenario()
def a_step_is_skipped_while_it_runs() -> Scenario:
    """Its result comes before or after; what follows begins once."""
    return Scenario(
        CHAIN,
        (
            worker("wa", "r1:a@1"),
            skipper("bob", "a"),
            skipper("carol", "a"),
            coordinator("c1"),
            worker("wb", "r1:b@1", incarnation="w2"),
        ),
    )


@scenario()
def a_step_is_completed_while_it_runs() -> Scenario:
    """One output counts: the person's or the worker's."""
    return Scenario(
        CHAIN,
        (
            worker("wa", "r1:a@1"),
            completer("bob", "a"),
            skipper("carol", "a"),
            coordinator("c1"),
            worker("wb", "r1:b@1", incarnation="w2"),
        ),
    )


@scenario()
def by_hand_in_a_paused_run() -> Scenario:
    """A person ends a step of a paused run; what follows waits until it goes on."""
    return Scenario(
        CHAIN,
        (
            worker("wa", "r1:a@1"),
            pauser("bob"),
            completer("carol", "a"),
            resumer("dave"),
            coordinator("c1"),
        ),
    )


@scenario("apply_plan.results_as_counted")
def a_child_is_skipped_by_hand() -> Scenario:
    """One child of a fan-out, and the whole of it, while the children record."""
    return Scenario(
        "steps: {f: {topic: job.t, for_each: '${input.items}'}, z: {topic: job.t, depends_on: [f]}}",
        (
            worker("w0", "r1:f[0]@1"),
            worker("w1", "r1:f[1]@1", incarnation="w2"),
            skipper("bob", "f[0]"),
            completer("carol", "f"),
            coordinator("c1", 2),
        ),
        input={"items": [1, 2]},
    )
