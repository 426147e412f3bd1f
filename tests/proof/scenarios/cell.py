"""Submits, policies, windows and the coordinators' bell: what all runs of a cell share."""

from __future__ import annotations

from tests.proof.explorer.cast import (
    called_coordinator,
    caller,
    canceller,
    coordinator,
    publisher,
    submitter,
    time,
    worker,
)
from tests.proof.explorer.scenario import ALLOW, Scenario, scenario

CHAIN = "steps: {a: {topic: job.t}, b: {topic: job.t, depends_on: [a]}}"
DENY = "{version: '1', default_decision: deny, rules: []}"
ELSE = "{version: '1', default_decision: allow, rules: [{id: x, match: {topics: [job.x]}, decision: deny}]}"


@scenario("create_run.key_is_new")
def three_submits_with_one_key() -> Scenario:
    """The same request three times, while the run it makes goes on."""
    return Scenario(
        CHAIN,
        (
            submitter("s1", "k", {"n": 1}),
            submitter("s2", "k", {"n": 1}),
            submitter("s3", "k", {"n": 1}),
            worker("w", "c1-s1:a@1"),
            coordinator("c1", run_id="c1-s1"),
        ),
        runs=(),
    )


@scenario("create_run.same_request")
def two_requests_with_one_key() -> Scenario:
    """Two requests under one key, each sent twice, and a third under a key of its own."""
    return Scenario(
        CHAIN,
        (
            submitter("s1", "k", {"n": 1}),
            submitter("s2", "k", {"n": 2}),
            submitter("s3", "k", {"n": 1}),
            submitter("s4", "other", {"n": 1}),
            worker("w", "c1-s2:a@1"),
        ),
        runs=(),
    )


@scenario("create_run.policy_epoch")
def a_submit_while_the_policy_changes() -> Scenario:
    """Two submits of different keys; the policy is changed twice; what they start is claimed."""
    return Scenario(
        CHAIN,
        (
            submitter("s1", "k", {"n": 1}),
            submitter("s2", "k2", {"n": 1}),
            publisher("admin", ELSE),
            publisher("root", DENY),
            worker("w", "c1-s1:a@1"),
            coordinator("c1", run_id="c1-s1"),
        ),
        runs=(),
    )


@scenario("create_run.run_is_new")
def submits_without_a_key() -> Scenario:
    """A lost reply must not start the run again: its step may be claimed, recorded and planned by then."""
    return Scenario(
        CHAIN,
        (
            submitter("s1", None, {"n": 1}),
            submitter("s2", None, {"n": 1}),
            worker("w", "c1-s1:a@1"),
            coordinator("c1", 2, "c1-s1"),
            coordinator("c2", 1, "c1-s1"),
            canceller("bob", "c1-s2"),
        ),
        runs=(),
    )


@scenario("apply_plan.policy_epoch", "claim.policy_epoch", "claim.mark_due")
def the_policy_changes_on_the_way() -> Scenario:
    """Between plan and commit, and between dispatch and claim."""
    return Scenario(
        CHAIN,
        (
            worker("wa", "r1:a@1"),
            publisher("admin", ELSE),
            publisher("root", DENY),
            coordinator("c1", 2),
            coordinator("c2"),
            worker("wb", "r1:b@1", incarnation="w2"),
        ),
    )


@scenario()
def no_policy_at_first() -> Scenario:
    """Nothing is dispatched until a policy is there; then it goes on by itself."""
    return Scenario(
        CHAIN,
        (
            publisher("admin", ALLOW),
            time(1000, 1000),
            coordinator("c1", 2),
            coordinator("c2"),
            worker("wa", "r1:a@1"),
        ),
        policy=None,
    )


@scenario()
def a_window_of_one() -> Scenario:
    """Two runs share a topic that takes one message at a time; whoever frees the place sends the next."""
    return Scenario(
        "steps: {a: {topic: job.t}}",
        (
            worker("w1", "r1:a@1"),
            worker("w2", "r2:a@1", incarnation="w2"),
            canceller("bob", "r1"),
            canceller("carol", "r2"),
            coordinator("c1", 1, "r1"),
            coordinator("c2", 1, "r2"),
        ),
        runs=("r1", "r2"),
        window=1,
    )


@scenario("ring.one_pending")
def the_bell_is_rung_by_many() -> Scenario:
    """Two beats and two workers call the coordinators; two coordinators come."""
    return Scenario(
        "steps: {a: {topic: job.t}, b: {topic: job.t}, c: {topic: job.t, depends_on: [a, b]}}",
        (
            caller("beat1"),
            caller("beat2"),
            worker("wa", "r1:a@1"),
            worker("wb", "r1:b@1", incarnation="w2"),
            called_coordinator("c1"),
            called_coordinator("c2"),
        ),
    )


@scenario()
def two_runs_are_advanced_together() -> Scenario:
    """Coordinators take both runs in one batch, while a worker and a cancel move them."""
    return Scenario(
        CHAIN,
        (
            worker("w1", "r1:a@1"),
            worker("w2", "r2:a@1", incarnation="w2"),
            called_coordinator("c1", 2),
            called_coordinator("c2"),
            canceller("bob", "r2"),
        ),
        runs=("r1", "r2"),
    )


@scenario("create_alike.key_is_new", "create_alike.same_request")
def submits_of_a_pattern_with_one_key() -> Scenario:
    """The same request twice and another one, under one key, and a third under a key of its own."""
    return Scenario(
        CHAIN,
        (
            submitter("s1", "k", {"n": 1}, alike=True),
            submitter("s2", "k", {"n": 2}, alike=True),
            submitter("s3", "k", {"n": 1}, alike=True),
            submitter("s4", "other", {"n": 1}, alike=True),
            worker("w", "c1-s2:a@1"),
        ),
        runs=(),
    )


@scenario("create_alike.policy_epoch")
def submits_of_a_pattern_while_the_policy_changes() -> Scenario:
    """Two submits of different keys; the policy is changed twice; what they start is claimed."""
    return Scenario(
        CHAIN,
        (
            submitter("s1", "k", {"n": 1}, alike=True),
            submitter("s2", "k2", {"n": 1}, alike=True),
            publisher("admin", ELSE),
            publisher("root", DENY),
            worker("w", "c1-s1:a@1"),
            coordinator("c1", run_id="c1-s1"),
        ),
        runs=(),
    )


@scenario("create_alike.run_is_new")
def submits_of_a_pattern_without_a_key() -> Scenario:
    """A lost reply must not start the run again: its step may be claimed, recorded and planned by then."""
    return Scenario(
        CHAIN,
        (
            submitter("s1", None, {"n": 1}, alike=True),
            submitter("s2", None, {"n": 1}, alike=True),
            worker("w", "c1-s1:a@1"),
            coordinator("c1", 2, "c1-s1"),
            canceller("bob", "c1-s2"),
        ),
        runs=(),
    )
