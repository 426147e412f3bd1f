"""A policy that cannot be had, fail modes, overrides, replays: through the engine, on a real Redis."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cordum.domain.decision_point import DecisionPoint
from cordum.domain.policy import Decision, Policy, PolicyRequest
from cordum.domain.run import OutcomeClass
from cordum.engine import Caller, Engine, Outcome
from cordum.errors import IdempotencyKeyReused, Unavailable
from tests.engine.hands import ALICE, ALLOW, BOB, Hands

ONE = "steps: {a: {topic: job.t}}"
OPEN = b"{default_decision: allow, tenants: {default: {fail_mode: open}}}"
ASK = b"{tenants: {default: {fail_mode: open}}, rules: [{id: ask, decision: require_approval}]}"
DENY = b"{default_decision: deny}"


def break_policy(engine: Engine) -> None:
    """Another version, or somebody's hand, has left what nobody here can read."""
    engine.store.connection.read(lambda client: client.hset(engine.store.keys.policy, "source", "{quantum: []}"))
    engine._core._policy = None


def mend_policy(engine: Engine, source: bytes) -> None:
    engine.store.connection.read(lambda client: client.hset(engine.store.keys.policy, "source", source))


def decisions(engine: Engine, run_id: str) -> list[dict[str, Any]]:
    events = engine.timeline("default", run_id, limit=200).items
    return [event["data"] for event in events if event["type"] == "step.decision"]


def due(engine: Engine, run_id: str) -> None:
    """As if the time were over for which a run waits before it asks for the policy again."""
    engine.store.connection.read(lambda client: client.zadd(engine.store.keys.wakeups, {run_id: 0}))
    engine.coordinate()


def test_closed_is_the_default_and_work_resumes_by_itself(engine: Engine, hands: Hands) -> None:
    break_policy(engine)
    run_id = hands.start(ONE)
    shown = engine.run("default", run_id)["steps"]["a"]
    assert (shown["status"], shown["wait"]["reason"]) == ("pending", "policy_unavailable")
    assert engine.policies.health(ALICE)["status"] == "unavailable"
    mend_policy(engine, ALLOW)
    due(engine, run_id)
    assert hands.statuses(run_id) == {"a": "queued"}
    assert engine.policies.health(ALICE)["status"] == "ok"
    assert len(decisions(engine, run_id)) == 1


def test_a_tenant_that_fails_open_goes_on_counted_and_labelled(engine: Engine, hands: Hands) -> None:
    engine.publish_policy(OPEN, "ann")
    break_policy(engine)
    run_id = hands.start(ONE)
    (decision,) = decisions(engine, run_id)
    assert (decision["decision"], decision["fail_mode"], decision["rule_id"]) == ("allow", "open", None)
    assert engine.run("default", run_id)["steps"]["a"]["decision"]["fail_mode"] == "open"
    hands.work(run_id, "a")
    assert engine.run("default", run_id)["status"] == "succeeded"
    assert engine.store.figures.counters()["decisions_fail_open"] == 1
    root = Caller("default", "root", cell=True)
    health = engine.policies.health(root)
    assert (health["status"], health["policy"]["fail_mode"], health["decisions_fail_open_total"]) == (
        "unavailable",
        "open",
        1,
    )
    assert engine.policies.health(Caller("acme"))["policy"]["fail_mode"] == "closed"


def test_what_people_were_asked_waits_for_them_however_open_it_fails(engine: Engine, hands: Hands) -> None:
    engine.publish_policy(ASK, "ann")
    run_id = hands.start(ONE)
    break_policy(engine)
    due(engine, run_id)
    assert hands.statuses(run_id) == {"a": "waiting"}
    assert engine.approve(BOB, f"{run_id}:a@1")["state"] == "approved"


class Failing:
    """A decision point elsewhere that does not answer."""

    def __init__(self, policy: Policy) -> None:
        self.epoch, self.digest = policy.epoch, f"{policy.digest} elsewhere"

    def decide(self, request: PolicyRequest) -> Decision:
        raise TimeoutError("the decision point does not answer")

    def decide_start(self, request: PolicyRequest) -> Decision | None:
        raise TimeoutError("the decision point does not answer")


class Answering(Failing):
    def __init__(self, policy: Policy) -> None:
        super().__init__(policy)
        self._policy = policy

    def decide(self, request: PolicyRequest) -> Decision:
        return self._policy.decide(request)

    def decide_start(self, request: PolicyRequest) -> Decision | None:
        return None


def through(engine: Engine, point_of: Callable[[Policy], DecisionPoint]) -> Engine:
    return Engine(engine.store, engine.settings, decision_point_of=point_of)


def test_another_decision_point_stands_in_for_the_rules(engine: Engine, hands: Hands) -> None:
    hands.engine = through(engine, Answering)
    run_id = hands.start(ONE)
    hands.work(run_id, "a")
    assert hands.statuses(run_id) == {"a": "succeeded"}


def test_one_that_does_not_answer_holds_the_start_and_steps_back(engine: Engine, hands: Hands) -> None:
    other = through(engine, Failing)
    engine.save_workflow("default", b"{id: wf, steps: {a: {topic: job.t}}}", "yaml")
    with pytest.raises(Unavailable) as refused:
        other.start_run(ALICE, "wf", {})
    assert refused.value.code == "policy_unavailable"
    two = "steps: {a: {topic: job.t}, b: {topic: job.u, depends_on: [a], condition: 'true'}}"
    run_id = hands.start(two)
    hands.claim(run_id, "a")
    hands.engine = other
    hands.finish(run_id, "a")
    assert hands.statuses(run_id) == {"a": "succeeded", "b": "pending"}
    assert engine.store.figures.counters()["policy_unavailable"] >= 1
    due(engine, run_id)
    assert hands.statuses(run_id)["b"] == "queued"


def test_an_approval_asked_under_another_policy_survives_a_decision_point_that_fails(
    engine: Engine, hands: Hands
) -> None:
    engine.publish_policy(ASK, "ann")
    run_id = hands.start(ONE)
    due(through(engine, Failing), run_id)
    shown = engine.approval("default", f"{run_id}:a@1")
    assert (shown["state"], hands.statuses(run_id)) == ("pending", {"a": "waiting"})
    assert engine.run("default", run_id)["steps"]["a"]["attempts"] == 1


# --- overrides ---


def test_an_override_denies_asks_and_limits_and_cannot_allow(engine: Engine, hands: Hands) -> None:
    engine.publish_policy(
        b"{default_decision: allow, rules: [{id: no, match: {topics: [job.no]}, decision: deny}]}", "ann"
    )
    definition = """
on_failure: continue_independent
policy_override:
  rules:
    - {id: none, match: {topics: [job.a]}, decision: deny, reason: Not here}
    - {id: ask, match: {topics: [job.b]}, decision: require_approval}
    - {id: short, match: {topics: [job.c]}, decision: allow_with_constraints, constraints: {budgets: {max_retries: 0}}}
    - {id: free, decision: allow}
steps:
  a: {topic: job.a}
  b: {topic: job.b}
  c: {topic: job.c, retry: {max_retries: 4}}
  no: {topic: job.no}
"""
    run_id = hands.start(definition)
    assert hands.statuses(run_id) == {"a": "denied", "b": "waiting", "c": "queued", "no": "denied"}
    shown = engine.run("default", run_id)["steps"]
    assert (shown["a"]["error"]["message"], shown["a"]["decision"]["policy_override"]) == ("Not here", "none")
    assert shown["no"]["decision"]["rule_id"] == "no"
    assert hands.claim(run_id, "c").retries_left == 0
    engine.approve(BOB, f"{run_id}:b@1")
    assert hands.statuses(run_id)["b"] == "queued"
    tried = engine.try_start(ALICE, "wf", {})["steps"]
    assert [one["decision"] for one in tried] == ["deny", "require_approval", "allow_with_constraints", "deny"]


# --- publishing once ---


def test_a_publication_that_is_asked_for_again_is_no_second_version(engine: Engine) -> None:
    first = engine.policies.publish(DENY, "ann", request="r")
    engine.publish_policy(ALLOW, "bob")
    assert engine.policies.publish(DENY, "ann", request="r") == first
    assert engine.policies.rules(ALICE)["default_decision"] == "allow"
    with pytest.raises(IdempotencyKeyReused):
        engine.policies.publish(OPEN, "ann", request="r")


def test_a_rollback_that_is_asked_for_again_goes_back_once(engine: Engine) -> None:
    engine.publish_policy(OPEN, "ann")
    engine.publish_policy(DENY, "ann")
    first = engine.policies.rollback("bob", request="r")
    assert engine.policies.rollback("bob", request="r") == first
    assert engine.policies.state()["policy_snapshot"] == first["digest"]
    # The control: a request of its own goes back further.
    assert engine.policies.rollback("bob", request="s")["digest"] != first["digest"]


# --- replays ---


def test_a_replay_says_which_past_decisions_would_change(engine: Engine, hands: Hands) -> None:
    two = "steps: {a: {topic: job.t, input: {n: '${input.n}'}}, b: {topic: job.u}}"
    runs = [hands.start(two, {"n": number}) for number in range(3)]
    candidate = (
        b"{default_decision: allow, rules: [{id: big, match: {topics: [job.t], input: 'input.n > 0'}, decision: deny}]}"
    )
    found = engine.policies.replay(ALICE, candidate)
    assert (found["runs"], found["decisions"], found["changed"]) == (3, 6, 2)
    assert found["changes"] == [{"from": "allow", "to": "deny", "count": 2}]
    assert sorted(one["job_id"] for one in found["items"]) == sorted(f"{run_id}:a@1" for run_id in runs[1:])
    assert {one["would_be"]["rule_id"] for one in found["items"]} == {"big"}
    # The control: by the policy that made them nothing changes.
    assert engine.policies.replay(ALICE, ALLOW)["changed"] == 0
    assert engine.policies.replay(Caller("acme"), candidate)["decisions"] == 0
    assert engine.policies.replay(ALICE, candidate, limit=1)["decisions"] == 2
    assert engine.policies.state()["policy_snapshot"] != found["policy_snapshot"]


def test_a_replay_counts_children_and_limits_and_overrides(engine: Engine, hands: Hands) -> None:
    run_id = hands.start("steps: {f: {topic: job.t, for_each: '${[1, 2]}'}}")
    for index in range(2):
        assert hands.claim(run_id, f"f[{index}]").word == "CLAIMED"
        hands.finish(run_id, f"f[{index}]")
    tight = b"{rules: [{id: t, decision: allow, constraints: {budgets: {max_retries: 0}}}]}"
    found = engine.policies.replay(ALICE, tight)
    assert (found["decisions"], found["changes"]) == (2, [{"from": "allow", "to": "allow", "count": 2}])
    own = "policy_override: {rules: [{id: no, decision: deny}]}\nsteps: {a: {topic: job.t}}"
    engine.save_workflow("default", f"id: own\n{own}".encode(), "yaml")
    engine.start_run(ALICE, "own", {})
    assert engine.policies.replay(ALICE, ALLOW, workflow_id="own")["changed"] == 0


# --- what a decision costs ---


def commands_of_a_run(hands: Hands) -> dict[str, int]:
    """How often Redis was asked for what, scripts and what is in them, while a run of two jobs went by."""
    engine = hands.engine
    engine.save_workflow("default", b"id: cost\nsteps: {a: {topic: job.t}, b: {topic: job.u, depends_on: [a]}}", "yaml")
    engine.policies.rules(ALICE)  # each process reads a policy once
    client = engine.store.connection._client
    client.config_resetstat()
    run_id = engine.start_run(ALICE, "cost", {}).id
    for step, topic in (("a", "job.t"), ("b", "job.u")):
        job = f"{run_id}:{step}@1"
        assert engine.jobs.claim(job, topic, 3, hands.worker.incarnation, "n").word == "CLAIMED"
        engine.jobs.record(job, topic, hands.worker.incarnation, "n", Outcome(OutcomeClass.SUCCESS, 1))
        engine._core.advance(run_id)
    found = {name: one["calls"] for name, one in client.info("commandstats").items()}
    # The clock is set once for each millisecond that scripts fall into: how often is chance.
    ours = ("cmdstat_config", "cmdstat_info", "cmdstat_set")
    return {name: calls for name, calls in found.items() if name.split("|")[0] not in ours}


def test_a_decision_asks_redis_nothing_however_many_rules_there_are(engine: Engine, hands: Hands) -> None:
    commands_of_a_run(hands)  # what is read and loaded once
    few = commands_of_a_run(hands)
    rules = ", ".join(
        f"{{id: r{number}, match: {{topics: ['job.x{number}*']}}, decision: deny}}" for number in range(200)
    )
    engine.publish_policy(f"{{default_decision: allow, rules: [{rules}]}}".encode(), "ann")
    assert commands_of_a_run(hands) == few

    class Asking(Answering):
        def decide(self, request: PolicyRequest) -> Decision:
            engine.store.policies.fault()
            return super().decide(request)

    # The control: one that asks is seen.
    hands.engine = through(engine, Asking)
    assert commands_of_a_run(hands) != few
