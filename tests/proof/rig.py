"""The real thing with the methods of the model's `Cell`: cordum's engine and scripts on a private Redis.

Time is virtual, run ids are the test's. The API, the coordinators and the workers each have an engine of their own, as
processes would: what one of them remembers the others do not.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from cordum.domain.ids import JobId
from cordum.domain.limits import Limits
from cordum.domain.plan import Plan
from cordum.domain.planner import plan, plan_cancel_step
from cordum.domain.routing import PRIORITIES, queue_list
from cordum.domain.run import Failure, OutcomeClass
from cordum.engine import Caller, Engine, Outcome, WorkerInfo
from cordum.engine.core import Look
from cordum.engine.jobs import read_claim
from cordum.errors import CordumError, IdempotencyKeyReused
from cordum.redis_address import RedisAddress
from cordum.settings import Settings
from cordum.store import Store
from cordum.store.prepared import Prepared
from cordum.store.scripts import Library
from tests.proof.cell import GRACE_MS, LEASE_MS, SWEEP_MS, WINDOW, Queue
from tests.proof.state import ENDED, PRIORITY
from tests.proof.wire import BreakableConnection

SETTINGS = Settings(lease_ms=LEASE_MS, sweep_ms=SWEEP_MS, message_grace_ms=GRACE_MS, window_minimum=WINDOW)
LIMITS = Limits(max_losses=SETTINGS.max_losses, jitter=False)
TENANTS = ("acme", "beta")
PATIENCE_SEC = 60.0
_OBSERVE = (Path(__file__).parent / "observe.lua").read_text()


@dataclass
class Rig:
    """One cell. `reset` makes it a new one on the same connection."""

    address: RedisAddress
    library: Library
    policies: dict[str, dict[str, str]]
    topics: list[str]
    workers: list[str]

    def __post_init__(self) -> None:
        self.wire = BreakableConnection(self.address, self.library)
        self.client = self.wire.client
        self.store = Store(self.wire, SETTINGS.cell, WINDOW)
        self._queues: list[Queue] = [(topic, priority) for topic in self.topics for priority in PRIORITIES]

    def reset(self, now: int) -> None:
        self.wire.calm()
        self.client.flushdb()
        self.now = now
        self.tick(0)
        self.api, self.coordinator, self.worker = (Engine(self.store, SETTINGS, LIMITS) for _ in range(3))
        self.definitions: dict[str, tuple[str, dict[str, Any]]] = {}  # run id -> tenant, definition
        self.heard: dict[str, list[str]] = {}  # worker -> the stops that it was told of last

    def close(self) -> None:
        self.wire.close()

    # -- people --------------------------------------------------------------------------------------------------

    def tick(self, ms: int) -> None:
        self.now += ms
        self.client.set(self.store.keys.clock, self.now)

    def publish(self, name: str) -> bool:
        rules = [
            {"id": f"r{number}", "match": {"topics": [topic]}, "decision": verdict}
            for number, (topic, verdict) in enumerate(self.policies[name].items())
        ]
        text = json.dumps({"version": name, "default_decision": "deny", "rules": rules})
        return bool(self.api.publish_policy(text.encode(), "ann")["published"])

    def submit(
        self, run_id: str, tenant: str, workflow: str, definition: dict[str, Any], input: Any, key: str | None = None
    ) -> tuple[str, str]:
        self.api.save_workflow(tenant, json.dumps(definition).encode(), "json", default_id=workflow)
        self.definitions[run_id] = tenant, definition
        with mock.patch("cordum.engine.core.new_run_id", return_value=run_id):
            try:
                started = self.api.start_run(Caller(tenant, "alice"), workflow, input, idempotency_key=key)
            except IdempotencyKeyReused:
                return "KEY_REUSED", ""
        return "REPLAYED" if started.replayed else "CREATED", started.run["id"]

    def cancel(self, run_id: str) -> None:
        self.api.cancel_run(Caller(self.definitions[run_id][0], "ann"), run_id)

    def revoke(self, job: str) -> None:
        self.worker.cancel_step(job, "celery-control", "revoked")

    def decide(self, job: str, decision: str, person: str) -> str:
        caller = Caller(self.definitions[job.partition(":")[0]][0], person)
        try:
            if decision == "approved":
                self.api.approve(caller, job)
            else:
                self.api.reject(caller, job, "")
        except CordumError as error:
            return str(error.code)
        return "OK"

    # -- workers -------------------------------------------------------------------------------------------------

    def pop(self, topic: str, priority: int) -> str:
        text: Any = self.client.rpop(queue_list(topic, priority))
        return str(json.loads(text)["headers"]["id"])

    def _spec(self, job: str) -> dict[str, Any]:
        run, _, rest = job.partition(":")
        spec: dict[str, Any] = self.definitions[run][1]["steps"][rest.partition("@")[0]]
        return spec

    def claim(self, job: str, worker: str, nonce: str) -> tuple[str, Any]:
        spec = self._spec(job)
        priority = PRIORITY[spec.get("priority", "interactive")]
        claim = self.worker.jobs.claim(job, spec["topic"], priority, worker, nonce)
        return claim.word.value, _without_words(claim.input)

    def turn(self, topic: str, worker: str, turn: int) -> tuple[str, str, Any]:
        answer = self.worker.jobs.exchange(worker, [], [], (topic,), 1, turn=turn)
        for one, claimed in answer.begun:
            return str(one.job), "CLAIMED", _without_words(read_claim(one.job, claimed).input)
        for _, text in answer.taken:
            return str(json.loads(text)["headers"]["id"]), "", None
        return "", "", None

    def record(self, job: str, worker: str, nonce: str, kind: str, output: Any = None, pause: int | None = None) -> str:
        failure = None if kind == "success" else Failure(kind, "broke")
        outcome = Outcome(OutcomeClass(kind), output, failure, pause)
        return self.worker.jobs.record(job, self._spec(job)["topic"], worker, nonce, outcome).value

    def progress(self, job: str, worker: str) -> bool:
        return self.worker.jobs.progress(job, worker, 0.5, None)

    def once(self, job: str, name: str) -> bool:
        return self.worker.jobs.once(job, name)

    def heartbeat(self, worker: str) -> list[str]:
        info = WorkerInfo(worker, "elsewhere", worker, 1, 1, (), 0)
        self.heard[worker] = self.worker.jobs.renew(info, self.heard.get(worker, ())).stops
        return self.heard[worker]

    def leave(self, worker: str) -> None:
        self.worker.jobs.leave(worker)

    def free(self, worker: str) -> int:
        return self.coordinator.jobs.free_worker(worker, "its worker's lease ran out")

    def lose(self, job: str, worker: str, *, child_died: bool = False) -> str:
        topic = self._spec(job)["topic"]
        if child_died:
            return self.worker.jobs.lost(job, topic, worker, "its child died").value
        found = JobId.parse(job)
        assert found is not None
        return self.store.jobs.lose(found, topic, worker, "its worker's lease ran out").value

    def forget(self, worker: str) -> bool:
        return self.store.workers.forget(worker)

    def resend_as_of(self, job: str, sent_at: str) -> bool:
        """A sweeper sends a message again that it found lost at another time."""
        spec, found = self._spec(job), JobId.parse(job)
        assert found is not None
        return self.store.jobs.resend(found, spec["topic"], PRIORITY[spec.get("priority", "interactive")], sent_at)

    # -- coordinators --------------------------------------------------------------------------------------------

    def look(self, run_id: str, revoked: str | None = None) -> tuple[Look, Plan, Prepared | None]:
        look = self.coordinator._core.look(run_id)
        assert look is not None
        seen = look.workflow, look.run, look.policy, look.snapshot.now, LIMITS
        if revoked is None:
            decided = plan(*seen)
            return look, decided, self.coordinator._core._foreseen(look, decided)
        job = JobId.parse(revoked)
        assert job is not None
        by = {"actor": "celery-control", "reason": "revoked"}
        return look, plan_cancel_step(*seen, step=job.step, attempt=job.attempt, **by), None

    def advance(self, run_id: str) -> None:
        self.coordinator._core.advance(run_id)

    def commit(self, looked: tuple[Look, Plan, Prepared | None]) -> str:
        look, decided, prepared = looked
        return self.store.runs.apply(look.run, decided, prepared).value

    def ring(self) -> bool:
        return self.store.wakeups.ring()

    def coordinate(self) -> None:
        """A coordinator takes a call; it leaves when no run is due, however long that takes here."""
        self.client.rpop(self.store.keys.coordinator)
        with mock.patch("cordum.engine.coordinator._STAY_SEC", PATIENCE_SEC):
            self.coordinator.coordinate(stay=False)

    def take_due(self) -> list[str]:
        return self.store.wakeups.take_due(64)

    def sweep(self, *, dies: bool = False) -> bool:
        if dies:
            return self.store.wakeups.sweep(SWEEP_MS, LEASE_MS) is not None
        return self.coordinator._coordinator.sweep() is not None

    # -- looking -------------------------------------------------------------------------------------------------

    def view(self) -> dict[str, Any]:
        asked = {
            "cell": SETTINGS.cell,
            "tenants": TENANTS,
            "queues": [queue_list(*queue) for queue in self._queues],
            "topics": self.topics,
            "workers": self.workers,
            "runs": list(self.definitions),
        }
        runs, approvals, open_, asked_of_all, dead, queues, windows, workers, leases, bell, letters = self.client.eval(
            _OBSERVE, 0, json.dumps(asked)
        )
        assert sorted(open_) == sorted(asked_of_all)
        lists = {queue: jobs[::-1] for queue, (jobs, _) in zip(self._queues, queues, strict=True) if jobs}
        sent = {queue: _scores(sent) for queue, (_, sent) in zip(self._queues, queues, strict=True) if sent}
        return {
            "runs": {run_id: _run_view(*run) for run_id, run in zip(self.definitions, runs, strict=True) if run[0]},
            "approvals": dict(approvals),
            "open": set(open_),
            "dead": {job: (status, code, rescued == "1") for job, status, code, rescued in dead},
            "open_letters": sorted(letters),
            "lists": lists,
            "sent": sent,
            "unfinished": {topic: set(jobs) for topic, jobs in zip(self.topics, windows, strict=True) if jobs},
            "held": {name: sorted(held) for name, (held, _) in zip(self.workers, workers, strict=True) if held},
            "stops": {name: stops for name, (_, stops) in zip(self.workers, workers, strict=True) if stops},
            "leases": _scores(leases),
            "bell": bell > 0,
        }

    def timeline(self, run_id: str) -> list[dict[str, Any]]:
        return self.store.runs.timeline(run_id, 1, 100_000)


def _without_words(input: Any) -> Any:
    """An input without the words in which a handler is told of an error."""
    if isinstance(input, dict) and "error" in input:
        input["error"].pop("message")
    return input


def _scores(flat: list[str]) -> dict[str, int]:
    return {name: int(score) for name, score in zip(flat[::2], flat[1::2], strict=True)}


def _pairs(flat: list[str]) -> dict[str, str]:
    return dict(zip(flat[::2], flat[1::2], strict=True))


def _run_view(*parts: Any) -> dict[str, Any]:
    run, steps, facts, outputs = (_pairs(part) for part in parts[:4])
    due, timer = (None if score is None else int(score) for score in parts[4:])
    error = json.loads(run["error"]) if run.get("error") else None
    return {
        "status": run["status"],
        "error": error and (error.get("step_id"), error["code"]),
        "output": json.loads(run["output"]) if "output" in run else None,
        "due": due,
        "timer": timer,
        "steps": {name: _step_view(name, mark, facts, outputs) for name, mark in steps.items()},
    }


def _step_view(name: str, mark: str, facts: dict[str, str], outputs: dict[str, str]) -> tuple[Any, ...]:
    status, _, attempt = mark.partition(":")

    def fact(of: str) -> str:
        return facts.get(f"{name}#{of}", "")

    failed = status in ENDED and fact("failure_number")
    return (
        status,
        int(attempt),
        int(fact("retries") or 0),
        int(fact("losses") or 0),
        fact("skip_reason") or None,
        json.loads(fact("failure"))["code"] if failed else None,
        json.loads(outputs[name]) if name in outputs else None,
    )
