"""What limits jobs together, over HTTP: who holds, who waits, and a start that comes too soon."""

from __future__ import annotations

import pytest

STEPS = {"a": {"topic": "job.t", "concurrency": {"key": "deploy-${input.env}", "limit": 1}}}
STARTS = b"""
default_decision: allow
rules:
  - id: starts
    match: {topics: [workflow.start]}
    decision: throttle
    velocity: {max_requests: 1, window_sec: 3600}
"""


@pytest.fixture
def runs(api) -> list[str]:
    assert api.post("/api/v1/workflows", json={"id": "wf", "steps": STEPS}).status_code == 201
    started = [api.post("/api/v1/workflows/wf/runs", json={"env": env}).json for env in ("prod", "prod", "dev")]
    return [run["run_id"] for run in started]


def test_holders_and_waiters_are_listed(api, runs):
    listed = api.get("/api/v1/concurrency").json
    found = {item["key"]: item for item in listed["items"]}
    assert found.keys() == {"deploy-prod", "deploy-dev"}
    prod = found["deploy-prod"]
    assert (prod["kind"], prod["limit"], prod["held"], prod["waiting"]) == ("key", 1, 1, 1)
    assert (prod["holders"], prod["waiters"]) == ([f"{runs[0]}:a@1"], [f"{runs[1]}:a@1"])
    assert listed["next_cursor"] is None


def test_they_come_by_pages(api, runs):
    first = api.get("/api/v1/concurrency?limit=1").json
    second = api.get(f"/api/v1/concurrency?limit=1&cursor={first['next_cursor']}").json
    assert {page["items"][0]["key"] for page in (first, second)} == {"deploy-prod", "deploy-dev"}
    last = api.get(f"/api/v1/concurrency?limit=1&cursor={second['next_cursor']}").json
    assert last == {"items": [], "next_cursor": None}


def test_another_tenant_sees_none_of_it(api, runs):
    assert api.get("/api/v1/concurrency", headers={"X-Tenant-ID": "other"}).json["items"] == []


def test_a_run_says_what_it_waits_for(api, runs):
    wait = api.get(f"/api/v1/workflow-runs/{runs[1]}").json["wait"]
    assert (wait["reason"], wait["holders"]) == ("concurrency_key", [f"{runs[0]}:a@1"])
    assert "the concurrency key deploy-prod lets 1 job run at one time" in wait["message"]


def test_a_start_over_the_rate_is_told_when_to_come_again(api, engine, runs):
    engine.publish_policy(STARTS, "test")
    path = "/api/v1/workflows/wf/runs"
    assert api.post(path, json={"env": "x"}, headers={"Idempotency-Key": "k"}).status_code == 200
    refused = api.post(path, json={"env": "x"}, headers={"Idempotency-Key": "k2"})
    assert (refused.status_code, refused.json["code"], refused.json["retryable"]) == (429, "policy_throttled", True)
    assert 3590 <= int(refused.headers["Retry-After"]) <= 3600
    replayed = api.post(path, json={"env": "x"}, headers={"Idempotency-Key": "k"})
    assert (replayed.status_code, replayed.headers["Idempotent-Replayed"]) == (200, "true")
