"""cordum: one coordinator with its beat beside two worker processes; policy, timeline and leases on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from common import HERE, WARM_UP, Answer, Place, Workers, main, missing, python, timed, until

from cordum.engine import Caller, Engine
from cordum.execution.roles import coordinator_argv, worker_argv
from cordum.redis_address import RedisAddress
from cordum.settings import load_settings
from cordum.store.keys import RunKeys

ME = Caller("bench", "bench")
POLICY = b"{version: '1', default_decision: deny, rules: [{id: b, match: {topics: ['job.peer.*']}, decision: allow}]}"
TRIAGE = """
steps:
  classify: {{topic: {t}.classify, input: {{incident: "${{input.incident}}"}}}}
  logs: {{topic: {t}.look, depends_on: [classify], input: {{case: "${{steps.classify.output}}"}}}}
  metrics: {{topic: {t}.look, depends_on: [classify], input: {{case: "${{steps.classify.output}}"}}}}
  rollback:
    topic: {t}.rollback
    depends_on: [logs, metrics]
    input: {{found: ["${{steps.logs.output}}", "${{steps.metrics.output}}"]}}
"""
WORKFLOWS = {
    "triage": TRIAGE.format(t="job.peer"),
    "waiting": TRIAGE.format(t="job.peer.waiting"),
    "single": "steps: {only: {topic: job.peer.classify, input: {incident: '${input.incident}'}}}",
    "fan_out": """
steps:
  first: {topic: job.peer.classify, input: {incident: 1}}
  each: {topic: job.peer.look, depends_on: [first], for_each: input.items, input: {case: {incident: "${item}"}}}
  join: {topic: job.peer.count, depends_on: [each], input: {found: "${steps.each.output}"}}
""",
}


class Cell:
    def __init__(self, engine: Engine, workers: Workers) -> None:
        self.engine = engine
        self.workers = workers

    def start(self, workflow_id: str, input: dict[str, Any]) -> str:
        return str(self.engine.start_run(ME, workflow_id, input, show=False).id)

    def ended(self) -> int:
        counters = self.engine.store.figures.counters()
        return sum(count for name, count in counters.items() if name.startswith("runs_ended:"))

    def status(self, run_id: str) -> str:
        key = RunKeys.of(run_id).run
        return str(self.engine.store.connection.read(lambda client: client.hget(key, "status")))

    def triage(self, workflow_id: str, count: int) -> list[str]:
        goal = self.ended() + count
        inputs = [{"incident": number} for number in range(count)]
        ids = [str(one) for one in self.engine.start_runs(ME, workflow_id, inputs)]
        until(self.ended, goal, 0.02)
        return ids

    def wrong(self, ids: list[str]) -> list[str]:
        found = [self.engine.run(ME.tenant, run_id) for run_id in ids]
        good = sum(run["steps"]["rollback"]["output"] == [n, n] for n, run in enumerate(found))
        return missing(good, len(ids), "runs have their result")


@contextmanager
def cell(place: Place) -> Iterator[Cell]:
    address = RedisAddress.unix(Path(place.socket))
    environment = {"CORDUM_REDIS_URL": address.url(), "CORDUM_MAX_ITEMS": "100000"}
    engine = Engine.connect(load_settings(env=environment), address)
    engine.publish_policy(POLICY, "bench")
    for name, definition in WORKFLOWS.items():
        engine.save_workflow(ME.tenant, definition.encode(), "yaml", default_id=name)
    workers = [
        worker_argv(
            ["job.peer.*"], modules=["handlers"], concurrency=place.concurrency, pool=place.pool, name=f"peer-{number}"
        )
        for number in range(2)
    ]
    commands = [python("-m", "celery", *argv) for argv in (*workers, coordinator_argv())]
    environment["PYTHONPATH"] = f"{HERE}:{HERE / 'cordum'}"
    with Workers(commands, environment) as running:
        until(lambda: len(engine.store.workers.known()), 2)
        one = Cell(engine, running)
        one.triage("triage", WARM_UP)
        yield one
        engine.close()


def latency(place: Place, count: int) -> Answer:
    took = []
    answer: Answer = {}
    with cell(place) as one, timed(answer):
        for number in range(count):
            began = time.monotonic()
            run_id = one.start("triage", {"incident": number})
            while one.status(run_id) != "succeeded":
                time.sleep(0.0002)
            took.append((time.monotonic() - began) * 1000)
    return answer | {"latencies_ms": took}


def triage(place: Place, count: int, workflow_id: str = "triage") -> Answer:
    answer: Answer = {}
    with cell(place) as one:
        with timed(answer):
            ids = one.triage(workflow_id, count)
        return answer | {"problems": one.wrong(ids)}


def waiting(place: Place, count: int) -> Answer:
    return triage(place, count, "waiting")


def singles(place: Place, count: int) -> Answer:
    answer: Answer = {}
    with cell(place) as one:
        with timed(answer):
            ids = one.triage("single", count)
        done = sum(one.status(run_id) == "succeeded" for run_id in ids)
        return answer | {"problems": missing(done, count, "jobs succeeded")}


def fan_out(place: Place, count: int) -> Answer:
    answer: Answer = {}
    with cell(place) as one:
        goal = one.ended() + 1
        with timed(answer):
            run_id = one.start("fan_out", {"items": list(range(count))})
            until(one.ended, goal, 0.005)
        found = one.engine.run(ME.tenant, run_id)["steps"]["join"]["output"]
        return answer | {"problems": missing(found, count, "results came to the join")}


def killed(place: Place, count: int) -> Answer:
    answer: Answer = {}
    with cell(place) as one:
        before = one.ended()
        with timed(answer):
            ids = [one.start("triage", {"incident": number}) for number in range(count)]
            until(one.ended, before + count // 2)
            one.workers.kill(0)
            died = time.monotonic()
            time.sleep(1)
            one.workers.start(0)
            done = until(one.ended, before + count) - before
            answer["settled_sec"] = time.monotonic() - died
        twice = 0
        for run_id in ids:
            events = one.engine.timeline(ME.tenant, run_id, limit=200).items
            applied = [event["step_id"] for event in events if event["type"] == "step.succeeded"]
            twice += len(applied) - len(set(applied))
        return answer | {"lost": count - done, "twice": twice, "problems": one.wrong(ids)}


if __name__ == "__main__":
    main(
        {
            "latency": latency,
            "triage": triage,
            "waiting": waiting,
            "fan_out": fan_out,
            "singles": singles,
            "killed": killed,
        },
        {name: version(name) for name in ("cordum", "celery")},
        "policy, timeline and leases on; settings by default",
    )
