from __future__ import annotations

import pytest

RUNS = "/api/v1/workflows/ship/runs"


def test_started_run_is_answered_with_its_id_and_place(api, ship):
    started = api.post(RUNS, json={"incident": "INC-1"})
    assert started.status_code == 200
    assert started.json["run_id"] == started.json["id"]
    assert started.headers["Location"] == f"/api/v1/workflow-runs/{started.json['run_id']}"
    assert "Idempotent-Replayed" not in started.headers
    assert api.get(started.headers["Location"]).json["input"] == {"incident": "INC-1"}


def test_input_comes_back_as_it_was_sent(api, ship):
    sent = b'{"n": 9007199254740993, "huge": 123456789012345678901234567890, "e": [], "t": "\\u00e9\\ud83d\\ude00"}'
    started = api.post(RUNS, data=sent, content_type="application/json")
    assert started.json["input"] == {"n": 2**53 + 1, "huge": 123456789012345678901234567890, "e": [], "t": "é😀"}
    assert "é😀".encode() in started.data


def test_same_key_replays_the_first_run(api, ship):
    first = api.post(RUNS, json={"a": 1}, headers={"Idempotency-Key": "k"})
    again = api.post(RUNS, json={"a": 1}, headers={"Idempotency-Key": "k"})
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.json["run_id"] == first.json["run_id"]
    other = api.post(RUNS, json={"a": 2}, headers={"Idempotency-Key": "k"})
    assert (other.status_code, other.json["code"]) == (422, "idempotency_key_reused")


@pytest.mark.parametrize("key", ["", " ", "two words", "k" * 256, "käse", "a\tb"])
def test_unusable_key_is_refused_and_starts_nothing(api, ship, key):
    refused = api.post(RUNS, json={}, headers={"Idempotency-Key": key})
    assert (refused.status_code, refused.json["code"]) == (400, "header_invalid")
    assert refused.json["errors"][0]["path"] == "/headers/Idempotency-Key"
    assert api.get(RUNS).json == []


def test_longest_key_is_taken(api, ship):
    assert api.post(RUNS, json={}, headers={"Idempotency-Key": "k" * 255}).status_code == 200


def test_labels_come_from_the_query(api, ship):
    started = api.post(f"{RUNS}?label=team=sre&label=note=a%3Db", json={})
    assert started.json["labels"] == {"team": "sre", "note": "a=b"}


@pytest.mark.parametrize("query", ["label=x", "label==x", "label=a=1&label=a=2", "label=%00=1", f"label=a={'x' * 257}"])
def test_unusable_label_is_refused(api, ship, query):
    refused = api.post(f"{RUNS}?{query}", json={})
    assert refused.status_code == 422
    assert refused.json["errors"][0]["path"].startswith("/query/label")


def test_missing_body_is_refused_and_the_message_names_the_empty_object(api, ship):
    refused = api.post(RUNS, content_type="application/json")
    assert (refused.status_code, refused.json["code"]) == (400, "json_syntax")
    assert "{}" in refused.json["detail"]


@pytest.mark.parametrize("body", ["[]", "1", '"text"', "null", "true"])
def test_input_that_is_no_object_is_refused(api, ship, body):
    refused = api.post(RUNS, data=body, content_type="application/json")
    assert refused.status_code == 422
    assert [error["code"] for error in refused.json["errors"]] == ["type"]


def test_runs_are_listed_newest_first_over_pages(api, ship):
    ids = [api.post(RUNS, json={}).json["run_id"] for _ in range(3)]
    first = api.get("/api/v1/workflow-runs?limit=2").json
    assert [run["id"] for run in first["items"]] == [ids[2], ids[1]]
    rest = api.get("/api/v1/workflow-runs", query_string={"limit": 2, "cursor": first["next_cursor"]}).json
    assert [run["id"] for run in rest["items"]] == [ids[0]]
    assert rest["next_cursor"] is None


def test_runs_are_filtered_by_status_and_workflow(api, run_id):
    listed = api.get("/api/v1/workflow-runs?status=waiting&workflow_id=ship").json
    assert [run["id"] for run in listed["items"]] == [run_id]
    assert api.get("/api/v1/workflow-runs?status=failed").json["items"] == []
    assert api.get("/api/v1/workflow-runs?workflow_id=other").json["items"] == []


def test_runs_of_a_workflow_and_the_timeline_are_bare_arrays(api, run_id):
    assert [run["id"] for run in api.get(RUNS).json] == [run_id]
    first = api.get(f"/api/v1/workflow-runs/{run_id}/timeline?limit=1")
    assert [event["type"] for event in first.json] == ["run.created"]
    cursor = first.headers["X-Next-Cursor"]
    rest = api.get(f"/api/v1/workflow-runs/{run_id}/timeline", query_string={"cursor": cursor})
    assert rest.json[0]["seq"] == first.json[0]["seq"] + 1


@pytest.mark.parametrize("path", ["/api/v1/workflow-runs/{}/cancel", "/api/v1/workflows/ship/runs/{}/cancel"])
@pytest.mark.parametrize("body", [None, {}, {"reason": "no longer needed"}])
def test_cancel_answers_204_on_both_paths_with_and_without_body(api, run_id, path, body):
    cancelled = api.post(path.format(run_id)) if body is None else api.post(path.format(run_id), json=body)
    assert (cancelled.status_code, cancelled.data) == (204, b"")
    assert api.get(f"/api/v1/workflow-runs/{run_id}").json["status"] == "cancelled"


def test_cancel_under_another_workflow_finds_no_run(api, run_id):
    assert api.post(f"/api/v1/workflows/other/runs/{run_id}/cancel").status_code == 404
    assert api.get(f"/api/v1/workflow-runs/{run_id}").json["status"] == "waiting"


def test_other_tenants_run_cannot_be_read_or_cancelled(api, run_id):
    other = {"X-Tenant-ID": "other"}
    assert api.get(f"/api/v1/workflow-runs/{run_id}", headers=other).status_code == 404
    assert api.get(f"/api/v1/workflow-runs/{run_id}/timeline", headers=other).status_code == 404
    assert api.post(f"/api/v1/workflow-runs/{run_id}/cancel", headers=other).status_code == 404
    assert api.get("/api/v1/workflow-runs", headers=other).json["items"] == []


def test_a_run_is_deleted_once_it_has_ended(api, ship):
    path = f"/api/v1/workflow-runs/{api.post(RUNS, json={}).json['run_id']}"
    refused = api.delete(path)
    assert (refused.status_code, refused.json["code"]) == (409, "run_active")
    api.post(f"{path}/cancel", json={"reason": "not needed"})
    assert api.delete(path).status_code == 204
    assert api.get(path).status_code == 404
    assert api.delete(path).status_code == 404


def test_compensate_is_a_truth_value_and_nothing_like_one(api, ship):
    path = f"/api/v1/workflow-runs/{api.post(RUNS, json={}).json['run_id']}/cancel"
    refused = api.post(path, json={"compensate": "yes"})
    assert (refused.status_code, refused.json["errors"][0]["path"]) == (422, "/compensate")
    assert api.post(path, json={"compensate": True}).status_code == 204


def test_a_bundle_holds_all_of_a_run_and_is_the_same_each_time(api, ship):
    run_id = api.post(RUNS, json={"n": 2**53 + 1}).json["run_id"]
    api.post(f"/api/v1/workflow-runs/{run_id}/cancel", json={"reason": "not needed"})
    first, again = (api.get(f"/api/v1/workflow-runs/{run_id}/bundle") for _ in range(2))
    assert first.data == again.data
    assert first.headers["Content-Disposition"] == f'attachment; filename="{run_id}.bundle.json"'
    assert first.json["format"] == "cordum.bundle/1"
    assert first.json["run"]["input"] == {"n": 2**53 + 1}
    assert first.json["definition"]["id"] == "ship"
    assert first.json["timeline"] == api.get(f"/api/v1/workflow-runs/{run_id}/timeline?limit=200").json
