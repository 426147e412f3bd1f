"""`cordum dlq` and `--dry-run`, against a real API."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest
from click.testing import CliRunner, Result

from cordum.api import serve
from cordum.cli import main
from cordum.domain.run import Failure, OutcomeClass
from cordum.engine import Caller, Engine, Outcome, WorkerInfo
from cordum.redis_address import RedisAddress
from cordum.settings import Settings

Cli = Callable[..., Result]
HAND = WorkerInfo("hand", "elsewhere", "hand", 1, 8, (), 0)
WHY = ("--reason", "the disk is back")


@pytest.fixture
def engine(redis_address: RedisAddress) -> Iterator[Engine]:
    engine = Engine.connect(Settings(), redis_address)
    engine.publish_policy(b"{version: '1', default_decision: allow, rules: []}", "test")
    engine.jobs.register(HAND)
    engine.save_workflow("default", b"{id: w, steps: {a: {topic: job.a}}}", "yaml")
    yield engine
    engine.close()


@pytest.fixture
def cli(engine: Engine) -> Iterator[Cli]:
    with serve(engine, engine.settings, "127.0.0.1", 0) as server:

        def run(*arguments: str) -> Result:
            return CliRunner().invoke(main, arguments, env={"CORDUM_API_URL": server.url})

        yield run


@pytest.fixture
def letters(engine: Engine) -> list[str]:
    """Three dead letters of one cause."""
    made = []
    for number in range(3):
        run_id = engine.start_run(Caller("default", "ann"), "w", {"n": number}).run["id"]
        job_id = f"{run_id}:a@1"
        engine.jobs.claim(job_id, "job.a", 3, HAND.incarnation, "n")
        failure = Failure("fatal", f"disk {number} full\x1b[31m", "OSError", "Traceback: here")
        engine.jobs.record(job_id, "job.a", HAND.incarnation, "n", Outcome(OutcomeClass.FATAL, None, failure))
        engine._core.advance(str(run_id))
        made.append(job_id)
    return made


def test_show_tells_the_evidence(cli: Cli, letters: list[str]) -> None:
    shown = cli("dlq", "show", letters[0])
    assert shown.exit_code == 0, shown.output
    for part in (letters[0], "OSError", "disk 0 full", "Traceback: here", "sha256:", "hand"):
        assert part in shown.stdout
    assert "\x1b[31m" not in shown.stdout
    assert json.loads(cli("dlq", "show", letters[0], "--json").stdout)["input"] == {"n": 0}


def test_groups_and_lists(cli: Cli, letters: list[str]) -> None:
    (group,) = json.loads(cli("dlq", "groups", "--json").stdout)
    assert group["count"] == 3
    listed = json.loads(cli("dlq", "list", "--group", group["id"], "--json").stdout)
    assert {one["job_id"] for one in listed} == set(letters)
    assert group["id"] in cli("dlq", "groups").stdout
    assert json.loads(cli("dlq", "list", "--state", "discarded", "--json").stdout) == []


def test_one_is_retried_with_another_input(cli: Cli, engine: Engine, letters: list[str]) -> None:
    told = cli("dlq", "retry", letters[0], *WHY, "--input", '{"n": 9}', "--dry-run")
    assert (told.exit_code, f"replay  {letters[0]}" in told.stdout) == (0, True)
    run_id = letters[0].partition(":")[0]
    assert f"dispatch  {run_id}:a@2" in told.stdout
    assert engine.run("default", run_id)["status"] == "failed"
    done = cli("dlq", "retry", letters[0], *WHY, "--input", '{"n": 9}')
    assert done.stdout.strip() == f"{letters[0]}  tried again as {run_id}:a@2"
    assert engine.jobs.claim(f"{run_id}:a@2", "job.a", 3, HAND.incarnation, "m").input == {"n": 9}


def test_a_group_is_retried_and_followed_to_its_end(cli: Cli, engine: Engine, letters: list[str]) -> None:
    told = json.loads(cli("dlq", "retry", "--topic", "job.a", *WHY, "--dry-run", "--json").stdout)
    assert (told["matched"], told["results"]) == (3, {"would_retry": 3})
    begun = json.loads(cli("dlq", "retry", "--topic", "job.a", *WHY, "--rate", "100", "--detach", "--json").stdout)
    assert (begun["state"], begun["total"]) == ("running", 3)
    while engine.bulk_retries.get("default", begun["id"])["state"] == "running":
        engine.bulk_retries.carry_on()
    ended = json.loads(cli("dlq", "progress", begun["id"], "--json").stdout)
    assert (ended["state"], ended["retried"]) == ("done", 3)
    assert begun["id"] in cli("dlq", "progress").stdout
    refused = cli("dlq", "stop", begun["id"], *WHY)
    assert (refused.exit_code, "is done" in refused.stderr) == (1, True)


def test_discarding_keeps_the_reason(cli: Cli, letters: list[str]) -> None:
    assert f"discard  {letters[0]}" in cli("dlq", "discard", letters[0], *WHY, "--dry-run").stdout
    assert cli("dlq", "discard", letters[0], *WHY).stdout.strip() == f"{letters[0]}  discarded"
    assert json.loads(cli("dlq", "show", letters[0], "--json").stdout)["handled_reason"] == WHY[1]
    refused = cli("dlq", "retry", letters[0], *WHY)
    assert (refused.exit_code, "retry the run" in refused.stderr) == (1, True)


@pytest.mark.parametrize("arguments", [("dlq", "retry", *WHY), ("dlq", "retry", "r:a@1", "--topic", "job.a", *WHY)])
def test_one_or_many_must_be_named(cli: Cli, arguments: tuple[str, ...]) -> None:
    assert cli(*arguments).exit_code == 2


@pytest.mark.parametrize("arguments", [("dlq", "retry", "r:a@1"), ("dlq", "discard", "r:a@1"), ("dlq", "stop", "b")])
def test_a_reason_is_required(cli: Cli, arguments: tuple[str, ...]) -> None:
    refused = cli(*arguments)
    assert (refused.exit_code, "--reason" in refused.stderr) == (2, True)


@pytest.mark.parametrize(
    ("command", "tells"),
    [
        (("cancel", *WHY), "cancelled"),
        (("pause", *WHY), "paused"),
        (("skip", "a", *WHY), "skipped"),
        (("complete", "a", *WHY), "a"),
    ],
)
def test_a_dry_run_of_an_action(cli: Cli, engine: Engine, command: tuple[str, ...], tells: str) -> None:
    run_id = str(engine.start_run(Caller("default", "ann"), "w", {}).run["id"])
    name, *rest = command
    told = cli(name, run_id, *rest, "--dry-run")
    assert (told.exit_code, tells in told.stdout) == (0, True), told.output
    assert "nothing was changed" in told.stderr
    assert engine.run("default", run_id)["status"] == "running"
