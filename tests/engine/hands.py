"""A worker that tests move by hand, through the same calls a Celery worker makes."""

from __future__ import annotations

from typing import Any

from cordum.domain.run import Failure, OutcomeClass
from cordum.engine import Caller, Claim, Engine, Outcome, WorkerInfo

ALLOW = b"{version: '1', default_decision: allow, rules: []}"
ALICE = Caller("default", "alice")
BOB = Caller("default", "bob")


class Hands:
    def __init__(self, engine: Engine, name: str = "w1") -> None:
        self.engine = engine
        self.worker = WorkerInfo(name, "elsewhere", name, 1, 8, (), 0)
        engine.jobs.register(self.worker)

    def start(self, definition: str, input: dict[str, Any] | None = None, **options: Any) -> str:
        """Save a workflow and start a run of it as alice; the run's id."""
        self.engine.save_workflow("default", definition.encode(), "yaml", default_id="wf")
        return str(self.engine.start_run(ALICE, "wf", input or {}, **options).run["id"])

    def claim(self, run_id: str, step: str, attempt: int = 1) -> Claim:
        job_id = f"{run_id}:{step}@{attempt}"
        return self.engine.jobs.claim(job_id, self.topic(run_id, step), 3, self.worker.incarnation, "n")

    def finish(
        self, run_id: str, step: str, output: Any = None, attempt: int = 1, kind: OutcomeClass = OutcomeClass.SUCCESS
    ) -> str:
        """Record an outcome and let the coordinator look; the word record answered with."""
        failure = None if kind is OutcomeClass.SUCCESS else Failure("error", "broke")
        outcome = Outcome(kind, output, failure)
        job_id = f"{run_id}:{step}@{attempt}"
        word = self.engine.jobs.record(job_id, self.topic(run_id, step), self.worker.incarnation, "n", outcome)
        self.engine.coordinate()
        return word.value

    def work(self, run_id: str, step: str, output: Any = None) -> None:
        assert self.claim(run_id, step).word == "CLAIMED"
        assert self.finish(run_id, step, output) in ("ADVANCE", "RECORDED")

    def topic(self, run_id: str, step: str) -> str:
        return str(self.engine.run("default", run_id)["steps"][step]["topic"])

    def statuses(self, run_id: str) -> dict[str, str]:
        return {step: shown["status"] for step, shown in self.engine.run("default", run_id)["steps"].items()}

    def events(self, run_id: str) -> list[str]:
        return [event["type"] for event in self.engine.timeline("default", run_id, limit=200).items]
