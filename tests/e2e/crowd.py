"""People at the API.

One submits runs of the reference workflow, another approves; both ask again when nobody answers, and keep what they
were told, as a history knows it.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from cordum.client import ApiError, Client
from cordum.errors import CordumError
from tests.cells import ROOT, Cell, eventually
from tests.proof.history import Call, Outcome

WORKFLOW = "incident_triage_parallel"
DEFINITION = (ROOT / "config" / "workflows" / f"{WORKFLOW}.yaml").read_bytes()
STEPS = ("classify", "logs_scan", "metric_scan", "rollback")


class Crowd:
    """While it is entered it submits `count` runs, each under a key of its own, and approves whatever waits.

    `allowed`: the runs it may submit before it is allowed more; all of them when not given.
    """

    def __init__(self, url: str, count: int, pause_sec: float = 0.05, allowed: int | None = None) -> None:
        self.alice = Client(url, tenant="default", principal="alice")
        self.bob = Client(url, tenant="default", principal="bob")
        self.runs: dict[str, str] = {}
        self.calls: list[Call] = []
        self._count = count
        self._pause_sec = pause_sec
        self._allowed = threading.Semaphore(count if allowed is None else allowed)
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._submit), threading.Thread(target=self._approve)]

    def __enter__(self) -> Crowd:
        eventually(lambda: self._saved(DEFINITION), "the API")
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
                incident = {"incident_id": key, "summary": "?"}
                end, run = _told(partial(self.alice.start, WORKFLOW, incident, idempotency_key=key))
                run_id = run["id"] if run else None
                told = Call(
                    "submit", end, person="alice", workflow=WORKFLOW, key=key, body=json.dumps(incident), run=run_id
                )
                self.calls.append(told)
                if run_id is not None:
                    self.runs[key] = run_id
                else:
                    self._stop.wait(0.1)
            self._stop.wait(self._pause_sec)

    def allow(self, more: int) -> None:
        """Let so many more runs be submitted."""
        self._allowed.release(more)

    def _approve(self) -> None:
        while not self._stop.wait(0.1):
            with suppress(CordumError, OSError):
                for job in [approval["job_id"] for approval in self.bob.approvals()]:
                    end, _ = _told(partial(self.bob.approve, job))
                    self.calls.append(Call("approve", end, person="bob", job=job))

    def wait_until_all_ended(self, cell: Cell, patience_sec: float) -> list[str]:
        """The ids of all runs, once each of them has ended."""
        eventually(lambda: len(self.runs) == self._count, "all submits", patience_sec)
        runs = list(self.runs.values())
        for run_id in runs:
            eventually(partial(_ended, cell, run_id), f"the end of {run_id}", patience_sec)
        return runs


def _told(ask: Callable[[], dict[str, Any]]) -> tuple[Outcome, dict[str, Any] | None]:
    """How a request ended, and its answer: whoever gets none cannot know."""
    try:
        return "ok", ask()
    except ApiError as error:
        return ("unknown" if error.can_retry or error.http_status >= 500 else "fail"), None
    except (CordumError, OSError):
        return "unknown", None


def _ended(cell: Cell, run_id: str) -> bool:
    with suppress(CordumError):
        return bool(cell.engine.run("default", run_id)["completed_at"])
    return False
