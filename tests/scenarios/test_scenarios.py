"""Every scenario file of this directory, on the real engine: the conformance set of the planner and its scripts."""

from __future__ import annotations

from pathlib import Path

import pytest

from cordum.redis_address import RedisAddress
from cordum.testing import Scenario, load_scenarios, run_scenario

SCENARIOS = [scenario for file in sorted(Path(__file__).parent.glob("*.yaml")) for scenario in load_scenarios(file)]

# What this version does not have, and the scenarios that need it. When a feature comes its row fails, and goes.
NOT_YET: dict[str, tuple[str, ...]] = {
    '"condition"': (
        "cond-01-true",
        "cond-03-condition-without-expression",
        "cond-05-undefined-name-is-null-falsy",
        "tr-09-innocent-words-allowed",
        "tr-11-modulo-on-json-number",
        "rr-05-rerun-does-not-leak-later-context",
    ),
    '"delay"': ("dl-01-seconds", "dl-03-invalid"),
    '"for_each"': (
        "fe-01-two-items",
        "fe-03-null-is-empty",
        "fe-06-over-limit",
        "fe-08-child-fails-cancels-siblings",
        "fe-11-child-retry-no-double-dispatch",
        "err-12-fan-timeout-activates-handler",
    ),
    '"input_schema"': ("ap-01-approve", "bd-12-input-schema-violation", "tr-12-required-template-nil"),
    '"loop"': (
        "lp-01-fixed",
        "lp-03-while",
        "lp-05-max-exceeded",
        "lp-07-until-previous-output",
        "lp-10-bad-config",
    ),
    '"output_schema"': ("tr-14-output-schema-violation",),
    "operation 'rerun'": ("rr-01-rerun-from-step", "rr-03-rerun-unknown-step"),
    '"storage"': ("st-01-write-read", "st-03-read-missing", "st-05-unknown-op-and-missing-key"),
    '"subworkflow"': (
        "sb-01-success-default-output",
        "sb-03-input-mapping",
        "sb-05-circular",
        "sb-07-unknown-child",
    ),
    '"switch"': ("sw-01-match", "sw-03-no-match-no-default", "sw-05-unknown-target", "sw-07-join-after-switch"),
    '"transform"': ("tr-01-types", "tr-06-operators"),
}
MISSING = {name: feature for feature, names in NOT_YET.items() for name in names}
_SAYS_SO = ("not available in this version", "this version of cordum has no")


def _named(scenario: Scenario) -> str:
    return scenario.name


@pytest.mark.parametrize("scenario", SCENARIOS, ids=_named)
def test_scenario(scenario: Scenario, redis_address: RedisAddress) -> None:
    result = run_scenario(scenario, redis_address)
    missing = MISSING.get(scenario.name)
    if missing is None:
        assert not result.problems
        return
    assert not result.passed, f"{missing} is there now: take the scenario off the table"
    assert any(missing in problem and any(say in problem for say in _SAYS_SO) for problem in result.problems)


def test_names_are_unique_over_all_files() -> None:
    names = [scenario.name for scenario in SCENARIOS]
    assert len(names) == len(set(names))


def test_the_table_of_missing_features_names_scenarios_that_exist() -> None:
    assert MISSING.keys() <= {scenario.name for scenario in SCENARIOS}


def test_workflow_ids_are_unique_so_that_a_failure_is_found_by_either_name() -> None:
    ids = [scenario.workflow["id"] for scenario in SCENARIOS]
    assert len(ids) == len(set(ids))
