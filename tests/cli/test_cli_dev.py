"""`cordum dev` as a process: ready, at work, stopped without a trace."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cordum.client import Client
from tests.cli.programs import PATIENCE_SEC, Program, eventually, survivors

Spawn = Callable[..., Program]

INCIDENT = {"incident_id": "INC-4821", "summary": "p95 latency up 4x"}
WORKFLOW = "incident_triage_parallel"
SLOW_JOB = """
import time
from pathlib import Path
from cordum import job

@job("job.mine.greet")
def greet(ctx, name: str) -> dict:
    return {"greeting": f"hello {name}"}

@job("job.mine.slow")
def slow(ctx) -> None:
    Path("slow-began").touch()
    time.sleep(600)
"""


def test_the_example_runs_to_the_end_and_nothing_is_left(spawn: Spawn, home: Path) -> None:
    program = spawn("dev", "--port", "0")
    url = program.line("API ")
    client = Client(url, principal="ann")
    started = client.start(WORKFLOW, INCIDENT, idempotency_key="k")
    assert client.start(WORKFLOW, INCIDENT, idempotency_key="k")["run_id"] == started["run_id"]
    assert eventually(lambda: client.get(started["run_id"])["status"] == "waiting")
    (approval,) = client.approvals()
    Client(url, principal="bob").approve(approval["job_id"])
    run = client.wait(started["run_id"], timeout=PATIENCE_SEC)
    assert run["status"] == "succeeded"
    assert run["steps"]["rollback"]["output"]["verified"] is True
    assert program.end(signal.SIGTERM) == 0
    assert survivors(home) == []
    assert "not for production" in program.text


def test_ctrl_c_ends_it_with_exit_code_0(spawn: Spawn, home: Path) -> None:
    program = spawn("dev", "--port", "0")
    program.line("API ")
    assert program.end(signal.SIGINT) == 0
    assert survivors(home) == []


def test_told_to_stop_while_it_starts_it_stops(spawn: Spawn, home: Path) -> None:
    program = spawn("dev", "--port", "0")
    assert eventually(lambda: len(survivors(home)) > 2)
    assert program.end(signal.SIGTERM) == 0
    assert survivors(home) == []


def test_modules_of_the_user_bring_their_topics(spawn: Spawn, home: Path) -> None:
    (home / "my_jobs.py").write_text(SLOW_JOB)
    (home / "hello.yaml").write_text(
        'id: hello\nsteps:\n  greet: {topic: job.mine.greet, input: {name: "${input.name}"}}\n'
    )
    program = spawn("dev", "--port", "0", "--import", "my_jobs")
    url = program.line("API ")
    for line in (["apply", "hello.yaml"], ["run", "hello", "-i", "name=Ann", "--watch"]):
        # No --url: the running one is found.
        told = command(program, *line)
        assert told.returncode == 0, told.stdout + told.stderr
    (run,) = Client(url).runs()
    assert Client(url).get(run["id"])["output"] == {"greet": {"greeting": "hello Ann"}}


def command(program: Program, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Another terminal of the same user."""
    return subprocess.run(
        [sys.executable, "-m", "cordum.cli", *arguments],
        cwd=program.home,
        env=program.env,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SEC,
        check=False,
    )


def test_killed_it_takes_everything_with_it_even_a_long_job(spawn: Spawn, home: Path) -> None:
    (home / "my_jobs.py").write_text(SLOW_JOB)
    program = spawn("dev", "--port", "0", "--import", "my_jobs")
    client = Client(program.line("API "))
    client.save_workflow("id: slow\nsteps:\n  slow: {topic: job.mine.slow}\n")
    client.start("slow")
    assert eventually((home / "slow-began").exists)
    program.end(signal.SIGKILL)
    assert eventually(lambda: survivors(home) == [])


def test_a_worker_that_is_killed_is_replaced_and_the_run_goes_on(spawn: Spawn, home: Path) -> None:
    (home / "my_jobs.py").write_text(SLOW_JOB.replace("time.sleep(600)", "time.sleep(ctx.attempt == 1 and 600)"))
    program = spawn("dev", "--port", "0", "--import", "my_jobs")
    client = Client(program.line("API "))
    client.save_workflow("id: slow\nsteps:\n  slow: {topic: job.mine.slow}\n")
    run_id = client.start("slow")["run_id"]
    assert eventually((home / "slow-began").exists)
    worker = client.get(run_id)["steps"]["slow"]["worker"]
    os.kill(int(worker.rpartition("/")[2].partition("-")[0]), signal.SIGKILL)
    assert "starting it again" in program.line("cordum dev: worker-")
    assert client.wait(run_id, timeout=PATIENCE_SEC)["status"] == "succeeded"
    assert client.get(run_id)["steps"]["slow"]["attempts"] == 2


def test_data_outlives_a_restart(spawn: Spawn, home: Path) -> None:
    first = spawn("dev", "--port", "0", "--data-dir", "kept")
    run_id = Client(first.line("API ")).start(WORKFLOW, INCIDENT)["run_id"]
    assert first.end(signal.SIGTERM) == 0
    second = spawn("dev", "--port", "0", "--data-dir", "kept")
    assert Client(second.line("API ")).get(run_id)["input"] == INCIDENT


def test_a_port_that_is_taken_is_refused_with_the_mend(spawn: Spawn, home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        program = spawn("dev", "--port", str(port))
        assert program.end() == 1
    assert f"port {port}" in program.text
    assert "--port" in program.text
    assert "Traceback" not in program.text
    assert survivors(home) == []


@pytest.mark.parametrize(
    ("arguments", "env", "code", "said"),
    [
        (["--import", "no_such_module"], {}, 1, "no_such_module cannot be imported"),
        ([], {"CORDUM_API_HOST": "0.0.0.0"}, 78, "api_host"),
        ([], {"CELERY_BROKER_URL": "redis://elsewhere"}, 78, "CELERY_BROKER_URL"),
        ([], {"CORDUM_REDIS_URL": "redis://127.0.0.1:1/0"}, 1, "Redis cannot be reached"),
        ([], {"CORDUM_NO_SUCH": "1"}, 78, "no_such"),
        (["--port", "99999"], {}, 2, "99999"),
    ],
)
def test_what_cannot_work_is_refused_before_it_starts(
    spawn: Spawn, home: Path, arguments: list[str], env: dict[str, str], code: int, said: str
) -> None:
    program = spawn("dev", *(["--port", "0"] if "--port" not in arguments else []), *arguments, **env)
    assert program.end() == code, program.text
    assert said in program.text
    assert "Traceback" not in program.text
    assert survivors(home) == []


def test_a_second_one_in_the_same_place_is_refused(spawn: Spawn) -> None:
    spawn("dev", "--port", "0").line("API ")
    second = spawn("dev", "--port", "0")
    assert second.end() == 78
    assert "already served by process" in second.text


def test_doctor_finds_it_and_names_origins(spawn: Spawn) -> None:
    program = spawn("dev", "--port", "0")
    program.line("API ")
    told = command(program, "doctor", "--json")
    assert told.returncode == 0, told.stderr
    document = json.loads(told.stdout)
    assert document["redis"]["address"].startswith("unix://")
    assert document["redis"]["problems"] == []
    assert (document["policy"]["usable"], document["policy"]["fault"]) == (True, None)
    assert {one["key"]: one["origin"] for one in document["settings"]}["cell"] == "default"
