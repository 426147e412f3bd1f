"""The Procfile as it is shipped: honcho starts all of it, a run goes to its end, and one signal ends it."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import cordum
from cordum.cli import main
from cordum.client import Client
from cordum.demo.workspace import prepare_workspace
from cordum.ops.redis_server import RedisServer
from cordum.redis_address import RedisAddress
from tests.cells import api_key, eventually
from tests.cli.programs import survivors
from tests.execution.flowers import CREDENTIALS, Flower, hears

ROOT = Path(cordum.__file__).parents[1]
PROCFILE = ROOT / "Procfile"
PROCESSES = ["api", "coordinator", "beat", "worker", "flower"]
INCIDENT = {"incident_id": "INC-4821", "summary": "p95 latency up 4x"}
PATIENCE_SEC = 90.0


def commands() -> dict[str, list[str]]:
    lines = [line for line in PROCFILE.read_text().splitlines() if not line.startswith("#")]
    return {name: shlex.split(command) for name, _, command in (line.partition(": ") for line in lines)}


def test_it_has_one_of_each_role_and_no_second_beat() -> None:
    assert list(commands()) == PROCESSES
    assert "--no-beat" in commands()["coordinator"]


@pytest.mark.parametrize("name", PROCESSES)
def test_each_line_is_a_command_with_these_options(name: str) -> None:
    program, *rest = commands()[name]
    assert program == "celery" or (program == "cordum" and rest[0] in main.commands)
    module = {"cordum": "cordum.cli", "celery": "celery"}[program]
    codes = [
        subprocess.run(
            [sys.executable, "-m", module, *rest, *more, "--help"],
            cwd=ROOT,
            capture_output=True,
            timeout=60,
            check=False,
        ).returncode
        for more in ([], ["--no-such-option"])
    ]
    assert [code == 0 for code in codes] == [True, False]


def test_no_port_and_no_secret_is_written_down() -> None:
    assert not re.search(r"port|auth|password|\b\d{4,5}\b", " ".join(map(" ".join, commands().values())), re.IGNORECASE)


class Honcho:
    """All of the Procfile. Every process below it has its HOME, by which what is left of them is found."""

    def __init__(self, home: Path, address: RedisAddress) -> None:
        self.home = home
        self.keys = {person: api_key(address, person) for person in ("ann", "bob")}
        self._log = home / "honcho.log"
        kept = {
            key: value for key, value in os.environ.items() if not key.startswith(("CORDUM_", "CELERY_", "FLOWER_"))
        }
        env = kept | {
            "HOME": str(home),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "PYTHONWARNINGS": "ignore:You're running the worker with superuser privileges",
            "CORDUM_CONFIG": str(ROOT / "config" / "cordum.yaml"),
            "CORDUM_ENV": "production",
            "CORDUM_REDIS_URL": address.url(),
            "CORDUM_AUDIT_KEY": "k1:a secret of some length",
            "CORDUM_API_PORT": "0",
            "CORDUM_FLOWER_PORT": "0",
            "CORDUM_DEMO_DIR": str(prepare_workspace(home / "demo").root),
            "FLOWER_BASIC_AUTH": CREDENTIALS,
        }
        argv = [sys.executable, "-m", "honcho", "--no-colour", "start", "-f", str(PROCFILE), "-d", str(home)]
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(argv, cwd=home, env=env, stdout=log, stderr=log)

    def said(self, pattern: str) -> str:
        """What one of the processes has printed: the pattern's group."""

        def look() -> str | None:
            assert self.process.poll() is None, self.log
            found = re.search(pattern, self.log)
            return found and found[1]

        return str(eventually(look, f"{pattern}\n{self.log}", PATIENCE_SEC))

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def ended(self) -> set[str]:
        """Exit codes are not asked for: honcho tells those of the shells it starts, which end by the signal."""
        return set(re.findall(r"\| (\w+)\.1 stopped ", self.log))


@pytest.fixture
def honcho(fresh_redis: Callable[..., RedisServer]) -> Iterator[Honcho]:
    with tempfile.TemporaryDirectory(prefix="cordum-proc-", ignore_cleanup_errors=True) as home:
        one = Honcho(Path(home), fresh_redis().address)
        yield one
        for pid in survivors(one.home):
            os.kill(pid, signal.SIGKILL)
        one.process.wait()


def test_all_of_it_runs_the_example_and_ends_when_told(honcho: Honcho) -> None:
    url = honcho.said(r"api\.1 +\| API (\S+)")
    client = Client(url, api_key=honcho.keys["ann"])
    client.save_workflow((ROOT / "config/workflows/incident_triage_parallel.yaml").read_bytes())
    flower = Flower(honcho.said(r"flower\.1 +\| .*Visit me at (\S+)"))
    eventually(hears(flower), f"a sign of the worker\n{honcho.log}", PATIENCE_SEC)
    run_id = client.start("incident_triage_parallel", INCIDENT)["run_id"]
    eventually(lambda: client.get(run_id)["status"] == "waiting", f"the approval\n{honcho.log}", PATIENCE_SEC)
    Client(url, api_key=honcho.keys["bob"]).approve(client.approvals()[0]["job_id"])
    run = client.wait(run_id, timeout=PATIENCE_SEC)
    assert [step["status"] for step in run["steps"].values()] == ["succeeded"] * 6, honcho.log
    assert flower.state(f"{run_id}:rollback@1", "SUCCESS")["name"] == "job.sre.rollback"

    honcho.process.terminate()
    honcho.process.wait(PATIENCE_SEC)
    assert survivors(honcho.home) == []
    assert honcho.ended() == set(PROCESSES), honcho.log
    assert "SIGKILL" not in honcho.log
    assert "Traceback" not in honcho.log
