"""Every workflow in config/workflows, as its scenario file says it runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from cordum.domain.definition import parse_document
from cordum.redis_address import RedisAddress
from cordum.testing import Scenario, load_scenarios, run_scenario

ROOT = Path(__file__).parents[2]
WORKFLOWS = {file.stem: file for file in sorted((ROOT / "config" / "workflows").glob("*.yaml"))}
SCENARIOS = [scenario for file in sorted(Path(__file__).parent.glob("*.yaml")) for scenario in load_scenarios(file)]
# What each is an example of; a workflow that another one calls is played with it.
PURPOSES = {
    "release_notes": "sequential",
    "replica_quorum": "fan-out with n_of_m",
    "incident_triage_parallel": "human-gated",
    "customer_onboarding": "nested",
    "deploy_until_healthy": "loop until healthy",
    "restart_services": "for_each over services",
    "order_payment": "signal",
    "trip_booking": "saga",
}


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_an_example_runs_as_it_says(scenario: Scenario, redis_address: RedisAddress) -> None:
    assert run_scenario(scenario, redis_address).problems == []


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_a_scenario_plays_the_workflows_as_they_are_shipped(scenario: Scenario) -> None:
    for definition in (scenario.workflow, *scenario.workflows):
        file = WORKFLOWS[str(definition["id"])]
        assert definition == parse_document(file.read_bytes(), "yaml").value


def test_every_workflow_has_a_scenario() -> None:
    played = {str(one["id"]) for scenario in SCENARIOS for one in (scenario.workflow, *scenario.workflows)}
    assert played == set(WORKFLOWS)
    assert {str(scenario.workflow["id"]) for scenario in SCENARIOS} == set(PURPOSES)
