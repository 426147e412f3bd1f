"""What a pool's process and its parent see of several jobs: nothing is begun and taken back, and no result is lost."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import pytest

from cordum.execution.takeoff import board as module
from cordum.execution.takeoff.board import Board
from cordum.execution.takeoff.pace import Pace


@pytest.fixture
def board(monkeypatch: pytest.MonkeyPatch) -> Board:
    monkeypatch.setattr(module, "_own_place", lambda: 1)
    return Board(places=3)


def in_a_process(work: Callable[[], object]) -> None:
    """A child that ends without a word, as one that is killed."""
    pid = os.fork()
    if pid == 0:
        work()
        os._exit(0)
    os.waitpid(pid, 0)


def test_what_is_stopped_never_begins(board: Board) -> None:
    in_a_process(lambda: (board.open(7, 3), board.begin()))
    seen = board.stop(7, time.monotonic())
    assert seen is not None
    assert (seen.begun, seen.ended) == (1, [])
    assert not board.begin()


def test_a_job_that_has_just_begun_stops_nothing(board: Board) -> None:
    board.open(7, 3)
    assert board.stop(7, time.monotonic()) is None
    before = time.monotonic()
    assert board.begin()
    assert board.stop(7, before) is None
    assert board.begin()


def test_another_batch_is_not_touched(board: Board) -> None:
    board.open(7, 2)
    assert board.begin()
    assert board.stop(6, time.monotonic()) is None
    assert board.begin()


def test_results_outlive_their_process(board: Board) -> None:
    in_a_process(
        lambda: (board.open(7, 3), board.begin(), board.end(b"one"), board.begin(), board.end(b""), board.begin())
    )
    seen = board.stop(7, time.monotonic())
    assert seen is not None
    assert (seen.begun, seen.ended) == (3, [b"one", b""])


def test_a_result_without_room_is_said_to_be_one(board: Board) -> None:
    board.open(7, 2)
    assert board.begin()
    assert board.end(b"x" * 1000)
    assert board.begin()
    assert not board.end(b"x" * (1 << 16))
    seen = board.stop(7, time.monotonic())
    assert seen is not None
    assert seen.ended == [b"x" * 1000]


def test_topics_are_short_once_some_of_their_jobs_were() -> None:
    pace = Pace()
    for _ in range(20):
        pace.note("job.long", 0.5)
        pace.note("job.quick", 0.0001)
        pace.note("job.middling", 0.0018)
    pace.note("job.new", 0.0001)
    topics = ("job.long", "job.quick", "job.new", "job.middling", "job.unknown")
    assert pace.short(topics) == ("job.quick", "job.middling")
    assert pace.together() == {"job.quick": 8, "job.middling": 4}
    assert pace.changed
    pace.changed = False
    pace.note("job.quick", 0.0001)
    assert not pace.changed
    pace.note("job.quick", 1.0)
    assert pace.changed
    assert pace.short(topics) == ("job.middling",)
