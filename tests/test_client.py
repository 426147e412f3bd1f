"""The client against the API it is for: the real application on a real socket, over a real engine."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from cordum.api import serve
from cordum.client import ENDED, ApiError, Client
from cordum.domain.states import RunStatus
from cordum.engine import Engine
from cordum.errors import ConfigurationRefused, Unavailable
from cordum.redis_address import RedisAddress
from cordum.settings import Settings

DEFINITION = """
id: ship
steps:
  gate: {type: approval, input: {approval_reason: Ship it}}
"""


@pytest.fixture
def engine(tmp_path: Path, redis_address: RedisAddress) -> Iterator[Engine]:
    settings = Settings(data_dir=tmp_path, timeouts_file=tmp_path / "none")
    engine = Engine.connect(settings, redis_address)
    engine.publish_policy(b'version: "1"\ndefault_decision: allow\n', "test")
    yield engine
    engine.close()


@pytest.fixture
def url(engine: Engine) -> Iterator[str]:
    with serve(engine, engine.settings, "127.0.0.1", 0) as server:
        yield server.url


@pytest.fixture
def client(url: str) -> Client:
    client = Client(url, principal="bob")
    client.save_workflow(DEFINITION)
    return client


@pytest.fixture
def alice(url: str) -> Client:
    return Client(url, principal="alice")


def test_workflow_is_saved_from_text_bytes_and_mapping(client):
    saved = [client.save_workflow(source) for source in (DEFINITION, DEFINITION.encode())]
    assert saved[0] == saved[1]
    assert client.save_workflow({"id": "other", "steps": {}})["version"] == 1
    assert [one["id"] for one in client.workflows()] == ["other", "ship"]
    assert client.workflow("ship", version=1)["digest"] == saved[0]["digest"]


def test_definition_is_validated_without_saving(client):
    assert client.validate_workflow("steps: {}")["valid"] is True
    told = client.validate_workflow({"id": "bad", "stepz": {}})
    assert told["valid"] is False
    assert [one["id"] for one in client.workflows()] == ["ship"]


def test_refused_definition_raises_with_every_problem(client):
    with pytest.raises(ApiError) as caught:
        client.save_workflow("id: bad\nstepz: {}\n")
    refusal = caught.value
    assert (refusal.http_status, refusal.code, refusal.can_retry) == (422, "definition_invalid", False)
    assert [(problem.path, problem.line) for problem in refusal.problems if problem.path == "/stepz"] == [("/stepz", 2)]
    assert refusal.request_id == refusal.document["request_id"]


def test_run_is_started_once_for_a_key(client):
    started = client.start("ship", {"n": 2**60 + 1}, idempotency_key="k", labels={"team": "sre"})
    assert started["replayed"] is False
    assert client.start("ship", {"n": 2**60 + 1}, idempotency_key="k", labels={"team": "sre"})["replayed"] is True
    run = client.get(started["run_id"])
    assert (run["input"], run["labels"]["team"], run["created_by"]) == ({"n": 2**60 + 1}, "sre", "bob")
    with pytest.raises(ApiError, match="Idempotency-Key") as caught:
        client.start("ship", {"n": 1}, idempotency_key="k", labels={"team": "sre"})
    assert caught.value.code == "idempotency_key_reused"


def test_run_is_waited_for_until_a_person_approves(client, alice):
    run_id = client.start("ship")["run_id"]
    [approval] = alice.approvals()
    assert alice.approval(approval["job_id"])["run_id"] == run_id
    threading.Timer(0.05, alice.approve, (approval["job_id"], "fine")).start()
    assert client.wait(run_id, timeout=30)["status"] == "succeeded"
    assert alice.approvals() == []
    assert [one["decided_by"] for one in alice.approvals(include_resolved=True)] == ["alice"]


def test_rejected_run_is_denied_for_the_reason_given(client, alice):
    run_id = client.start("ship")["run_id"]
    alice.reject(alice.approvals()[0]["job_id"], "not today")
    run = client.wait(run_id, timeout=30)
    assert (run["status"], run["steps"]["gate"]["error"]["message"]) == ("denied", "not today")
    assert [letter["run_id"] for letter in client.dead_letters()] == [run_id]


def test_own_run_cannot_be_approved(client):
    client.start("ship")
    with pytest.raises(ApiError) as caught:
        client.approve(client.approvals()[0]["job_id"])
    assert (caught.value.http_status, caught.value.code) == (403, "self_approval_denied")


def test_cancelled_run_stays_cancelled(client):
    run_id = client.start("ship")["run_id"]
    client.cancel(run_id, "changed my mind")
    client.cancel(run_id)
    assert client.wait(run_id, timeout=30)["status"] == "cancelled"


def test_wait_gives_up_after_its_time(client):
    run_id = client.start("ship")["run_id"]
    with pytest.raises(TimeoutError, match=run_id):
        client.wait(run_id, timeout=0)


def test_lists_go_over_all_pages_up_to_the_limit(client, monkeypatch):
    monkeypatch.setattr("cordum.client._PAGE", 2)
    started = [client.start("ship")["run_id"] for _ in range(5)]
    assert [run["id"] for run in client.runs(limit=None)] == started[::-1]
    assert [run["id"] for run in client.runs(limit=3)] == started[:1:-1]
    assert client.runs(limit=0) == []
    assert client.runs(status="succeeded") == []
    sequence = [event["seq"] for event in client.timeline(started[0])]
    assert sequence == list(range(1, len(sequence) + 1))
    assert len(sequence) > 2


def test_tenants_do_not_see_each_other(client, url):
    run_id = client.start("ship")["run_id"]
    other = Client(url, tenant="other")
    assert (other.workflows(), other.runs(), other.approvals()) == ([], [], [])
    with pytest.raises(ApiError) as caught:
        other.get(run_id)
    assert (caught.value.http_status, caught.value.code) == (404, "not_found")


def test_ids_cannot_lead_to_other_paths(client):
    for trick in ("../workflows", "a/b", "?limit=1", "%2e%2e", "ship\r\nX-Evil: 1", "é"):
        with pytest.raises(ApiError) as caught:
            client.get(trick)
        assert caught.value.http_status == 404


def test_api_that_is_not_there_is_unavailable(engine):
    with serve(engine, engine.settings, "127.0.0.1", 0) as server:
        gone = Client(server.url)
    with pytest.raises(Unavailable, match="no answer") as caught:
        gone.runs()
    assert caught.value.code == "api_unreachable"
    with pytest.raises(TimeoutError):
        gone.wait("any", timeout=0)


@pytest.mark.parametrize("url", ["", "127.0.0.1:8081", "ftp://x", "http://"])
def test_address_of_no_api_is_refused(url):
    with pytest.raises(ConfigurationRefused):
        Client(url)


def test_ended_is_what_the_domain_calls_terminal():
    assert {status.value for status in RunStatus if status.terminal} == ENDED


def test_client_loads_neither_celery_nor_redis_nor_flask():
    code = "import sys, cordum.client; print(*sorted(m for m in sys.modules if m.split('.')[0] in {heavy}))"
    heavy = {"celery", "kombu", "redis", "flask", "marshmallow", "yaml"}
    ran = subprocess.run(
        [sys.executable, "-c", code.format(heavy=heavy)], capture_output=True, text=True, check=True, timeout=60
    )
    assert ran.stdout.strip() == ""
