"""What the API answers in a second: that every request is counted, and a wrong answer makes the figure void."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from cordum.bench import http_api, measure_http, triage
from cordum.cli import main
from cordum.errors import Unavailable


def test_submissions_and_looks_are_measured_and_told() -> None:
    answered = CliRunner().invoke(main, ["bench", "http", "--requests", "100", "--json"])
    assert answered.exit_code == 0, answered.output
    submitted, looked = json.loads(answered.stdout)
    assert (submitted["what"], looked["what"]) == ("submit", "get run")
    for one in (submitted, looked):
        assert one["requests"] == 100
        assert 0 < one["p50_ms"] <= one["p99_ms"]
        assert one["per_sec"] > 0


def test_a_refusal_makes_it_void(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_api, "_START", f"/api/v1/workflows/{triage.WORKFLOW_ID}_unknown/runs")
    with pytest.raises(Unavailable, match="to submit"):
        measure_http(100)
