"""A store with a clock that tests move, and one run at a time to play with."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import redis

from cordum.domain.definition import load_workflow
from cordum.domain.ids import JobId
from cordum.domain.plan import Plan
from cordum.domain.planner import plan
from cordum.domain.policy import Policy
from cordum.domain.policy_document import read_policy
from cordum.domain.run import Failure, OutcomeClass, RunState, StepState
from cordum.domain.workflow import Workflow
from cordum.store import Store
from cordum.store.approvals import Resolution, ResolveReply, question
from cordum.store.jobs import Claimed, RecordReply
from cordum.store.keys import RunKeys
from cordum.store.runs import CommitReply, CreateReply, Idempotency, Snapshot

ALLOW = "{version: '1', default_decision: allow, rules: []}"
TOPIC = "job.t"
START = 1_000_000


class World:
    """Short words for what store tests do again and again."""

    def __init__(self, store: Store, client: redis.Redis, worker: str = "w1") -> None:
        self.store = store
        self.client = client
        self.worker = worker
        self.at(START)
        store.policies.publish(read_policy(ALLOW.encode()).digest, ALLOW, "test")
        store.workers.renew(worker, {}, 5000)

    # -- time and policy -----------------------------------------------------------------------------------------

    def at(self, ms: int) -> None:
        """Set the virtual clock."""
        self.client.set(self.store.keys.clock, ms)

    @property
    def policy(self) -> Policy:
        current = self.store.policies.current(known_epoch=-1)
        return read_policy((current.source or "").encode(), current.epoch)

    # -- runs ----------------------------------------------------------------------------------------------------

    def new(self, definition: str, run_id: str = "r1", tenant: str = "default") -> tuple[Workflow, RunState]:
        workflow = load_workflow(definition.encode(), "yaml", default_id="wf")
        self.store.workflows.save(tenant, workflow.id, "d", "{}", workflow.topics)
        run = RunState(
            id=run_id,
            tenant=tenant,
            workflow_id=workflow.id,
            digest="d",
            workflow_version=1,
            created_by="alice",
            created_at=START,
            input={"x": []},
            steps={step: StepState() for step in workflow.steps},
        )
        return workflow, run

    def create(
        self, definition: str, run_id: str = "r1", tenant: str = "default", idempotency: Idempotency | None = None
    ) -> tuple[CreateReply, str]:
        self.workflow, run = self.new(definition, run_id, tenant)
        return self.store.runs.create(run, plan(self.workflow, run, self.policy, START), idempotency)[:2]

    def snapshot(self, run_id: str = "r1") -> Snapshot:
        found = self.store.runs.snapshot(run_id)
        assert found is not None
        steps = {step: found.run.steps[step] for step in self.workflow.steps}
        return replace(found, run=replace(found.run, steps=steps))

    def plan(self, seen: Snapshot) -> Plan:
        return plan(self.workflow, seen.run, self.policy, seen.now)

    def advance(self, run_id: str = "r1") -> CommitReply:
        seen = self.snapshot(run_id)
        return self.store.runs.apply(seen.run, self.plan(seen))

    # -- jobs ----------------------------------------------------------------------------------------------------

    def claim(self, step: str, attempt: int = 1, run_id: str = "r1", nonce: str = "n", worker: str = "") -> Claimed:
        return self.store.jobs.claim(JobId(run_id, step, attempt), TOPIC, 3, worker or self.worker, nonce)

    def record(
        self,
        step: str,
        attempt: int = 1,
        run_id: str = "r1",
        nonce: str = "n",
        outcome: OutcomeClass = OutcomeClass.SUCCESS,
        output: str = "[]",
    ) -> RecordReply:
        failure = None if outcome is OutcomeClass.SUCCESS else Failure("error", "broke")
        job = JobId(run_id, step, attempt)
        return self.store.jobs.record(job, TOPIC, self.worker, nonce, outcome, output, failure, None)

    # -- looking -------------------------------------------------------------------------------------------------

    def marks(self, run_id: str = "r1") -> dict[str, str]:
        found: Any = self.client.hgetall(RunKeys.of(run_id).steps)
        return dict(found)

    def messages(self, queue: str = TOPIC + "\x06\x163") -> list[Any]:
        found: Any = self.client.lrange(queue, 0, -1)
        return list(reversed(found))

    def events(self, run_id: str = "r1") -> list[str]:
        return [event["type"] for event in self.store.runs.timeline(run_id, 1, 1000)]

    def decide(self, job: JobId, resolution: Resolution) -> ResolveReply:
        """A person answers what is asked now."""
        record = self.store.approvals.get("default", str(job))
        seen = "" if record is None else question(record)
        return self.store.approvals.resolve("default", job, replace(resolution, seen=seen))

    def due(self) -> list[Any]:
        found: Any = self.client.zrange(self.store.keys.wakeups, 0, -1)
        return list(found)

    def everything(self) -> dict[str, Any]:
        """The whole database without its counters: what a refused call must leave as it was."""
        dump: dict[str, Any] = {}
        for key in sorted({str(name) for name in self.client.scan_iter()} - {self.store.keys.stats}):
            kind = self.client.type(key)
            dump[key] = {
                "string": lambda key: self.client.get(key),
                "hash": lambda key: self.client.hgetall(key),
                "list": lambda key: self.client.lrange(key, 0, -1),
                "set": lambda key: sorted(self.client.smembers(key)),
                "zset": lambda key: self.client.zrange(key, 0, -1, withscores=True),
            }[str(kind)](key)
        return dump
