"""Decisions are measured as they are made; how fast is for a quiet machine to say."""

from __future__ import annotations

import json

from click.testing import CliRunner

from cordum.bench import Decided, measure_decisions
from cordum.bench.decisions import _policy, _requests
from cordum.cli.bench import bench


def test_every_size_is_measured_with_topics_of_their_own_and_shared() -> None:
    found = list(measure_decisions(100))
    assert [(one.rules, one.topics) for one in found] == [
        (size, topics) for size in (10, 100, 1000) for topics in ("own", "shared")
    ]
    assert all(0 < one.p50_us <= one.p99_us for one in found)


def test_what_is_asked_meets_the_first_rule_the_last_and_none() -> None:
    for shared in (False, True):
        policy = _policy(100, shared)
        met = [policy.decide(request).rule_id for request in _requests(100, shared)]
        assert (met[0], met[-2], met[-1]) == ("rule-0", "rule-99", None)


def test_over_the_budget_is_exit_code_1(monkeypatch) -> None:
    slow = [Decided(1000, "shared", 100, 900.0, 1001.0)]
    monkeypatch.setattr("cordum.bench.measure_decisions", lambda decisions: slow)
    result = CliRunner().invoke(bench, ["policy", "--json"])
    assert result.exit_code == 1
    assert json.loads(result.stdout)[0]["within_budget"] is False
