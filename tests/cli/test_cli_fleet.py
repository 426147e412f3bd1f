"""`workers`, `queues`, `drain`, and what `why` says, as a user meets them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from cordum.api import serve
from cordum.cli import main
from cordum.domain.run import Failure, OutcomeClass
from cordum.engine import Caller, Engine, Outcome, WorkerInfo
from cordum.engine.advice import REASONS
from cordum.redis_address import RedisAddress
from cordum.settings import Settings
from tests.cli.conftest import Cli

ANN = Caller("default", "ann")
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


# -- why, for each reason ------------------------------------------------------------------------------------------

RETRY = "{topic: job.a, retry: {max_retries: 1, initial_backoff_sec: 600}}"
KEYED = "{topic: job.a, concurrency: {key: dock, limit: 1}}"
SLOW = b"rules: [{id: slow, decision: throttle, velocity: {max_requests: 1, window_sec: 600}}]"
FEW = b"{default_decision: allow, tenants: {default: {constraints: {budgets: {max_concurrent_jobs: 1}}}}}"
# What makes a step wait that has nothing to wait for otherwise, but for the run before it.
BEFORE: dict[str, Callable[[Engine], object]] = {
    "queue_paused": lambda engine: engine.fleet.pause(ANN, "job.a", "moving"),
    "tenant_limit": lambda engine: engine.publish_policy(FEW, "ann"),
    "policy_throttled": lambda engine: engine.publish_policy(SLOW, "ann"),
    "max_parallel of a pool": lambda engine: (
        engine.pools.put_pool(ANN, "small", {"max_parallel": 1}),
        engine.pools.put_topic(ANN, "job.*", "small"),
    ),
}
SHARED = ("concurrency_key", "tenant_limit", "policy_throttled", "max_parallel of a pool")
WAITS = {
    "approval": ("{a: {type: approval}}", "waits for a person's decision", "`cordum approve {run}:a@1`"),
    "signal": ("{a: {type: signal, name: paid}}", "waits for the signal paid", "`cordum signal {run} paid`"),
    "delay": ("{a: {type: delay, delay_sec: 600}}", "waits for its time", "`cordum skip {run} a"),
    "dependencies": ("{a: {topic: job.b}, b: {topic: job.a, depends_on: [a]}}", "waits for a", "begins when these"),
    "no_worker": ("{a: {topic: job.b}}", "no living worker takes jobs of job.b", "start such a worker"),
    "pool_overloaded": ("{a: {topic: job.a}}", "waits on job.a for a worker with a free slot", "start another worker"),
    "retry_backoff": (f"{{a: {RETRY}}}", "waits before its next attempt", "`cordum timeline {run}`"),
    "max_parallel": (
        "{g: {type: parallel, steps: [a, b], max_parallel: 1}, a: {topic: job.a}, b: {topic: job.a}}",
        "its group g has no room yet",
        "wait for another one to end",
    ),
    "max_parallel of a pool": ("{a: {topic: job.a}}", "the pool small lets 1 job run", "wait for another one to end"),
    "concurrency_key": (f"{{a: {KEYED}}}", "the concurrency key dock lets 1 job run", "wait until a holder has ended"),
    "tenant_limit": (
        "{a: {topic: job.a}}",
        "the policy lets 1 job of the tenant default run at one time",
        "wait for another job of this tenant to end",
    ),
    "policy_throttled": (
        "{a: {topic: job.a}}",
        "the policy rule slow lets 1 job begin in 600 s",
        "`cordum policy explain` shows the rule",
    ),
    "run_paused": ("{a: {topic: job.a}}", "the run is paused by ann", "`cordum resume {run} --reason …`"),
    "queue_paused": (
        "{a: {topic: job.a}}",
        "ann has paused the queue job.a",
        "`cordum queues resume job.a --reason …`",
    ),
}


@pytest.mark.parametrize("reason", WAITS)
def test_why_says_one_sentence_and_one_action(cli: Cli, engine: Engine, tmp_path: Path, reason: str) -> None:
    steps, sentence, action = WAITS[reason]
    BEFORE.get(reason, lambda engine: None)(engine)
    (tmp_path / "w.yaml").write_text(f"id: w\nsteps: {steps}\n")
    assert cli("apply", str(tmp_path / "w.yaml")).exit_code == 0
    run_id = [json.loads(cli("run", "w", "--json").output)["run_id"] for _ in range(1 + (reason in SHARED))][-1]
    if reason == "run_paused":
        cli("pause", run_id, "--as", "ann", "--reason", "lunch")
    if reason == "retry_backoff":
        engine.jobs.claim(f"{run_id}:a@1", "job.a", 3, WORKER.incarnation, "n")
        failed = Outcome(OutcomeClass.RETRYABLE, failure=Failure("error", "broke"))
        engine.jobs.record(f"{run_id}:a@1", "job.a", WORKER.incarnation, "n", failed)
        engine.coordinate()
    (line,) = (one for one in cli("why", run_id).output.splitlines() if one.split()[1:2] == reason.split()[:1])
    assert sentence in line
    assert action.format(run=run_id) in line


def test_every_reason_is_asked_about() -> None:
    assert {reason.split()[0] for reason in WAITS} | {"policy_unavailable"} == REASONS


def test_without_a_policy_why_says_so(redis_address: RedisAddress, tmp_path: Path) -> None:
    engine = Engine.connect(Settings(data_dir=tmp_path), redis_address)
    with serve(engine, engine.settings, "127.0.0.1", 0) as server:
        engine.save_workflow("default", b"id: w\nsteps: {a: {topic: job.a}}", "yaml")
        run_id = engine.start_run(Caller("default"), "w", {}).id
        shown = CliRunner().invoke(main, ["why", run_id], env={"CORDUM_API_URL": server.url}).output
    assert "policy_unavailable" in shown
    assert "`cordum policy publish FILE`" in shown
