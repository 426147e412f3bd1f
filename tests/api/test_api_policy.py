"""The policy over HTTP: asked, explained, tried out, tested, published, rolled back, drafted."""

from __future__ import annotations

import pytest

from cordum.domain.roles import Role
from tests.api.keyring import headers

BASE = "/api/v1/policy"
FIRST = """\
version: "1"
rules:
  - {id: read, match: {topics: [job.sre.logs]}, decision: allow}
  - id: prod
    match: {topics: ["job.sre.*"], risk_tags: [prod]}
    decision: require_approval
    reason: Production
    constraints: {budgets: {max_retries: 1}}
  - {id: theirs, match: {tenants: [other], topics: [job.secret]}, decision: allow}
"""
SECOND = FIRST.replace("decision: allow}", "decision: deny}", 1)
CASES = "cases: [{name: logs may be read, request: {topic: job.sre.logs}, expect: {decision: allow}}]"


@pytest.fixture(autouse=True)
def published(engine):
    return engine.policies.publish(FIRST.encode(), "ann")


def post(api, path, body, **given):
    return api.post(f"{BASE}/{path}", json=body, **given)


# --- asking ---


def test_evaluate_answers_with_the_fields_that_clients_know(api, published):
    asked = {"topic": "job.sre.rollback", "tenant": "default", "risk_tags": ["prod"], "labels": {"a": "b"}}
    assert post(api, "evaluate", asked).json == {
        "decision": "require_approval",
        "rule_id": "prod",
        "reason": "Production",
        "policy_snapshot": published["digest"],
        "constraints": {"budgets": {"max_retries": 1}},
        "velocity": None,
        "remediations": [],
    }


def test_what_meta_says_counts_and_what_means_nothing_here_is_ignored(api):
    asked = {
        "topic": "job.sre.x",
        "job_id": "j",
        "priority": "high",
        "principal_id": "p",
        "effective_config": {},
        "meta": {"tenant_id": "t", "pack_id": "p", "risk_tags": ["prod"], "labels": {"a": "b"}},
    }
    assert post(api, "evaluate", asked).json["rule_id"] == "prod"
    assert post(api, "evaluate", asked | {"risk_tags": []}).json["rule_id"] is None


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, "/topic"),
        ({"topic": 1}, "/topic"),
        ({"topic": ""}, "/topic"),
        ({"topic": "x" * 300}, "/topic"),
        ({"topic": "a", "risk_tags": "prod"}, "/risk_tags"),
        ({"topic": "a", "risk_tags": [1]}, "/risk_tags/0"),
        ({"topic": "a", "labels": ["a"]}, "/labels"),
        ({"topic": "a", "labels": {"a": 1}}, "/labels/a/value"),
        ({"topic": "a", "meta": []}, "/meta"),
        ({"topic": "a", "meta": {"risk_tags": {}}}, "/meta/risk_tags"),
        ({"topic": "a", "risktags": []}, "/risktags"),
        ({"topic": "a", "tenant": "a:b"}, "/tenant"),
        ([], ""),
    ],
)
@pytest.mark.parametrize("route", ["evaluate", "explain"])
def test_a_question_that_is_none_is_422_with_its_place(api, route, body, path):
    refused = post(api, route, body)
    assert refused.status_code == 422, refused.text
    assert path in [one["path"] for one in refused.json["errors"]]
    assert all(one["code"].isidentifier() for one in refused.json["errors"])


def test_without_a_policy_that_can_be_used_the_answer_is_503(api, engine):
    engine.store.policies.publish("sha256:new", "{quantum_rules: []}", "a newer version")
    refused = post(api, "evaluate", {"topic": "job.sre.logs"})
    assert (refused.status_code, refused.json["code"]) == (503, "policy_unavailable")
    assert refused.headers["Retry-After"]
    assert api.get(f"{BASE}/snapshots").json["active"]["usable"] is False


def test_explain_names_the_first_field_that_did_not_match(api):
    rules = post(api, "explain", {"topic": "job.sre.x"}).json["rules"]
    assert [(one["rule_id"], one["matched"], one["failed_field"], one["wanted"]) for one in rules] == [
        ("read", False, "topics", ["job.sre.logs"]),
        ("prod", False, "risk_tags", ["prod"]),
        ("theirs", False, "topics", ["job.secret"]),
    ]
    explained = post(api, "explain", {"topic": "job.sre.logs", "risk_tags": ["prod"]}).json
    assert [one["decided"] for one in explained["rules"]] == [True, False, False]
    assert [one["matched"] for one in explained["rules"]] == [True, True, False]
    assert explained["rules"][1]["line"] == 4


def test_simulate_shows_what_another_text_would_change(api, engine):
    body = {"topic": "job.sre.logs", "policy": SECOND}
    shown = post(api, "simulate", body).json
    assert (shown["decision"], shown["active"]["decision"], shown["changes"]) == ("deny", "allow", True)
    assert post(api, "simulate", body | {"policy": FIRST}).json["changes"] is False
    assert post(api, "evaluate", {"topic": "job.sre.logs"}).json["decision"] == "allow"
    throttled = "rules: [{id: t, decision: throttle, velocity: {max_requests: 1, window_sec: 1}}]"
    shown = post(api, "simulate", body | {"policy": throttled}).json
    assert shown["decision"] == "throttle"
    assert shown["velocity"] == {"max_requests": 1, "window_sec": 1.0, "key": "tenant", "counted": "default"}


def test_rules_are_shown_as_the_file_has_them(api):
    shown = api.get(f"{BASE}/rules").json
    assert shown["default_decision"] == "deny"
    assert shown["items"][1]["match"] == {"topics": ["job.sre.*"], "risk_tags": ["prod"]}


def test_a_catalogue_is_run_against_the_active_policy_or_a_text(api):
    assert post(api, "test", {"cases": CASES}).json["passed"] is True
    failed = post(api, "test", {"cases": CASES, "policy": SECOND}).json
    assert (failed["passed"], failed["failed"], failed["results"][0]["rule_id"]) == (False, 1, "read")
    assert post(api, "test", {"cases": "cases: ["}).status_code == 422
    assert post(api, "test", {}).status_code == 422


DRY = """\
id: dry
steps:
  logs: {topic: job.sre.logs}
  ask: {type: approval, depends_on: [logs]}
  roll: {topic: job.sre.rollback, depends_on: [ask], meta: {risk_tags: [prod]}, input: {who: "${input.who}"}}
  late: {topic: job.x, depends_on: [roll], input: {seen: "${steps.roll.output}"}}
"""


def test_a_dry_run_shows_the_decision_of_each_step_and_starts_nothing(api):
    api.post("/api/v1/workflows", data=DRY, content_type="application/yaml")
    shown = api.post("/api/v1/workflows/dry/dry-run", json={"input": {"who": "ann"}}).json
    assert [(one["step_id"], one["decision"], one["rule_id"]) for one in shown["steps"]] == [
        ("logs", "allow", "read"),
        ("roll", "require_approval", "prod"),
        ("late", "deny", None),
    ]
    assert shown["steps"][0]["topic"] == "job.sre.logs"
    assert shown["warnings"] == ["late: its input depends on steps; decided without it"]
    assert api.get("/api/v1/workflow-runs").json["items"] == []
    assert api.post("/api/v1/workflows/none/dry-run", json={}).status_code == 404
    assert api.post("/api/v1/workflows/dry/dry-run", json={"input": []}).status_code == 422


OWN = DRY.replace("id: dry", "id: own\npolicy_override: {rules: [{id: ask, decision: require_approval}]}")


def test_a_start_can_be_tried_and_starts_nothing(api, engine):
    starts = "rules: [{id: freeze, match: {topics: [workflow.start]}, decision: deny}, {id: all, decision: allow}]"
    engine.publish_policy(starts.encode(), "ann")
    api.post("/api/v1/workflows", data=OWN, content_type="application/yaml")
    path = "/api/v1/workflows/own/runs?dry_run=true"
    shown = api.post(f"{path}&label=env=prod", json={"who": "ann"}, headers={"Idempotency-Key": "k"}).json
    assert (shown["dry_run"], shown["start"]["rule_id"]) == (True, "freeze")
    assert [(one["decision"], one["policy_override"]) for one in shown["steps"]] == [("require_approval", "ask")] * 3
    assert api.get("/api/v1/workflow-runs").json["items"] == []
    engine.publish_policy(FIRST.encode(), "ann")
    tried = api.post(path, json={}).json
    assert tried["start"] is None
    # The key was not used up, and without the flag a run is started.
    started = api.post("/api/v1/workflows/own/runs?dry_run=false", json={}, headers={"Idempotency-Key": "k"})
    assert "Idempotent-Replayed" not in started.headers
    assert started.json["run_id"]
    assert api.post("/api/v1/workflows/none/runs?dry_run=true", json={}).status_code == 404


def test_a_trial_refuses_what_a_start_refuses(api):
    typed = {"id": "typed", "steps": {}, "input_schema": {"required": ["n"]}}
    api.post("/api/v1/workflows", json=typed)
    for flag in ("true", "false"):
        refused = api.post(f"/api/v1/workflows/typed/runs?dry_run={flag}", json={})
        assert (refused.status_code, refused.json["code"]) == (422, "schema_validation_failed")


def test_a_replay_shows_what_a_candidate_would_change(api):
    api.post("/api/v1/workflows", data=DRY, content_type="application/yaml")
    api.post("/api/v1/workflows/dry/runs", json={})
    found = post(api, "replay", {"policy": SECOND}).json
    assert (found["decisions"], found["changed"]) == (1, 1)
    assert (found["items"][0]["was"]["rule_id"], found["items"][0]["would_be"]["decision"]) == ("read", "deny")
    api.put(f"{BASE}/bundles/next", json={"policy": SECOND})
    assert post(api, "replay", {"bundle_id": "next", "workflow_id": "dry", "limit": 1}).json == found
    assert post(api, "replay", {"policy": FIRST}).json["changed"] == 0
    assert post(api, "replay", {"policy": SECOND, "tenant": "acme"}).json["decisions"] == 0


@pytest.mark.parametrize(
    "body",
    [{}, {"policy": "rules: ["}, {"policy": FIRST, "limit": 0}, {"policy": FIRST, "limit": 999}, {"bundle_id": "a b"}],
)
def test_a_replay_of_nothing_is_422(api, body):
    assert post(api, "replay", body).status_code == 422


def test_governance_health_tells_a_tenant_what_holds_for_it_and_no_more(api, engine):
    engine.publish_policy(f"tenants: {{acme: {{fail_mode: open}}}}\n{FIRST}".encode(), "ann")
    vic, root = headers(engine, "acme", "vic", Role.VIEWER), headers(engine, "default", "root")
    shown = api.get("/api/v1/governance/health", headers=vic).json
    assert (shown["status"], shown["policy"]["fail_mode"]) == ("ok", "open")
    engine.store.policies.note_fault("secret rule")
    assert api.get("/api/v1/governance/health", headers=vic).json["status"] == "degraded"
    assert "secret" not in api.get("/api/v1/governance/health", headers=vic).text
    assert api.get("/api/v1/governance/health", headers=root).json["policy"]["fault"] == "secret rule"
    engine.store.policies.publish("sha256:new", "{quantum_rules: []}", "a newer version")
    assert api.get("/api/v1/governance/health", headers=vic).json["status"] == "unavailable"


# --- changing ---


def test_a_publication_with_a_key_is_made_once(api, published):
    key = {"Idempotency-Key": "k1"}
    first = post(api, "publish", {"policy": SECOND}, headers=key).json
    post(api, "publish", {"policy": FIRST})
    assert post(api, "publish", {"policy": SECOND}, headers=key).json == first
    assert post(api, "evaluate", {"topic": "job.sre.logs"}).json["decision"] == "allow"
    other = post(api, "publish", {"policy": FIRST}, headers=key)
    assert (other.status_code, other.json["code"]) == (422, "idempotency_key_reused")
    back = post(api, "rollback", {}, headers={"Idempotency-Key": "k2"}).json
    assert post(api, "rollback", {}, headers={"Idempotency-Key": "k2"}).json == back
    assert len(api.get(f"{BASE}/snapshots").json["items"]) == back["epoch"]


def test_publishing_changes_what_is_decided_and_the_history_keeps_both(api):
    answered = post(api, "publish", {"policy": SECOND, "note": "incident 7"})
    assert answered.status_code == 200
    assert answered.json["published"] is True
    assert post(api, "evaluate", {"topic": "job.sre.logs"}).json["decision"] == "deny"
    again = post(api, "publish", {"policy": SECOND}).json
    assert (again["published"], again["epoch"]) == (False, answered.json["epoch"])
    shown = api.get(f"{BASE}/snapshots").json
    assert [(one["how"], one["note"]) for one in shown["items"][:2]] == [("publish", "incident 7"), ("publish", None)]
    assert shown["active"]["policy_snapshot"] == answered.json["digest"] == shown["items"][0]["policy_snapshot"]


def test_rollback_goes_back_to_what_was_before_or_to_an_epoch(api, published):
    post(api, "publish", {"policy": SECOND})
    back = post(api, "rollback", {}).json
    assert (back["digest"], back["rolled_back_to"]) == (published["digest"], published["epoch"])
    assert post(api, "evaluate", {"topic": "job.sre.logs"}).json["decision"] == "allow"
    assert post(api, "rollback", {"epoch": back["epoch"] - 1, "note": "after all"}).json["published"]
    assert post(api, "evaluate", {"topic": "job.sre.logs"}).json["decision"] == "deny"
    assert post(api, "rollback", {"epoch": 999}).status_code == 404
    assert post(api, "rollback", {"epoch": "1"}).status_code == 422


def test_with_nothing_before_it_there_is_no_way_back(api, engine, redis_address):
    engine.store.connection.read(lambda client: client.delete(engine.store.keys.policy_history))
    post(api, "publish", {"policy": SECOND})
    refused = post(api, "rollback", {})
    assert (refused.status_code, refused.json["code"]) == (409, "nothing_to_roll_back_to")


def test_history_comes_by_pages(api):
    post(api, "publish", {"policy": SECOND})
    first = api.get(f"{BASE}/snapshots?limit=1").json
    second = api.get(f"{BASE}/snapshots?limit=1&cursor={first['next_cursor']}").json
    assert first["items"][0]["epoch"] == second["items"][0]["epoch"] + 1


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "invalid"),
        ({"policy": "rules: ["}, "policy_invalid"),
        ({"policy": "rules: [{id: a, decision: perhaps}]"}, "policy_invalid"),
        ({"policy": "rules: [{id: a, decision: throttle}]"}, "policy_invalid"),
        ({"policy": SECOND, "cases": CASES}, "policy_tests_failed"),
        ({"policy": FIRST, "cases": "cases: 1"}, "policy_invalid"),
        ({"policy": FIRST, "bundle_id": "x"}, "invalid"),
        ({"bundle_id": "a/b"}, "invalid"),
        ({"policy": ""}, "policy_invalid"),
    ],
)
def test_what_cannot_be_published_changes_nothing(api, published, body, code):
    refused = post(api, "publish", body)
    assert (refused.status_code, refused.json["code"]) == (422, code), refused.text
    assert refused.json["errors"]
    assert api.get(f"{BASE}/snapshots").json["active"]["policy_snapshot"] == published["digest"]


def test_a_draft_is_kept_good_or_not_and_decides_nothing(api, published):
    path = f"{BASE}/bundles/next"
    assert api.get(path).status_code == 404
    broken = api.put(path, json={"policy": "rules: [{id: a, decision: alow}]"}).json
    assert (broken["valid"], broken["errors"][0]["line"]) == (False, 1)
    assert post(api, "publish", {"bundle_id": "next"}).status_code == 422
    assert api.get(f"{BASE}/snapshots").json["active"]["policy_snapshot"] == published["digest"]
    assert api.put(path, json={"policy": SECOND}).json["valid"] is True
    assert [one["id"] for one in api.get(f"{BASE}/bundles").json["items"]] == ["next"]
    assert post(api, "simulate", {"topic": "job.sre.logs", "bundle_id": "next"}).json["decision"] == "deny"
    assert post(api, "publish", {"bundle_id": "next"}).json["published"] is True
    assert api.delete(path).status_code == 204
    assert api.delete(path).status_code == 404
    assert post(api, "publish", {"bundle_id": "next"}).status_code == 404


def test_a_draft_tells_of_what_is_odd(api):
    shadowed = "rules: [{id: a, decision: deny}, {id: b, decision: allow}]"
    shown = api.put(f"{BASE}/bundles/x", json={"policy": shadowed}).json
    assert (shown["valid"], shown["warnings"][0]["code"]) == (True, "unreachable_rule")
    assert post(api, "publish", {"bundle_id": "x"}).json["warnings"][0]["code"] == "unreachable_rule"


# --- who may ---


def test_a_tenant_asks_about_itself_and_sees_no_rule_of_another(api, engine):
    vic = headers(engine, "acme", "vic", Role.VIEWER)
    assert post(api, "evaluate", {"topic": "job.sre.logs"}, headers=vic).status_code == 200
    refused = post(api, "evaluate", {"topic": "job.secret", "tenant": "other"}, headers=vic)
    assert (refused.status_code, refused.json["code"]) == (403, "tenant_mismatch")
    for answered in (
        post(api, "explain", {"topic": "job.secret"}, headers=vic),
        api.get(f"{BASE}/rules", headers=vic),
    ):
        assert answered.status_code == 200
        assert "theirs" not in answered.text
        assert "other" not in answered.text


def test_only_an_admin_of_the_admin_tenant_changes_the_policy_of_all(api, engine):
    admin = headers(engine, "acme", "ann")
    for method, path in (
        ("POST", "publish"),
        ("POST", "rollback"),
        ("POST", "simulate"),
        ("POST", "test"),
        ("POST", "replay"),
        ("GET", "snapshots"),
        ("GET", "bundles"),
        ("PUT", "bundles/x"),
    ):
        refused = api.open(f"{BASE}/{path}", method=method, json={}, headers=admin)
        assert (refused.status_code, refused.json["code"]) == (403, "cell_admin_needed"), path
    root = headers(engine, "default", "root")
    assert post(api, "publish", {"policy": SECOND}, headers=root).status_code == 200
    assert api.get(f"{BASE}/snapshots", headers=root).json["items"][0]["actor"] == "root"
