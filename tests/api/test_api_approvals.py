from __future__ import annotations

import pytest
from flask.testing import FlaskClient

APPROVALS = "/api/v1/approvals"
ALICE = {"X-Principal-Id": "alice"}


@pytest.fixture
def job_id(api: FlaskClient, run_id: str) -> str:
    """An open approval of a run that anonymous started."""
    return str(api.get(APPROVALS).json["items"][0]["job"]["id"])


def test_open_approval_is_listed_and_read(api, job_id):
    assert api.get(APPROVALS).json["next_cursor"] is None
    assert api.get(f"{APPROVALS}/{job_id}").json["job"]["id"] == job_id


def test_named_person_approves_what_anonymous_started(api, job_id, run_id):
    approved = api.post(f"{APPROVALS}/{job_id}/approve", json={"reason": "looks right"}, headers=ALICE)
    assert (approved.status_code, approved.json["job_id"]) == (200, job_id)
    assert "trace_id" in approved.json
    assert api.get(APPROVALS).json["items"] == []
    resolved = api.get(f"{APPROVALS}?include_resolved=true").json["items"]
    assert [item["job"]["id"] for item in resolved] == [job_id]


def test_an_approval_read_alone_shows_what_it_will_do(api, job_id):
    shown = api.get(f"{APPROVALS}/{job_id}").json
    assert (shown["reason"], shown["evidence"]) == ("Ship it", [])
    assert [(one["step_id"], one["topic"]) for one in shown["downstream"]] == [("deploy", "job.deploy")]
    assert "evidence" not in api.get(APPROVALS).json["items"][0]


def test_waiting_times_are_told(api, job_id):
    api.post(f"{APPROVALS}/{job_id}/approve", headers=ALICE)
    found = api.get(f"{APPROVALS}/stats").json
    assert (found["open"], found["outcomes"]) == (0, {"approved": 1})
    assert found["wait_sec"]["max"] >= 0
    assert api.get(f"{APPROVALS}/stats?x=1").status_code == 422


def test_approving_takes_no_body(api, job_id):
    assert api.post(f"{APPROVALS}/{job_id}/approve", headers=ALICE).status_code == 200


def test_the_other_decision_is_a_conflict(api, job_id):
    api.post(f"{APPROVALS}/{job_id}/reject", json={"reason": "too risky"}, headers=ALICE)
    late = api.post(f"{APPROVALS}/{job_id}/approve", headers=ALICE)
    assert (late.status_code, late.json["code"]) == (409, "approval_already_resolved")


def test_submitter_cannot_approve(api, ship):
    api.post("/api/v1/workflows/ship/runs", json={}, headers=ALICE)
    job_id = api.get(APPROVALS).json["items"][0]["job"]["id"]
    refused = api.post(f"{APPROVALS}/{job_id}/approve", headers=ALICE)
    assert (refused.status_code, refused.json["code"]) == (403, "self_approval_denied")


@pytest.mark.parametrize("body", [None, {}, {"reason": ""}, {"reason": "  \n"}])
def test_reject_needs_a_reason(api, job_id, body):
    refused = (
        api.post(f"{APPROVALS}/{job_id}/reject", json=body)
        if body is not None
        else api.post(f"{APPROVALS}/{job_id}/reject")
    )
    assert refused.status_code == 422
    assert [(error["path"], error["code"]) for error in refused.json["errors"]] == [("/reason", "missing_field")]


def test_unknown_field_is_refused_with_the_name_that_was_meant(api, job_id):
    refused = api.post(f"{APPROVALS}/{job_id}/reject", json={"raeson": "x", "reason": "y"})
    assert [(error["path"], error["code"]) for error in refused.json["errors"]] == [("/raeson", "unknown_field")]
    assert "reason" in refused.json["errors"][0]["message"]


def test_overlong_reason_is_refused(api, job_id):
    refused = api.post(f"{APPROVALS}/{job_id}/reject", json={"reason": "x" * 2001})
    assert (refused.status_code, refused.json["errors"][0]["code"]) == (422, "limit_exceeded")


def test_other_tenant_finds_no_approval(api, job_id):
    other = {"X-Tenant-ID": "other", **ALICE}
    assert api.get(f"{APPROVALS}/{job_id}", headers=other).status_code == 404
    assert api.post(f"{APPROVALS}/{job_id}/approve", headers=other).status_code == 404
    assert api.get(APPROVALS, headers=other).json["items"] == []
