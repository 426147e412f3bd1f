"""Scenarios: black-box cases of the workflow language, on the real engine with scripted workers and a virtual clock.

`cordum test FILE…` on the command line; here from Python:

    from cordum.testing import load_scenarios, private_redis, run_scenario

    with private_redis() as address:
        for scenario in load_scenarios(Path("tests/rollout.yaml")):
            result = run_scenario(scenario, address)
            assert result.passed, result.problems

Under pytest, `cordum.testing.pytest_plugin` has a fixture that does the same. A scenario needs a Redis of its own,
empty at the beginning; it is left empty. Nothing here runs in production.
"""

from __future__ import annotations

from cordum.testing.play import Result, run_scenario
from cordum.testing.reading import load_scenarios
from cordum.testing.scenario import Scenario
from cordum.testing.suite import private_redis

__all__ = [
    # scenarios
    "load_scenarios",
    "run_scenario",
    # where they run
    "private_redis",
    # values
    "Scenario",
    "Result",
]
