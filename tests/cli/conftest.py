"""The command line as users meet it: programs of their own, and commands against a real API on a real Redis."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cordum.api import serve
from cordum.cli import main
from cordum.engine import Engine
from cordum.redis_address import RedisAddress
from cordum.settings import Settings
from tests.cli.programs import ROOT, Program, survivors

POLICY = b'version: "1"\ndefault_decision: allow\nrules: []\n'
GATE = """\
id: gate
steps:
  ask:
    type: approval
    input: {approval_reason: "Ship ${input.build}", next_effect: "It is live"}
"""

Cli = Callable[..., Result]


@pytest.fixture
def api_url(redis_address: RedisAddress, tmp_path: Path) -> Iterator[str]:
    """An API without workers; anonymous may approve anonymous' runs, as under `cordum dev`."""
    settings = Settings(data_dir=tmp_path, allow_anonymous_approval=True)
    engine = Engine.connect(settings, redis_address)
    engine.publish_policy(POLICY, "test")
    with serve(engine, settings, "127.0.0.1", 0) as server:
        yield server.url
    engine.close()


@pytest.fixture
def cli(api_url: str) -> Cli:
    """Run a command against that API."""

    def run(*arguments: str, **options: object) -> Result:
        return CliRunner().invoke(main, arguments, env={"CORDUM_API_URL": api_url}, **options)

    return run


@pytest.fixture
def gate(cli: Cli, tmp_path: Path) -> str:
    """The id of a saved workflow that waits for a person at once."""
    (tmp_path / "gate.yaml").write_text(GATE)
    assert cli("apply", str(tmp_path / "gate.yaml")).exit_code == 0
    return "gate"


@pytest.fixture
def home() -> Iterator[Path]:
    """An empty directory, with a short path for the sake of sockets; everything that runs under it is ended with it."""
    with tempfile.TemporaryDirectory(prefix="cordum-cli-", ignore_cleanup_errors=True) as directory:
        yield Path(directory)
        for pid in survivors(Path(directory)):
            with suppress(ProcessLookupError):  # it may end by itself meanwhile
                os.kill(pid, signal.SIGKILL)


@pytest.fixture
def clean_env(home: Path) -> dict[str, str]:
    """The environment of a newcomer: nothing of cordum's is set, and no other cordum can be found."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("CORDUM_", "XDG_"))}
    return kept | {
        "HOME": str(home),
        "TMPDIR": str(home),
        "PYTHONPATH": str(ROOT),
        "CORDUM_CONFIG": f"{ROOT}/config/cordum.yaml",
    }


@pytest.fixture
def spawn(home: Path, clean_env: dict[str, str]) -> Iterator[Callable[..., Program]]:
    """Start `cordum …` in a directory of its own; keyword arguments are added to its environment."""
    with ExitStack() as stack:

        def start(*arguments: str, **env: str) -> Program:
            program = Program(arguments, home, clean_env | env)
            stack.callback(program.process.stdout.close)
            stack.callback(program.process.wait)
            stack.callback(program.process.kill)
            return program

        yield start
