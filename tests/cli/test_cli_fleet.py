"""`workers`, `queues`, `drain`, and what `why` says, as a user meets them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cordum.engine import Engine, WorkerInfo
from cordum.redis_address import RedisAddress
from cordum.settings import Settings
from tests.cli.conftest import Cli

WORKER = WorkerInfo("w1@h/7-1", "h", "w1", 7, 4, ("job.a",), 0, ("gpu",), {"region": "eu"}, ("cuda",))


@pytest.fixture
def engine(redis_address: RedisAddress, api_url: str) -> Engine:
    engine = Engine.connect(Settings(lease_ms=60_000), redis_address)
    engine.jobs.register(WORKER)
    return engine


def test_workers_are_shown_with_what_they_can_do(cli: Cli, engine: Engine) -> None:
    header, row = cli("workers").output.splitlines()
    assert header.split() == [
        *("worker", "status", "active", "slots", "pools", "labels", "capabilities", "topics", "version"),
    ]
    assert row.split()[:-1] == ["w1@h.7-1", "ready", "0", "4", "gpu", "region=eu", "cuda", "job.a"]


def test_a_worker_is_drained_when_it_holds_nothing(cli: Cli, engine: Engine) -> None:
    late = cli("drain", "w1@h", "--timeout", "0", "--reason", "an update")
    assert (late.exit_code, late.output) == (1, "w1@h still runs 0 jobs after 0 s\n")
    engine.jobs.renew(WorkerInfo(**{**WORKER.document(), "topics": ()}))  # it takes nothing any more
    done = cli("drain", "w1@h", "--reason", "an update")
    assert (done.exit_code, done.output) == (0, "w1@h is drained: nothing runs there\n")
    assert cli("drain", "gpu", "--pool", "--reason", "an update").output == "gpu is drained: nothing runs there\n"
    assert cli("drain", "gpu", "--pool", "--undo", "--reason", "an update").output == "gpu takes jobs again\n"
    assert cli("drain", "nobody", "--reason", "an update").exit_code == 1


def test_queues_are_shown_paused_and_resumed_and_why_says_so(cli: Cli, engine: Engine, tmp_path: Path) -> None:
    assert cli("queues", "pause", "job.a", "--reason", "disk full", "--as", "ann").exit_code == 0
    (tmp_path / "w.yaml").write_text("id: w\nsteps: {a: {topic: job.a}}\n")
    cli("apply", str(tmp_path / "w.yaml"))
    run_id = json.loads(cli("run", "w", "--json").output)["run_id"]
    assert "by ann: disk full" in cli("queues").output
    told = cli("why", run_id).output
    assert "queue_paused" in told
    assert "ann has paused the queue job.a (disk full): `cordum queues resume job.a --reason …`" in told
    assert cli("queues", "resume", "job.a", "--reason", "there is room").exit_code == 0
    (shown,) = json.loads(cli("queues", "--json").output)
    assert (shown["queued"], shown["paused"]) == (1, None)
    assert "its message waits on job.a for a worker with a free slot" in cli("why", run_id).output
