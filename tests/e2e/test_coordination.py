"""Runs go on with any number of beats, with two coordinators, and with no beat at all."""

from __future__ import annotations

from functools import partial

import pytest

from cordum.execution.roles import coordinator_argv
from tests.cells import Cell, eventually
from tests.e2e.topics import TOPICS

CHAIN = (
    "a: {topic: job.sre.classify}, b: {topic: job.sre.logs, depends_on: [a]}, "
    "c: {topic: job.sre.metrics, depends_on: [b]}"
)
FEW = 5


def _all_end_once(cell: Cell) -> None:
    runs = [cell.start(CHAIN) for _ in range(FEW)]
    for run_id in runs:
        run = eventually(partial(cell.ended_now, run_id), f"a run's end\n{cell.logs()}")
        assert run["status"] == "succeeded"
        assert cell.events(run_id).count("run.succeeded") == 1
    assert sorted(cell.executed()) == sorted(f"{run_id}:{step}@1" for run_id in runs for step in "abc")


@pytest.mark.parametrize(
    ("embedded", "separate"), [(1, 0), (0, 1), (1, 2), (0, 0)], ids=["embedded", "separate", "three-beats", "none"]
)
def test_finished_steps_release_their_successors(cell: Cell, embedded: int, separate: int) -> None:
    cell.worker(*TOPICS)
    cell.coordinator(beat=bool(embedded))
    for _ in range(separate):
        cell.beat()
    _all_end_once(cell)


def test_two_coordinators_do_no_harm(cell: Cell) -> None:
    cell.worker(*TOPICS, concurrency=4)
    cell.coordinator()
    cell.celery(*coordinator_argv(name="coordinator-2"))
    _all_end_once(cell)


def test_time_alone_moves_a_run_with_a_separate_beat(cell: Cell) -> None:
    cell.coordinator(beat=False)
    cell.beat()
    run_id = cell.start("a: {topic: job.sre.classify, queue_timeout_sec: 0.5}")
    run = eventually(lambda: cell.ended_now(run_id), f"the queue time-out\n{cell.logs()}")
    assert run["status"] == "timed_out"
