"""What a plan does when nobody can say whether a job may run."""

from __future__ import annotations

from typing import Any

import pytest

from cordum.domain.decision_point import UNAVAILABLE, Guarded, Undecided
from cordum.domain.definition import load_workflow
from cordum.domain.plan import Plan
from cordum.domain.planner import plan
from cordum.domain.policy import Decision, PolicyRequest, Verdict
from cordum.domain.policy_document import read_policy
from cordum.domain.run import RunState, StepState

ASKED = PolicyRequest("job.t", "acme")
ONE = load_workflow(b"id: wf\nsteps: {a: {topic: job.t}}", "yaml")
GOOD = read_policy(b"default_decision: allow", 4)


class Broken:
    epoch, digest = 4, "sha256:broken"

    def decide(self, request: PolicyRequest) -> Decision:
        raise OSError("no route to the decision point")

    def decide_start(self, request: PolicyRequest) -> Decision | None:
        raise OSError("no route to the decision point")


def planned(policy: Any, tenant: str = "acme", run_id: str = "r") -> Plan:
    steps = {"a": StepState()}
    run = RunState(run_id, tenant, "wf", "d", 1, "ann", 0, {}, steps, deadline=10**9)
    return plan(ONE, run, policy, 1000)


@pytest.mark.parametrize("point", [None, Broken()])
def test_without_a_decision_nothing_is_dispatched(point: Any) -> None:
    decided = planned(Guarded(point, 4))
    assert (decided.jobs, decided.epoch, decided.held) == ((), None, True)
    assert "step.decision" not in [event.type for event in decided.events]
    with pytest.raises(Undecided):
        Guarded(point, 4).decide(ASKED)


@pytest.mark.parametrize("point", [None, Broken()])
def test_a_tenant_that_fails_open_goes_and_its_decision_says_why(point: Any) -> None:
    guarded = Guarded(point, 4, frozenset({"acme"}))
    decided = planned(guarded)
    assert [job.step for job in decided.jobs] == ["a"]
    assert (decided.epoch, decided.held) == (4, False)
    (told,) = [event.data for event in decided.events if event.type == "step.decision"]
    assert (told["decision"], told["fail_mode"], told["policy_snapshot"]) == ("allow", "open", UNAVAILABLE)
    assert planned(guarded, "other").jobs == ()


def test_while_the_policy_can_be_used_the_fail_mode_means_nothing() -> None:
    decision = Guarded(read_policy(b"default_decision: deny", 4), 4, frozenset({"acme"})).decide(ASKED)
    assert (decision.verdict, decision.fail_open) == (Verdict.DENY, False)
    assert "fail_mode" not in planned(Guarded(GOOD, 4, frozenset({"acme"}))).changes[0].after.decision


def test_runs_that_wait_for_the_policy_do_not_look_again_at_one_moment() -> None:
    moments = [planned(None, run_id=f"r{number}").wake_at for number in range(200)]
    assert all(2000 <= (at or 0) < 3000 for at in moments)
    assert len(set(moments)) > 100
    assert planned(None).wake_at == planned(None).wake_at


def test_a_start_is_decided_by_rules_about_starts_or_not_at_all() -> None:
    assert Guarded(None, 4).decide_start(ASKED) is None
    assert Guarded(Broken(), 4, frozenset({"acme"})).decide_start(ASKED) is None
    with pytest.raises(Undecided):
        Guarded(Broken(), 4).decide_start(ASKED)
