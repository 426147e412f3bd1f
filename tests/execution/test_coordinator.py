"""The coordinator and its beats, as processes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

RETRY = "flaky: {topic: job.t.flaky, retry: {max_retries: 1}}, then: {topic: job.t.echo, depends_on: [flaky]}"
TOPICS = ("job.t.flaky", "job.t.echo")


@pytest.mark.parametrize("beats", ["embedded", "separate", "both"])
def test_a_retry_falls_due_by_the_beat(cell: Any, eventually: Callable[..., Any], beats: str) -> None:
    cell.worker(*TOPICS)
    cell.coordinator(beat=beats != "separate")
    if beats != "embedded":
        cell.beat()
    run_id = cell.start(RETRY)
    run = eventually(lambda: cell.ended_now(run_id), "the end of the run")
    assert run["status"] == "succeeded"
    assert cell.lines("flaky") == ["flaky 1", "flaky 2"]
    assert len(cell.lines("echo")) == 1


def test_without_a_beat_a_finished_step_releases_the_next(cell: Any, eventually: Callable[..., Any]) -> None:
    cell.worker("job.t.echo")
    cell.coordinator(beat=False)
    # With conditions, a step does not go straight on.
    steps = (
        "a: {topic: job.t.echo}, b: {topic: job.t.echo, depends_on: [a], condition: 'true'}, "
        "c: {topic: job.t.echo, depends_on: [b], condition: 'true'}"
    )
    run_id = cell.start(steps)
    run = eventually(lambda: cell.ended_now(run_id), "the end of the run")
    assert run["status"] == "succeeded"


def test_a_coordinator_can_run_in_the_callers_process(cell: Any, eventually: Callable[..., Any]) -> None:
    cell.worker("job.t.echo")
    program = (
        "import sys; from cordum.execution.roles import run_coordinator; from cordum.settings import load_settings; "
        "sys.exit(run_coordinator(load_settings(), beat=True))"
    )
    coordinator = cell.python("-c", program)
    run_id = cell.start("a: {topic: job.t.echo}, b: {topic: job.t.echo, depends_on: [a], condition: 'true'}")
    assert eventually(lambda: cell.ended_now(run_id), "the end of the run")["status"] == "succeeded"
    coordinator.terminate()
    assert coordinator.wait(30) == 0


def test_a_coordinator_stops_when_told_and_leaves_no_file(cell: Any, eventually: Callable[..., Any]) -> None:
    def called() -> bool:
        store = cell.engine.store
        return bool(store.connection.read(lambda client: client.llen(store.keys.coordinator)))

    # By what they do: told while it was writing that it starts, a beat has ended with 1 once.
    beat = cell.beat()
    eventually(called, "the beat to call")
    coordinator = cell.coordinator(beat=False)
    eventually(lambda: not called(), "the coordinator to hear")
    coordinator.terminate()
    beat.terminate()
    assert (coordinator.wait(30), beat.wait(30)) == (0, 0)
    assert sorted(path.name for path in cell.directory.iterdir()) == ["0.log", "1.log", "journal"]
