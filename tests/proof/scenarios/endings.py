"""Endings that come from outside: cancels, time-outs of runs, groups that are decided, handlers."""

from __future__ import annotations

from tests.proof.explorer.cast import FATAL, canceller, coordinator, revoker, time, worker
from tests.proof.explorer.scenario import Scenario, scenario

CHAIN = "steps: {a: {topic: job.t}, b: {topic: job.t, depends_on: [a]}}"
FORK = "steps: {a: {topic: job.t}, b: {topic: job.t}, c: {topic: job.t, depends_on: [a, b]}}"


@scenario("apply_plan.step_states")
def a_cancel_while_it_runs() -> Scenario:
    """Two people cancel while a step is claimed and recorded and its successor is planned."""
    return Scenario(
        CHAIN,
        (
            worker("w", "r1:a@1"),
            coordinator("c1"),
            canceller("bob"),
            canceller("carol"),
            worker("next", "r1:b@1", incarnation="w2"),
        ),
    )


@scenario("apply_plan.step_states", "record_result.attempt_running")
def a_cancel_and_two_results() -> Scenario:
    """A cancel comes between two results and their join."""
    return Scenario(
        FORK,
        (
            worker("wa", "r1:a@1"),
            worker("wb", "r1:b@1", incarnation="w2"),
            coordinator("c1"),
            canceller("bob"),
            worker("wc", "r1:c@1"),
        ),
    )


@scenario()
def the_run_s_time_is_up() -> Scenario:
    """The run's own deadline, a result, a cancel."""
    return Scenario(
        "timeout_sec: 1\n" + CHAIN,
        (
            time(500, 500),
            worker("w", "r1:a@1"),
            coordinator("c1", 2),
            coordinator("c2"),
            canceller("bob"),
        ),
    )


@scenario()
def the_first_of_two_decides_its_group() -> Scenario:
    """The other child is cancelled wherever it is; its result, if there is one, comes late."""
    return Scenario(
        """
steps:
  g: {type: parallel, strategy: any, steps: [a, b]}
  a: {topic: job.t}
  b: {topic: job.t}
  z: {topic: job.t, depends_on: [g]}
""",
        (
            worker("wa", "r1:a@1"),
            worker("wb", "r1:b@1", incarnation="w2"),
            coordinator("c1", 2),
            coordinator("c2"),
            worker("wz", "r1:z@1"),
        ),
    )


@scenario()
def a_handler_makes_good() -> Scenario:
    """A step fails for good, its handler runs, the next step goes on; somebody cancels."""
    return Scenario(
        """
steps:
  a: {topic: job.t, on_error: h}
  h: {topic: job.t}
  b: {topic: job.t, depends_on: [a]}
""",
        (
            worker("wa", "r1:a@1", FATAL),
            worker("wh", "r1:h@1", incarnation="w2"),
            worker("wb", "r1:b@1"),
            coordinator("c1", 2),
            coordinator("c2"),
            canceller("bob"),
        ),
    )


@scenario()
def one_step_is_cancelled() -> Scenario:
    """Two people cancel the same step while it runs and ends."""
    return Scenario(
        "on_failure: continue_independent\n" + FORK,
        (
            worker("wa", "r1:a@1"),
            revoker("bob", "r1:a@1"),
            revoker("carol", "r1:a@1"),
            worker("wb", "r1:b@1", incarnation="w2"),
            coordinator("c1"),
        ),
    )
