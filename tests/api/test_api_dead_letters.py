from __future__ import annotations

import pytest


@pytest.fixture
def job_id(engine, api) -> str:
    """The only dead letter: of a step that policy denied."""
    engine.publish_policy(b'version: "1"\ndefault_decision: deny\n', "test")
    api.post("/api/v1/workflows", json={"id": "denied", "steps": {"a": {"topic": "job.a"}}})
    run = api.post("/api/v1/workflows/denied/runs", json={}).json
    engine.coordinate()
    return f"{run['run_id']}:a@1"


@pytest.mark.parametrize("path", ["/api/v1/dlq", "/api/v1/dlq/page"])
def test_dead_letter_is_listed_under_its_job_id(api, job_id, path):
    listed = api.get(path).json
    assert [item["job_id"] for item in listed["items"]] == [job_id]
    assert listed["items"][0]["reason_code"] == "safety_denied"
    assert listed["next_cursor"] is None


def test_other_tenant_sees_no_dead_letter(api, job_id):
    assert api.get("/api/v1/dlq", headers={"X-Tenant-ID": "other"}).json["items"] == []
