"""P12: every route of the application, tried by one tenant on what belongs to another.

Generated from the routes themselves: a route that is added is tried without a word here, and one whose path needs an id
that this file does not know fails.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from cordum.api.identity import access_of
from cordum.domain.roles import Role
from tests.api.keyring import headers

MARK = "unmistakable"
WORKFLOW = f"{MARK}-flow"
DEFINITION = {
    "id": WORKFLOW,
    "steps": {
        "gate": {"type": "approval", "input": {"approval_reason": MARK}},
        "bad": {"topic": "job.bad", "on_error": "gate"},
        "kept": {"topic": "job.kept", "concurrency": {"key": MARK, "limit": 1}},
    },
}
POLICY = b"{default_decision: allow, rules: [{id: no, match: {topics: [job.bad]}, decision: deny}]}"

# What is said to nobody in particular; that another tenant's runs do not hear it, `tests/engine/test_signals.py` shows.
NAMES_NO_OBJECT = {"signals.send"}

# What a request needs besides its path, so that it fails for nothing else than the object.
BODIES = {
    "hooks.create": {"signal": {"name": "go", "correlation": "c"}},
    "signals.send": {"correlation": "c"},
    "schedules.backfill": {"from": "2026-01-01T00:00:00Z", "to": "2026-01-01T00:00:01Z", "reason": "because"},
    **{f"schedules.{name}": {"reason": "because"} for name in ("pause", "resume", "delete")},
    **{f"hooks.{name}": {"reason": "because"} for name in ("rotate", "delete")},
    "approvals.reject": {"reason": "because"},
    "api_keys.create": {"person": "x", "role": "viewer"},
    "dead_letters.retry_many": {"reason": "because", "filter": {}},
    "dead_letters.stop_bulk_retry": {"reason": "because"},
    **{f"operations.{name}": {"reason": "because"} for name in ("pause", "resume", "retry", "skip", "complete")},
}


@pytest.fixture
def owned(engine, api):
    """One of everything, tenant A's: {name in a path: (its id, an id of the same form that nothing has)}."""
    engine.publish_policy(POLICY, "test")
    ann = headers(engine, "tenant-a", "ann", Role.OPERATOR)
    assert api.post("/api/v1/workflows", json=DEFINITION, headers=ann).status_code == 201
    run = api.post(f"/api/v1/workflows/{WORKFLOW}/runs", json={"secret": MARK}, headers=ann).json["run_id"]
    wanted = {"id": f"{MARK}-nightly", "workflow_id": WORKFLOW, "cron": "0 3 * * *"}
    schedule = api.post("/api/v1/schedules", json=wanted, headers=ann).json["id"]
    wanted = {"description": MARK, "start": {"workflow_id": WORKFLOW}}
    hook = api.post("/api/v1/hooks", json=wanted, headers=ann).json["id"]
    wanted = {"filter": {}, "reason": MARK}
    bulk = api.post("/api/v1/dlq/retry", json=wanted, headers=ann).json["id"]
    key = headers(engine, "tenant-a", f"{MARK}-person", Role.VIEWER)["X-API-Key"][3:11]
    return {
        "workflow_id": (WORKFLOW, "no-flow"),
        "run_id": (run, run[:-4] + ("0000" if run[-4:] != "0000" else "1111")),
        "job_id": (f"{run}:gate@1", f"{run}:gate@7"),
        "bulk_id": (bulk, "bulk-" + 20 * "0"),
        "key_id": (key, "aaaaaaaa"),
        "step": ("gate", "no-step"),
        "name": ("go", "no-signal"),
        "hook_id": (hook, "hook-none"),
        "schedule_id": (schedule, "no-schedule"),
    }


@pytest.fixture
def tenant_b(engine):
    return headers(engine, "tenant-b", "bob")


def routes(app) -> Iterator[tuple[str, str, str]]:
    """(endpoint, method, rule) of all that knows a caller."""
    for rule in app.url_map.iter_rules():
        access = access_of(app.view_functions[rule.endpoint])
        if access is not None and access.role is not None and not access.cell:
            for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
                yield rule.endpoint, method, rule.rule


def path_of(rule: str, owned, which: int) -> str:
    return re.sub(r"<(?:\w+:)?(\w+)>", lambda found: owned[found[1]][which], rule)


def asked(api, endpoint, method, path, key):
    body = BODIES.get(endpoint, {}) if method != "GET" else None
    return api.open(path, method=method, headers=key, json=body)


def told(answered, *ids: str) -> tuple[int, str]:
    """Status and body, without the request's id and without the id that was asked for."""
    text = answered.text
    if answered.mimetype.endswith("json"):
        document = answered.json
        if isinstance(document, dict):
            document.pop("request_id", None)
        text = json.dumps(document)
    for one in sorted(ids, key=len, reverse=True):  # a job id holds a run id
        text = text.replace(one, "ID")
    return answered.status_code, text


def test_what_belongs_to_another_tenant_looks_like_what_is_missing(app, api, owned, tenant_b):
    tried = 0
    for endpoint, method, rule in routes(app):
        if "<" not in rule:
            continue
        theirs = asked(api, endpoint, method, path_of(rule, owned, 0), tenant_b)
        missing = asked(api, endpoint, method, path_of(rule, owned, 1), tenant_b)
        seen = told(theirs, *(pair[0] for pair in owned.values()))
        assert seen == told(missing, *(pair[1] for pair in owned.values())), (method, rule)
        assert theirs.status_code in (200, 404), (method, rule, theirs.text)
        if theirs.status_code == 200 and endpoint not in NAMES_NO_OBJECT:
            assert theirs.json in ([], {"items": [], "next_cursor": None}), (method, rule)
        tried += 1
    assert tried >= 11


def test_lists_hold_nothing_of_another_tenant(app, api, owned, tenant_b):
    for endpoint, method, rule in routes(app):
        if method == "GET" and "<" not in rule:
            answered = asked(api, endpoint, method, rule, tenant_b)
            assert answered.status_code == 200, rule
            assert not [one for one, _ in owned.values() if one in answered.text], rule
            assert MARK not in answered.text, rule


def test_nothing_of_the_other_tenant_was_changed(app, api, engine, owned, tenant_b):
    before = engine.run("tenant-a", owned["run_id"][0])
    for endpoint, method, rule in routes(app):
        if method != "GET" and "<" in rule:
            asked(api, endpoint, method, path_of(rule, owned, 0), tenant_b)
    assert engine.run("tenant-a", owned["run_id"][0]) == before
    assert engine.workflow("tenant-a", WORKFLOW)["id"] == WORKFLOW
    assert [key["revoked_at"] for key in engine.api_keys.list("tenant-a")] == [None, None]


def test_a_cursor_of_one_tenant_opens_nothing_for_another(api, engine, owned, tenant_b):
    ann = headers(engine, "tenant-a", "ann", Role.OPERATOR)
    api.post(f"/api/v1/workflows/{WORKFLOW}/runs", json={}, headers=ann)
    cursor = api.get("/api/v1/workflow-runs?limit=1", headers=ann).json["next_cursor"]
    assert api.get(f"/api/v1/workflow-runs?limit=1&cursor={cursor}", headers=ann).status_code == 200
    assert api.get(f"/api/v1/workflow-runs?limit=1&cursor={cursor}", headers=tenant_b).status_code == 422


def test_the_matrix_sees_a_leak(app, api, engine, owned, tenant_b, monkeypatch):
    """The negative control: an engine that forgets to ask whose run it is."""
    monkeypatch.setattr(engine._core, "look_as", lambda tenant, run_id: engine._core.look(run_id))
    monkeypatch.setattr(engine._core, "check_tenant", lambda tenant, run_id: None)
    with pytest.raises(AssertionError, match="workflow-runs"):
        test_what_belongs_to_another_tenant_looks_like_what_is_missing(app, api, owned, tenant_b)
