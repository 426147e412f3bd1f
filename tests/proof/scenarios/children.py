"""Fan-outs, loops and child runs: what comes into being while a run goes on."""

from __future__ import annotations

from tests.proof.explorer.cast import (
    FATAL,
    approver,
    called_coordinator,
    canceller,
    child_of,
    coordinator,
    deleter,
    freer,
    pauser,
    resumer,
    retrier,
    time,
    worker,
)
from tests.proof.explorer.scenario import Scenario, scenario

FAN = "steps: {f: {topic: job.t, for_each: '${input.items}', max_parallel: 2}, z: {topic: job.t, depends_on: [f]}}"
ALL = "steps: {f: {topic: job.t, for_each: '${input.items}'}, z: {topic: job.t, depends_on: [f]}}"
LOOP = "steps: {l: {type: loop, body_step: b, max_iterations: 2}, b: {topic: job.t}}"
ASK = (
    "{version: '1', default_decision: allow, rules: [{id: ask, match: {topics: [job.t]}, decision: require_approval}]}"
)
THREE = {"items": [1, 2, 3]}
TWO = {"items": [1, 2]}
PARENT = "steps: {s: {type: subworkflow, workflow_id: other}, z: {topic: job.t, depends_on: [s]}}"
OTHER = {"other": "steps: {a: {topic: job.t}}"}
CHILD = child_of("r1", "s")


# -- fan-outs ------------------------------------------------------------------------------------------------------


@scenario()
def three_children_and_two_places() -> Scenario:
    """Two coordinators, a message that comes twice, and the child that begins when a place is free."""
    return Scenario(
        FAN,
        (
            worker("w0", "r1:f[0]@1"),
            worker("again", "r1:f[0]@1", incarnation="w2"),
            worker("w1", "r1:f[1]@1", incarnation="w2"),
            worker("w2", "r1:f[2]@1"),
            coordinator("c1", 2),
            coordinator("c2"),
        ),
        input=THREE,
    )


@scenario()
def three_children_and_a_cancel() -> Scenario:
    """A cancel comes between the children's results; a message comes twice."""
    return Scenario(
        FAN,
        (
            worker("w0", "r1:f[0]@1"),
            worker("again", "r1:f[0]@1", incarnation="w2"),
            worker("w1", "r1:f[1]@1", incarnation="w2"),
            coordinator("c1", 2),
            canceller("bob"),
        ),
        input=THREE,
    )


@scenario()
def most_results_need_nobody_to_look() -> Scenario:
    """Three children at once: the first results are only counted, the last one has the run looked at."""
    return Scenario(
        ALL,
        (
            worker("w0", "r1:f[0]@1"),
            worker("w1", "r1:f[1]@1", incarnation="w2"),
            worker("w2", "r1:f[2]@1"),
            coordinator("c1", 2),
            coordinator("c2"),
            worker("wz", "r1:z@1"),
        ),
        input=THREE,
    )


@scenario()
def a_child_fails_beside_others() -> Scenario:
    """One failure decides the fan-out while the others record."""
    return Scenario(
        ALL,
        (
            worker("w0", "r1:f[0]@1"),
            worker("w1", "r1:f[1]@1", FATAL, incarnation="w2"),
            worker("w2", "r1:f[2]@1"),
            coordinator("c1"),
            coordinator("c2"),
        ),
        input=THREE,
    )


@scenario()
def the_worker_of_a_child_dies() -> Scenario:
    """One child is lost and tried again while the other's result is only counted."""
    return Scenario(
        ALL,
        (
            time(6000),
            worker("w0", "r1:f[0]@1"),
            worker("w1", "r1:f[1]@1", incarnation="w2"),
            freer("s1", "w1"),
            coordinator("c1", 2),
            worker("w1 again", "r1:f[0]@2", incarnation="w2"),
        ),
        input=TWO,
    )


@scenario()
def children_that_wait_for_people() -> Scenario:
    """Who waits fills no place; who has been approved does."""
    return Scenario(
        "steps: {f: {topic: job.t, for_each: '${input.items}', max_parallel: 1}}",
        (
            approver("bob", "r1:f[0]@1"),
            approver("carol", "r1:f[1]@1"),
            coordinator("c1", 2),
            coordinator("c2"),
            worker("w0", "r1:f[0]@1"),
        ),
        input=TWO,
        policy=ASK,
    )


@scenario()
def a_fan_out_is_paused() -> Scenario:
    """What runs records, nothing new begins, and it goes on where it was."""
    return Scenario(
        FAN,
        (
            worker("w0", "r1:f[0]@1"),
            worker("w1", "r1:f[1]@1", incarnation="w2"),
            pauser("bob"),
            resumer("carol"),
            coordinator("c1", 2),
        ),
        input=THREE,
    )


@scenario()
def a_fan_out_is_retried() -> Scenario:
    """What has succeeded stays; what failed or was given up runs again, once, however many operators ask."""
    return Scenario(
        ALL,
        (
            worker("w0", "r1:f[0]@1"),
            worker("w1", "r1:f[1]@1", FATAL, incarnation="w2"),
            retrier("bob"),
            retrier("carol"),
            coordinator("c1", 2),
            worker("w1 again", "r1:f[1]@2"),
        ),
        input=TWO,
    )


@scenario()
def a_fan_out_of_groups_with_handlers() -> Scenario:
    """Each child is a group that its first success decides; each has handlers of its own."""
    return Scenario(
        """
steps:
  g: {type: parallel, strategy: any, steps: [a, b], for_each: '${input.items}'}
  a: {topic: job.t, on_error: h}
  b: {topic: job.t}
  h: {topic: job.t}
""",
        (
            worker("a0", "r1:a[0]@1", FATAL),
            worker("h0", "r1:h[0]@1"),
            worker("a1", "r1:a[1]@1", incarnation="w2"),
            worker("b1", "r1:b[1]@1"),
            coordinator("c1", 2),
            canceller("bob"),
        ),
        input=TWO,
    )


# -- loops ---------------------------------------------------------------------------------------------------------


@scenario()
def a_loop_of_two() -> Scenario:
    """The second iteration begins when the first has ended, whoever sees that first."""
    return Scenario(
        LOOP,
        (
            worker("w0", "r1:l[0]@1"),
            worker("again", "r1:l[0]@1", incarnation="w2"),
            worker("w1", "r1:l[1]@1"),
            coordinator("c1", 2),
            coordinator("c2"),
        ),
    )


@scenario()
def a_loop_loses_a_worker() -> Scenario:
    """The worker of an iteration falls silent; the iteration is tried again, and the next one begins after it."""
    return Scenario(
        LOOP,
        (
            time(6000),
            worker("w0", "r1:l[0]@1"),
            freer("s1", "w1"),
            coordinator("c1", 2),
            worker("again", "r1:l[0]@2", incarnation="w2"),
            worker("w1", "r1:l[1]@1", incarnation="w2"),
        ),
    )


@scenario()
def a_loop_with_a_handler() -> Scenario:
    """Each iteration has a handler of its own; the one of an iteration that succeeds is never needed."""
    return Scenario(
        """
steps:
  l: {type: loop, body_step: b, max_iterations: 2}
  b: {topic: job.t, on_error: h}
  h: {topic: job.t}
""",
        (
            worker("w0", "r1:l[0]@1"),
            worker("w1", "r1:l[1]@1", FATAL),
            worker("h1", "r1:h[1]@1", incarnation="w2"),
            coordinator("c1", 2),
            canceller("bob"),
        ),
    )


# -- child runs ----------------------------------------------------------------------------------------------------


@scenario()
def a_child_run_and_its_end() -> Scenario:
    """Two coordinators start the child; its end wakes the parent, once; the parent goes on."""
    return Scenario(
        PARENT,
        (
            worker("w", f"{CHILD}:a@1"),
            coordinator("c1"),
            coordinator("c2"),
            coordinator("c3", run_id=CHILD),
            worker("wz", "r1:z@1", incarnation="w2"),
        ),
        others=OTHER,
    )


@scenario()
def a_parent_is_cancelled() -> Scenario:
    """Before, while and after its child begins; the child always ends."""
    return Scenario(
        "steps: {p: {topic: job.t}, s: {type: subworkflow, workflow_id: other, depends_on: [p]}}",
        (
            worker("wp", "r1:p@1"),
            coordinator("c1", 2, reads_apart=True),
            canceller("bob"),
            coordinator("c2", run_id=CHILD, reads_apart=True),
            worker("w", f"{CHILD}:a@1", incarnation="w2"),
        ),
        others=OTHER,
    )


@scenario()
def a_parent_is_paused() -> Scenario:
    """Its child is paused with it, and goes on with it."""
    return Scenario(
        "steps: {p: {topic: job.t}, s: {type: subworkflow, workflow_id: other, depends_on: [p]}}",
        (
            worker("wp", "r1:p@1"),
            coordinator("c1", reads_apart=True),
            pauser("bob"),
            coordinator("c2", 2, run_id=CHILD, reads_apart=True),
            resumer("carol"),
        ),
        others=OTHER,
    )


@scenario()
def a_child_is_cancelled_by_itself() -> Scenario:
    """The parent's step ends with it, while both are at work."""
    return Scenario(
        PARENT,
        (
            worker("w", f"{CHILD}:a@1"),
            canceller("bob", CHILD),
            canceller("carol"),
            coordinator("c1"),
            coordinator("c2", run_id=CHILD),
        ),
        others=OTHER,
    )


@scenario()
def parent_and_child_are_advanced_together() -> Scenario:
    """Coordinators take both in one batch."""
    return Scenario(
        PARENT,
        (
            worker("w", f"{CHILD}:a@1"),
            canceller("bob"),
            called_coordinator("c1", 2),
            called_coordinator("c2"),
        ),
        others=OTHER,
    )


@scenario()
def a_failed_child_is_retried_with_its_parent() -> Scenario:
    """The parent's retry reopens the child, once; somebody cancels the parent meanwhile."""
    return Scenario(
        PARENT,
        (
            worker("w", f"{CHILD}:a@1", FATAL),
            coordinator("c2", 2, run_id=CHILD),
            coordinator("c1", 2, reads_apart=True),
            retrier("bob"),
            canceller("carol"),
            worker("again", f"{CHILD}:a@2", incarnation="w2"),
        ),
        others=OTHER,
    )


@scenario()
def the_child_s_definition_is_deleted() -> Scenario:
    """Before, while and after the child begins; the parent never waits for a run that cannot begin."""
    return Scenario(
        "steps: {p: {topic: job.t}, s: {type: subworkflow, workflow_id: other, depends_on: [p]}}",
        (
            worker("wp", "r1:p@1"),
            coordinator("c1", 3, reads_apart=True),
            deleter("bob", "other"),
            coordinator("c2", run_id=CHILD),
            worker("w", f"{CHILD}:a@1", incarnation="w2"),
        ),
        others=OTHER,
    )
