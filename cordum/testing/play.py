"""One scenario from its definitions to a verdict."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from cordum.errors import CordumError
from cordum.redis_address import RedisAddress
from cordum.testing.acting import NotAvailable
from cordum.testing.expectations import check
from cordum.testing.scenario import Scenario
from cordum.testing.world import World


@dataclass(frozen=True, slots=True)
class Result:
    """How a scenario went. `problems` are sentences; `timeline` holds the events of all its runs, in order."""

    name: str
    passed: bool
    problems: list[str]
    timeline: list[dict[str, Any]] = field(repr=False)


def run_scenario(scenario: Scenario, address: RedisAddress) -> Result:
    """Play one scenario on the empty Redis at `address`; ConfigurationRefused when that holds anything."""
    with World(scenario, address) as world:
        problems = _problems(scenario, world)
        return Result(scenario.name, not problems, problems, world.history.events)


def _problems(scenario: Scenario, world: World) -> list[str]:
    try:
        refusal = world.save()
        if "create" in scenario.expect:
            return _refused(refusal, str(scenario.expect["code"]))
        if refusal is not None:
            return [f"the workflow was refused: {line}" for line in _lines(refusal)]
        world.play()
    except NotAvailable as error:
        return [*world.problems, str(error)]
    except CordumError as error:
        return [*world.problems, *_lines(error)]
    return world.problems + check(scenario.expect, world.evidence())


def _refused(refusal: CordumError | None, code: str) -> list[str]:
    """What is wrong when a definition should have been refused with `code`."""
    if refusal is None:
        return ["the workflow was accepted, it should have been refused"]
    if code in {problem.code for problem in refusal.problems}:
        return []
    return [f"the workflow was refused, but not with {code}: {line}" for line in _lines(refusal)]


def _lines(error: CordumError) -> list[str]:
    """Without lines and columns: the text that was saved is not the one the author wrote."""
    return [str(replace(problem, line=None)) for problem in error.problems] or [f"{error.code}: {error.detail}"]
