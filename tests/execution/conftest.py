"""Real workers on a real Redis, and a port that remembers for the tests that need neither."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import cordum
from cordum.engine import Caller, Claim, Engine, Outcome, WorkerInfo
from cordum.execution.roles import beat_argv, coordinator_argv, worker_argv
from cordum.redis_address import RedisAddress
from cordum.settings import Settings, load_settings
from cordum.store.jobs import ClaimReply

ROOT = Path(cordum.__file__).parents[1]
HANDLERS = "handlers_for_tests"
PATIENCE_SEC = 30.0
# Short enough for tests that wait for a lease, long enough for a busy machine.
FAST = {
    "CORDUM_LEASE_RENEW_MS": "200",
    "CORDUM_LEASE_MS": "2000",
    "CORDUM_SWEEP_MS": "200",
    "CORDUM_MESSAGE_GRACE_MS": "1000",
}
ALLOW_ALL = b'version: "1"\ndefault_decision: allow\nrules: []\n'


def eventually(look: Callable[[], Any], what: str) -> Any:
    """The first true answer of `look`; the test fails when there is none within half a minute."""
    give_up = time.monotonic() + PATIENCE_SEC
    while time.monotonic() < give_up:
        if found := look():
            return found
        time.sleep(0.02)
    raise AssertionError(f"waited in vain for {what}")


@dataclass
class FakePort:
    """Answers like the engine's jobs and keeps what it was told; `away` makes that many next calls fail."""

    claim_words: list[ClaimReply] = field(default_factory=list)
    away: list[Exception] = field(default_factory=list)
    running: bool = True
    stops: list[str] = field(default_factory=list)
    told: list[tuple[Any, ...]] = field(default_factory=list)
    changed: threading.Event = field(default_factory=threading.Event)

    def _tell(self, *what: Any) -> None:
        if self.away:
            raise self.away.pop(0)
        self.told.append(what)
        self.changed.set()

    def names(self) -> list[str]:
        return [what[0] for what in self.told]

    def register(self, worker: WorkerInfo) -> None:
        self._tell("register", worker)

    def renew(self, worker: WorkerInfo) -> list[str]:
        self._tell("renew", worker)
        stops, self.stops = self.stops, []
        return stops

    def leave(self, incarnation: str) -> None:
        self._tell("leave", incarnation)

    def claim(self, job_id: str, topic: str, priority: int, incarnation: str, nonce: str) -> Claim:
        self._tell("claim", job_id, nonce)
        word = self.claim_words.pop(0) if self.claim_words else ClaimReply.CLAIMED
        return claim(word=word)

    def record(self, job_id: str, topic: str, incarnation: str, nonce: str, outcome: Outcome) -> str:
        self._tell("record", outcome, nonce)
        return "ADVANCE"

    def still_running(self, job_id: str, incarnation: str) -> bool:
        self._tell("still_running")
        return self.running

    def progress(self, job_id: str, incarnation: str, fraction: float | None, note: str | None) -> bool:
        self._tell("progress", fraction, note)
        return self.running

    def lost(self, job_id: str, topic: str, incarnation: str, reason: str) -> str:
        self._tell("lost", job_id, reason)
        return "ADVANCE"

    def once(self, job_id: str, name: str) -> bool:
        self._tell("once", name)
        return True


def claim(word: ClaimReply = ClaimReply.CLAIMED, input: Any = None, timeout_ms: int = 60_000) -> Claim:
    return Claim(word, {} if input is None else input, "r1", "s", 1, "acme", "w", {"team": "sre"}, timeout_ms)


@pytest.fixture
def fake_port() -> FakePort:
    return FakePort()


@pytest.fixture
def make_claim() -> Callable[..., Claim]:
    return claim


@pytest.fixture(name="eventually")
def eventually_fixture() -> Callable[[Callable[[], Any], str], Any]:
    return eventually


class Cell:
    """A cordum of processes: starts them, feeds them, and ends them all."""

    def __init__(self, address: RedisAddress, directory: Path) -> None:
        self.directory = directory
        self.journal = directory / "journal"
        self.journal.touch()
        self._env = {
            **{key: value for key, value in os.environ.items() if not key.startswith(("CORDUM_", "CELERY_"))},
            **FAST,
            "CORDUM_REDIS_URL": address.url(),
            "CORDUM_CONFIG": str(ROOT / "config" / "cordum.yaml"),
            "PYTHONPATH": f"{ROOT}{os.pathsep}{Path(__file__).parent}",
            "JOURNAL": str(self.journal),
            # The tests may run as root, which Celery warns of.
            "PYTHONWARNINGS": "ignore:You're running the worker with superuser privileges",
        }
        self.settings: Settings = load_settings(env=self._env)
        self.engine = Engine.connect(self.settings, address)
        self.engine.publish_policy(ALLOW_ALL, "tests")
        self._processes: list[subprocess.Popen[bytes]] = []

    # -- processes -----------------------------------------------------------------------------------------------

    def celery(self, *argv: str) -> subprocess.Popen[bytes]:
        return self.python("-m", "celery", *argv)

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
        argv = worker_argv(topics, modules=[HANDLERS], pool=pool, concurrency=concurrency, name=name, log_level="info")
        process = self.celery(*argv, *extra)
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

    def lines(self, word: str = "") -> list[str]:
        """What handlers wrote into their journal, from whatever process."""
        return [line for line in self.journal.read_text().splitlines() if line.startswith(word)]


@pytest.fixture
def cell(redis_address: RedisAddress, tmp_path: Path) -> Iterator[Cell]:
    one = Cell(redis_address, tmp_path)
    yield one
    one.end()


@pytest.fixture
def cell_on(tmp_path: Path) -> Iterator[Callable[[RedisAddress], Cell]]:
    """A cell on a Redis of the test's own."""
    cells: list[Cell] = []

    def make(address: RedisAddress) -> Cell:
        cells.append(Cell(address, tmp_path))
        return cells[-1]

    yield make
    for one in cells:
        one.end()
