from __future__ import annotations

import logging

import pytest
from flask import Blueprint

from cordum.api import create_app
from cordum.api.identity import public
from cordum.engine import Engine
from cordum.errors import ConfigurationRefused, NotFound
from cordum.redis_address import RedisAddress

KEYS = {"type", "title", "status", "code", "detail", "error", "errors", "request_id", "retryable"}


@pytest.fixture
def away(settings):
    """The application over a Redis that is not there."""
    engine = Engine.connect(settings, RedisAddress.parse("unix:///nowhere/redis.sock"))
    yield create_app(engine, settings).test_client()
    engine.close()


def raising(engine, settings, error):
    app = create_app(engine, settings)
    routes = Blueprint("raising", __name__)

    @routes.get("/raise")
    @public
    def view():
        raise error

    app.register_blueprint(routes)
    return app.test_client().get("/raise")


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/", 404, "not_found"),
        ("GET", "/console", 404, "not_found"),
        ("GET", "/api/v1/workflows/", 404, "not_found"),
        ("GET", "/api/v1//workflows", 404, "not_found"),
        ("DELETE", "/api/v1/workflows", 405, "method_not_allowed"),
        ("OPTIONS", "/api/v1/workflows", 405, "method_not_allowed"),
        ("TRACE", "/healthz", 405, "method_not_allowed"),
        ("POST", "/api/v1/workflows", 415, "unsupported_media_type"),
    ],
)
def test_framework_errors_are_problem_json(api, method, path, status, code):
    refused = api.open(path, method=method)
    assert refused.content_type == "application/problem+json"
    assert (refused.status_code, refused.json["status"], refused.json["code"]) == (status, status, code)
    assert refused.json.keys() == KEYS
    assert refused.json["error"] == refused.json["detail"]
    assert refused.json["retryable"] is False
    assert refused.json["request_id"] == refused.headers["X-Request-Id"]


def test_405_says_what_is_allowed(api):
    assert api.delete("/api/v1/workflows").headers["Allow"] == "GET, HEAD, POST"


def test_head_is_get_without_body(api, ship):
    answered = api.head("/api/v1/workflows")
    assert (answered.status_code, answered.data) == (200, b"")


def test_oversized_body_is_413_before_anything_else(api, settings):
    big = b"x" * (settings.max_body_bytes + 1)
    for path in ("/api/v1/workflows", "/api/v1/workflows/none/runs", "/nothing/here"):
        refused = api.post(path, data=big, content_type="text/plain", headers={"X-Tenant-ID": "a,b"})
        assert (refused.status_code, refused.json["code"]) == (413, "body_too_large")


def test_body_at_the_limit_is_read(api, ship, settings):
    body = b'{"x":"' + b"y" * (settings.max_body_bytes - 8) + b'"}'
    started = api.post("/api/v1/workflows/ship/runs", data=body, content_type="application/json")
    assert (len(body), started.status_code) == (settings.max_body_bytes, 200)


def test_definition_over_its_own_limit_is_refused(api, settings):
    text = b"steps: {}\ndescription: " + b"x" * settings.max_definition_bytes
    refused = api.post("/api/v1/workflows", data=text, content_type="application/yaml")
    assert [error["code"] for error in refused.json["errors"]] == ["limit_exceeded"]


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "identity, gzip"])
def test_encoded_body_is_415(api, ship, encoding):
    refused = api.post("/api/v1/workflows/ship/runs", json={}, headers={"Content-Encoding": encoding})
    assert (refused.status_code, refused.json["code"]) == (415, "unsupported_content_encoding")


@pytest.mark.parametrize("media", ["text/plain", "application/x-www-form-urlencoded", "text/html", "", "junk"])
def test_wrong_media_type_is_415_and_names_the_right_one(api, ship, media):
    refused = api.post("/api/v1/workflows/ship/runs", data=b"{}", content_type=media)
    assert (refused.status_code, refused.json["code"]) == (415, "unsupported_media_type")
    assert "application/json" in refused.json["detail"]


def test_other_charset_is_415(api, ship):
    refused = api.post("/api/v1/workflows/ship/runs", data="{}", content_type="application/json; charset=utf-16")
    assert refused.status_code == 415


@pytest.mark.parametrize("media", ["application/json", "application/yaml"])
def test_definition_that_is_not_utf8_is_400(api, media):
    refused = api.post("/api/v1/workflows", data=b"\xff\xfe{\x00}\x00", content_type=media)
    assert (refused.status_code, refused.json["code"]) == (400, "text_invalid")


def test_unforeseen_error_is_500_without_its_text_and_logged_with_the_request_id(engine, settings, caplog):
    with caplog.at_level(logging.ERROR):
        failed = raising(engine, settings, ZeroDivisionError("password=hunter2"))
    assert (failed.status_code, failed.json["code"]) == (500, "internal")
    assert failed.content_type == "application/problem+json"
    assert b"hunter2" not in failed.data
    assert failed.json["request_id"] in caplog.text
    assert "hunter2" in caplog.text
    assert failed.headers["X-Content-Type-Options"] == "nosniff"


def test_error_of_our_own_that_is_no_answer_keeps_its_text_inside(engine, settings):
    failed = raising(engine, settings, ConfigurationRefused("secret path"))
    assert (failed.status_code, failed.json["code"]) == (500, "internal")
    assert b"secret path" not in failed.data


def test_error_of_our_own_keeps_its_status_code_and_detail(engine, settings):
    failed = raising(engine, settings, NotFound("there is no run x"))
    assert (failed.status_code, failed.json["code"]) == (404, "not_found")
    assert failed.json["detail"] == "there is no run x"


@pytest.mark.parametrize(
    "path", ["/readyz", "/metrics", "/api/v1/workflows", "/api/v1/workflow-runs", "/api/v1/approvals"]
)
def test_redis_away_is_503_with_retry_after(away, path):
    answered = away.get(path)
    assert answered.status_code == 503
    assert answered.json["retryable"] is True
    assert int(answered.headers["Retry-After"]) >= 1


def test_health_does_not_depend_on_redis(away, api):
    for path in ("/healthz", "/livez"):
        assert (away.get(path).status_code, away.get(path).json) == (200, {"status": "ok"})
    assert (api.get("/readyz").status_code, api.get("/readyz").json) == (200, {"status": "ready"})
