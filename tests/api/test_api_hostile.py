"""Bad requests over all routes: always problem+json with a code, never a 5xx, never a page, never a change."""

from __future__ import annotations

import re

import pytest

JOB = "c1-01h00000000000000000000000:gate@1"
IDS = {
    "bulk_id": "bulk-0123456789abcdef0123",
    "workflow_id": "ship",
    "run_id": "c1-01h00000000000000000000000",
    "job_id": JOB,
    "name": "deployed",
    "step": "gate",
    "key_id": "aaaaaaaa",
    "bundle_id": "b",
    "worker_id": "w@h",
    "pool": "gpu",
    "topic": "job.a",
    "schedule_id": "nightly",
    "hook_id": "hook-0",
}

BODIES = {
    "not json": b"not-json",
    "half": b'{"a": ',
    "two documents": b"{} {}",
    "blank": b"   ",
    "deep list": b"[" * 1500,
    "deep object": b'{"a":' * 600 + b"1" + b"}" * 600,
    "65 levels": b"[" * 65 + b"]" * 65,
    "huge number": b'{"a": ' + b"9" * 2000 + b"}",
    "nan": b'{"a": NaN}',
    "infinity": b'{"a": -Infinity}',
    "overflow": b'{"a": 1e999}',
    "twice": b'{"a": 1, "a": 2}',
    "lone surrogate": b'{"a": "\\ud800"}',
    "latin-1": b'{"a": "\xe4"}',
    "utf-16": '{"a": 1}'.encode("utf-16"),
    "bom": b"\xef\xbb\xbf{}",
    "nul": b"{\x00}",
    "comment": b"{/* */}",
    "single quotes": b"{'a': 1}",
    "list": b"[1, 2]",
    "text": b'"text"',
    "number": b"17",
    "null": b"null",
    "operator": b'{"$ne": null}',
    "proto": b'{"__proto__": {"a": 1}}',
    "wrong types": b'{"reason": {"a": []}}',
    "reason is a number": b'{"reason": 1}',
    "reason is null": b'{"reason": null}',
    "reason is true": b'{"reason": true}',
    "unknown field": b'{"reasom": "x"}',
    "key with escapes": b'{"\\u0000\\u202e<script>alert(1)</script>\\n": 1}',
    "many unknown fields": b"{" + b",".join(b'"k%d":1' % number for number in range(400)) + b"}",
}

DEFINITIONS = {
    "tab": b"steps:\n\ta: 1",
    "two documents": b"steps: {}\n---\nsteps: {}\n",
    "python tag": b"steps: !!python/object/apply:os.system [echo]",
    "alias bomb": b"a: &a [x, x]\nb: &b [*a, *a]\nsteps: {}\n",
    "deep": b"[" * 1500,
    "twice": b"steps: {}\nsteps: {}\n",
    "number": b"17",
    "empty": b"",
    "control characters": b"\x00\x01\x02",
    "id with colon": b"id: 'a:b'\nsteps: {}\n",
    "cycle": b"steps:\n  a: {topic: job.a, depends_on: [a]}\n",
    "huge number": b"timeout_sec: " + b"9" * 1500 + b"\nsteps: {}\n",
    "steps is a text": b"steps: abc\n",
}

QUERIES = [
    "limit=0",
    "limit=-1",
    "limit=201",
    "limit=1e9",
    "limit=1_0",
    "limit=%D9%A3",
    "limit=",
    "limit=99999999999999999999999999",
    "limit=1&limit=2",
    "cursor=",
    "cursor=abc",
    "cursor=" + "x" * 1100,
    "cursor=%00",
    "cursor=%ff",
    "unknown=1",
    "limti=1",
    "%00=1",
    "__proto__=1",
    "status=nonsense",
    "workflow_id=a%3Ab",
    "include_resolved=maybe",
    "version=0",
    "version=latest",
    "dry_run=maybe",
    "label=",
]

BAD_IDS = ["%00", "..", "%2e%2e%2f", "a:b", "a%0d%0ab", "{x}", "*", "%ff", "é", "%E2%80%AE", "x" * 300, "-"]


def rules(app, method):
    found = [rule.rule for rule in app.url_map.iter_rules() if method in (rule.methods or ())]
    return [re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule) for rule in found]


def assert_refused(answered, where):
    assert 400 <= answered.status_code < 500, (where, answered.status_code, answered.data[:300])
    assert answered.content_type == "application/problem+json", where
    assert answered.json["code"], where
    assert answered.json["status"] == answered.status_code, where
    assert not re.search(rb"[\x00-\x1f\x7f]", answered.data), where
    assert b"Traceback" not in answered.data, where


def assert_handled(answered, where):
    """Refused, or it was not bad for this route after all."""
    if answered.status_code >= 400:
        assert_refused(answered, where)


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
def test_no_body_breaks_any_route(app, api, ship, body):
    for rule in rules(app, "POST"):
        answered = api.post(rule.format(**IDS), data=body, content_type="application/json")
        assert_handled(answered, rule)


@pytest.mark.parametrize(
    "name", ["not json", "half", "two documents", "blank", "nan", "overflow", "twice", "nul", "bom"]
)
def test_unreadable_input_is_400_and_starts_nothing(api, ship, name):
    refused = api.post("/api/v1/workflows/ship/runs", data=BODIES[name], content_type="application/json")
    assert_refused(refused, name)
    assert refused.status_code == 400
    assert api.get("/api/v1/workflow-runs").json["items"] == []


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("deep list", "too_deep"),
        ("deep object", "too_deep"),
        ("huge number", "number_range"),
        ("nan", "number_not_finite"),
        ("overflow", "number_not_finite"),
        ("twice", "duplicate_key"),
        ("lone surrogate", "text_invalid"),
        ("not json", "json_syntax"),
    ],
)
def test_unreadable_input_says_why(api, ship, name, code):
    refused = api.post("/api/v1/workflows/ship/runs", data=BODIES[name], content_type="application/json")
    assert (refused.status_code, refused.json["code"]) == (400, code)


@pytest.mark.parametrize("name", [name for name in BODIES if "reason" in name or "unknown" in name or "key" in name])
def test_wrong_body_of_a_decision_is_422_with_a_place(api, run_id, name):
    job_id = api.get("/api/v1/approvals").json["items"][0]["job_id"]
    refused = api.post(
        f"/api/v1/approvals/{job_id}/reject",
        data=BODIES[name],
        content_type="application/json",
        headers={"X-Principal-Id": "alice"},
    )
    assert_refused(refused, name)
    assert refused.status_code == 422
    assert all(error["path"].startswith("/") for error in refused.json["errors"])
    assert 1 <= len(refused.json["errors"]) <= 100
    assert api.get("/api/v1/approvals").json["items"][0]["job_id"] == job_id


@pytest.mark.parametrize("media", ["application/yaml", "application/json"])
@pytest.mark.parametrize("text", DEFINITIONS.values(), ids=DEFINITIONS.keys())
def test_bad_definition_is_refused_by_save_and_told_by_validate(api, text, media):
    assert_refused(api.post("/api/v1/workflows", data=text, content_type=media), text)
    told = api.post("/api/v1/workflows/validate", data=text, content_type=media)
    assert (told.status_code, told.json["valid"]) == (200, False)
    assert told.json["errors"]
    assert api.get("/api/v1/workflows").json == []


@pytest.mark.parametrize("query", QUERIES)
def test_no_query_breaks_any_route(app, api, ship, query):
    for method in ("GET", "POST", "PUT", "DELETE"):
        for rule in rules(app, method):
            # Each is unknown or unusable everywhere, so no route may do as asked.
            answered = api.open(
                f"{rule.format(**IDS)}?{query}", method=method, json={} if method in ("POST", "PUT") else None
            )
            assert_refused(answered, rule)
    assert api.get("/api/v1/workflow-runs").json["items"] == []


@pytest.mark.parametrize("bad", BAD_IDS)
def test_what_cannot_be_an_id_is_not_found(app, api, bad):
    for method in ("GET", "POST", "PUT", "DELETE"):
        for rule in rules(app, method):
            if "{" in rule:
                path = rule.format(**dict.fromkeys(IDS, bad))
                answered = api.open(path, method=method, json={} if method in ("POST", "PUT") else None)
                assert_refused(answered, (method, path))


@pytest.mark.parametrize("host", ["", "[::1", "a b", "evil.example", "x" * 2000, "é"])
def test_no_host_breaks_the_application(api, host):
    assert_handled(api.get("/api/v1/workflows", headers={"Host": host}), host)


@pytest.mark.parametrize("value", ["\x00", "é", "x" * 10_000, "'; DROP TABLE", "${jndi:x}", "%0d%0a", "\x7f"])
@pytest.mark.parametrize(
    "name",
    ["X-Tenant-ID", "X-Principal-Id", "X-Request-Id", "Idempotency-Key", "Content-Type", "Content-Encoding", "Origin"],
)
def test_no_header_breaks_a_start(api, ship, name, value):
    headers = {"Content-Type": "application/json", name: value}
    assert_handled(api.post("/api/v1/workflows/ship/runs", data=b"{}", headers=headers), name)
