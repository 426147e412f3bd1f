"""Fixtures for users' own test suites. Not loaded by itself: say `pytest_plugins = ["cordum.testing.pytest_plugin"]`.

def test_rollout(run_scenario_file):
    run_scenario_file("tests/rollout.yaml")
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cordum.redis_address import RedisAddress
from cordum.testing.play import run_scenario
from cordum.testing.reading import load_scenarios
from cordum.testing.suite import private_redis


@pytest.fixture(scope="session")
def cordum_redis() -> Iterator[RedisAddress]:
    """The address of a Redis for scenarios, one for the whole session."""
    with private_redis() as address:
        yield address


@pytest.fixture
def run_scenario_file(cordum_redis: RedisAddress) -> Callable[[str | Path], None]:
    """Plays every scenario of a file; the test fails with the problems of all that fail."""

    def run(file: str | Path) -> None:
        results = [run_scenario(scenario, cordum_redis) for scenario in load_scenarios(Path(file))]
        wrong = [f"{result.name}: {problem}" for result in results for problem in result.problems]
        if wrong:
            pytest.fail("\n".join(wrong), pytrace=False)

    return run
