"""Each guard is there for something: without it a scenario breaks a promise."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cordum.store.scripts import Library, Script
from tests.proof import guards
from tests.proof.explorer.laboratory import SCENARIOS, Laboratory
from tests.proof.guards import GUARDS, Row, catch, unmarked_refusals
from tests.proof.planted import Guard

pytestmark = [pytest.mark.proof, pytest.mark.timeout(1800)]

LIBRARY = Library()


@pytest.fixture(scope="module")
def caught(lab: Laboratory, long_form: bool) -> Callable[[Guard], Row]:
    """Looks for what catches the absence of a guard, once."""
    known: dict[Guard, Row] = {}

    def look(guard: Guard) -> Row:
        if guard not in known:
            meant, others = (300_000, 100_000) if long_form else (30_000, 4_000)
            known[guard] = catch(lab, guard, meant=meant, others=others)
        return known[guard]

    return look


@pytest.mark.parametrize("script", LIBRARY.scripts.values(), ids=LIBRARY.scripts)
def test_every_refusal_is_marked_as_a_guard(script: Script) -> None:
    assert list(unmarked_refusals(script)) == []


def test_an_unmarked_refusal_is_noticed() -> None:
    ring = LIBRARY["ring"]
    bare = Script(**{**vars(ring), "source": ring.source.replace(" -- guard: one_pending", "")})
    assert list(unmarked_refusals(bare)) == ["if redis.call('LLEN', k_coordinator) > 0 then return {'WAITING'} end"]


def test_what_scenarios_are_there_for_exists() -> None:
    named = {guard for listed in SCENARIOS.values() for guard in listed.guards}
    assert named <= {".".join(guard) for guard in GUARDS}


@pytest.mark.parametrize("guard", GUARDS, ids=".".join)
def test_without_it_a_promise_is_broken(guard: Guard, caught: Callable[[Guard], Row]) -> None:
    assert caught(guard).scenario is not None


def test_the_table_of_guards(
    caught: Callable[[Guard], Row], request: pytest.FixtureRequest, show: Callable[[str], None]
) -> None:
    rows = [caught(guard) for guard in GUARDS]
    path = request.config.getoption("--guards-json")
    if path is not None:
        guards.write(rows, Path(path))
    show("\n".join(map(str, rows)))
    assert [row for row in rows if row.scenario is None] == []
