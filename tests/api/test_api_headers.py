from __future__ import annotations

import pytest

from tests.api.keyring import headers

PATHS = ["/healthz", "/nothing", "/api/v1/workflows", "/api/v1/workflow-runs/none"]


@pytest.mark.parametrize("path", PATHS)
def test_every_answer_carries_the_security_headers(api, path):
    headers = api.get(path).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert "Server" not in headers
    assert not [name for name, _ in headers if name.startswith("Access-Control-")]


def test_sane_request_id_is_kept(api):
    assert api.get("/healthz", headers={"X-Request-Id": "abc-1.2_3"}).headers["X-Request-Id"] == "abc-1.2_3"


@pytest.mark.parametrize("given", ["", "a b", "x" * 129, "<script>", "käse", 'a"b'])
def test_other_request_id_is_replaced(api, given):
    answered = api.get("/healthz", headers={"X-Request-Id": given}).headers["X-Request-Id"]
    assert answered != given
    assert answered.isalnum()


def test_tenant_comes_from_the_header_and_is_default_without(api, ship):
    assert api.get("/api/v1/workflows", headers={"X-Tenant-ID": "default"}).json[0]["id"] == "ship"
    assert api.get("/api/v1/workflows", headers={"X-Tenant-ID": ""}).json[0]["id"] == "ship"
    assert api.get("/api/v1/workflows", headers={"X-Tenant-ID": "acme"}).json == []


@pytest.mark.parametrize("value", ["a,b", "a b", "a:b", "{a}", "../a", "x" * 65, "-a", "käse", "a*"])
@pytest.mark.parametrize("header", ["X-Tenant-ID", "X-Principal-Id"])
def test_unusable_identity_is_400_with_its_place(api, header, value):
    if header == "X-Principal-Id":
        value = {"a:b": ":a", "x" * 65: "x" * 129}.get(value, value)
    refused = api.get("/api/v1/workflows", headers={header: value})
    assert (refused.status_code, refused.json["code"]) == (400, "header_invalid")
    assert refused.json["errors"][0]["path"] == f"/headers/{header}"


def test_identity_given_twice_is_refused(api):
    for header in ("X-Tenant-ID", "X-Principal-Id"):
        refused = api.get("/api/v1/workflows", headers=[(header, "a"), (header, "a")])
        assert (refused.status_code, refused.json["code"]) == (400, "header_invalid")


def test_run_is_submitted_by_the_person_in_the_header(api, ship):
    started = api.post("/api/v1/workflows/ship/runs", json={}, headers={"X-Principal-Id": "alice@example.org"})
    assert started.json["created_by"] == "alice@example.org"
    assert api.post("/api/v1/workflows/ship/runs", json={}).json["created_by"] == "anonymous"


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8081", "127.0.0.1.evil.example", "192.0.2.1", "[::2]"])
def test_without_keys_a_name_that_is_not_this_machines_is_not_answered(api, engine, host):
    """DNS rebinding: the page's own name leads to us, and a browser takes us for its origin."""
    asked = {"Host": host, "Origin": f"http://{host}"}
    refused = api.get("/api/v1/workflows", headers=asked)
    assert (refused.status_code, refused.json["code"]) == (403, "host_not_local")
    assert api.get("/healthz", headers=asked).status_code == 200
    key = headers(engine, "default", "ann")
    assert api.get("/api/v1/workflows", headers=asked | key).status_code == 200


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:8081", "127.0.0.1:1", "[::1]:8081", "127.9.9.9", "a.localhost"]
)
def test_names_of_this_machine_are_answered(api, host):
    assert api.get("/api/v1/workflows", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://localhost:9", "http://[::1"])
def test_change_sent_by_a_foreign_page_is_refused(api, run_id, origin):
    refused = api.post(f"/api/v1/workflow-runs/{run_id}/cancel", headers={"Origin": origin})
    assert (refused.status_code, refused.json["code"]) == (403, "cross_origin")
    assert api.get(f"/api/v1/workflow-runs/{run_id}").json["status"] == "waiting"


def test_change_sent_by_our_own_page_is_taken(api, run_id):
    own = {"Origin": "http://localhost"}
    assert api.post(f"/api/v1/workflow-runs/{run_id}/cancel", headers=own).status_code == 204
