"""Short jobs that a process of a prefork pool is given several at a time: nobody sees a difference but the clock."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from cordum.redis_address import RedisAddress
from tests.cells import FAST, Cell, eventually
from tests.execution.test_takeoff import answer, heard, ids

TOPIC = "job.t.mixed"
SETTINGS = {**FAST, "CORDUM_WINDOW_AHEAD": "16"}
SHORT = 16


@pytest.fixture
def deep_cell(redis_address: RedisAddress, tmp_path: Path) -> Any:
    """Its topics may have many messages, so that a worker finds several at once."""
    one = Cell(redis_address, tmp_path, "handlers_for_tests", Path(__file__).parent, SETTINGS)
    yield one
    one.end()


def steps(hows: Sequence[str]) -> str:
    return ", ".join(f"s{n}: {{topic: job.t.mixed, input: {{how: '{how}'}}}}" for n, how in enumerate(hows))


def worker(cell: Any, concurrency: int = 1, extra: Sequence[str] = (), name: str | None = None) -> Any:
    """A worker that knows the topic to be short."""
    started = cell.worker("job.t.mixed", pool="prefork", concurrency=concurrency, extra=extra, name=name)
    for _ in range(2):
        assert cell.ended(cell.start(steps([""] * SHORT)))["status"] == "succeeded"
    return started


def statuses(cell: Any, run_id: str) -> list[str]:
    cell.engine.coordinate()
    return [step["status"] for step in cell.run(run_id)["steps"].values()]


def begun(cell: Any, run_id: str) -> Counter[str]:
    """How often each job of the run has begun."""
    return Counter(line.split()[1] for line in cell.lines("mixed") if line.split()[1].startswith(run_id))


def written(control: Any) -> int:
    """How many messages the worker has written to its processes."""
    return int(answer(control.inspect(timeout=10, limit=1).stats())["pool"]["writes"]["total"])


def test_short_jobs_are_given_several_at_a_time(cell: Any, control: Any) -> None:
    worker(cell)
    # What the worker has learned of the topic widens its window.
    store = cell.engine.store
    eventually(lambda: store.connection.read(lambda one: one.hget(store.keys.windows, TOPIC)) == "9", "the window")
    before = written(control)
    run_id = cell.start(steps([""] * 32))
    assert cell.ended(run_id)["status"] == "succeeded"
    assert written(control) - before <= 12
    assert set(begun(cell, run_id).values()) == {1}


def test_where_celery_counts_what_its_processes_do_each_job_goes_alone(deep_cell: Any, control: Any) -> None:
    worker(deep_cell, extra=("--max-tasks-per-child", "1000"))
    before = written(control)
    assert deep_cell.ended(deep_cell.start(steps([""] * 32)))["status"] == "succeeded"
    assert written(control) - before == 32


def test_a_long_job_keeps_nobody_behind_it_from_a_free_process(deep_cell: Any) -> None:
    worker(deep_cell, concurrency=2)
    run_id = deep_cell.start(steps(["wait"] + [""] * 15))
    eventually(lambda: Counter(statuses(deep_cell, run_id)) == {"succeeded": 15, "running": 1}, "the others' end")
    (deep_cell.directory / "gate").touch()
    assert deep_cell.ended(run_id)["status"] == "succeeded"
    assert set(begun(deep_cell, run_id).values()) == {1}


def test_what_waits_behind_a_long_job_is_for_other_workers(deep_cell: Any, control: Any) -> None:
    worker(deep_cell)
    run_id = deep_cell.start(steps([*[""] * 4, "wait", *[""] * 11]))
    eventually(lambda: statuses(deep_cell, run_id).count("running") == 1, "a single job that runs")
    ask = control.inspect(timeout=10, limit=1)
    active = eventually(lambda: len(found := answer(ask.active())) == 1 and found, "that it is told of")
    assert ids(active) == {f"{run_id}:s4@1"}
    assert answer(ask.reserved()) == []
    deep_cell.worker("job.t.mixed", pool="prefork", concurrency=1, name="other")
    eventually(lambda: Counter(statuses(deep_cell, run_id)) == {"succeeded": 15, "running": 1}, "the others' end")
    (deep_cell.directory / "gate").touch()
    run = deep_cell.ended(run_id)
    assert run["status"] == "succeeded"
    assert run["steps"]["s4"]["output"] == 1
    assert len(begun(deep_cell, run_id)) == 16
    assert set(begun(deep_cell, run_id).values()) == {1}


def test_only_the_job_that_kills_its_process_is_lost(deep_cell: Any) -> None:
    worker(deep_cell)
    run_id = deep_cell.start(steps([*[""] * 4, "die", *[""] * 11]))
    run = deep_cell.ended(run_id)
    assert run["status"] == "succeeded"
    assert run["steps"]["s4"]["output"] == 2
    timeline = deep_cell.engine.timeline("acme", run_id, limit=400).items
    # On a machine that stands still, what has not begun may have been given back as well.
    lost = [item for item in timeline if item["type"] == "step.worker_lost"]
    assert [item["step_id"] for item in lost if "not begun" not in item["data"]["reason"]] == ["s4"]
    assert len(begun(deep_cell, run_id)) == 17
    assert set(begun(deep_cell, run_id).values()) == {1}


def test_a_job_is_terminated_and_those_beside_it_are_not(deep_cell: Any, control: Any) -> None:
    worker(deep_cell)
    run_id = deep_cell.start(steps([*[""] * 4, "wait", *[""] * 11]))
    eventually(lambda: statuses(deep_cell, run_id)[4] == "running", "the start of the job")
    heard(control.revoke, f"{run_id}:s4@1", terminate=True)
    run = deep_cell.ended(run_id)
    assert [step["status"] for step in run["steps"].values()] == ["succeeded"] * 4 + ["cancelled"] + ["succeeded"] * 11
    assert set(begun(deep_cell, run_id).values()) == {1}


def test_a_worker_that_stops_gives_away_what_waits_behind_a_long_job(
    deep_cell: Any, eventually: Callable[..., Any]
) -> None:
    first = worker(deep_cell)
    run_id = deep_cell.start(steps(["wait"] + [""] * 15))
    eventually(lambda: "running" in statuses(deep_cell, run_id), "the start of the job")
    first.send_signal(signal.SIGTERM)
    deep_cell.worker("job.t.mixed", pool="prefork", concurrency=1, name="other")
    eventually(lambda: Counter(statuses(deep_cell, run_id)) == {"succeeded": 15, "running": 1}, "the others' end")
    (deep_cell.directory / "gate").touch()
    assert deep_cell.ended(run_id)["status"] == "succeeded"
    assert set(begun(deep_cell, run_id).values()) == {1}
