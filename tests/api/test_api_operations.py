"""Operators' actions over HTTP: what they answer, what they refuse, and that a refusal changes nothing."""

from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient

REASON = {"reason": "the on-call engineer says so"}
WAITS = b"""
id: waits
steps:
  news: {type: signal, name: deployed}
  after: {type: transform, depends_on: [news], input: {said: "${steps.news.output}"}}
"""


def post(api: FlaskClient, run_id: str, path: str, body: Any = None) -> Any:
    return api.post(f"/api/v1/workflow-runs/{run_id}/{path}", json={} if body is None else body)


def read(api: FlaskClient, run_id: str) -> Any:
    return api.get(f"/api/v1/workflow-runs/{run_id}").json


@pytest.fixture
def waiting(api: FlaskClient) -> str:
    """A run that waits for a signal."""
    api.post("/api/v1/workflows", data=WAITS, content_type="application/yaml")
    return str(api.post("/api/v1/workflows/waits/runs", json={}).json["run_id"])


def test_a_paused_run_says_so_and_by_whom(api: FlaskClient, run_id: str) -> None:
    paused = post(api, run_id, "pause", REASON)
    assert (paused.status_code, paused.json["status"]) == (200, "paused")
    assert paused.json["steps"]["deploy"]["wait"]["reason"] == "run_paused"
    assert post(api, run_id, "pause", REASON).json["status"] == "paused"
    assert post(api, run_id, "resume", REASON).json["status"] == "waiting"
    types = [e["type"] for e in api.get(f"/api/v1/workflow-runs/{run_id}/timeline").json]
    assert types.count("run.paused") == 1


def test_a_signal_ends_the_step_that_waits_for_it(api: FlaskClient, waiting: str) -> None:
    assert post(api, waiting, "signals/deployed", {"payload": {"version": 3}}).status_code == 200
    run = read(api, waiting)
    assert run["status"] == "succeeded"
    assert run["steps"]["after"]["output"] == {"said": {"version": 3}}


def test_a_signal_that_comes_first_is_kept(api: FlaskClient) -> None:
    definition = WAITS.replace(
        b"news: {type: signal", b"first: {type: approval}\n  news: {depends_on: [first], type: signal"
    )
    api.post("/api/v1/workflows", data=definition, content_type="application/yaml")
    run_id = api.post("/api/v1/workflows/waits/runs", json={}).json["run_id"]
    post(api, run_id, "signals/deployed", {"payload": 1})
    assert read(api, run_id)["status"] == "waiting"
    post(api, run_id, "steps/first/skip", REASON)
    assert read(api, run_id)["steps"]["news"]["output"] == 1


def test_a_signal_with_a_key_comes_once(api: FlaskClient) -> None:
    twice = b"{id: twice, steps: {one: {type: signal, name: go}, two: {type: signal, name: go, depends_on: [one]}}}"
    api.post("/api/v1/workflows", data=twice, content_type="application/yaml")
    run_id = api.post("/api/v1/workflows/twice/runs", json={}).json["run_id"]
    path = f"/api/v1/workflow-runs/{run_id}/signals/go"
    for _ in range(3):
        assert api.post(path, json={}, headers={"Idempotency-Key": "delivery-1"}).status_code == 200
    steps = read(api, run_id)["steps"]
    assert (steps["one"]["status"], steps["two"]["status"]) == ("succeeded", "waiting")


def test_a_step_ended_by_hand_lets_the_next_begin(api: FlaskClient, run_id: str) -> None:
    done = post(api, run_id, "steps/gate/complete", {**REASON, "output": {"ok": True}})
    assert (done.status_code, done.json["steps"]["gate"]["output"]) == (200, {"ok": True})
    skipped = post(api, run_id, "steps/deploy/skip", REASON).json
    assert (skipped["status"], skipped["steps"]["deploy"]["skip_reason"]) == ("succeeded", "by_hand")


@pytest.mark.parametrize("path", ["pause", "resume", "signals/deployed", "steps/gate/skip"])
def test_an_ended_run_refuses(api: FlaskClient, run_id: str, path: str) -> None:
    api.post(f"/api/v1/workflow-runs/{run_id}/cancel", json={})
    refused = post(api, run_id, path, None if path.startswith("signals") else REASON)
    assert (refused.status_code, refused.json["code"]) == (409, "run_terminal")


def test_only_what_has_failed_is_retried(api: FlaskClient, run_id: str) -> None:
    refused = post(api, run_id, "retry", REASON)
    assert (refused.status_code, refused.json["code"]) == (409, "run_not_retryable")
    api.post(f"/api/v1/workflow-runs/{run_id}/cancel", json={})
    refused = post(api, run_id, "retry", REASON)
    assert (refused.status_code, refused.json["code"]) == (409, "run_not_retryable")
    assert "rerun" in refused.json["detail"]


def test_a_rerun_is_a_new_run_of_the_same_version(api: FlaskClient, run_id: str) -> None:
    assert post(api, run_id, "rerun", REASON).json["code"] == "run_active"
    api.post(f"/api/v1/workflow-runs/{run_id}/cancel", json={})
    again = post(api, run_id, "rerun", REASON)
    assert again.status_code == 200
    assert again.json["run_id"] != run_id
    assert read(api, again.json["run_id"])["rerun_of"] == run_id
    refused = post(api, run_id, "rerun", {**REASON, "from_step": "ghost"})
    assert (refused.status_code, refused.json["code"]) == (422, "unknown_step")
    refused = post(api, run_id, "rerun", {**REASON, "from_step": "deploy"})
    assert (refused.status_code, refused.json["code"]) == (409, "rerun_not_possible")


@pytest.mark.parametrize("path", ["pause", "resume", "retry", "steps/gate/skip", "steps/gate/complete"])
def test_a_reason_is_required(api: FlaskClient, run_id: str, path: str) -> None:
    refused = post(api, run_id, path)
    assert refused.status_code == 422
    assert [(one["path"], one["code"]) for one in refused.json["errors"]] == [("/reason", "missing_field")]


@pytest.mark.parametrize("path", ["pause", "retry", "rerun", "signals/x", "steps/gate/skip"])
def test_another_tenants_run_is_not_there(api: FlaskClient, run_id: str, path: str) -> None:
    body = {} if path.startswith("signals") else REASON
    refused = api.post(f"/api/v1/workflow-runs/{run_id}/{path}", json=body, headers={"X-Tenant-ID": "other"})
    assert (refused.status_code, refused.json["detail"]) == (404, f"there is no run {run_id}")


def test_a_step_that_does_not_exist(api: FlaskClient, run_id: str) -> None:
    assert post(api, run_id, "steps/ghost/skip", REASON).status_code == 404
    assert post(api, run_id, "steps/gate[0]/skip", REASON).status_code == 404


def test_a_signal_by_correlation_needs_no_run(api: FlaskClient) -> None:
    definition = b"{id: order, steps: {paid: {type: signal, name: paid, correlation: '${input.order}'}}}"
    api.post("/api/v1/workflows", data=definition, content_type="application/yaml")
    run_id = api.post("/api/v1/workflows/order/runs", json={"order": "o-7"}).json["run_id"]
    said, key = {"correlation": "o-7", "payload": {"sum": 3}}, {"Idempotency-Key": "d1"}
    first = api.post("/api/v1/signals/paid", json=said, headers=key)
    assert (first.status_code, first.json["delivered_to"], first.json["kept"]) == (200, [run_id], False)
    assert read(api, run_id)["status"] == "succeeded"
    again = api.post("/api/v1/signals/paid", json=said, headers=key)
    assert (again.json, again.headers["Idempotent-Replayed"]) == (first.json, "true")
    other = api.post("/api/v1/signals/paid", json={**said, "payload": 4}, headers=key)
    assert (other.status_code, other.json["code"]) == (422, "idempotency_key_reused")
    assert api.post("/api/v1/signals/paid", json={"correlation": "nobody"}).json["kept"] is True
    missing = api.post("/api/v1/signals/paid", json={"payload": 1})
    assert (missing.status_code, missing.json["errors"][0]["path"]) == (422, "/correlation")
