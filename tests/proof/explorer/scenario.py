"""What a scenario says, and the table of all scenarios."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from cordum.domain.limits import Limits
from tests.proof.explorer.actors import Actor

ALLOW = "{version: '1', default_decision: allow, rules: []}"


@dataclass(frozen=True)
class Scenario:
    """A cell at its beginning, and who acts in it.

    `runs` are started before, each of `definition`; `others` are further workflows that are stored, by their ids;
    `workers` have a lease. `input`: of the runs. `faults`: how many deaths and lost replies one course of things may
    have. `straight`: steps that are foreseen follow without a coordinator.
    """

    definition: str
    actors: tuple[Actor, ...]
    runs: tuple[str, ...] = ("r1",)
    others: Mapping[str, str] = field(default_factory=dict)
    input: Mapping[str, Any] = field(default_factory=lambda: {"x": []})
    workers: tuple[str, ...] = ("w1", "w2")
    policy: str | None = ALLOW
    window: int = 32
    limits: Limits = Limits(jitter=False)
    faults: int = 1
    straight: bool = False


@dataclass(frozen=True)
class Listed:
    """A scenario by its name. `guards` are those it is there for: `script.guard`."""

    name: str
    make: Callable[[], Scenario]
    guards: tuple[str, ...] = ()


SCENARIOS: dict[str, Listed] = {}


def scenario(*guards: str) -> Callable[[Callable[[], Scenario]], Callable[[], Scenario]]:
    """Put a scenario into the table; it is named after its function."""

    def put(make: Callable[[], Scenario]) -> Callable[[], Scenario]:
        if make.__name__ in SCENARIOS:
            raise ValueError(f"two scenarios are named {make.__name__}")
        SCENARIOS[make.__name__] = Listed(make.__name__, make, guards)
        return make

    return put
