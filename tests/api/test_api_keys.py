"""Who may ask what, once there is a key."""

from __future__ import annotations

import pytest
from redis import Redis

from cordum.api.identity import access_of
from cordum.client import ApiError, Client
from cordum.domain.roles import Role
from cordum.engine import Engine
from cordum.engine import api_keys as module
from tests.api.keyring import headers
from tests.cells import eventually

LIST = "/api/v1/workflows"


@pytest.fixture
def ann(engine):
    return headers(engine, "acme", "ann")


def refusal(answered):
    return {name: value for name, value in answered.json.items() if name != "request_id"}


def test_without_any_key_none_is_asked_for(api):
    assert api.get(LIST).status_code == 200
    assert api.get(LIST, headers={"X-API-Key": "whatever"}).status_code == 200


def test_with_a_key_made_nobody_is_answered_without(api, ann):
    assert api.get(LIST).status_code == 401
    assert api.get(LIST, headers=ann).status_code == 200
    assert api.get("/healthz").status_code == 200


def test_a_key_may_come_as_a_bearer_token(api, ann):
    for scheme in ("Bearer", "bearer"):
        assert api.get(LIST, headers={"Authorization": f"{scheme} {ann['X-API-Key']}"}).status_code == 200
    both = ann | {"Authorization": f"Bearer {ann['X-API-Key']}"}
    assert api.get(LIST, headers=both).status_code == 200


def test_everything_that_is_no_key_gets_the_very_same_401(api, engine, ann):
    good = ann["X-API-Key"]
    other = headers(engine, "acme", "bob")["X-API-Key"]
    wrong_secret = good[:-1] + ("A" if good[-1] != "A" else "B")
    bad = [
        {},
        {"X-API-Key": ""},
        {"X-API-Key": "changeme"},
        {"X-API-Key": wrong_secret},
        {"X-API-Key": "ck_aaaaaaaa_" + good[12:]},
        {"X-API-Key": good[:12] + other[12:]},
        {"X-API-Key": "käse"},
        {"X-API-Key": good + "é"},
        {"X-API-Key": "x" * 10_240},
        {"X-API-Key": f" {good}x"},
        [("X-API-Key", good), ("X-API-Key", good)],
        {"X-API-Key": good, "Authorization": f"Bearer {other}"},
        {"Authorization": f"Basic {good}"},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer  "},
        {"Authorization": good},
    ]
    answers = [api.get(LIST, headers=one) for one in bad]
    assert {answered.status_code for answered in answers} == {401}
    assert all(refusal(answered) == refusal(answers[0]) for answered in answers)
    assert answers[0].json["code"] == "unauthenticated"
    assert {answered.headers["WWW-Authenticate"] for answered in answers} == {'Bearer realm="cordum"'}


def test_a_body_that_is_too_large_is_refused_before_anybody_is_asked_for_a_key(api, ann):
    assert api.post(LIST, data=b"x" * 5000, content_type="application/yaml").status_code == 413


def test_the_key_says_tenant_and_person(api, engine, ann, ship):
    assert api.get(f"{LIST}/ship", headers=ann).status_code == 404
    saved = api.post(LIST, json={"id": "own", "steps": {"a": {"topic": "job.a"}}}, headers=ann)
    assert saved.status_code == 201
    run = api.post(f"{LIST}/own/runs", json={}, headers=ann | {"X-Principal-Id": "mallory"}).json
    assert (run["tenant"], run["created_by"]) == ("acme", "ann")


@pytest.fixture
def ship(engine):
    engine.save_workflow("default", b"id: ship\nsteps: {a: {topic: job.a}}", "yaml")


@pytest.mark.parametrize("tenant", ["default", "acme2", "a,b", "acme,acme", "{acme}"])
def test_another_tenant_in_the_header_is_403(api, ann, tenant):
    refused = api.get(LIST, headers=ann | {"X-Tenant-ID": tenant})
    assert (refused.status_code, refused.json["code"]) == (403, "tenant_mismatch")


@pytest.mark.parametrize("tenant", ["acme", ""])
def test_the_own_tenant_in_the_header_is_welcome(api, ann, tenant):
    assert api.get(LIST, headers=ann | {"X-Tenant-ID": tenant}).status_code == 200


def test_a_revoked_key_opens_nothing_and_does_not_open_the_door_for_all(api, engine, ann, monkeypatch):
    assert api.get(LIST, headers=ann).status_code == 200
    engine.api_keys.revoke("acme", ann["X-API-Key"][3:11], by="test")
    assert api.get(LIST, headers=ann).status_code == 401
    assert api.get(LIST).status_code == 401


def test_a_key_revoked_elsewhere_is_believed_for_a_second_at_most(api, engine, ann, monkeypatch):
    assert module.BELIEVED_SEC <= 5
    assert api.get(LIST, headers=ann).status_code == 200
    engine.store.api_keys.revoke(ann["X-API-Key"][3:11], "another process")
    monkeypatch.setattr(module, "BELIEVED_SEC", 0.0)
    assert api.get(LIST, headers=ann).status_code == 401


def test_a_key_revoked_by_another_process_opens_nothing_within_five_seconds(server, engine, settings, redis_address):
    """Two processes' worth of engines: one answers, the other revokes; nothing is patched."""
    made = engine.api_keys.create("acme", "ann", Role.VIEWER, by="test")
    other = Engine.connect(settings, redis_address)
    client = Client(server.url, api_key=made["key"])
    assert client.workflows() == []
    other.api_keys.revoke("acme", made["id"], by="test")
    other.close()

    def refused():
        try:
            client.workflows()
        except ApiError as error:
            return error.http_status
        return None

    assert eventually(refused, "the revocation", patience_sec=5) == 401


def test_keys_by_the_thousand_are_told_to_slow_down_and_lock_nobody_out(api, engine, ann):
    statuses = [api.get(LIST, headers={"X-API-Key": f"ck_{number}"}).status_code for number in range(200)]
    assert statuses[:20] == [401] * 20
    assert statuses[-100:].count(429) >= 90
    slow = api.get(LIST)
    assert (slow.status_code, slow.json["code"], slow.json["retryable"]) == (429, "too_many_refusals", True)
    assert int(slow.headers["Retry-After"]) >= 1
    # A good key from the very same address, and anybody from another one.
    assert api.get(LIST, headers=ann).status_code == 200
    new = headers(engine, "acme", "new")
    assert api.get(LIST, headers=new).status_code == 200
    assert api.get(LIST, environ_base={"REMOTE_ADDR": "192.0.2.7"}).status_code == 401
    assert api.get("/healthz").status_code == 200


def test_an_expired_key_opens_nothing(api, engine, ann, redis_address):
    made = engine.api_keys.create("acme", "ann", Role.VIEWER, by="test", expires_in_sec=1)
    with Redis(**redis_address.redis_py_kwargs()) as client:
        client.hset(engine.store.keys.api_key(made["id"]), "expires_at", "1")
    assert api.get(LIST, headers={"X-API-Key": made["key"]}).status_code == 401


def test_an_api_that_others_reach_asks_for_keys_whatever_becomes_of_redis(api, engine, redis_address):
    engine.api_keys.insist()
    with Redis(**redis_address.redis_py_kwargs()) as client:
        client.flushall()
    assert api.get(LIST).status_code == 401


def test_last_use_is_shown(api, engine, ann):
    api.get(LIST, headers=ann)
    assert api.get("/api/v1/api-keys", headers=ann).json["items"][0]["last_used_at"] is not None


def test_what_is_kept_and_shown_opens_nothing(api, engine, ann, redis_address):
    secret = ann["X-API-Key"][12:]
    assert secret not in api.get("/api/v1/api-keys", headers=ann).text
    with Redis(**redis_address.redis_py_kwargs()) as client:
        kept = [client.dump(name) for name in client.keys("*")]
    assert kept
    assert not [data for data in kept if secret.encode() in data]


# --- roles ---


def test_each_route_is_open_to_the_roles_that_include_its_own(app, api, engine):
    keys = {role: headers(engine, "acme", role.value, role) for role in Role}
    for rule in app.url_map.iter_rules():
        access = access_of(app.view_functions[rule.endpoint])
        if access is None or access.role is None:
            continue
        path = f"{rule}".replace("<workflow:workflow_id>", "x").replace("<run:run_id>", "r")
        path = path.replace("<job:job_id>", "r:s@1").replace("<key:key_id>", "aaaaaaaa")
        path = path.replace("<bundle:bundle_id>", "x").replace("<step:name>", "go").replace("<ref:step>", "s")
        path = path.replace("<worker:worker_id>", "w").replace("<pool:pool>", "p").replace("<topic:topic>", "job.a")
        path = path.replace("<schedule:schedule_id>", "x").replace("<hook:hook_id>", "x")
        path = path.replace("<bulk:bulk_id>", "bulk-0123456789abcdef0123")
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            for role, key in keys.items():
                answered = api.open(path, method=method, headers=key)
                refused = answered.status_code == 403 and answered.json["code"] == "role_needed"
                assert refused is not role.includes(access.role), (method, path, role)


def test_a_route_without_a_role_answers_nobody(app, api):
    app.add_url_rule("/undeclared", "undeclared", lambda: "secret")
    assert api.get("/undeclared").status_code == 403


def test_what_is_about_the_whole_cell_takes_an_admin_of_the_admin_tenant(api, engine, ann):
    refused = api.get("/metrics", headers=ann)
    assert (refused.status_code, refused.json["code"]) == (403, "cell_admin_needed")
    root = headers(engine, "default", "root")
    assert api.get("/metrics", headers=root).status_code == 200
    assert api.get("/metrics", headers=headers(engine, "default", "vic", Role.VIEWER)).status_code == 403


def test_nobody_approves_under_a_second_key_what_he_has_submitted(api, engine):
    api.post(LIST, json={"id": "w", "steps": {"g": {"type": "approval"}}}, headers=headers(engine, "t", "ann"))
    run = api.post(f"{LIST}/w/runs", json={}, headers=headers(engine, "t", "ann", Role.OPERATOR)).json
    path = f"/api/v1/approvals/{run['run_id']}:g@1/approve"
    for role in (Role.APPROVER, Role.ADMIN):
        refused = api.post(path, json={}, headers=headers(engine, "t", "ann", role))
        assert (refused.status_code, refused.json["code"]) == (403, "self_approval_denied")
    assert api.post(path, json={}, headers=headers(engine, "t", "bob", Role.APPROVER)).status_code == 200


# --- the routes of keys ---


def test_an_admin_makes_lists_and_revokes_the_keys_of_the_own_tenant(api, engine, ann):
    made = api.post("/api/v1/api-keys", json={"person": "carl", "role": "viewer"}, headers=ann)
    assert (made.status_code, made.json["tenant"], made.json["created_by"]) == (201, "acme", "ann")
    carl = {"X-API-Key": made.json["key"]}
    assert api.get(LIST, headers=carl).status_code == 200
    listed = api.get("/api/v1/api-keys", headers=ann).json["items"]
    assert {one["person"] for one in listed} == {"ann", "carl"}
    assert api.delete(f"/api/v1/api-keys/{made.json['id']}", headers=ann).status_code == 204
    assert api.get(LIST, headers=carl).status_code == 401


def test_keys_of_another_tenant_are_not_there_and_cannot_be_made(api, engine, ann):
    root = headers(engine, "default", "root")
    foreign = root["X-API-Key"][3:11]
    missing = api.delete("/api/v1/api-keys/aaaaaaaa", headers=ann)
    assert (
        refusal(missing)["detail"].replace("aaaaaaaa", foreign)
        == refusal(api.delete(f"/api/v1/api-keys/{foreign}", headers=ann))["detail"]
    )
    for ask in (
        api.get("/api/v1/api-keys?tenant=default", headers=ann),
        api.post("/api/v1/api-keys", json={"tenant": "default", "person": "x", "role": "admin"}, headers=ann),
    ):
        assert (ask.status_code, ask.json["code"]) == (403, "tenant_mismatch")
    assert len(api.get("/api/v1/api-keys?tenant=acme", headers=root).json["items"]) == 1


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, "/person"),
        ({"person": "a b", "role": "viewer"}, "/person"),
        ({"person": "a", "role": "root"}, "/role"),
        ({"person": "a", "role": "viewer", "expires_in_sec": 0}, "/expires_in_sec"),
        ({"person": "a", "role": "viewer", "expires_in_sec": True}, "/expires_in_sec"),
        ({"person": "a", "role": "viewer", "expires_in_sec": 1.5}, "/expires_in_sec"),
        ({"person": "a", "role": "viewer", "tenant": "a:b"}, "/tenant"),
        ({"person": "a", "role": "viewer", "scope": "all"}, "/scope"),
        ({"person": ["a"], "role": {"$ne": None}}, "/person"),
    ],
)
def test_a_key_that_cannot_be_made_is_422_with_the_place(api, body, path):
    refused = api.post("/api/v1/api-keys", json=body)
    assert refused.status_code == 422
    assert path in [one["path"] for one in refused.json["errors"]]
