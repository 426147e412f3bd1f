"""Real Celery workers of each pool, on a real Redis."""

from __future__ import annotations

import base64
import json
import pickle
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from cordum.store.envelope import job_message

POOLS = ("solo", "threads", "prefork")
every_pool = pytest.mark.parametrize("pool", POOLS)


@every_pool
def test_each_way_to_end_is_recorded(cell: Any, pool: str) -> None:
    topics = [f"job.t.{name}" for name in ("echo", "async", "fatal", "flaky", "broken", "unkeepable", "once")]
    cell.worker(*topics, pool=pool)
    run_id = cell.start(
        """echo: {topic: job.t.echo, input: {a: [], b: 9007199254740993}},
           later: {topic: job.t.async, input: {n: 1}},
           missing: {topic: job.t.async, input: {m: 1}},
           fatal: {topic: job.t.fatal},
           flaky: {topic: job.t.flaky, retry: {max_retries: 1}},
           broken: {topic: job.t.broken},
           unkeepable: {topic: job.t.unkeepable},
           once: {topic: job.t.once}"""
    )
    steps = cell.ended(run_id)["steps"]
    assert {step: steps[step]["output"] for step in ("echo", "later", "flaky", "once")} == {
        "echo": {"a": [], "b": 9007199254740993},
        "later": {"n": 2},
        "flaky": 2,
        "once": [True, False, f"{run_id}:once"],
    }
    failed = ("missing", "fatal", "broken", "unkeepable")
    assert {step: steps[step]["error"]["code"] for step in failed} == {
        "missing": "fatal",
        "fatal": "fatal",
        "broken": "max_retries_exceeded",
        "unkeepable": "result_not_serializable",
    }
    assert steps["broken"]["error"]["class"] == "ValueError"
    assert "step.progress" in cell.events(run_id)
    assert '"message": "echoing"' in cell.logs()


@every_pool
def test_cancel_reaches_a_running_job(cell: Any, eventually: Callable[..., Any], pool: str) -> None:
    cell.worker("job.t.until_stopped", pool=pool)
    run_id = cell.start("s: {topic: job.t.until_stopped}")
    eventually(lambda: cell.lines("started"), "the start of the job")
    cell.cancel(run_id)
    eventually(lambda: cell.lines("stopped"), "the end of the job")
    assert cell.ended(run_id)["status"] == "cancelled"


@every_pool
def test_warm_shutdown_finishes_the_job_and_says_goodbye(cell: Any, eventually: Callable[..., Any], pool: str) -> None:
    worker = cell.worker("job.t.gated", pool=pool)
    run_id = cell.start("s: {topic: job.t.gated}")
    eventually(lambda: cell.lines("gated"), "the start of the job")
    worker.terminate()
    (cell.directory / "gate").touch()
    assert worker.wait(30) == 0
    assert cell.info_of(worker.pid) is None
    run = cell.ended(run_id)
    assert run["status"] == "succeeded"
    assert run["steps"]["s"]["attempts"] == 1


@pytest.mark.parametrize("pool", ["threads", "prefork"])
def test_a_second_delivery_runs_no_user_code(cell: Any, eventually: Callable[..., Any], pool: str) -> None:
    cell.worker("job.t.echo", "job.t.gated", pool=pool, concurrency=2)
    run_id = cell.start("s: {topic: job.t.gated}")
    eventually(lambda: cell.lines("gated"), "the start of the job")
    push(cell, "job.t.gated", job_message(f"{run_id}:s@1", "job.t.gated", 0))
    (cell.directory / "gate").touch()
    assert cell.ended(run_id)["status"] == "succeeded"
    eventually(lambda: "STALE" in cell.logs(), "the second delivery")
    assert len(cell.lines("gated")) == 1


def test_death_of_a_pool_child_is_reported_by_its_parent(cell: Any) -> None:
    cell.worker("job.t.dies_once", pool="prefork")
    run_id = cell.start("s: {topic: job.t.dies_once}")
    run = cell.ended(run_id)
    assert run["steps"]["s"]["output"] == 2
    assert "step.worker_lost" in cell.events(run_id)
    assert cell.lines("dies_once") == ["dies_once 1", "dies_once 2"]


@pytest.mark.parametrize("pool", ["threads", "prefork"])
def test_a_job_learns_that_its_time_is_up(cell: Any, eventually: Callable[..., Any], pool: str) -> None:
    cell.worker("job.t.until_stopped", pool=pool)
    run_id = cell.start("s: {topic: job.t.until_stopped, timeout_sec: 0.3}")
    eventually(lambda: cell.lines("stopped"), "the end of the job")
    run = cell.ended(run_id)
    assert run["status"] == "timed_out"
    assert run["steps"]["s"]["error"]["code"] == "timeout"


def test_the_jobs_of_a_killed_worker_go_to_another(cell: Any, eventually: Callable[..., Any]) -> None:
    killed = cell.worker("job.t.gated", pool="prefork", name="first")
    run_id = cell.start("s: {topic: job.t.gated}")
    eventually(lambda: cell.lines("gated"), "the start of the job")
    killed.kill()
    cell.worker("job.t.gated", name="second")
    (cell.directory / "gate").touch()
    run = cell.ended(run_id)
    assert run["status"] == "succeeded"
    assert cell.lines("gated") == [f"gated {run_id}:s@1", f"gated {run_id}:s@2"]


def test_celerys_events_tell_the_truth(cell: Any, eventually: Callable[..., Any], events: dict[str, set[str]]) -> None:
    cell.worker("job.t.echo", "job.t.broken", extra=["-E"])
    eventually(lambda: events[""], "a sign of the worker")
    run_id = cell.start("good: {topic: job.t.echo, input: {secret: s3cret}}, bad: {topic: job.t.broken}")
    push(cell, "job.t.echo", job_message("c1-unknown:s@1", "job.t.echo", 0))
    good, bad = f"{run_id}:good@1", f"{run_id}:bad@1"
    eventually(lambda: len(events[good]) == len(events[bad]) == 3 and "STALE" in cell.logs(), "the events")
    assert events[good] == {"task-received", "task-started", "task-succeeded"}
    assert events[bad] == {"task-received", "task-started", "task-failed"}
    assert events["c1-unknown:s@1"] == {"task-received"}
    assert "s3cret" not in cell.logs()


def test_a_pickled_message_is_refused_and_the_worker_lives(cell: Any, eventually: Callable[..., Any]) -> None:
    trap = cell.directory / "trap"
    message = json.loads(job_message("c1-x:s@1", "job.t.echo", 0))
    message["body"] = base64.b64encode(pickle.dumps((Trap(str(trap)), {}, {}))).decode()
    message["properties"]["body_encoding"] = "base64"
    message |= {"content-type": "application/x-python-serialize", "content-encoding": "binary"}
    worker = cell.worker("job.t.echo")
    push(cell, "job.t.echo", json.dumps(message))
    run_id = cell.start("s: {topic: job.t.echo}")
    assert cell.ended(run_id)["status"] == "succeeded"
    assert worker.poll() is None
    assert not trap.exists()


def test_a_topic_without_a_handler_is_told_at_the_start(cell: Any) -> None:
    cell.worker("job.t.echo", "job.t.nobody")
    assert "no function here for job.t.nobody" in cell.logs()


def test_no_socket_is_open_before_the_fork(cell: Any) -> None:
    cell.worker("job.t.echo", pool="prefork", concurrency=2)
    run_id = cell.start("s: {topic: job.t.echo}")
    assert cell.ended(run_id)["status"] == "succeeded"
    assert cell.lines("forked") == ["forked 0", "forked 0"]


def test_an_outcome_outlives_a_restart_of_redis(
    cell_on: Callable[..., Any], fresh_redis: Callable[..., Any], eventually: Callable[..., Any]
) -> None:
    server = fresh_redis()
    cell = cell_on(server.address)
    cell.worker("job.t.gated")
    run_id = cell.start("s: {topic: job.t.gated}")
    eventually(lambda: cell.lines("gated"), "the start of the job")
    server.stop()
    (cell.directory / "gate").touch()
    eventually(lambda: "cannot be renewed" in cell.logs(), "the worker to notice")
    server.start()
    run = cell.ended(run_id)
    assert run["status"] == "succeeded"
    assert cell.lines("gated") == [f"gated {run_id}:s@1"]


def test_inspect_answers_on_the_command_line(cell: Any) -> None:
    worker = cell.worker("job.t.echo", "job.t.async", name="w1")
    node = f"w1@{cell.info_of(worker.pid)['host']}"
    words = ("ping", "active_queues", "stats")
    asked = {word: cell.celery("-A", "cordum", "inspect", word, "-t", "20", "-d", node) for word in words}
    assert {word: process.wait(30) for word, process in asked.items()} == dict.fromkeys(asked, 0)
    assert "pong" in cell.logs()
    assert "job.t.async" in cell.logs()
    assert "mingle" not in cell.logs()


def test_children_that_would_not_know_the_handlers_are_refused(cell: Any) -> None:
    argv = ("-A", "cordum", "worker", "-Q", "job.t.echo", "--pool-start-method", "spawn")
    assert cell.celery(*argv).wait(30) != 0
    assert "need --pool-start-method fork" in cell.logs()


def test_a_broker_from_elsewhere_is_refused(cell: Any) -> None:
    process: subprocess.Popen[bytes] = cell.celery("-A", "cordum", "-b", "redis://elsewhere:1/0", "inspect", "ping")
    assert process.wait(30) != 0
    assert "cordum's queues live in its own Redis" in cell.logs()


class Trap:
    """Creates a file when it is unpickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return open, (self.path, "w")


def push(cell: Any, queue: str, message: str) -> None:
    cell.engine.store.connection.read(lambda client: client.lpush(queue, message))
