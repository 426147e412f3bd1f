"""`job` and `jobs`, and that no action of an operator is taken without a reason."""

from __future__ import annotations

import json

import pytest

from cordum.domain.run import OutcomeClass
from cordum.engine import Engine, Outcome, WorkerInfo
from cordum.redis_address import RedisAddress
from cordum.settings import Settings
from tests.cli.conftest import Cli

WORKER = WorkerInfo("w1@h/7-1", "h", "w1", 7, 4, ("job.a",), 0, ("gpu",))


@pytest.fixture
def engine(redis_address: RedisAddress, api_url: str) -> Engine:
    engine = Engine.connect(Settings(lease_ms=60_000), redis_address)
    engine.jobs.register(WORKER)
    return engine


def test_a_job_is_submitted_shown_listed_and_cancelled(cli: Cli, engine: Engine) -> None:
    asked = ("job", "submit", "job.a", "--input", '{"n": 1}', "-i", "who=ann", "--key", "k", "--max-retries", "2")
    submitted = cli(*asked, "--json")
    assert submitted.exit_code == 0, submitted.output
    job = json.loads(submitted.stdout)
    assert (job["state"], job["input"]) == ("queued", {"n": 1, "who": "ann"})
    assert json.loads(cli(*asked, "--json").stdout)["replayed"] is True
    assert f"{job['job_id']}  queued" in cli("job", "show", job["job_id"]).stdout
    assert job["job_id"] in cli("jobs", "--topic", "job.a").stdout
    told = cli("job", "cancel", job["job_id"], "--reason", "not needed", "--dry-run")
    assert (told.exit_code, "cancelled" in told.stdout) == (0, True), told.output
    cancelled = cli("job", "cancel", job["job_id"], "--reason", "not needed")
    assert f"{job['job_id']}  cancelled" in cancelled.stdout
    ended = cli(*asked, "--wait")
    assert (ended.exit_code, "cancelled" in ended.stdout) == (1, True)


def test_a_dry_run_submits_nothing(cli: Cli, engine: Engine) -> None:
    told = cli("job", "submit", "job.a", "--dry-run")
    assert (told.exit_code, "dispatch" in told.stdout) == (0, True), told.output
    assert cli("jobs").stdout == ""


def test_waiting_for_a_job_ends_with_its_result(cli: Cli, engine: Engine) -> None:
    job_id = json.loads(cli("job", "submit", "job.a", "--key", "k", "--json").stdout)["job_id"]
    assert engine.jobs.claim(job_id, "job.a", 3, WORKER.incarnation, "n").word == "CLAIMED"
    engine.jobs.record(job_id, "job.a", WORKER.incarnation, "n", Outcome(OutcomeClass.SUCCESS, {"y": 2}))
    engine.coordinate()
    done = cli("job", "submit", "job.a", "--key", "k", "--wait")
    assert (done.exit_code, '{"y": 2}' in done.stdout) == (0, True), done.output


@pytest.mark.parametrize("wrong", [("--input", "[1]"), ("-i", "x"), ("--input", "{")])
def test_what_is_no_input_is_said(cli: Cli, wrong: tuple[str, ...]) -> None:
    assert cli("job", "submit", "job.a", *wrong).exit_code == 2


@pytest.mark.parametrize(
    "command",
    [
        *(("cancel", "r"), ("delete", "r"), ("pause", "r"), ("resume", "r"), ("retry", "r"), ("rerun", "r")),
        *(("skip", "r", "s"), ("complete", "r", "s"), ("job", "cancel", "j")),
        *(("dlq", "retry", "j"), ("dlq", "discard", "j"), ("dlq", "stop", "b")),
        *(("queues", "pause", "job.a"), ("queues", "resume", "job.a"), ("drain", "w"), ("drain", "w", "--undo")),
        *(("schedule", "pause", "s"), ("schedule", "resume", "s"), ("schedule", "delete", "s")),
        ("schedule", "backfill", "s", "--from", "2026-01-01T00:00:00Z", "--to", "2026-01-01T00:00:00Z"),
        *(("hook", "rotate", "h"), ("hook", "delete", "h")),
    ],
    ids=" ".join,
)
def test_no_action_is_taken_without_a_reason(cli: Cli, command: tuple[str, ...]) -> None:
    refused = cli(*command)
    assert (refused.exit_code, "Missing option '--reason'" in refused.output) == (2, True)


def test_a_signal_finds_whoever_waits_for_it(cli: Cli, tmp_path) -> None:
    (tmp_path / "w.yaml").write_text(
        "id: w\nsteps: {paid: {type: signal, name: paid, correlation: '${input.order}'}}\n"
    )
    assert cli("apply", str(tmp_path / "w.yaml")).exit_code == 0
    run_id = cli("run", "w", "-i", "order=o-7").stdout.split()[0]
    told = cli("signal", "paid", "--correlation", "o-7", "--dry-run")
    assert (told.exit_code, run_id in told.stdout) == (0, True), told.output
    assert cli("signal", run_id, "paid", "--dry-run").exit_code == 0
    assert json.loads(cli("get", run_id, "--json").stdout)["status"] == "waiting"
    sent = cli("signal", "paid", "--correlation", "o-7", "--payload", '{"sum": 3}', "--key", "d-1")
    assert sent.stdout == f"delivered to  {run_id}\n"
    assert json.loads(cli("get", run_id, "--json").stdout)["output"] == {"paid": {"sum": 3}}
    assert "it is kept" in cli("signal", "paid", "--correlation", "o-8").stdout
    assert cli("signal", "paid").exit_code == 2
