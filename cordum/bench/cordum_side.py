"""cordum's side: policy decision, timeline and lease as always; one coordinator beside the two workers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from cordum.bench import triage
from cordum.bench.processes import Processes, clean_environment, wait_for
from cordum.bench.sides import LOOK_EVERY_SEC, READY_SEC, WORKERS, Place, done_sec
from cordum.engine import Caller, Engine
from cordum.execution.roles import coordinator_argv, worker_argv
from cordum.settings import load_settings

_CALLER = Caller("bench", "bench")


class CordumSide:
    name = "cordum"

    @contextmanager
    def ready(self, place: Place) -> Iterator[CordumBout]:
        environment = clean_environment({"CORDUM_REDIS_URL": place.address.url()})
        engine = Engine.connect(load_settings(env=environment), place.address)
        try:
            engine.publish_policy(triage.POLICY, "bench")
            engine.save_workflow(_CALLER.tenant, triage.DEFINITION, "yaml")
            with Processes(environment, place.directory / "cordum.log") as processes:
                _start(place, engine, processes)
                yield CordumBout(engine, processes)
        finally:
            engine.close()


class CordumBout:
    def __init__(self, engine: Engine, processes: Processes) -> None:
        self._engine = engine
        self._processes = processes
        self._runs: list[dict[str, Any]] = []

    def run(self, count: int) -> None:
        goal = self._ended() + count
        inputs: list[dict[str, Any]] = [{"incident": number} for number in range(count)]
        ids = [str(one) for one in self._engine.start_runs(_CALLER, triage.WORKFLOW_ID, inputs)]
        wait_for(
            lambda: self._ended() >= goal,
            f"{count} runs of cordum",
            self._processes,
            every_sec=LOOK_EVERY_SEC,
            timeout_sec=done_sec(count),
        )
        self._runs = [self._engine.run(_CALLER.tenant, run_id) for run_id in ids]

    def problems(self) -> list[str]:
        return [problem for number, run in enumerate(self._runs) for problem in self._problems_of(number, run)]

    def _problems_of(self, number: int, run: dict[str, Any]) -> Iterator[str]:
        run_id = run["id"]
        if run["status"] != "succeeded" or run["steps"]["rollback"]["output"] != triage.expected(number):
            yield f"{run_id} is {run['status']} with {run['output']}"
        events = self._engine.timeline(_CALLER.tenant, run_id, limit=200).items
        for word in ("step.decision", "step.started", "step.succeeded"):
            told = sorted(event["step_id"] for event in events if event["type"] == word)
            if told != sorted(triage.STEPS):
                yield f"{run_id}: {word} for {', '.join(told) or 'no step'}"

    def _ended(self) -> int:
        counters = self._engine.store.figures.counters()
        return sum(count for name, count in counters.items() if name.startswith("runs_ended:"))


def _start(place: Place, engine: Engine, processes: Processes) -> None:
    processes.python("-m", "celery", *coordinator_argv())
    for number in range(WORKERS):
        argv = worker_argv(
            triage.TOPICS,
            modules=["cordum.bench.handlers"],
            concurrency=place.concurrency,
            pool=place.pool,
            name=f"bench-{number}",
        )
        processes.python("-m", "celery", *argv)
    wait_for(
        lambda: len(engine.store.workers.known()) == WORKERS,
        "cordum's workers",
        processes,
        every_sec=0.05,
        timeout_sec=READY_SEC,
    )
