"""`cordum bench language`: what it measures is what it says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from cordum.bench import Language, language
from cordum.bench.language import Figure
from cordum.cli import main
from cordum.domain.definition import load_workflow

RESULTS = Path(__file__).parents[1] / "benchmarks" / "results" / "language.json"


def test_the_large_definition_is_valid_and_large() -> None:
    data = language.definition(language.STEPS)
    assert len(load_workflow(data, "yaml").steps) == 1000
    assert len(data) > 200_000


def test_the_documents_to_be_refused_are_documents_all_the_same() -> None:
    language._parse(language.flat(10_000))
    language._parse(language.nested(300))
    with pytest.raises(AssertionError):
        language._refuse(b"a: 1")


def figure(value: float) -> Figure:
    return Figure("x", "s", value, 0.5, (value,))


@pytest.mark.parametrize(("value", "code"), [(0.5, 0), (0.6, 1)])
def test_a_figure_over_its_budget_fails_the_command(monkeypatch: pytest.MonkeyPatch, value: float, code: int) -> None:
    monkeypatch.setattr("cordum.bench.measure_language", lambda: Language((figure(value),)))
    answered = CliRunner().invoke(main, ["bench", "language", "--json"])
    assert answered.exit_code == code
    assert json.loads(answered.stdout)["within_budget"] is (code == 0)
    assert ("over" in CliRunner().invoke(main, ["bench", "language"]).stdout) is (code == 1)


def test_the_figures_that_are_kept_were_within_their_budgets() -> None:
    kept = json.loads(RESULTS.read_text())
    assert {one["budget"] for one in kept["figures"]} == {0.5, 1.0, 0.1}
    assert kept["within_budget"]
