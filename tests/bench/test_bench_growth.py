"""What a run keeps, and how the cost of a step grows: that both are measured, and what is made of the figures."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from cordum.bench import triage
from cordum.bench.growth import Cost, Growth, measure_growth
from cordum.bench.memory import measure_memory
from cordum.bench.player import ME, player, started
from cordum.cli import main


def test_runs_are_played_to_their_ends() -> None:
    with player() as one:
        ids = started(one.engine, triage.WORKFLOW_ID, 20)
        before = one.spent()
        assert one.play(triage.TOPICS, 20) == 80
        assert {one.engine.run(ME.tenant, run_id)["status"] for run_id in ids} == {"succeeded"}
        spent = one.spent().since(before)
    assert min(spent.commands, spent.redis_us, spent.own_us) > 0


def test_what_runs_keep_is_measured() -> None:
    kept = measure_memory(100)
    assert kept.removed_kib < kept.finished_kib
    assert kept.within_budget


def test_every_range_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cordum.bench.growth._STEPS_MEASURED", 8)
    monkeypatch.setattr("cordum.bench.growth.SIZES", {"steps of a run": (2, 4), "children": (2,), "coordinators": (2,)})
    told: list[Cost] = []
    found = measure_growth(1, told.append)
    assert found.costs == tuple(told)
    assert [(cost.range, cost.size) for cost in told] == [
        ("steps of a run", 2),
        ("steps of a run", 4),
        ("children", 2),
        ("runs in flight", 1),
        ("coordinators", 2),
    ]
    assert min(cost.steps for cost in told) >= 8


@pytest.mark.parametrize(("commands", "redis_us", "over"), [(14, 100, []), (16, 100, ["x"]), (10, 400, ["x"])])
def test_what_grows_too_much(commands: float, redis_us: float, over: list[str]) -> None:
    costs = (Cost("x", 1, 8, 10, 100, 100), Cost("x", 10, 8, commands, redis_us, 100), Cost("y", 1, 8, 1, 1, 1))
    assert Growth(costs).over() == over


def test_what_runs_keep_is_told() -> None:
    answered = CliRunner().invoke(main, ["bench", "memory", "--runs", "100", "--json"])
    assert json.loads(answered.stdout)["runs"] == 100
    assert answered.exit_code == 0


def test_what_grows_too_much_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    costs = (Cost("x", 1, 8, 10, 100, 100), Cost("x", 10, 8, 99, 100, 100))
    monkeypatch.setattr("cordum.bench.measure_growth", lambda most_runs, on_cost: Growth(costs))
    answered = CliRunner().invoke(main, ["bench", "growth"])
    assert "grows too much: x" in answered.stderr
    assert answered.exit_code == 1
