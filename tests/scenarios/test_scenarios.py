"""Every scenario file of this directory, on the real engine: the conformance set of the planner and its scripts."""

from __future__ import annotations

from pathlib import Path

import pytest

from cordum.redis_address import RedisAddress
from cordum.testing import Scenario, load_scenarios, run_scenario

SCENARIOS = [scenario for file in sorted(Path(__file__).parent.glob("*.yaml")) for scenario in load_scenarios(file)]


def _named(scenario: Scenario) -> str:
    return scenario.name


@pytest.mark.parametrize("scenario", SCENARIOS, ids=_named)
def test_scenario(scenario: Scenario, redis_address: RedisAddress) -> None:
    assert not run_scenario(scenario, redis_address).problems


def test_names_are_unique_over_all_files() -> None:
    names = [scenario.name for scenario in SCENARIOS]
    assert len(names) == len(set(names))


def test_workflow_ids_are_unique_so_that_a_failure_is_found_by_either_name() -> None:
    ids = [scenario.workflow["id"] for scenario in SCENARIOS]
    assert len(ids) == len(set(ids))
