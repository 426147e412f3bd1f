"""Real workers of different kinds: each job runs where it may, by the workers' own account."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from cordum.engine import Caller

ANN = Caller("acme", "ann")


@pytest.mark.parametrize("pool", ["threads", "prefork"])
def test_jobs_run_only_on_workers_with_their_labels(cell: Any, pool: str) -> None:
    for region, slots in (("eu", 4), ("us", 2)):
        cell._env["CORDUM_WORKER_LABELS"] = f"region={region}"
        cell.worker("job.t.*", pool=pool, concurrency=slots, name=region)
    step = "topic: job.t.echo, for_each: '${input.items}'"
    run_id = cell.start(
        f"eu: {{{step}, route_labels: {{region: eu}}}}, us: {{{step}, route_labels: {{region: us}}}}, any: {{{step}}}",
        {"items": list(range(40))},
    )
    assert cell.ended(run_id)["status"] == "succeeded"
    steps = cell.run(run_id)["steps"]
    ran: Counter[tuple[str, str]] = Counter()
    for ref, shown in steps.items():
        if ref.endswith("]"):
            ran[ref.partition("[")[0], shown["worker"].partition("@")[0]] += 1
    assert (ran["eu", "eu"], ran["us", "us"]) == (40, 40)
    assert ran["any", "eu"] + ran["any", "us"] == 40
    assert len(cell.lines("echo")) == 120


def test_a_worker_leaves_topics_alone_whose_pools_are_closed_to_it(cell: Any, eventually: Callable[..., Any]) -> None:
    cell.engine.pools.put_pool(ANN, "gpu", {"requires": ["CUDA"]})
    cell.engine.pools.put_topic(ANN, "job.t.echo", "gpu")
    cell.engine.pools.put_pool(ANN, "any", {})
    cell.engine.pools.put_topic(ANN, "job.*", "any")
    plain = cell.worker("job.t.echo", "job.t.once", name="plain")
    cell._env["CORDUM_WORKER_CAPABILITIES"] = "cuda"
    able = cell.worker("job.t.echo", name="able")
    assert (cell.info_of(plain.pid)["topics"], cell.info_of(able.pid)["topics"]) == (["job.t.once"], ["job.t.echo"])
    run_id = cell.start("a: {topic: job.t.echo}, b: {topic: job.t.once}")
    steps = cell.ended(run_id)["steps"]
    assert [steps[step]["worker"].partition("@")[0] for step in ("a", "b")] == ["able", "plain"]
    cell.engine.pools.put_pool(ANN, "gpu", {"requires": []})
    eventually(lambda: "job.t.echo" in cell.info_of(plain.pid)["topics"], "the pool to be opened")


def test_a_worker_that_leaves_gives_its_own_queue_to_others(cell: Any) -> None:
    cell._env["CORDUM_WORKER_LABELS"] = "region=eu"
    first = cell.worker("job.t.*", concurrency=8, name="first")
    runs = [cell.start("a: {topic: job.t.echo, route_labels: {region: eu}}") for _ in range(4)]
    first.terminate()
    first.wait()
    later = [cell.start("a: {topic: job.t.echo, route_labels: {region: eu}}") for _ in range(4)]
    cell.worker("job.t.*", concurrency=2, name="second")
    for run_id in (*runs, *later):
        assert cell.ended(run_id)["status"] == "succeeded"
    assert len(cell.lines("echo")) == 8
