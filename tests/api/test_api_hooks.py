"""Inbound webhooks: what is signed is carried out once, anything else changes nothing."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from flask.testing import FlaskClient

from cordum.domain.hooks import signature
from cordum.domain.roles import Role
from cordum.engine import Engine
from tests.api.keyring import headers

ORDER = b"{id: order, steps: {paid: {type: signal, name: paid, correlation: '${input.order}'}}}"
START = {"start": {"workflow_id": "ship", "input": {"ref": "${body.id}", "by": "hook"}}}
SIGNAL = {"signal": {"name": "paid", "correlation": "${body.order}", "payload": {"sum": "${body.sum}"}}}


@pytest.fixture
def hook(api: FlaskClient, ship: str) -> dict[str, Any]:
    """A hook of ann's that starts a run."""
    made = api.post("/api/v1/hooks", json=START, headers={"X-Principal-Id": "ann"})
    assert made.status_code == 201, made.json
    return dict(made.json)


def signed(hook: dict[str, Any], body: bytes, name: str | None = None, age_sec: int = 0) -> dict[str, str]:
    timestamp = str(int(time.time()) - age_sec)
    named = {} if name is None else {"X-Cordum-Delivery": name}
    return {
        "X-Cordum-Timestamp": timestamp,
        "X-Cordum-Signature": signature(hook["secret"], timestamp, name, body),
        **named,
    }


def send(api: FlaskClient, hook: dict[str, Any], body: bytes, given: dict[str, str]) -> Any:
    return api.post(hook["path"], data=body, content_type="application/json", headers=given)


def runs(api: FlaskClient) -> list[dict[str, Any]]:
    return list(api.get("/api/v1/workflow-runs").json["items"])


def test_a_delivery_starts_a_run_as_the_person_behind_the_hook(api: FlaskClient, hook: dict[str, Any]) -> None:
    body = b'{"id": [1, 9007199254740993]}'
    done = send(api, hook, body, signed(hook, body))
    assert done.status_code == 200
    run = api.get(f"/api/v1/workflow-runs/{done.json['run_id']}").json
    assert run["input"] == {"ref": [1, 2**53 + 1], "by": "hook"}
    assert (run["created_by"], run["triggered_by"], run["labels"]) == ("ann", hook["id"], {"hook": hook["id"]})
    approve = f"/api/v1/approvals/{run['id']}:gate@1/approve"
    refused = api.post(approve, json={}, headers={"X-Principal-Id": "ann"})
    assert (refused.status_code, refused.json["code"]) == (403, "self_approval_denied")


@pytest.mark.parametrize("name", [None, "d-1"])
def test_the_same_delivery_five_times_does_it_once(api: FlaskClient, hook: dict[str, Any], name: str | None) -> None:
    body = b'{"id": 1}'
    given = signed(hook, body, name)
    answers = [send(api, hook, body, given) for _ in range(5)]
    assert {(one.status_code, one.json["run_id"]) for one in answers} == {(200, answers[0].json["run_id"])}
    assert [one.headers.get("Idempotent-Replayed") for one in answers] == [None] + ["true"] * 4
    assert len(runs(api)) == 1


def test_signed_anew_a_named_delivery_is_still_one(api: FlaskClient, hook: dict[str, Any]) -> None:
    body = b'{"id": 1}'
    for age in (100, 50, 0):
        assert send(api, hook, body, signed(hook, body, "d-1", age)).status_code == 200
    assert len(runs(api)) == 1
    other = send(api, hook, b'{"id": 2}', signed(hook, b'{"id": 2}', "d-1"))
    assert (other.status_code, other.json["code"]) == (409, "delivery_reused")
    assert len(runs(api)) == 1


def test_a_signal_finds_its_run_once(api: FlaskClient) -> None:
    api.post("/api/v1/workflows", data=ORDER, content_type="application/yaml")
    run_id = api.post("/api/v1/workflows/order/runs", json={"order": "o-1"}).json["run_id"]
    hook = api.post("/api/v1/hooks", json=SIGNAL, headers={"X-Principal-Id": "ann"}).json
    body = b'{"order": "o-1", "sum": 3}'
    given = signed(hook, body, "d-1")
    for _ in range(5):
        done = send(api, hook, body, given)
        assert (done.status_code, done.json["delivered_to"]) == (200, [run_id])
    run = api.get(f"/api/v1/workflow-runs/{run_id}").json
    assert (run["status"], run["steps"]["paid"]["output"]) == ("succeeded", {"sum": 3})
    wrong = b'{"order": 7}'
    refused = send(api, hook, wrong, signed(hook, wrong))
    assert (refused.status_code, refused.json["code"]) == (422, "correlation_invalid")


def test_what_its_secret_has_not_signed_is_refused_the_same_way(api: FlaskClient, hook: dict[str, Any]) -> None:
    body = b'{"id": 1}'
    good = signed(hook, body)
    named = signed(hook, body, "d-1")
    wrong = [
        (body, {}),
        (body, {**good, "X-Cordum-Signature": "sha256=" + "0" * 64}),
        (body, {**good, "X-Cordum-Signature": good["X-Cordum-Signature"].removeprefix("sha256=")}),
        (body, {**good, "X-Cordum-Signature": "ü"}),
        (b'{"id": 2}', good),
        (body, {**good, "X-Cordum-Timestamp": str(int(good["X-Cordum-Timestamp"]) + 1)}),
        (body, {**good, "X-Cordum-Delivery": "d-1"}),  # a name that was not signed
        (body, {**named, "X-Cordum-Delivery": "d-2"}),
        (body, signed({**hook, "secret": "another"}, body)),
    ]
    told = {(one.status_code, one.json["code"], one.json["detail"]) for one in (send(api, hook, *w) for w in wrong)}
    stranger = {**hook, "path": "/api/v1/hooks/hook-0000000000000000"}
    missing = send(api, stranger, body, good)
    assert told == {(401, "signature_invalid", missing.json["detail"])}
    assert (missing.status_code, missing.mimetype, runs(api)) == (401, "application/problem+json", [])


@pytest.mark.parametrize("age_sec", [301, 100_000, -302])
def test_what_was_signed_too_long_ago_or_ahead_is_refused(api: FlaskClient, hook: dict[str, Any], age_sec: int) -> None:
    refused = send(api, hook, b"{}", signed(hook, b"{}", age_sec=age_sec))
    assert (refused.status_code, refused.json["code"]) == (401, "timestamp_outside_window")
    assert runs(api) == []


def test_within_the_window_it_is_taken(api: FlaskClient, hook: dict[str, Any]) -> None:
    for age_sec in (295, -295):
        assert send(api, hook, b"{}", signed(hook, b"{}", age_sec=age_sec)).status_code == 200


def test_bodies_that_cannot_be_used_say_why(api: FlaskClient, hook: dict[str, Any]) -> None:
    for body, status in ((b"[]", 422), (b"{", 400), (b'{"x": "' + b"x" * 5000 + b'"}', 413)):
        refused = send(api, hook, body, signed(hook, body))
        assert (refused.status_code, refused.mimetype) == (status, "application/problem+json"), refused.json


def test_the_secret_is_shown_once_and_lies_nowhere(api: FlaskClient, engine: Engine, hook: dict[str, Any]) -> None:
    shown = api.get(f"/api/v1/hooks/{hook['id']}").json
    assert shown == {name: value for name, value in hook.items() if name != "secret"}
    assert api.get("/api/v1/hooks").json["items"] == [shown]
    connection = engine.store.connection
    dump = connection.read(_all)
    assert hook["secret"].removeprefix("whsec_") not in dump


def test_a_hook_that_is_deleted_opens_nothing(api: FlaskClient, hook: dict[str, Any]) -> None:
    assert api.delete(f"/api/v1/hooks/{hook['id']}", json={"reason": "it is over"}).status_code == 204
    assert send(api, hook, b"{}", signed(hook, b"{}")).status_code == 401


def test_a_delivery_needs_no_key_and_its_hook_does(api: FlaskClient, engine: Engine, hook: dict[str, Any]) -> None:
    viewer = headers(engine, "default", "vic", Role.VIEWER)
    assert api.get("/api/v1/hooks").status_code == 401
    assert api.get("/api/v1/hooks", headers=viewer).status_code == 403
    assert send(api, hook, b"{}", signed(hook, b"{}")).status_code == 200


@pytest.mark.parametrize(
    ("wanted", "path"),
    [
        ({}, ""),
        ({**START, **SIGNAL}, ""),
        ({"start": {"workflow_id": "nothing"}}, "/start/workflow_id"),
        ({"start": {"workflow_id": "ship", "inputs": {}}}, "/start/inputs"),
        ({"signal": {"name": "go"}}, "/signal/correlation"),
        ({"signal": {"name": "go", "correlation": "${body."}}, ""),
    ],
)
def test_a_hook_that_could_not_work_is_not_made(api: FlaskClient, ship: str, wanted: Any, path: str) -> None:
    refused = api.post("/api/v1/hooks", json=wanted)
    assert (refused.status_code, refused.json["errors"][0]["path"]) == (422, path)


def _all(client: Any) -> str:
    """Everything in Redis that a hook could be in, as text."""
    found = [client.hgetall(key) for key in client.scan_iter() if client.type(key) == "hash"]
    return json.dumps(found)
