"""A cordum of real processes on a real Redis, for tests: starts them, feeds them, looks at them, ends them all."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cordum
from cordum.domain.roles import Role
from cordum.engine import Caller, Engine
from cordum.execution.roles import beat_argv, coordinator_argv, worker_argv
from cordum.redis_address import RedisAddress
from cordum.settings import Settings, load_settings

ROOT = Path(cordum.__file__).parents[1]
PATIENCE_SEC = 60.0
# Short enough for tests that wait for a lease, long enough for a busy machine.
FAST = {
    "CORDUM_LEASE_RENEW_MS": "200",
    "CORDUM_LEASE_MS": "2000",
    "CORDUM_SWEEP_MS": "200",
    "CORDUM_MESSAGE_GRACE_MS": "1000",
}
ALLOW_ALL = b'version: "1"\ndefault_decision: allow\nrules: []\n'


def eventually(look: Callable[[], Any], what: str, patience_sec: float = PATIENCE_SEC) -> Any:
    """The first true answer of `look`; the test fails when there is none in time."""
    give_up = time.monotonic() + patience_sec
    while time.monotonic() < give_up:
        if found := look():
            return found
        time.sleep(0.02)
    raise AssertionError(f"waited in vain for {what}")


def free_port() -> int:
    """A port nobody listens on now; for processes that must come back on the same one."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def api_key(address: RedisAddress, person: str, role: Role = Role.ADMIN, tenant: str = "default") -> str:
    """The text of a new key; from then on an API on this Redis asks for one."""
    engine = Engine.connect(Settings(), address)
    try:
        return str(engine.api_keys.create(tenant, person, role, by="test")["key"])
    finally:
        engine.close()


class Cell:
    """One Redis and the processes on it. `handlers` is a module found in `path`; they write to the journal."""

    def __init__(
        self, address: RedisAddress, directory: Path, handlers: str, path: Path, timing: Mapping[str, str] = FAST
    ) -> None:
        self.handlers = handlers
        self.directory = directory
        self.journal = directory / "journal"
        self.journal.touch()
        self._env = {
            **{
                key: value for key, value in os.environ.items() if not key.startswith(("CORDUM_", "CELERY_", "FLOWER_"))
            },
            **timing,
            "CORDUM_REDIS_URL": address.url(),
            "CORDUM_CONFIG": str(ROOT / "config" / "cordum.yaml"),
            "PYTHONPATH": f"{ROOT}{os.pathsep}{path}",
            "JOURNAL": str(self.journal),
            # The tests may run as root, which Celery warns of.
            "PYTHONWARNINGS": "ignore:You're running the worker with superuser privileges",
        }
        self.settings: Settings = load_settings(env=self._env)
        self.engine = Engine.connect(self.settings, address)
        self.engine.publish_policy(ALLOW_ALL, "tests")
        self._processes: list[subprocess.Popen[bytes]] = []

    # -- processes -----------------------------------------------------------------------------------------------

    @contextmanager
    def failing(self, failpoints: str) -> Iterator[None]:
        """Processes that are started meanwhile have these failpoints."""
        self._env["CORDUM_FAILPOINTS"] = failpoints
        yield
        del self._env["CORDUM_FAILPOINTS"]

    def celery(self, *argv: str) -> subprocess.Popen[bytes]:
        return self.python("-m", "celery", *argv)

    def api(self, port: int) -> subprocess.Popen[bytes]:
        return self.python("-m", "cordum.cli", "api", "--port", str(port))

    def python(self, *argv: str) -> subprocess.Popen[bytes]:
        log = (self.directory / f"{len(self._processes)}.log").open("wb")
        with log:
            process = subprocess.Popen(
                [sys.executable, *argv], env=self._env, stdout=log, stderr=log, cwd=self.directory
            )
        self._processes.append(process)
        return process

    def worker(
        self,
        *topics: str,
        pool: str = "threads",
        concurrency: int = 2,
        name: str | None = None,
        extra: Sequence[str] = (),
    ) -> subprocess.Popen[bytes]:
        options: Any = {"pool": pool, "concurrency": concurrency, "name": name, "log_level": "info"}
        process = self.celery(*worker_argv(topics, modules=[self.handlers], **options), *extra)
        eventually(lambda: self.info_of(process.pid) or self._assert_alive(process), f"the worker\n{self.logs()}")
        return process

    def coordinator(self, *, beat: bool = True) -> subprocess.Popen[bytes]:
        return self.celery(*coordinator_argv(beat=beat, log_level="info"))

    def beat(self) -> subprocess.Popen[bytes]:
        return self.celery(*beat_argv(log_level="info"))

    def info_of(self, pid: int) -> dict[str, Any] | None:
        """What the worker of this process registered."""
        return next((info for info in self.engine.store.workers.known().values() if info.get("pid") == pid), None)

    def _assert_alive(self, process: subprocess.Popen[bytes]) -> None:
        assert process.poll() is None, self.logs()

    def logs(self) -> str:
        return "\n".join(path.read_text(errors="replace") for path in sorted(self.directory.glob("*.log")))

    def end(self) -> None:
        # Not gently: how workers stop is for the tests that ask. The kernel ends a pool's children with their parent.
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.wait()
        self.engine.close()

    # -- runs ----------------------------------------------------------------------------------------------------

    def start(self, steps: str, input: dict[str, Any] | None = None) -> str:
        """Start a run of these steps (YAML, flow style); its id."""
        text = f"id: w\non_failure: continue_independent\nsteps: {{{steps}}}\n"
        self.engine.save_workflow("acme", text.encode(), "yaml")
        run_id: str = self.engine.start_run(Caller("acme", "ann"), "w", input or {}).run["id"]
        return run_id

    def run(self, run_id: str) -> dict[str, Any]:
        return self.engine.run("acme", run_id)

    def cancel(self, run_id: str) -> None:
        self.engine.cancel_run(Caller("acme", "ann"), run_id)

    def ended(self, run_id: str) -> dict[str, Any]:
        """The run once it has ended; this process coordinates, so that workers are all a test needs."""

        def look() -> dict[str, Any] | None:
            self.engine.coordinate()
            return self.ended_now(run_id)

        found: dict[str, Any] = eventually(look, f"the end of the run\n{self.logs()}")
        return found

    def ended_now(self, run_id: str) -> dict[str, Any] | None:
        run = self.run(run_id)
        return run if run["status"] in ("succeeded", "failed", "timed_out", "cancelled", "denied") else None

    def events(self, run_id: str) -> list[str]:
        return [item["type"] for item in self.engine.timeline("acme", run_id, limit=200).items]

    def executed(self) -> list[str]:
        """Job ids in the journal, in order: what user code was really run."""
        return [line.split()[0] for line in self.lines()]

    def lines(self, word: str = "") -> list[str]:
        """What handlers wrote into their journal, from whatever process."""
        return [line for line in self.journal.read_text().splitlines() if line.startswith(word)]
