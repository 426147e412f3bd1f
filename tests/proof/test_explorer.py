"""Every scenario, in every order of its calls: no promise is broken, and every promise is put to the test."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from tests.proof.explorer.laboratory import SCENARIOS, Laboratory
from tests.proof.explorer.search import Found
from tests.proof.promises import NUMBERS

pytestmark = [pytest.mark.proof, pytest.mark.timeout(900)]

SHORT, LONG = 4_000, 300_000


@pytest.fixture(scope="module")
def explored(lab: Laboratory, long_form: bool) -> Callable[[str], Found]:
    """Explores a scenario once."""
    known: dict[str, Found] = {}

    def explore(name: str) -> Found:
        if name not in known:
            known[name] = lab.explore(name, most_states=LONG if long_form else SHORT)
        return known[name]

    return explore


@pytest.mark.parametrize("name", SCENARIOS)
def test_in_every_order_every_promise_is_kept(name: str, explored: Callable[[str], Found]) -> None:
    found = explored(name)
    assert found.breach is None, f"\n{found.breach}"
    assert len(SCENARIOS[name].make().actors) >= 3
    assert found.states >= 1_000


def test_every_promise_is_put_to_the_test(explored: Callable[[str], Found], show: Callable[[str], None]) -> None:
    found = {name: explored(name) for name in SCENARIOS}
    show(table(found))
    tested: Counter[str] = Counter()
    for one in found.values():
        tested.update(one.exercised)
    assert len(found) >= 20
    assert [number for number in NUMBERS if not tested[number]] == []


def table(found: dict[str, Found]) -> str:
    """Scenario by promise: how often each was put to the test; a `+` says that there was more to see."""
    width = max(map(len, found))
    lines = [f"{'scenario':{width}} {'states':>9} {'orders':>9} " + " ".join(f"{n:>7}" for n in NUMBERS)]
    for name, one in found.items():
        more = " " if one.whole else "+"
        counts = " ".join(f"{one.exercised[number] or '·':>7}" for number in NUMBERS)
        lines.append(f"{name:{width}} {one.states:>8}{more} {one.orders:>8.2g}{more} {counts}")
    states, orders = sum(one.states for one in found.values()), sum(one.orders for one in found.values())
    return "\n".join([*lines, f"{len(found)} scenarios, {states} distinct states, {orders:.2g} orders"])
