"""Many runs started together: each begins or is refused for itself."""

from __future__ import annotations

from typing import Any

import pytest

from cordum.engine import Engine
from cordum.errors import Forbidden, NotFound, TooManyRequests, Unprocessable
from cordum.store.connection import Connection
from tests.engine.hands import ALICE, ALLOW, Hands

ONE = """
id: one
input_schema: {type: object, properties: {n: {type: integer}}, required: [n]}
steps: {only: {topic: job.t, input: {n: "${input.n}"}}}
"""


def test_every_input_gets_its_run_in_order(engine: Engine, hands: Hands) -> None:
    engine.save_workflow("default", ONE.encode(), "yaml")
    ids = [str(one) for one in engine.start_runs(ALICE, "one", [{"n": n} for n in range(70)], labels={"a": "b"})]
    assert len(set(ids)) == 70
    shown = [engine.run("default", run_id) for run_id in ids]
    assert [run["steps"]["only"]["input"] for run in shown] == [{"n": n} for n in range(70)]
    assert {(run["created_by"], run["labels"]["a"]) for run in shown} == {(ALICE.person, "b")}


def test_many_runs_take_one_round_trip_for_what_they_are(
    engine: Engine, hands: Hands, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.save_workflow("default", ONE.encode(), "yaml")
    engine.start_run(ALICE, "one", {"n": 0}, show=False)
    sent: list[int] = []
    genuine = Connection._exchange
    monkeypatch.setattr(
        Connection, "_exchange", lambda self, calls, *how: (sent.append(len(calls)), genuine(self, calls, *how))[1]
    )
    engine.start_runs(ALICE, "one", [{"n": n} for n in range(32)])
    assert sent[-2:] == [2, 1]


def test_an_input_that_does_not_fit_keeps_away_its_own_run_only(engine: Engine, hands: Hands) -> None:
    engine.save_workflow("default", ONE.encode(), "yaml")
    first, wrong, last = engine.start_runs(ALICE, "one", [{"n": 1}, {"n": "x"}, {"n": 2}])
    assert isinstance(wrong, Unprocessable)
    assert [engine.run("default", str(one))["input"] for one in (first, last)] == [{"n": 1}, {"n": 2}]


def test_an_unknown_workflow_is_refused_as_a_whole(engine: Engine, hands: Hands) -> None:
    with pytest.raises(NotFound):
        engine.start_runs(ALICE, "nobody-knows", [{}])


RATE = b"""
default_decision: allow
rules:
  - {id: slow, match: {topics: [workflow.start]}, decision: allow, velocity: {max_requests: 2, window_sec: 10}}
"""
DENIED = b"{default_decision: allow, rules: [{id: no, match: {topics: [workflow.start]}, decision: deny}]}"


def test_what_the_policy_refuses_stands_where_its_run_would(engine: Engine, hands: Hands) -> None:
    engine.save_workflow("default", ONE.encode(), "yaml")
    engine.publish_policy(DENIED, "ann")
    assert [type(one) for one in engine.start_runs(ALICE, "one", [{"n": 1}, {"n": 2}])] == [Forbidden, Forbidden]
    engine.publish_policy(RATE, "ann")
    begun = engine.start_runs(ALICE, "one", [{"n": n} for n in range(4)])
    assert [type(one) for one in begun] == [str, str, TooManyRequests, TooManyRequests]


def test_a_policy_that_changes_meanwhile_decides_what_has_not_begun(
    engine: Engine, hands: Hands, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.save_workflow("default", ONE.encode(), "yaml")
    genuine = engine.store.runs.create_alike

    def later(*args: Any) -> Any:
        monkeypatch.setattr(engine.store.runs, "create_alike", genuine)
        engine.publish_policy(ALLOW + b" # another", "ann")
        return genuine(*args)

    monkeypatch.setattr(engine.store.runs, "create_alike", later)
    ids = engine.start_runs(ALICE, "one", [{"n": 1}, {"n": 2}])
    assert [hands.statuses(str(run_id)) for run_id in ids] == [{"only": "queued"}] * 2
