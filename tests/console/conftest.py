"""The pages over a real engine on a real Redis, and a browser without scripts: it keeps cookies and fills in forms."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from cordum.console import CONSOLE, create_console
from cordum.domain.run import OutcomeClass
from cordum.engine import Caller, Engine, Outcome
from cordum.redis_address import RedisAddress
from cordum.settings import Settings
from tests.engine.hands import Hands

NASTY = "<img src=x onerror=alert(1)>'\"&"
DEFINITION = """
id: ship
name: Ship it
steps:
  build: {topic: job.build}
  gate:
    type: approval
    depends_on: [build]
    input: {approval_reason: "Ship ${steps.build.output.image}?", next_effect: "${input.effect}"}
  deploy: {topic: job.deploy, depends_on: [gate]}
  report: {topic: job.report, depends_on: [deploy]}
"""


class Browser:
    """Follows the rules of a form: what it sends is what the page held."""

    def __init__(self, client: FlaskClient) -> None:
        self.client = client

    def get(self, path: str, **given: Any) -> TestResponse:
        return self.client.get(path, base_url=f"http://localhost{CONSOLE}", buffered=True, **given)

    def post(self, path: str, data: dict[str, str] | None = None, **given: Any) -> TestResponse:
        return self.client.post(path, base_url=f"http://localhost{CONSOLE}", data=data, buffered=True, **given)

    def submit(self, page: str, action: str, **typed: str) -> TestResponse:
        """Load a page and send its form that goes to `action`."""
        token = re.search(r'name="form_token" value="([^"]+)"', self.get(page).text)
        assert token is not None, page
        return self.post(action, {"form_token": token[1], **typed}, headers={"Origin": "http://localhost"})


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path, timeouts_file=tmp_path / "none", allow_anonymous_approval=True)


@pytest.fixture
def engine(settings: Settings, redis_address: RedisAddress) -> Iterator[Engine]:
    engine = Engine.connect(settings, redis_address)
    engine.publish_policy(b'version: "1"\ndefault_decision: allow\n', "test")
    yield engine
    engine.close()


@pytest.fixture
def console(engine: Engine, settings: Settings) -> Flask:
    return create_console(engine, settings)


@pytest.fixture
def browser(console: Flask) -> Browser:
    return Browser(console.test_client())


@pytest.fixture
def waiting(engine: Engine) -> str:
    """The id of a run of alice's, tenant default, that has built and waits at its gate."""
    return start(engine, Caller("default", "alice"))


def start(engine: Engine, caller: Caller) -> str:
    engine.save_workflow(caller.tenant, DEFINITION.encode(), "yaml")
    run_id = str(engine.start_run(caller, "ship", {"effect": NASTY}, labels={"env": NASTY}).run["id"])
    hands = Hands(engine)
    job = f"{run_id}:build@1"
    assert engine.jobs.claim(job, "job.build", 3, hands.worker.incarnation, "n").word == "CLAIMED"
    done = Outcome(OutcomeClass.SUCCESS, {"image": NASTY})
    engine.jobs.record(job, "job.build", hands.worker.incarnation, "n", done)
    engine.coordinate()
    assert engine.run(caller.tenant, run_id)["status"] == "waiting"
    return run_id
