from __future__ import annotations

import pytest

WORKFLOWS = "/api/v1/workflows"
DEFINITION = b"id: ship\nsteps:\n  build: {topic: job.build}\n"


@pytest.mark.parametrize("media", ["application/yaml", "application/x-yaml", "text/yaml; charset=utf-8"])
def test_yaml_definition_is_saved_and_read_back(api, media):
    saved = api.post(WORKFLOWS, data=DEFINITION, content_type=media)
    assert saved.status_code == 201
    assert saved.headers["Location"] == f"{WORKFLOWS}/ship"
    assert saved.json["id"] == "ship"
    assert saved.json["version"] == 1
    assert saved.json["created"] is True
    assert saved.json["warnings"] == []
    assert api.get(saved.headers["Location"]).json["digest"] == saved.json["digest"]


def test_json_definition_is_saved(api):
    saved = api.post(WORKFLOWS, json={"id": "ship", "steps": [{"id": "build", "type": "job", "topic": "job.build"}]})
    assert (saved.status_code, saved.json["id"]) == (201, "ship")


def test_same_content_is_the_same_version_and_still_201(api):
    first = api.post(WORKFLOWS, data=DEFINITION, content_type="application/yaml")
    again = api.post(WORKFLOWS, data=DEFINITION, content_type="application/yaml")
    assert again.status_code == 201
    assert again.json == {**first.json, "created": False}


def test_one_version_is_read_by_number(api):
    api.post(WORKFLOWS, data=DEFINITION, content_type="application/yaml")
    api.post(WORKFLOWS, data=DEFINITION + b"  test: {topic: job.test}\n", content_type="application/yaml")
    assert api.get(f"{WORKFLOWS}/ship").json["version"] == 2
    assert api.get(f"{WORKFLOWS}/ship?version=1").json["version"] == 1
    assert api.get(f"{WORKFLOWS}/ship?version=3").status_code == 404


def test_refused_definition_names_every_problem_with_its_place(api):
    refused = api.post(WORKFLOWS, data=b"id: ship\nstepz: {}\nnam: x\n", content_type="application/yaml")
    assert refused.status_code == 422
    assert refused.json["code"] == "definition_invalid"
    assert {(error["path"], error["line"]) for error in refused.json["errors"]} >= {("/stepz", 2), ("/nam", 3)}
    assert api.get(WORKFLOWS).json == []


def test_validate_answers_200_either_way_and_saves_nothing(api):
    good = api.post(f"{WORKFLOWS}/validate", data=DEFINITION, content_type="application/yaml")
    assert (good.status_code, good.json) == (200, {"valid": True, "errors": [], "warnings": []})
    bad = api.post(f"{WORKFLOWS}/validate", json={"steps": {"a": {"topic": "job.a", "depends_on": ["b"]}}})
    assert (bad.status_code, bad.json["valid"]) == (200, False)
    assert [error["code"] for error in bad.json["errors"]] == ["unknown_step"]
    assert api.get(WORKFLOWS).json == []


def test_list_is_a_bare_array_and_the_cursor_is_in_a_header(api):
    for name in ("c", "a", "b"):
        api.post(WORKFLOWS, json={"id": name, "steps": {}})
    first = api.get(f"{WORKFLOWS}?limit=2")
    assert [item["id"] for item in first.json] == ["a", "b"]
    rest = api.get(WORKFLOWS, query_string={"limit": 2, "cursor": first.headers["X-Next-Cursor"]})
    assert [item["id"] for item in rest.json] == ["c"]
    assert "X-Next-Cursor" not in rest.headers


def test_other_tenants_workflow_looks_exactly_like_a_missing_one(api, ship):
    def answer(path):
        refused = api.get(path, headers={"X-Tenant-ID": "other", "X-Request-Id": "same"})
        return refused.status_code, refused.data.replace(b"nothere", b"ship")

    assert answer(f"{WORKFLOWS}/ship") == answer(f"{WORKFLOWS}/nothere")
    assert answer(f"{WORKFLOWS}/ship")[0] == 404
