"""Limits that many runs share: places taken, waited for and given back, while workers die and people interfere."""

from __future__ import annotations

from cordum.domain.limits import Limits
from cordum.domain.pools import Pool, PoolMap
from tests.proof.explorer.cast import (
    FATAL,
    RETRYABLE,
    canceller,
    child_death,
    coordinator,
    freer,
    pauser,
    pool_changer,
    publisher,
    resumer,
    revoker,
    submitter,
    sweeper,
    time,
    worker,
)
from tests.proof.explorer.scenario import ALLOW, Scenario, scenario

KEY = "steps: {a: {topic: job.t, concurrency: {key: deploy, limit: 1}}}"
RUNS = ("r1", "r2", "r3")
RETRY = """
steps: {a: {topic: job.t, concurrency: {key: deploy, limit: 1}, retry: {max_retries: 1, initial_backoff_sec: 0}}}
"""
TENANT = (
    "{version: '1', default_decision: allow, tenants: {default: {constraints: {budgets: {max_concurrent_jobs: 1}}}}}"
)
TWO = "{version: '1', default_decision: allow, tenants: {default: {constraints: {budgets: {max_concurrent_jobs: 2}}}}}"
PLAIN = "steps: {a: {topic: job.t}}"
FORK = "steps: {a: {topic: job.t}, b: {topic: job.t}, c: {topic: job.t}}"


def rate(most: int, decision: str = "throttle") -> str:
    velocity = f"velocity: {{max_requests: {most}, window_sec: 1}}"
    return f"{{version: '1', rules: [{{id: slow, match: {{topics: [job.t]}}, decision: {decision}, {velocity}}}]}}"


@scenario("record_result.quotas_freed", "record_result.quota_room", "apply_plan.quotas_served")
def three_runs_share_a_key() -> Scenario:
    """One place; whoever ends, fails or is cancelled passes it on to the next."""
    return Scenario(
        RETRY,
        (
            worker("w1", "r1:a@1", RETRYABLE),
            worker("w2", "r2:a@1", incarnation="w2"),
            worker("w3", "r3:a@1"),
            canceller("bob", "r2"),
            coordinator("c1", 2, "r1"),
            worker("again", "r1:a@2", FATAL, incarnation="w2"),
        ),
        runs=RUNS,
    )


@scenario("lose_attempt.quotas_freed", "lose_attempt.quota_room")
def holders_of_a_key_die() -> Scenario:
    """The child of the first holder is killed; its next attempt stands in line again, before those that came later."""
    return Scenario(
        KEY,
        (
            worker("w1", "r1:a@1"),
            child_death("parent", "r1:a@1", "w1"),
            worker("w2", "r2:a@1", incarnation="w2"),
            coordinator("c1", 2, "r1"),
            canceller("bob", "r3"),
            worker("again", "r1:a@2", incarnation="w2"),
        ),
        runs=RUNS,
    )


@scenario()
def a_holder_falls_silent() -> Scenario:
    """The lease of the worker that holds the place runs out; a late result changes nothing."""
    return Scenario(
        KEY,
        (
            time(6000),
            worker("w1", "r1:a@1"),
            freer("s1", "w1"),
            canceller("bob", "r2"),
            coordinator("c1", 1, "r1"),
        ),
        runs=RUNS,
    )


@scenario("claim.quotas_freed", "claim.quota_room")
def a_holder_is_paused() -> Scenario:
    """Its message is given back with its place; two others wait for that; it comes back to the end of the line."""
    return Scenario(
        KEY,
        (
            pauser("bob", "r1"),
            worker("w1", "r1:a@1"),
            worker("w2", "r2:a@1", incarnation="w2"),
            resumer("carol", "r1"),
            worker("w3", "r1:a@1", incarnation="w2"),
        ),
        runs=RUNS,
    )


@scenario()
def those_in_line_are_paused_and_cancelled() -> Scenario:
    """What waits leaves the line without having held the place."""
    return Scenario(
        KEY,
        (
            pauser("bob", "r2"),
            resumer("carol", "r2"),
            canceller("dave", "r3"),
            worker("w1", "r1:a@1"),
            worker("w2", "r2:a@1", incarnation="w2"),
            revoker("erin", "r1:a@1"),
        ),
        runs=RUNS,
    )


@scenario("apply_plan.quota_room")
def the_time_of_those_in_line_is_up() -> Scenario:
    """They may wait for so long only; the next attempt stands in line again."""
    return Scenario(
        """
        steps:
          a: {topic: job.t, concurrency: {key: deploy, limit: 1}, queue_timeout_sec: 1,
              retry: {max_retries: 1, initial_backoff_sec: 0}}
        """,
        (
            time(1000),
            worker("w1", "r1:a@1"),
            coordinator("c1", 2, "r2"),
            coordinator("c2", 1, "r1"),
            worker("w2", "r2:a@2", incarnation="w2"),
        ),
        runs=("r1", "r2"),
    )


@scenario("create_run.quota_room")
def submits_meet_a_tenants_limit() -> Scenario:
    """A tenant may have one job on its way, whoever starts it."""
    return Scenario(
        PLAIN,
        (
            submitter("s1", "k", {"n": 1}),
            submitter("s2", "k2", {"n": 2}),
            submitter("s3", "k3", {"n": 3}),
            worker("w1", "c1-s1:a@1"),
            worker("w2", "c1-s2:a@1", incarnation="w2"),
        ),
        runs=(),
        policy=TENANT,
    )


@scenario("publish_policy.waiting_looked_at")
def a_limit_is_raised() -> Scenario:
    """What waits under the old limit is decided again at once; what is lowered holds for what comes after."""
    return Scenario(
        FORK,
        (
            publisher("admin", TWO),
            publisher("root", TENANT),
            worker("wa", "r1:a@1"),
            worker("wb", "r1:b@1", incarnation="w2"),
            coordinator("c1", 2),
        ),
        policy=TENANT,
    )


@scenario()
def a_limit_goes_away() -> Scenario:
    """Two runs wait for each other's places; then there is no limit any more."""
    return Scenario(
        FORK,
        (
            publisher("admin", ALLOW),
            worker("wa", "r1:a@1"),
            worker("wb", "r2:a@1", incarnation="w2"),
            canceller("bob", "r1"),
            coordinator("c1", 1, "r2"),
        ),
        runs=("r1", "r2"),
        policy=TENANT,
    )


@scenario()
def two_limits_at_once() -> Scenario:
    """Jobs need a place in the tenant's limit and in their key's; nobody holds one while it waits for the other."""
    return Scenario(
        """
        steps:
          a: {topic: job.t, concurrency: {key: x, limit: 1}}
          b: {topic: job.t, concurrency: {key: x, limit: 1}}
          c: {topic: job.t, concurrency: {key: y, limit: 1}}
        """,
        (
            worker("wa", "r1:a@1"),
            worker("wb", "r1:b@1", incarnation="w2"),
            worker("wc", "r1:c@1", incarnation="w2"),
            canceller("bob", "r1"),
            coordinator("c1", 2),
        ),
        policy=TWO,
    )


@scenario("create_run.start_rate")
def runs_begin_at_a_rate() -> Scenario:
    """One run may begin in a second, whoever submits; a key that was refused can be used again."""
    return Scenario(
        PLAIN,
        (
            submitter("s1", "k", {"n": 1}),
            submitter("s2", "k2", {"n": 2}),
            submitter("s3", "k2", {"n": 2}),
            time(600, 600),
            worker("w1", "c1-s1:a@1"),
        ),
        runs=(),
        policy="""
        default_decision: allow
        rules:
          - id: starts
            match: {topics: [workflow.start]}
            decision: throttle
            velocity: {max_requests: 1, window_sec: 1}
        """,
    )


@scenario("sweep.rates_served", "sweep.quota_room")
def a_rate_has_room_again() -> Scenario:
    """One job may begin in a second; the others begin with the sweep that finds room, one at a time."""
    return Scenario(
        FORK,
        (
            time(600, 600, 1000),
            sweeper("s1", 2),
            sweeper("s2", 2),
            worker("wa", "r1:a@1"),
            canceller("bob"),
        ),
        policy=rate(1),
    )


@scenario()
def retries_count_and_losses_do_not() -> Scenario:
    """A second attempt after a failure takes its place in the window, one after a loss has it already."""
    return Scenario(
        "steps: {a: {topic: job.t, retry: {max_retries: 1, initial_backoff_sec: 0}}}",
        (
            worker("w1", "r1:a@1", RETRYABLE),
            child_death("parent", "r1:a@1", "w1"),
            coordinator("c1", 2),
            time(1000),
            sweeper("s1"),
            worker("again", "r1:a@2", incarnation="w2"),
        ),
        policy=rate(1, "allow"),
    )


@scenario()
def a_rate_is_changed_while_jobs_wait() -> Scenario:
    """More may begin under the new rate; what has begun stays counted."""
    return Scenario(
        FORK,
        (
            publisher("admin", rate(2)),
            time(1000),
            sweeper("s1"),
            worker("wa", "r1:a@1"),
            coordinator("c1", 2),
        ),
        policy=rate(1),
    )


def one_pool(most: int) -> Limits:
    """`job.t` belongs to a pool that may run so many."""
    return Limits(jitter=False, pools=PoolMap({"small": Pool("small", max_parallel=most)}, {"job.t": ("small",)}))


@scenario("publish_pools.waiters_served")
def the_limit_of_a_pool_is_raised() -> Scenario:
    """One of three may run, then two: whoever says so moves the next one; a holder dies, another is cancelled."""
    return Scenario(
        PLAIN,
        (
            pool_changer("admin", Pool("small", max_parallel=2)),
            worker("w1", "r1:a@1"),
            child_death("parent", "r1:a@1", "w1"),
            worker("w2", "r2:a@1", incarnation="w2"),
            coordinator("c1", 2, "r1"),
            canceller("bob", "r3"),
        ),
        runs=RUNS,
        limits=one_pool(1),
    )


@scenario()
def the_limit_of_a_pool_is_taken_away() -> Scenario:
    """Two of three may run; then all, or as many as there are: both count, in whatever order."""
    return Scenario(
        PLAIN,
        (
            pool_changer("admin", Pool("small", max_parallel=3)),
            pool_changer("root", Pool("small")),
            worker("w1", "r1:a@1"),
            worker("w2", "r2:a@1", incarnation="w2"),
            worker("w3", "r3:a@1"),
            canceller("bob", "r2"),
        ),
        runs=RUNS,
        limits=one_pool(2),
    )
