"""Sources of the policy: what a start-up may do, and that nothing broken ever loosens anything."""

from __future__ import annotations

import pytest

from cordum.domain.policy import PolicyRequest
from cordum.engine import Caller, Engine
from cordum.errors import Forbidden, Unprocessable
from tests.engine.hands import ALICE, ALLOW, Hands

DENY = b"{version: '1', default_decision: deny, rules: []}"
BROKEN = b"{version: '1', default_decision: allow, rules: [{id: a, decision: alow}]}"
ASK = PolicyRequest("job.t", "default")


def decided(engine: Engine) -> str:
    return str(engine.policies.evaluate(ALICE, ASK)["decision"])


def test_a_file_is_published_at_a_start_and_again_when_it_is_another(engine: Engine) -> None:
    engine.policies.publish_file(DENY, "startup")
    assert decided(engine) == "deny"
    engine.policies.publish_file(ALLOW, "startup")
    assert decided(engine) == "allow"


def test_a_restart_does_not_undo_what_people_have_published_since(engine: Engine) -> None:
    engine.policies.publish_file(ALLOW, "startup")
    engine.policies.publish(DENY, "ann")
    engine.policies.publish_file(ALLOW, "startup")
    assert decided(engine) == "deny"


def test_a_broken_file_leaves_the_active_policy_and_shows(engine: Engine) -> None:
    engine.policies.publish_file(DENY, "startup")
    engine.policies.publish_file(BROKEN, "startup")
    assert decided(engine) == "deny"
    assert "alow" in engine.policies.state()["fault"]
    found = figures(engine)
    assert [found[f"cordum_policy_{name}"] for name in ("usable", "faults", "epoch")] == [1, 1, 2]
    engine.policies.publish_file(DENY, "startup")
    assert engine.policies.state()["fault"] is None


def test_the_first_file_has_to_be_good(redis_address, engine: Engine) -> None:
    engine.store.connection.read(lambda client: client.flushall())
    with pytest.raises(Unprocessable):
        engine.policies.publish_file(BROKEN, "startup")
    assert figures(engine)["cordum_policy_usable"] == 0


def test_an_active_policy_that_cannot_be_read_is_told(engine: Engine) -> None:
    engine.store.policies.publish("sha256:new", "{quantum_rules: []}", "a newer version")
    assert not engine.policies.state()["usable"]
    assert figures(engine)["cordum_policy_usable"] == 0
    assert figures(engine)["cordum_policy_faults"] == 1


def figures(engine: Engine) -> dict[str, float]:
    return {one.name: one.samples[()] for one in engine.metrics() if one.name.startswith("cordum_policy_")}


def test_a_publication_reaches_every_process_at_once(engine: Engine, hands: Hands) -> None:
    """Another process decides by the new policy with its next look: the snapshot of the run carries the epoch."""
    other = Engine(engine.store, engine.settings)
    run_id = hands.start("steps: {a: {topic: job.t}, b: {topic: job.u, depends_on: [a]}}")
    other.coordinate()
    hands.claim(run_id, "a")
    engine.policies.publish(DENY, "ann")
    hands.engine = other
    hands.finish(run_id, "a")
    assert hands.statuses(run_id) == {"a": "succeeded", "b": "denied"}


def test_rolling_back_is_a_publication_of_its_own(engine: Engine) -> None:
    engine.policies.publish(DENY, "ann")
    back = engine.policies.rollback("bob", note="too strict")
    (newest, *_) = engine.policies.history(10, None).items
    assert (newest["how"], newest["actor"], newest["note"], newest["epoch"]) == (
        "rollback",
        "bob",
        "too strict",
        back["epoch"],
    )
    assert decided(engine) == "allow"


NO_STARTS = b"""
default_decision: allow
rules:
  - {id: any, match: {topics: ["*"]}, decision: deny, reason: not about starts}
  - {id: frozen, match: {topics: [workflow.start], labels: {env: prod}}, decision: deny, reason: Change freeze}
"""


def test_a_start_is_refused_only_by_a_rule_about_starts_and_uses_no_key_up(engine: Engine, hands: Hands) -> None:
    engine.publish_policy(NO_STARTS, "ann")
    engine.save_workflow("default", b"id: wf\nsteps: {}", "yaml")
    for _ in range(2):
        with pytest.raises(Forbidden) as refused:
            engine.start_run(ALICE, "wf", {}, idempotency_key="k", labels={"env": "prod"})
        assert (refused.value.code, refused.value.detail) == ("policy_denied", "Change freeze")
    assert engine.runs("default").items == []
    assert not engine.start_run(ALICE, "wf", {}, idempotency_key="k").replayed
    engine.publish_policy(ALLOW, "ann")
    assert engine.start_run(ALICE, "wf", {}, labels={"env": "prod"}).run["status"] == "succeeded"


def test_a_tenant_sees_what_its_own_default_is(engine: Engine) -> None:
    engine.policies.publish(b"{default_decision: deny, tenants: {acme: {default_decision: allow}}}", "ann")
    assert engine.policies.rules(Caller("acme"))["default_decision"] == "allow"
    assert engine.policies.rules(Caller("b"))["default_decision"] == "deny"
