"""Choices are measured as they are made; how fast is for a quiet machine to say."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from cordum.bench import Chosen, measure_choices
from cordum.cli.bench import bench


def test_every_size_is_measured_with_what_may_be_asked() -> None:
    found = list(measure_choices(10))
    assert [one.workers for one in found] == [size for size in (10, 100, 1000) for _ in range(3)]
    assert all(0 < one.p50_us <= one.p99_us for one in found)


def test_over_the_budget_is_exit_code_1(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = [Chosen(1000, "nothing", 100, 900.0, 10_001.0)]
    monkeypatch.setattr("cordum.bench.measure_choices", lambda choices: slow)
    result = CliRunner().invoke(bench, ["routing", "--json"])
    assert result.exit_code == 1
    assert json.loads(result.stdout)[0]["within_budget"] is False
