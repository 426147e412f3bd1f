"""The application over a real engine on a real Redis. No coordinator runs: a test that needs one is one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from cordum.api import ApiServer, create_app, serve
from cordum.engine import Engine
from cordum.redis_address import RedisAddress
from cordum.settings import Settings

DEFINITION = b"""
id: ship
steps:
  gate: {type: approval, input: {approval_reason: Ship it}}
  deploy: {topic: job.deploy, depends_on: [gate]}
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path, max_body_bytes=4096, max_definition_bytes=2048, timeouts_file=tmp_path / "none")


@pytest.fixture
def engine(settings: Settings, redis_address: RedisAddress) -> Iterator[Engine]:
    engine = Engine.connect(settings, redis_address)
    engine.publish_policy(b'version: "1"\ndefault_decision: allow\n', "test")
    yield engine
    engine.close()


@pytest.fixture
def app(engine: Engine, settings: Settings) -> Flask:
    return create_app(engine, settings)


@pytest.fixture
def api(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def server(engine: Engine, settings: Settings) -> Iterator[ApiServer]:
    with serve(engine, settings, "127.0.0.1", 0) as server:
        yield server


@pytest.fixture
def ship(api: FlaskClient) -> str:
    """The id of a saved workflow: a gate, then a job."""
    saved = api.post("/api/v1/workflows", data=DEFINITION, content_type="application/yaml")
    return str(saved.json["id"])


@pytest.fixture
def run_id(api: FlaskClient, ship: str) -> str:
    """A run that anonymous started and that waits at its gate."""
    return str(api.post(f"/api/v1/workflows/{ship}/runs", json={}).json["run_id"])
