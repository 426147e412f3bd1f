"""People at the API.

One submits runs of the reference workflow, another approves; both ask again when nobody answers.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from functools import partial

from cordum.client import Client
from cordum.errors import CordumError
from tests.cells import ROOT, Cell, eventually

WORKFLOW = "incident_triage_parallel"
STEPS = ("classify", "logs_scan", "metric_scan", "rollback")


class Crowd:
    """While it is entered it submits `count` runs, each under a key of its own, and approves whatever waits.

    `allowed`: the runs it may submit before it is allowed more; all of them when not given.
    """

    def __init__(self, url: str, count: int, pause_sec: float = 0.05, allowed: int | None = None) -> None:
        self.alice = Client(url, tenant="default", principal="alice")
        self.bob = Client(url, tenant="default", principal="bob")
        self.runs: dict[str, str] = {}
        self._count = count
        self._pause_sec = pause_sec
        self._allowed = threading.Semaphore(count if allowed is None else allowed)
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._submit), threading.Thread(target=self._approve)]

    def __enter__(self) -> Crowd:
        definition = (ROOT / "config" / "workflows" / f"{WORKFLOW}.yaml").read_bytes()
        eventually(lambda: self._saved(definition), "the API")
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _saved(self, definition: bytes) -> bool:
        with suppress(CordumError, OSError):
            self.alice.save_workflow(definition)
            return True
        return False

    def _submit(self) -> None:
        for number in range(self._count):
            key = f"incident-{number}"
            while not self._allowed.acquire(timeout=0.1):
                if self._stop.is_set():
                    return
            while key not in self.runs and not self._stop.is_set():
                with suppress(CordumError, OSError):
                    started = self.alice.start(WORKFLOW, {"incident_id": key, "summary": "?"}, idempotency_key=key)
                    self.runs[key] = started["id"]
                if key not in self.runs:
                    self._stop.wait(0.1)
            self._stop.wait(self._pause_sec)

    def allow(self, more: int) -> None:
        """Let so many more runs be submitted."""
        self._allowed.release(more)

    def _approve(self) -> None:
        while not self._stop.wait(0.1):
            with suppress(CordumError, OSError):
                for approval in self.bob.approvals():
                    self.bob.approve(approval["job_id"])

    def wait_until_all_ended(self, cell: Cell, patience_sec: float) -> list[str]:
        """The ids of all runs, once each of them has ended."""
        eventually(lambda: len(self.runs) == self._count, "all submits", patience_sec)
        runs = list(self.runs.values())
        for run_id in runs:
            eventually(partial(_ended, cell, run_id), f"the end of {run_id}", patience_sec)
        return runs


def _ended(cell: Cell, run_id: str) -> bool:
    with suppress(CordumError):
        return bool(cell.engine.run("default", run_id)["completed_at"])
    return False
