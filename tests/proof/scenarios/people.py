"""Approvals: asked, answered by several, overtaken by time, policy or a cancel."""

from __future__ import annotations

from tests.proof.explorer.cast import approver, canceller, coordinator, publisher, submitter, time, worker
from tests.proof.explorer.moment import CELL
from tests.proof.explorer.scenario import ALLOW, Scenario, scenario

GATE = "steps: {ok: {type: approval}, b: {topic: job.t, depends_on: [ok]}}"
RULE = "{id: ask, match: {topics: [job.t]}, decision: require_approval}"
ASK = "{version: '1', default_decision: allow, rules: [" + RULE + "]}"
ASK_ELSE = ASK.replace("id: ask", "id: ask2")


@scenario("resolve_approval.undecided", "resolve_approval.mark_due")
def two_people_decide() -> Scenario:
    """One approves, one rejects, one cancels."""
    return Scenario(
        GATE,
        (
            approver("bob", "r1:ok@1"),
            approver("carol", "r1:ok@1", "rejected"),
            canceller("dave"),
            coordinator("c1"),
            worker("w", "r1:b@1"),
        ),
    )


@scenario("resolve_approval.one_vote_each", "resolve_approval.quorum_reached")
def two_of_three_have_to_agree() -> Scenario:
    """Bob answers from two windows, Carol once, and Dave says no."""
    return Scenario(
        "steps: {ok: {type: approval, quorum: 2}, b: {topic: job.t, depends_on: [ok]}}",
        (
            approver("left", "r1:ok@1", person="bob"),
            approver("right", "r1:ok@1", person="bob"),
            approver("carol", "r1:ok@1"),
            approver("dave", "r1:ok@1", "rejected"),
            coordinator("c1"),
            worker("w", "r1:b@1"),
        ),
    )


@scenario("resolve_approval.undecided")
def one_person_decides_in_two_windows() -> Scenario:
    """The same answer from two windows, the submitter's own, and what follows."""
    return Scenario(
        GATE,
        (
            approver("left", "r1:ok@1", person="bob"),
            approver("right", "r1:ok@1", person="bob"),
            approver("alice", "r1:ok@1"),
            coordinator("c1"),
            worker("w", "r1:b@1"),
        ),
    )


@scenario()
def nobody_decides_in_time() -> Scenario:
    """The question's time runs out while two people answer it."""
    return Scenario(
        "steps: {ok: {type: approval, timeout_sec: 1}, b: {topic: job.t, depends_on: [ok]}}",
        (
            time(1000),
            approver("bob", "r1:ok@1"),
            approver("carol", "r1:ok@1", "rejected"),
            coordinator("c1", 2),
            worker("w", "r1:b@1"),
        ),
    )


@scenario("apply_plan.policy_epoch", "claim.policy_epoch", "apply_plan.no_newer_policy", "resolve_approval.as_seen")
def the_policy_changes_after_the_answer() -> Scenario:
    """What was approved under one policy has to be asked again under another, and goes freely under a third."""
    return Scenario(
        "steps: {a: {topic: job.t}}",
        (
            approver("bob", "r1:a@1"),
            approver("carol", "r1:a@1"),
            publisher("stricter", ASK_ELSE),
            publisher("freer", ALLOW),
            coordinator("c1", 2),
            worker("w", "r1:a@1"),
        ),
        policy=ASK,
    )


@scenario("create_run.policy_epoch")
def a_question_while_the_policy_changes() -> Scenario:
    """A run begins with a question that another policy would ask otherwise, or not at all."""
    return Scenario(
        "steps: {a: {topic: job.t}}",
        (
            submitter("s2", None, {}),
            publisher("stricter", ASK_ELSE),
            publisher("freer", ALLOW),
            coordinator("c1", run_id=f"{CELL}-s2"),
            approver("bob", f"{CELL}-s2:a@1"),
            worker("w", f"{CELL}-s2:a@1"),
        ),
        runs=(),
        policy=ASK,
    )


@scenario("apply_plan.run_version")
def an_answer_in_a_group_of_one() -> Scenario:
    """While `a` waits for a person, `b` may go; once approved, `a` may: never both."""
    return Scenario(
        """
steps:
  x: {topic: job.t}
  g: {type: parallel, steps: [a, b], max_parallel: 1}
  a: {topic: job.hot}
  b: {topic: job.t, depends_on: [x]}
""",
        (
            worker("wx", "r1:x@1"),
            approver("bob", "r1:a@1"),
            coordinator("c1"),
            coordinator("c2"),
            worker("wb", "r1:b@1"),
        ),
        policy=ASK.replace("job.t", "job.hot"),
    )
