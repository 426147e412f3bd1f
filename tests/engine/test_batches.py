"""The coordinator takes runs together; none may suffer from another."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from cordum.domain.run import OutcomeClass
from cordum.engine import Engine, Outcome
from cordum.store.connection import Connection
from cordum.store.keys import RunKeys
from cordum.store.runs import CommitReply
from tests.engine.hands import Hands

# Its second step has to be planned: nobody knows beforehand whether it is skipped.
TWO = "{steps: {a: {topic: job.t}, b: {topic: job.u, depends_on: [a], condition: \"steps.a.status == 'succeeded'\"}}}"


def due(hands: Hands, count: int) -> list[str]:
    """Runs whose first step has been recorded, with nobody having looked since."""
    run_ids = [hands.start(TWO) for _ in range(count)]
    for run_id in run_ids:
        assert hands.claim(run_id, "a").word == "CLAIMED"
        done = Outcome(OutcomeClass.SUCCESS, "out")
        assert hands.engine.jobs.record(f"{run_id}:a@1", "job.t", hands.worker.incarnation, "n", done) == "ADVANCE"
    return run_ids


def second_steps(hands: Hands, run_ids: list[str]) -> list[str]:
    return [hands.statuses(run_id)["b"] for run_id in run_ids]


def test_all_runs_that_are_due_are_advanced(engine: Engine, hands: Hands) -> None:
    run_ids = due(hands, 20)
    engine.coordinate()
    assert second_steps(hands, run_ids) == ["queued"] * 20
    assert engine.store.wakeups.take_due(100) == []


def test_a_run_that_cannot_be_read_does_not_keep_the_others_waiting(
    engine: Engine, hands: Hands, caplog: pytest.LogCaptureFixture
) -> None:
    run_ids = due(hands, 5)
    steps = RunKeys.of(run_ids[2]).steps
    engine.store.connection.read(lambda client: client.hset(steps, "a", "nonsense:1"))
    with caplog.at_level(logging.ERROR):
        engine.coordinate()
    others = [run_id for run_id in run_ids if run_id != run_ids[2]]
    assert second_steps(hands, others) == ["queued"] * 4
    assert f"run {run_ids[2]} cannot be advanced" in caplog.text


def test_a_run_that_moved_since_it_was_read_is_looked_at_again(
    engine: Engine, hands: Hands, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_ids = due(hands, 3)
    genuine: Callable[..., list[CommitReply]] = engine.store.runs.apply_all

    def slower(planned: list[tuple[object, object]]) -> list[CommitReply]:
        monkeypatch.undo()
        # Another coordinator is quicker with the first of them.
        engine._core.advance(run_ids[0])
        return genuine(planned)

    monkeypatch.setattr(engine.store.runs, "apply_all", slower)
    engine.coordinate()
    assert second_steps(hands, run_ids) == ["queued"] * 3
    assert hands.events(run_ids[0]).count("step.queued") == 2
    assert engine.store.figures.counters()["commits:conflict"] == 1


def test_a_batch_costs_two_round_trips(engine: Engine, hands: Hands, monkeypatch: pytest.MonkeyPatch) -> None:
    due(hands, 10)
    sent: list[int] = []
    genuine = Connection.run_all

    def counting(self: Connection, calls: list[object]) -> list[list[object]]:
        sent.append(len(calls))
        return genuine(self, calls)

    engine.coordinate()
    due(hands, 10)
    monkeypatch.setattr(Connection, "run_all", counting)
    engine.coordinate()
    assert sent.count(10) == 2
    assert max(sent) == 10


def test_a_coordinator_that_must_leave_calls_the_next_one(
    engine: Engine, hands: Hands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cordum.engine.coordinator._STAY_SEC", 0.0)
    monkeypatch.setattr("cordum.engine.coordinator._BATCH", 16)
    run_ids = due(hands, 20)
    queue = engine.store.keys.coordinator
    engine.store.connection.read(lambda client: client.delete(queue))
    engine.coordinate()  # one batch
    assert 0 < second_steps(hands, run_ids).count("pending") < 20
    assert engine.store.connection.read(lambda client: client.llen(queue)) == 1
    engine.coordinate()
    assert second_steps(hands, run_ids) == ["queued"] * 20


def test_what_becomes_due_right_after_is_advanced_by_the_same_call(
    engine: Engine, hands: Hands, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = due(hands, 1)
    late: list[str] = []

    def pause(seconds: float) -> None:
        if not late:
            late.extend(due(hands, 1))

    monkeypatch.setattr("cordum.engine.coordinator.time.sleep", pause)
    engine.coordinate()
    assert second_steps(hands, first + late) == ["queued", "queued"]
