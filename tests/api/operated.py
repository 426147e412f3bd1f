"""A cell in which time stands still, with runs in every state that an operator may find them in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import redis
from flask.testing import FlaskClient

from cordum.domain.run import Failure, OutcomeClass
from cordum.engine import Engine, Outcome, WorkerInfo

V1 = "/api/v1"
REASON = {"reason": "the on-call engineer says so"}
WORKER = WorkerInfo("w1", "elsewhere", "w1", 1, 8, ("job.a",), 0, ("gpu",))
POLICY = b"{default_decision: allow, rules: [{id: no, match: {topics: [job.denied]}, decision: deny}]}"
DONE = Outcome(OutcomeClass.SUCCESS, None)
# In each of these the step `a` is what an operator would do something with.
WORKFLOWS: dict[str, dict[str, Any]] = {
    "fork": {"on_failure": "continue_independent", "steps": {"a": {"topic": "job.a"}, "b": {"topic": "job.b"}}},
    "waits": {"steps": {"a": {"type": "signal", "name": "go", "correlation": "c-1"}}},
    "rescued": {"steps": {"a": {"topic": "job.a", "on_error": "h"}, "h": {"type": "transform", "input": {}}}},
    "denied": {"steps": {"a": {"topic": "job.denied"}}},
    "slow": {"timeout_sec": 1, "steps": {"a": {"topic": "job.a"}}},
    "undone": {
        "steps": {
            "z": {"topic": "job.z", "compensate": {"topic": "job.undo"}},
            "a": {"topic": "job.a", "depends_on": ["z"]},
        }
    },
    "inner": {"steps": {"a": {"topic": "job.a"}}},
    "outer": {"steps": {"call": {"type": "subworkflow", "workflow_id": "inner"}}},
}


class Cell:
    def __init__(self, engine: Engine, api: FlaskClient, client: redis.Redis) -> None:
        self.engine, self.api, self.client = engine, api, client
        client.set(engine.store.keys.clock, 1_700_000_000_000)
        engine.publish_policy(POLICY, "test")
        engine.jobs.register(WORKER)
        for name, definition in WORKFLOWS.items():
            assert api.post(f"{V1}/workflows", json={"id": name, **definition}).status_code == 201

    # -- doing ---------------------------------------------------------------------------------------------------

    def post(self, path: str, body: Any = None, **query: str) -> Any:
        return self.api.post(f"{V1}{path}", json={} if body is None else body, query_string=query)

    def start(self, workflow: str = "fork") -> str:
        return str(self.post(f"/workflows/{workflow}/runs", {"n": 1}).json["run_id"])

    def fail(self, run_id: str, step: str) -> str:
        return self.finish(run_id, step, Outcome(OutcomeClass.FATAL, None, Failure("fatal", "disk full", "OSError")))

    def finish(self, run_id: str, step: str, outcome: Outcome = DONE) -> str:
        job_id, topic = f"{run_id}:{step}@1", f"job.{step}"
        assert self.engine.jobs.claim(job_id, topic, 3, WORKER.incarnation, "n").word == "CLAIMED"
        self.engine.jobs.record(job_id, topic, WORKER.incarnation, "n", outcome)
        self.engine._core.advance(run_id)
        return job_id

    # -- runs ----------------------------------------------------------------------------------------------------

    def paused(self) -> str:
        run_id = self.start()
        self.post(f"/workflow-runs/{run_id}/pause", REASON)
        return run_id

    def waiting(self) -> str:
        """A run that waits for a signal."""
        return self.start("waits")

    def failed(self) -> str:
        """A failed run with two dead letters."""
        run_id = self.start()
        self.fail(run_id, "a")
        self.fail(run_id, "b")
        return run_id

    def active(self) -> str:
        """A run that goes on though one of its steps has failed for good."""
        run_id = self.start()
        self.fail(run_id, "a")
        return run_id

    def succeeded(self) -> str:
        run_id = self.start()
        self.finish(run_id, "a")
        self.finish(run_id, "b")
        return run_id

    def rescued(self) -> str:
        run_id = self.start("rescued")
        self.fail(run_id, "a")
        return run_id

    def denied(self) -> str:
        return self.start("denied")

    def timed_out(self) -> str:
        run_id = self.start("slow")
        self.client.incrby(self.engine.store.keys.clock, 2000)
        self.engine._core.advance(run_id)
        return run_id

    def cancelled(self) -> str:
        """An ended run with a dead letter that nobody has dealt with."""
        run_id = self.active()
        self.post(f"/workflow-runs/{run_id}/cancel")
        return run_id

    def cancelled_clean(self) -> str:
        """An ended run that nobody needs."""
        run_id = self.start()
        self.post(f"/workflow-runs/{run_id}/cancel")
        return run_id

    def discarded(self) -> str:
        run_id = self.failed()
        assert self.api.delete(f"{V1}/dlq/{run_id}:a@1", json=REASON).status_code == 204
        return run_id

    def replayed(self) -> str:
        run_id = self.failed()
        assert self.post(f"/dlq/{run_id}:a@1/retry", REASON).status_code == 200
        return run_id

    def compensated(self) -> str:
        """A failed run that another run undoes."""
        run_id = self.start("undone")
        self.finish(run_id, "z")
        self.fail(run_id, "a")
        return run_id

    def compensation(self) -> str:
        """The run that undoes another one, not ended yet."""
        run = self.api.get(f"{V1}/workflow-runs/{self.compensated()}").json
        return str(run["compensation"]["run_id"])

    def child(self) -> str:
        """A failed run that is a part of another one."""
        outer = self.start("outer")
        run_id = str(self.api.get(f"{V1}/workflow-runs/{outer}").json["steps"]["call"]["child_run_id"])
        self.fail(run_id, "a")
        self.engine._core.advance(outer)
        return run_id

    def removed(self) -> str:
        run_id = self.cancelled_clean()
        assert self.api.delete(f"{V1}/workflow-runs/{run_id}", json=REASON).status_code == 204
        return run_id

    # -- other things --------------------------------------------------------------------------------------------

    def bulk(self) -> str:
        """The id of a bulk retry that is done."""
        self.failed()
        bulk = self.post("/dlq/retry", {**REASON, "filter": {}, "rate": 100}).json["id"]
        while self.engine.bulk_retries.get("default", bulk)["state"] == "running":
            self.client.incrby(self.engine.store.keys.clock, 20)
            self.engine.bulk_retries.carry_on()
        return str(bulk)

    def running_bulk(self) -> str:
        """The id of a bulk retry that has most of its letters before it."""
        self.failed()
        return str(self.post("/dlq/retry", {**REASON, "filter": {}, "rate": 0.01}).json["id"])

    def topic(self) -> str:
        return "job.a"

    def paused_topic(self) -> str:
        self.post("/queues/job.a/pause", REASON)
        return "job.a"

    def worker(self) -> str:
        return WORKER.incarnation

    def drained_worker(self) -> str:
        self.post(f"/workers/{WORKER.incarnation}/drain", REASON)
        return WORKER.incarnation

    def pool(self) -> str:
        return "gpu"

    def drained_pool(self) -> str:
        self.post("/pools/gpu/drain", REASON)
        return "gpu"

    def schedule(self) -> str:
        return str(self.post("/schedules", {"workflow_id": "fork", "cron": "0 * * * *"}).json["id"])

    def paused_schedule(self) -> str:
        schedule_id = self.schedule()
        self.post(f"/schedules/{schedule_id}/pause", REASON)
        return schedule_id

    def hook(self) -> str:
        return str(self.post("/hooks", {"start": {"workflow_id": "fork"}}).json["id"])

    # -- looking -------------------------------------------------------------------------------------------------

    def everything(self) -> dict[str, Any]:
        """Every key with its value, in bytes. (DUMP would show the order in which a hash happens to lie.)"""
        read: dict[bytes, Callable[[Any], Any]] = {
            b"string": self.client.get,
            b"hash": self.client.hgetall,
            b"list": lambda key: self.client.lrange(key, 0, -1),
            b"set": self.client.smembers,
            b"zset": lambda key: self.client.zrange(key, 0, -1, withscores=True),
        }
        return {key: read[self.client.type(key)](key) for key in self.client.keys("*")}

    def events(self, run_id: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.api.get(f"{V1}/workflow-runs/{run_id}/timeline?limit=200").json
        return found

    def audited(self, **wanted: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.api.get(f"{V1}/audit", query_string={"limit": "200", **wanted}).json["items"]
        return found


@dataclass(frozen=True)
class Action:
    """`path` with {run}; `ready`: makes something to which it can be done. `event`: what is told of it."""

    path: str
    ready: Callable[[Cell], str]
    event: str
    method: str = "POST"
    body: Any = None
    of_new_run: bool = False  # it happens to another run than the one in the path
    says_why: bool = True

    def ask(self, cell: Cell, about: str, **query: str) -> Any:
        body = (REASON if self.says_why else {}) | (self.body or {})
        path = V1 + self.path.replace("{run}", about)
        return cell.api.open(
            path, method=self.method, json=body, query_string=query, headers={"X-Principal-Id": "olga"}
        )
