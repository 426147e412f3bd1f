"""Limits that an operator may set reach the planner."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from cordum.engine import Caller, Engine
from cordum.redis_address import RedisAddress
from cordum.settings import load_settings
from tests.engine.hands import ALLOW, Hands

FAN = "steps: {fan: {type: transform, for_each: input.items, input: {n: '${item}'}}}"
LEAF = b"id: leaf\nsteps: {}"
NESTED = {
    "outer": "steps: {call: {type: subworkflow, workflow_id: middle}}",
    "middle": "steps: {call: {type: subworkflow, workflow_id: leaf}}",
}


@pytest.fixture
def strict(redis_address: RedisAddress) -> Iterator[Engine]:
    settings = load_settings(env={"CORDUM_MAX_ITEMS": "3", "CORDUM_MAX_SUBWORKFLOW_DEPTH": "1"})
    engine = Engine.connect(settings, redis_address)
    engine.publish_policy(ALLOW, "test")
    yield engine
    engine.close()


def played(engine: Engine, workflow_id: str, input: dict[str, Any]) -> dict[str, Any]:
    run_id = engine.start_run(Caller("default", "alice"), workflow_id, input).run["id"]
    engine.coordinate()
    return engine.run("default", run_id)


@pytest.mark.parametrize(("items", "status"), [(3, "succeeded"), (4, "failed")])
def test_items_of_a_fan_out(strict: Engine, items: int, status: str) -> None:
    run = strict.run("default", Hands(strict).start(FAN, {"items": list(range(items))}))
    assert run["status"] == status
    assert status == "succeeded" or "3 items, these are 4" in run["error"]["message"]


@pytest.mark.parametrize(("workflow_id", "status"), [("middle", "succeeded"), ("outer", "failed")])
def test_depth_of_sub_workflows(strict: Engine, workflow_id: str, status: str) -> None:
    strict.save_workflow("default", LEAF, "yaml")
    for name, definition in NESTED.items():
        strict.save_workflow("default", definition.encode(), "yaml", default_id=name)
    run = played(strict, workflow_id, {})
    assert run["status"] == status
    assert status == "succeeded" or "nest at most 1 deep" in run["error"]["message"]
