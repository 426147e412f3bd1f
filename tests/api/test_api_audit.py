"""The audit over HTTP, and the policy's decisions."""

from __future__ import annotations

import json

import pytest

from cordum.domain.audit import Keyring
from cordum.domain.roles import Role
from cordum.engine.audit_export import verify_export
from tests.api.keyring import headers

AUDIT = "/api/v1/audit"


@pytest.fixture
def admin(engine, run_id):
    return headers(engine, "default", "root")


def test_records_are_listed_newest_first_and_by_pages(api, admin):
    first = api.get(f"{AUDIT}?limit=2", headers=admin).json
    assert [item["sequence"] for item in first["items"]] == [5, 4]
    assert first["items"][0]["type"] == "api_key.created"
    rest = api.get(f"{AUDIT}?limit=2&cursor={first['next_cursor']}", headers=admin).json
    assert [item["sequence"] for item in rest["items"]] == [3, 2]
    rising = api.get(f"{AUDIT}?order=asc", headers=admin).json
    assert [item["sequence"] for item in rising["items"]] == [1, 2, 3, 4, 5]
    assert rising["next_cursor"] is None


def test_filters(api, admin, run_id):
    def types(query: str) -> list[str]:
        return [item["type"] for item in api.get(f"{AUDIT}?order=asc&{query}", headers=admin).json["items"]]

    assert types(f"run_id={run_id}") == ["run.created", "approval.requested"]
    assert types("actor=anonymous") == ["workflow.saved", "run.created"]
    assert types("type=policy.published") == ["policy.published"]
    assert types("since=2100-01-01T00:00:00Z") == types("until=2000-01-01T00:00:00Z") == []
    assert len(types("since=2000-01-01T00:00:00Z&until=2100-01-01T00:00:00Z")) == 5


@pytest.mark.parametrize("query", ["since=yesterday", "order=up", "run_id=a:b", "actor=", "limit=0", "tenant=x"])
def test_a_filter_that_is_none_is_refused(api, admin, query):
    assert api.get(f"{AUDIT}?{query}", headers=admin).status_code == 422


def test_verify_tells_what_was_found(api, engine, admin):
    report = api.get(f"{AUDIT}/verify", headers=admin).json
    assert (report["status"], report["total_events"], report["unsealed"], report["gaps"]) == ("ok", 5, 5, [])
    engine.audit.seal()
    engine.store.connection.read(lambda client: client.lpop(engine.store.keys.audit("default")))
    report = api.get(f"{AUDIT}/verify", headers=admin).json
    assert (report["status"], report["first_problem"], report["gaps"]) == ("compromised", 1, [{"from": 1, "to": 1}])


def test_an_export_is_lines_that_verify(api, engine, admin):
    engine.audit.seal()
    exported = api.get(f"{AUDIT}/export", headers=admin)
    assert exported.mimetype == "application/x-ndjson"
    lines = exported.data.splitlines()
    assert [json.loads(line)["sequence"] for line in lines[1:]] == [1, 2, 3, 4, 5]
    assert verify_export(lines, Keyring())["status"] == "ok"


def test_an_audit_is_for_its_tenants_admins(api, engine, admin):
    for path in ("", "/verify", "/export"):
        for role in (Role.VIEWER, Role.OPERATOR, Role.APPROVER):
            assert api.get(AUDIT + path, headers=headers(engine, "default", "ann", role)).status_code == 403
    other = headers(engine, "other", "bob")
    assert [item["type"] for item in api.get(AUDIT, headers=other).json["items"]] == ["api_key.created"]
    assert api.get(f"{AUDIT}/verify", headers=other).json["total_events"] == 1


def test_decisions_of_a_tenant_and_of_a_job(api, engine, admin, run_id):
    engine.approve(engine.api_keys.identify(admin["X-API-Key"]), f"{run_id}:gate@1")
    engine.coordinate()
    viewer = headers(engine, "default", "ann", Role.VIEWER)
    (decision,) = api.get("/api/v1/governance/decisions", headers=viewer).json["items"]
    (same,) = api.get(f"/api/v1/jobs/{run_id}:deploy@1/decisions", headers=viewer).json["items"]
    assert {**decision, "seq": same["seq"]} == same
    assert (same["job_id"], same["decision"], same["topic"]) == (f"{run_id}:deploy@1", "allow", "job.deploy")
    assert same["job_hash"].startswith("sha256:")
    assert api.get(f"/api/v1/jobs/{run_id}:gate@1/decisions", headers=viewer).json["items"] == []
    assert api.get(f"/api/v1/jobs/{run_id}:other@1/decisions", headers=viewer).status_code == 404


def test_timelines_go_both_ways(api, admin, run_id):
    timeline = f"/api/v1/workflow-runs/{run_id}/timeline"
    rising = api.get(timeline, headers=admin).json
    page = api.get(f"{timeline}?order=desc&limit=2", headers=admin)
    assert page.json == rising[:-3:-1]
    rest = api.get(f"{timeline}?order=desc&cursor={page.headers['X-Next-Cursor']}", headers=admin)
    assert page.json + rest.json == rising[::-1]
    assert "X-Next-Cursor" not in rest.headers
