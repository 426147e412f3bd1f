"""Real workers that are drained: what runs there ends, nothing new begins, and it is said when that is done."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cordum.engine import Caller

ANN = Caller("acme", "ann")


@pytest.mark.parametrize("pool", ["threads", "prefork"])
def test_a_drained_worker_finishes_and_takes_nothing_new(cell: Any, eventually: Callable[..., Any], pool: str) -> None:
    cell.worker("job.t.*", pool=pool, name="one")
    first = cell.start("gated: {topic: job.t.gated}")
    eventually(lambda: cell.lines("gated"), "the first job")
    (worker,) = cell.engine.fleet.workers()
    cell.engine.fleet.drain(ANN, worker["id"], "an update")
    eventually(lambda: cell.engine.fleet.worker(worker["id"])["topics"] == [], "the worker to hear of it")
    second = cell.start("echo: {topic: job.t.echo}")
    assert cell.engine.fleet.worker(worker["id"])["status"] == "draining"
    (cell.directory / "gate").touch()
    assert cell.ended(first)["status"] == "succeeded"
    eventually(lambda: cell.engine.fleet.worker(worker["id"])["status"] == "drained", "the end of the last job")
    assert cell.run(second)["steps"]["echo"]["wait"]["reason"] == "no_worker"
    assert not cell.lines("echo")
    cell.engine.fleet.drain(ANN, worker["id"], "an update", draining=False)
    assert cell.ended(second)["status"] == "succeeded"


def test_a_worker_says_what_its_settings_say(cell: Any) -> None:
    cell._env |= {
        "CORDUM_WORKER_LABELS": "region=eu,disk=ssd",
        "CORDUM_WORKER_CAPABILITIES": "gpu",
        "CORDUM_WORKER_POOLS": "big,small",
    }
    cell.worker("job.t.echo", concurrency=3)
    (shown,) = cell.engine.fleet.workers()
    assert (shown["labels"], shown["capabilities"], shown["pools"]) == (
        {"region": "eu", "disk": "ssd"},
        ["gpu"],
        ["big", "small"],
    )
    assert (shown["slots"], shown["topics"]) == (3, ["job.t.echo"])
