"""Straight through: steps whose dispatch was foreseen when their run began, and all that may come in between."""

from __future__ import annotations

from tests.proof.explorer.cast import (
    FATAL,
    RETRYABLE,
    canceller,
    coordinator,
    pauser,
    publisher,
    resumer,
    retrier,
    revoker,
    skipper,
    sweeper,
    time,
    worker,
)
from tests.proof.explorer.scenario import Scenario, scenario
from tests.proof.scenarios.attempts import CHAIN, FORK
from tests.proof.scenarios.cell import DENY, ELSE
from tests.proof.scenarios.children import THREE, TWO

PUT_TOGETHER = """
steps:
  a: {topic: job.t}
  b: {topic: job.t}
  c: {topic: job.t, depends_on: [a, b], input: {found: ["${steps.a.output}", "${steps.b.output}"], x: "${input.x}"}}
"""


@scenario("record_result.needs_succeeded")
def a_join_that_was_foreseen() -> Scenario:
    """Two results in any order, a message of each twice, and what was put together from both."""
    return Scenario(
        PUT_TOGETHER,
        (
            worker("wa", "r1:a@1"),
            worker("wb", "r1:b@1", incarnation="w2"),
            worker("again", "r1:a@1", incarnation="w2"),
            revoker("bob", "r1:b@1"),
            coordinator("c1", 2),
            worker("wc", "r1:c@1"),
        ),
        straight=True,
    )


@scenario("record_result.last_succeeded")
def an_end_that_was_foreseen() -> Scenario:
    """Two last results in any order; a pause, a cancel."""
    return Scenario(
        "steps: {a: {topic: job.t}, b: {topic: job.t}}",
        (
            worker("wa", "r1:a@1"),
            worker("wb", "r1:b@1", incarnation="w2"),
            pauser("op"),
            canceller("bob"),
            coordinator("c1", 2),
        ),
        straight=True,
    )


@scenario()
def an_end_that_was_foreseen_and_a_timer() -> Scenario:
    """The run's own time is up while its last result comes; a sweep has marked the run that ends."""
    return Scenario(
        "timeout_sec: 1\nsteps: {a: {topic: job.t}, b: {topic: job.t, depends_on: [a]}}",
        (
            time(500, 500),
            worker("wa", "r1:a@1"),
            worker("wb", "r1:b@1", incarnation="w2"),
            sweeper("beat"),
            coordinator("c1", 2),
        ),
        straight=True,
    )


@scenario("record_result.run_as_prepared")
def a_step_that_was_foreseen_is_skipped() -> Scenario:
    """A person skips it while the one before it is at work."""
    return Scenario(
        CHAIN,
        (
            worker("wa", "r1:a@1"),
            skipper("op", "b"),
            canceller("bob"),
            coordinator("c1", 2),
            worker("wb", "r1:b@1", incarnation="w2"),
        ),
        straight=True,
    )


@scenario("record_result.run_as_prepared")
def a_pause_before_a_step_that_was_foreseen() -> Scenario:
    """Paused and resumed around the result that would have let it go."""
    return Scenario(
        CHAIN,
        (
            worker("wa", "r1:a@1"),
            pauser("op"),
            resumer("on"),
            coordinator("c1", 2),
            worker("wb", "r1:b@1", incarnation="w2"),
        ),
        straight=True,
    )


@scenario("record_result.policy_as_prepared")
def the_policy_changes_before_a_step_that_was_foreseen() -> Scenario:
    """Once to one that says the same, once to one that denies."""
    return Scenario(
        CHAIN,
        (
            worker("wa", "r1:a@1"),
            publisher("admin", ELSE),
            publisher("root", DENY),
            coordinator("c1", 2),
            worker("wb", "r1:b@1", incarnation="w2"),
        ),
        straight=True,
    )


@scenario()
def one_of_two_before_a_join_is_tried_again() -> Scenario:
    """What comes after a retry is planned; what was foreseen before it counts no more."""
    return Scenario(
        FORK.replace("b: {topic: job.t}", "b: {topic: job.t, retry: {max_retries: 1, initial_backoff_sec: 1}}"),
        (
            worker("wa", "r1:a@1"),
            worker("wb", "r1:b@1", RETRYABLE, incarnation="w2"),
            coordinator("c1", 3),
            time(1000),
            worker("wb2", "r1:b@2", incarnation="w2"),
            worker("wc", "r1:c@1"),
        ),
        straight=True,
    )


@scenario()
def a_run_that_went_straight_is_retried() -> Scenario:
    """The step that was foreseen fails; an operator's retry plans all anew."""
    return Scenario(
        CHAIN,
        (
            worker("wa", "r1:a@1"),
            worker("wb", "r1:b@1", FATAL, incarnation="w2"),
            coordinator("c1", 2),
            coordinator("c2"),
            retrier("op"),
            worker("wb2", "r1:b@2", incarnation="w2"),
        ),
        straight=True,
    )


@scenario()
def no_room_for_a_step_that_was_foreseen() -> Scenario:
    """It waits behind another run's jobs, which the window lets out one by one."""
    return Scenario(
        CHAIN,
        (
            worker("wa", "r1:a@1"),
            worker("other", "r2:a@1", incarnation="w2"),
            coordinator("c1"),
            canceller("bob", "r2"),
            worker("wb", "r1:b@1"),
        ),
        runs=("r1", "r2"),
        window=1,
        straight=True,
    )


@scenario("record_result.run_as_prepared")
def a_look_foresees_what_follows() -> Scenario:
    """A condition needs a look; what comes after it goes straight, unless somebody pauses the run."""
    return Scenario(
        "steps: {a: {topic: job.t}, b: {topic: job.t, depends_on: [a], condition: 'true'}, "
        "c: {topic: job.t, depends_on: [b]}}",
        (
            worker("wa", "r1:a@1"),
            coordinator("c1", 2),
            worker("wb", "r1:b@1", incarnation="w2"),
            pauser("op"),
            resumer("on"),
            worker("wc", "r1:c@1"),
        ),
        straight=True,
    )


# -- children that begin as others succeed ---------------------------------------------------------------------------

AFTER = "steps: {a: {topic: job.t}, f: {topic: job.t, depends_on: [a], for_each: '${input.items}', max_parallel: 1}}"
IN_PAIRS = AFTER.replace("max_parallel: 1", "max_parallel: 2")


@scenario("record_result.own_child")
def children_that_follow_each_other() -> Scenario:
    """Three children and two places: a message that comes twice, replies that are lost."""
    return Scenario(
        IN_PAIRS,
        (
            worker("wa", "r1:a@1"),
            coordinator("c1", 2),
            worker("w0", "r1:f[0]@1"),
            worker("again", "r1:f[0]@1", incarnation="w2"),
            worker("w1", "r1:f[1]@1", incarnation="w2"),
            worker("w2", "r1:f[2]@1"),
        ),
        input=THREE,
        straight=True,
    )


@scenario("record_result.run_goes_on")
def a_pause_before_a_child_that_follows() -> Scenario:
    """Paused and resumed around the result that would have let the second child begin."""
    return Scenario(
        AFTER,
        (
            worker("wa", "r1:a@1"),
            coordinator("c1", 2),
            worker("w0", "r1:f[0]@1"),
            pauser("op"),
            resumer("on"),
            worker("w1", "r1:f[1]@1", incarnation="w2"),
        ),
        input=TWO,
        straight=True,
    )


@scenario("record_result.policy_of_children")
def the_policy_changes_before_a_child_that_follows() -> Scenario:
    """Once to one that says the same, once to one that denies."""
    return Scenario(
        AFTER,
        (
            worker("wa", "r1:a@1"),
            coordinator("c1", 2),
            worker("w0", "r1:f[0]@1"),
            publisher("admin", ELSE),
            publisher("root", DENY),
            worker("w1", "r1:f[1]@1", incarnation="w2"),
        ),
        input=TWO,
        straight=True,
    )


@scenario()
def a_child_fails_before_one_that_follows() -> Scenario:
    """It is tried again while another succeeds."""
    return Scenario(
        IN_PAIRS.replace("max_parallel: 2", "max_parallel: 2, retry: {max_retries: 1, initial_backoff_sec: 1}"),
        (
            worker("wa", "r1:a@1"),
            coordinator("c1", 3),
            worker("w0", "r1:f[0]@1", RETRYABLE),
            worker("w1", "r1:f[1]@1", incarnation="w2"),
            time(1000),
            worker("w0 again", "r1:f[0]@2"),
            worker("w2", "r1:f[2]@1", incarnation="w2"),
        ),
        input=THREE,
        straight=True,
    )


@scenario()
def a_cancel_between_children_that_follow() -> Scenario:
    """The run is cancelled, and tried again."""
    return Scenario(
        IN_PAIRS,
        (
            worker("wa", "r1:a@1"),
            coordinator("c1", 2),
            worker("w0", "r1:f[0]@1"),
            worker("w1", "r1:f[1]@1", incarnation="w2"),
            canceller("bob"),
            retrier("op"),
        ),
        input=THREE,
        straight=True,
    )


@scenario()
def a_child_fails_for_good_beside_those_that_follow() -> Scenario:
    """One failure decides the fan-out while another child's success lets the third begin; a retry of the run."""
    return Scenario(
        IN_PAIRS,
        (
            worker("wa", "r1:a@1"),
            coordinator("c1", 2),
            worker("w0", "r1:f[0]@1"),
            worker("w1", "r1:f[1]@1", FATAL, incarnation="w2"),
            worker("w2", "r1:f[2]@1"),
            retrier("op"),
        ),
        input=THREE,
        straight=True,
    )
