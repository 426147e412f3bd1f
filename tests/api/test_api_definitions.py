from __future__ import annotations

import pytest

WORKFLOWS = "/api/v1/workflows"


def save(api, text, headers=None):
    return api.post(WORKFLOWS, data=text, content_type="application/yaml", headers=headers)


@pytest.fixture
def two_versions(api):
    for more in ("", "  b: {depends_on: [a]}\n"):
        save(api, f"id: w\nsteps:\n  a: {{name: A}}\n{more}")


def test_versions_are_a_list_by_pages(api, two_versions):
    first = api.get(f"{WORKFLOWS}/w/versions?limit=1").json
    assert [item["version"] for item in first["items"]] == [2]
    rest = api.get(f"{WORKFLOWS}/w/versions", query_string={"limit": 1, "cursor": first["next_cursor"]}).json
    assert ([item["version"] for item in rest["items"]], rest["next_cursor"]) == ([1], None)
    assert set(rest["items"][0]) == {"id", "version", "digest", "created_at", "latest"}


def test_a_graph_is_data_or_text(api, two_versions):
    drawn = api.get(f"{WORKFLOWS}/w/graph").json
    assert [node["id"] for node in drawn["nodes"]] == ["a", "b"]
    assert drawn["edges"] == [{"from": "a", "to": "b", "kind": "depends_on"}]
    assert [node["id"] for node in api.get(f"{WORKFLOWS}/w/graph?version=1").json["nodes"]] == ["a"]
    text = api.get(f"{WORKFLOWS}/w/graph?format=mermaid")
    assert text.content_type == "text/plain; charset=utf-8"
    assert text.text.startswith("flowchart TD\n")
    refused = api.get(f"{WORKFLOWS}/w/graph?format=svg")
    assert (refused.status_code, refused.json["errors"][0]["code"]) == (422, "invalid_choice")


def test_a_run_s_graph_shows_where_it_stands(api, two_versions):
    run = api.post(f"{WORKFLOWS}/w/runs", json={}).json["run_id"]
    save(api, "id: w\nsteps: {other: {}}")
    drawn = api.get(f"/api/v1/workflow-runs/{run}/graph").json
    assert {node["id"]: node["status"] for node in drawn["nodes"]}["b"] == "pending"
    assert "class s1" not in api.get(f"/api/v1/workflow-runs/{run}/graph?format=mermaid").text
    other = api.get(f"/api/v1/workflow-runs/{run}/graph", headers={"X-Tenant-ID": "other"})
    assert other.status_code == 404


def test_a_deleted_workflow_is_gone(api, two_versions):
    assert api.delete(f"{WORKFLOWS}/w", headers={"X-Tenant-ID": "other"}).status_code == 404
    gone = api.delete(f"{WORKFLOWS}/w")
    assert (gone.status_code, gone.data) == (204, b"")
    for path in ("", "/versions", "/graph", "?version=1"):
        assert api.get(f"{WORKFLOWS}/w{path}").status_code == 404
    assert api.delete(f"{WORKFLOWS}/w").status_code == 404


def test_saving_and_validating_tell_warnings(api):
    text = "id: w\nsteps:\n  s: {type: subworkflow, workflow_id: later}\n"
    wanted = {
        "path": "/steps/s/workflow_id",
        "code": "workflow_not_stored",
        "message": "there is no workflow later yet",
        "line": 3,
        "column": 39,
    }
    told = api.post(f"{WORKFLOWS}/validate", data=text, content_type="application/yaml").json
    assert (told["valid"], told["warnings"]) == (True, [wanted])
    saved = save(api, text)
    assert (saved.status_code, saved.json["warnings"]) == (201, [wanted])


def test_the_save_that_closes_a_cycle_is_refused(api):
    save(api, "id: b\nsteps: {s: {type: subworkflow, workflow_id: a}}\n")
    refused = save(api, "id: a\nsteps: {s: {type: subworkflow, workflow_id: b}}\n")
    assert refused.status_code == 422
    assert [error["code"] for error in refused.json["errors"]] == ["subworkflow_cycle"]
