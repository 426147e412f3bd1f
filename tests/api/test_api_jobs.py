"""Single jobs over HTTP: one job through policy, queue, retries and dead letters, without a workflow."""

from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient

from cordum.domain.roles import Role
from cordum.domain.run import Failure, OutcomeClass
from cordum.engine import Engine, Outcome, WorkerInfo
from tests.api.keyring import headers

V1 = "/api/v1"
WORKER = WorkerInfo("w1", "elsewhere", "w1", 1, 8, ("job.a",), 0)
POLICY = b"""
default_decision: allow
rules:
  - {id: never, match: {topics: [job.denied]}, decision: deny, reason: not here}
  - {id: ask, match: {capabilities: [deploy]}, decision: require_approval}
"""


@pytest.fixture(autouse=True)
def governed(engine: Engine) -> None:
    engine.publish_policy(POLICY, "test")
    engine.jobs.register(WORKER)


def submit(api: FlaskClient, key: str | None = None, **asked: Any) -> Any:
    given = {} if key is None else {"Idempotency-Key": key}
    return api.post(f"{V1}/jobs", json={"topic": "job.a", **asked}, headers={"X-Principal-Id": "ann", **given})


def work(engine: Engine, job_id: str, outcome: Outcome) -> Any:
    claim = engine.jobs.claim(job_id, "job.a", 3, WORKER.incarnation, "n")
    assert claim.word == "CLAIMED"
    engine.jobs.record(job_id, "job.a", WORKER.incarnation, "n", outcome)
    engine.coordinate()
    return claim


def test_a_job_is_done_and_shows_its_result(api: FlaskClient, engine: Engine) -> None:
    done = submit(api, input={"x": 2**60 + 1}, labels={"team": "sre"})
    assert (done.status_code, done.json["state"]) == (200, "queued")
    job_id = done.json["job_id"]
    assert done.headers["Location"] == f"{V1}/jobs/{job_id}"
    assert done.json["trace_id"]
    claim = work(engine, job_id, Outcome(OutcomeClass.SUCCESS, {"y": [1]}))
    assert (claim.input, claim.labels) == ({"x": 2**60 + 1}, {"team": "sre"})
    job = api.get(f"{V1}/jobs/{job_id}").json
    shown = ("id", "state", "topic", "tenant", "result", "error", "attempts")
    assert [job[name] for name in shown] == [job_id, "succeeded", "job.a", "default", {"y": [1]}, None, 1]
    run = api.get(f"{V1}/workflow-runs/{job['run_id']}").json
    assert (run["workflow_id"], run["created_by"], run["output"]) == ("sys.job", "ann", {"job": {"y": [1]}})
    bundle = api.get(f"{V1}/workflow-runs/{job['run_id']}/bundle").json
    assert bundle["definition"]["steps"][0]["topic"] == "job.a"


def test_a_failing_job_is_retried_then_a_dead_letter_then_a_job_again(api: FlaskClient, engine: Engine) -> None:
    job_id = submit(api, retry={"max_retries": 1, "initial_backoff_sec": 0, "jitter": 0}).json["job_id"]
    bad = Outcome(OutcomeClass.RETRYABLE, None, Failure("error", "disk full", "OSError"))
    work(engine, job_id, bad)
    second = job_id.replace("@1", "@2")
    assert api.get(f"{V1}/jobs/{job_id}").json["job_id"] in (job_id, second)
    engine.coordinate()
    work(engine, second, bad)
    failed = api.get(f"{V1}/jobs/{job_id}").json
    assert (failed["state"], failed["error"], failed["error_code"]) == ("failed", "disk full", "max_retries_exceeded")
    letter = api.get(f"{V1}/dlq/{second}").json
    assert (letter["topic"], letter["workflow_id"]) == ("job.a", "sys.job")
    assert api.post(f"{V1}/dlq/{second}/retry").json["job_id"] == second
    assert api.get(f"{V1}/jobs/{job_id}").json["state"] == "queued"
    again = api.post(f"{V1}/workflow-runs/{failed['run_id']}/rerun", json={})
    assert again.json["code"] == "run_active"


def test_a_denied_job_is_answered_with_what_became_of_it(api: FlaskClient) -> None:
    denied = submit(api, topic="job.denied")
    assert (denied.status_code, denied.json["state"]) == (200, "denied")
    job_id = denied.json["job_id"]
    (decision,) = api.get(f"{V1}/jobs/{job_id}/decisions").json["items"]
    assert (decision["decision"], decision["rule_id"], decision["reason"]) == ("deny", "never", "not here")
    assert api.get(f"{V1}/dlq/{job_id}").json["reason_code"] == "safety_denied"


def test_a_job_may_need_a_person(api: FlaskClient) -> None:
    asked = submit(api, capability="deploy", risk_tags=["prod"], actor_id="bot", actor_type="service")
    assert asked.json["state"] == "waiting"
    approve = f"{V1}/approvals/{asked.json['job_id']}/approve"
    assert api.post(approve, headers={"X-Principal-Id": "ann"}).json["code"] == "self_approval_denied"
    assert api.post(approve, headers={"X-Principal-Id": "bob"}).status_code == 200
    assert api.get(f"{V1}/jobs/{asked.json['job_id']}").json["state"] == "queued"


def test_without_a_policy_a_job_waits(api: FlaskClient, engine: Engine) -> None:
    engine.store.connection.read(lambda client: client.delete(engine.store.keys.policy))
    asked = submit(api)
    assert (asked.json["state"], asked.json["wait"]["reason"]) == ("pending", "policy_unavailable")
    assert api.get(f"{V1}/jobs/{asked.json['job_id']}").json["attempts"] == 0


@pytest.mark.parametrize("place", ["header", "body", "both"])
def test_a_key_gives_the_same_job(api: FlaskClient, place: str) -> None:
    given = {} if place == "header" else {"idempotency_key": "k"}
    header = None if place == "body" else "k"
    first, again = submit(api, header, **given), submit(api, header, **given)
    assert again.json["job_id"] == first.json["job_id"]
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"
    other = submit(api, header, input={"x": 1}, **given)
    assert (other.status_code, other.json["code"]) == (422, "idempotency_key_reused")
    assert len(api.get(f"{V1}/jobs").json["items"]) == 1


def test_two_different_keys_are_a_mistake(api: FlaskClient) -> None:
    refused = submit(api, "k", idempotency_key="l")
    assert (refused.status_code, refused.json["errors"][0]["path"]) == (422, "/idempotency_key")


def test_what_published_clients_send_is_taken(api: FlaskClient, engine: Engine) -> None:
    said = {
        "prompt": "write a plan",
        "context": {"repo": "x"},
        "adapter_id": "a",
        "memory_id": "run:1",
        "context_mode": "balanced",
        "tenant_id": "default",
        "org_id": "default",
        "team_id": "t",
        "project_id": "p",
        "principal_id": "u",
        "actor_id": "u",
        "actor_type": "human",
        "idempotency_key": "job-1",
        "pack_id": "pack",
        "capability": "summarize",
        "risk_tags": ["pii"],
        "requires": [],
        "labels": {"k": "v"},
        "max_input_tokens": 8000,
        "allow_summarization": True,
        "allow_retrieval": True,
        "tags": ["demo"],
        "max_output_tokens": 1024,
        "max_total_tokens": 4096,
        "deadline_ms": 30000,
        "priority": "interactive",
    }
    answered = submit(api, **said)
    assert answered.status_code == 200, answered.text
    claim = engine.jobs.claim(answered.json["job_id"], "job.a", 3, WORKER.incarnation, "n")
    assert claim.input == {"prompt": "write a plan", "context": {"repo": "x"}}


@pytest.mark.parametrize(
    ("asked", "path", "code"),
    [
        ({"topic": "nonsense"}, "/topic", "id_format"),
        ({"priority": "soon"}, "/priority", "invalid_choice"),
        ({"retry": {"max_retries": -1}}, "/retry/max_retries", "number_range"),
        ({"risk_tags": "prod"}, "/risk_tags", "type"),
        ({"input": [1]}, "/input", "type"),
        ({"deadline_ms": "soon"}, "/deadline_ms", "type"),
        ({"labels": {"a b": "c"}}, "/labels", "type"),
        ({"colour": "red"}, "/colour", "unknown_field"),
    ],
)
def test_what_is_wrong_is_said_at_its_place(api: FlaskClient, asked: dict[str, Any], path: str, code: str) -> None:
    refused = submit(api, **asked)
    assert refused.status_code == 422, refused.text
    assert (refused.json["errors"][0]["path"], refused.json["errors"][0]["code"]) == (path, code)
    assert api.get(f"{V1}/jobs").json["items"] == []


def test_jobs_are_listed_newest_first_and_filtered(api: FlaskClient, engine: Engine) -> None:
    ids = [submit(api, input={"n": n}).json["job_id"] for n in range(3)] + [submit(api, topic="job.b").json["job_id"]]
    listed = api.get(f"{V1}/jobs?limit=3").json
    assert [one["id"] for one in listed["items"]] == ids[:0:-1]
    rest = api.get(f"{V1}/jobs?limit=3&cursor={listed['next_cursor']}").json
    assert [one["id"] for one in rest["items"]] == ids[:1]
    work(engine, ids[0], Outcome(OutcomeClass.SUCCESS, None))
    for query, wanted in (
        ("topic=job.b", ids[3:]),
        ("state=succeeded", ids[:1]),
        ("state=queued&topic=job.b", ids[3:]),
    ):
        assert [one["id"] for one in api.get(f"{V1}/jobs?{query}").json["items"]] == wanted
    assert api.get(f"{V1}/jobs?state=odd").status_code == 422


def test_a_job_is_cancelled_once_and_a_dry_run_cancels_nothing(api: FlaskClient) -> None:
    job_id = submit(api).json["job_id"]
    told = api.post(f"{V1}/jobs/{job_id}/cancel?dry_run=true").json
    assert (told["dry_run"], told["cancel"]) == (True, [job_id])
    assert api.get(f"{V1}/jobs/{job_id}").json["state"] == "queued"
    for _ in range(2):
        done = api.post(f"{V1}/jobs/{job_id}/cancel", json={"reason": "not needed"})
        assert (done.status_code, done.json["id"], done.json["state"]) == (200, job_id, "cancelled")
    (ended,) = api.get(f"{V1}/audit?type=run.cancelled").json["items"]
    assert ended["data"] == {"reason": "not needed"}


def test_a_job_of_a_workflow_is_shown_and_cancelled_as_its_step(api: FlaskClient) -> None:
    steps = {"a": {"topic": "job.a"}, "b": {"topic": "job.b"}}
    api.post(f"{V1}/workflows", json={"id": "wf", "on_failure": "continue_independent", "steps": steps})
    run_id = api.post(f"{V1}/workflows/wf/runs", json={}).json["run_id"]
    assert api.get(f"{V1}/jobs/{run_id}:a@1").json["workflow_id"] == "wf"
    assert api.post(f"{V1}/jobs/{run_id}:a@1/cancel").json["state"] == "cancelled"
    run = api.get(f"{V1}/workflow-runs/{run_id}").json
    assert (run["status"], run["steps"]["b"]["status"]) == ("running", "queued")
    assert api.get(f"{V1}/jobs").json["items"] == []


@pytest.mark.parametrize("missing", ["c1-none:job@1", "{run}:job@2", "{run}:other@1"])
def test_a_job_that_is_not_there(api: FlaskClient, missing: str) -> None:
    job_id = missing.replace("{run}", submit(api).json["run_id"])
    for asked in (api.get(f"{V1}/jobs/{job_id}"), api.post(f"{V1}/jobs/{job_id}/cancel")):
        assert (asked.status_code, asked.json["detail"]) == (404, f"there is no job {job_id}")


def test_nobody_saves_a_workflow_of_that_name(api: FlaskClient) -> None:
    refused = api.post(f"{V1}/workflows", json={"id": "sys.job", "steps": {}})
    assert (refused.status_code, refused.json["errors"][0]["path"]) == (422, "/id")


def test_a_new_topic_is_known_to_workers(api: FlaskClient, engine: Engine) -> None:
    submit(api, topic="job.never.seen")
    assert "job.never.seen" in engine.topics()


def test_submitting_takes_an_operator(api: FlaskClient, engine: Engine) -> None:
    viewer = headers(engine, "default", "vic", Role.VIEWER)
    assert api.post(f"{V1}/jobs", json={}, headers=viewer).json["code"] == "role_needed"
    assert api.get(f"{V1}/jobs", headers=viewer).status_code == 200
