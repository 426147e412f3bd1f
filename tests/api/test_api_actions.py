"""Every action of an operator, in one table: told by a dry run, refused with a reason that names a way out, audited.

`dry_run` and a refusal leave Redis as it was, byte by byte; its clock, which stands still here, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import redis
from flask.testing import FlaskClient

from cordum.api import create_app
from cordum.domain.run import Failure, OutcomeClass
from cordum.engine import Engine, Outcome, WorkerInfo
from cordum.redis_address import RedisAddress
from cordum.settings import Settings
from cordum.store.scripts import Library

V1 = "/api/v1"
REASON = {"reason": "the on-call engineer says so"}
WORKER = WorkerInfo("w1", "elsewhere", "w1", 1, 8, ("job.a",), 0, ("gpu",))
FORK = {"id": "fork", "on_failure": "continue_independent", "steps": {"a": {"topic": "job.a"}, "b": {"topic": "job.b"}}}
WAITS = {"id": "waits", "steps": {"go": {"type": "signal", "name": "go", "correlation": "c-1"}}}
RESCUED = {
    "id": "rescued",
    "steps": {"a": {"topic": "job.a", "on_error": "h"}, "h": {"type": "transform", "input": {}}},
}


class Cell:
    """A cell in which time stands still, and runs in every state that an action may find."""

    def __init__(self, engine: Engine, api: FlaskClient, client: redis.Redis) -> None:
        self.engine, self.api, self.client = engine, api, client
        client.set(engine.store.keys.clock, 1_700_000_000_000)
        engine.publish_policy(b"{version: '1', default_decision: allow, rules: []}", "test")
        engine.jobs.register(WORKER)
        for definition in (FORK, RESCUED, WAITS):
            assert api.post(f"{V1}/workflows", json=definition).status_code == 201

    def post(self, path: str, body: Any = None, **query: str) -> Any:
        return self.api.post(f"{V1}{path}", json={} if body is None else body, query_string=query)

    def start(self, workflow: str = "fork") -> str:
        return str(self.post(f"/workflows/{workflow}/runs", {"n": 1}).json["run_id"])

    def fail(self, run_id: str, step: str, attempt: int = 1) -> str:
        job_id, topic = f"{run_id}:{step}@{attempt}", f"job.{step}"
        assert self.engine.jobs.claim(job_id, topic, 3, WORKER.incarnation, "n").word == "CLAIMED"
        outcome = Outcome(OutcomeClass.FATAL, None, Failure("fatal", "disk full", "OSError"))
        self.engine.jobs.record(job_id, topic, WORKER.incarnation, "n", outcome)
        self.engine._core.advance(run_id)
        return job_id

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

    def cancelled_clean(self) -> str:
        """An ended run that nobody needs."""
        run_id = self.start()
        self.post(f"/workflow-runs/{run_id}/cancel")
        return run_id

    def cancelled(self) -> str:
        run_id = self.active()
        self.post(f"/workflow-runs/{run_id}/cancel")
        return run_id

    def paused(self) -> str:
        run_id = self.start()
        self.post(f"/workflow-runs/{run_id}/pause", REASON)
        return run_id

    def rescued(self) -> str:
        run_id = self.start("rescued")
        self.fail(run_id, "a")
        return run_id

    def discarded(self) -> str:
        run_id = self.failed()
        assert self.api.delete(f"{V1}/dlq/{run_id}:a@1", json=REASON).status_code == 204
        return run_id

    def replayed(self) -> str:
        run_id = self.failed()
        assert self.post(f"/dlq/{run_id}:a@1/retry", REASON).status_code == 200
        return run_id

    def bulk(self) -> str:
        """The id of a bulk retry that is done."""
        self.failed()
        bulk = self.post("/dlq/retry", {**REASON, "filter": {}, "rate": 100}).json["id"]
        while self.engine.bulk_retries.get("default", bulk)["state"] == "running":
            self.client.incrby(self.engine.store.keys.clock, 20)
            self.engine.bulk_retries.carry_on()
        return str(bulk)

    def waiting(self) -> str:
        """A run that waits for a signal."""
        return self.start("waits")

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
        made = self.post("/schedules", {"workflow_id": "fork", "cron": "0 * * * *"})
        return str(made.json["id"])

    def paused_schedule(self) -> str:
        schedule_id = self.schedule()
        self.post(f"/schedules/{schedule_id}/pause", REASON)
        return schedule_id

    def hook(self) -> str:
        return str(self.post("/hooks", {"start": {"workflow_id": "fork"}}).json["id"])

    def audited(self, **wanted: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.api.get(f"{V1}/audit", query_string={"limit": "200", **wanted}).json["items"]
        return found

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


@pytest.fixture
def cell(settings: Settings, redis_address: RedisAddress) -> Iterator[Cell]:
    engine = Engine.connect(settings, redis_address, Library(virtual_clock=True))
    client: redis.Redis = redis.Redis(**redis_address.redis_py_kwargs())
    yield Cell(engine, create_app(engine, settings).test_client(), client)
    client.close()
    engine.close()


@dataclass(frozen=True)
class Action:
    """`path` with {run}; `ready`: makes a run to which it can be done. `event`: what the timeline says of it."""

    path: str
    ready: Callable[[Cell], str]
    event: str
    method: str = "POST"
    body: Any = None
    of_new_run: bool = False  # it happens to another run than the one in the path
    says_why: bool = True

    def ask(self, cell: Cell, run_id: str, **query: str) -> Any:
        body = (REASON if self.says_why else {}) | (self.body or {})
        path = V1 + self.path.replace("{run}", run_id)
        return cell.api.open(
            path, method=self.method, json=body, query_string=query, headers={"X-Principal-Id": "olga"}
        )


ACTIONS = {
    "cancel": Action("/workflow-runs/{run}/cancel", Cell.start, "run.cancelled"),
    "pause": Action("/workflow-runs/{run}/pause", Cell.start, "run.paused"),
    "resume": Action("/workflow-runs/{run}/resume", Cell.paused, "run.resumed"),
    "retry": Action("/workflow-runs/{run}/retry", Cell.failed, "run.reopened"),
    "rerun": Action("/workflow-runs/{run}/rerun", Cell.failed, "run.created", of_new_run=True),
    "skip": Action("/workflow-runs/{run}/steps/a/skip", Cell.start, "step.skipped"),
    "complete": Action(
        "/workflow-runs/{run}/steps/a/complete", Cell.start, "step.completed_by_hand", body={"output": {"n": 2}}
    ),
    "signal": Action("/workflow-runs/{run}/signals/go", Cell.waiting, "signal.received", says_why=False),
    "dlq retry": Action("/dlq/{run}:a@1/retry", Cell.failed, "dead_letter.replayed"),
    "dlq retry edited": Action("/dlq/{run}:a@1/retry", Cell.failed, "dead_letter.replayed", body={"input": {"n": 3}}),
    "dlq discard": Action("/dlq/{run}:a@1", Cell.failed, "dead_letter.discarded", method="DELETE"),
    "dlq bulk retry": Action(
        "/dlq/retry", Cell.failed, "dead_letter.replayed", body={"filter": {"topic": "job.a"}, "rate": 100}
    ),
}


# What is done to something else than a run that goes on; `event`: what the audit says of it.
OTHERS = {
    "delete run": Action("/workflow-runs/{run}", Cell.cancelled_clean, "run.removed", method="DELETE"),
    "dlq stop": Action("/dlq/retry/{run}/stop", Cell.running_bulk, "bulk_retry.stopped"),
    "queue pause": Action("/queues/{run}/pause", Cell.topic, "queue.paused"),
    "queue resume": Action("/queues/{run}/resume", Cell.paused_topic, "queue.resumed"),
    "drain": Action("/workers/{run}/drain", Cell.worker, "worker.drained"),
    "drain undo": Action("/workers/{run}/drain", Cell.drained_worker, "worker.opened", method="DELETE"),
    "drain pool": Action("/pools/{run}/drain", Cell.pool, "pool.drained"),
    "drain pool undo": Action("/pools/{run}/drain", Cell.drained_pool, "pool.opened", method="DELETE"),
    "schedule pause": Action("/schedules/{run}/pause", Cell.schedule, "schedule.paused"),
    "schedule resume": Action("/schedules/{run}/resume", Cell.paused_schedule, "schedule.resumed"),
    "schedule delete": Action("/schedules/{run}", Cell.schedule, "schedule.deleted", method="DELETE"),
    "schedule backfill": Action(
        "/schedules/{run}/backfill",
        Cell.schedule,
        "run.created",
        body={"from": "2023-11-14T20:00:00Z", "to": "2023-11-14T20:00:00Z"},
    ),
    "hook rotate": Action("/hooks/{run}/rotate", Cell.hook, "hook.rotated"),
    "hook delete": Action("/hooks/{run}", Cell.hook, "hook.deleted", method="DELETE"),
    "signal by correlation": Action(
        "/signals/go", Cell.waiting, "signal.received", body={"correlation": "c-1"}, says_why=False
    ),
}
ALL = {**ACTIONS, **OTHERS}


@pytest.mark.parametrize("name", ALL)
def test_a_dry_run_tells_and_changes_nothing(cell: Cell, name: str) -> None:
    action = ALL[name]
    run_id = action.ready(cell)
    before = cell.everything()
    told = action.ask(cell, run_id, dry_run="true")
    assert told.status_code == 200, told.text
    assert told.json["dry_run"] is True
    assert cell.everything() == before


@pytest.mark.parametrize("name", ACTIONS)
def test_what_a_dry_run_tells_is_what_happens(cell: Cell, name: str) -> None:
    action = ACTIONS[name]
    run_id = action.ready(cell)
    told = action.ask(cell, run_id, dry_run="true").json
    done = action.ask(cell, run_id)
    assert done.status_code in (200, 204), done.text
    if name == "dlq bulk retry":
        cell.engine.bulk_retries.carry_on()
        assert [one["job_id"] for one in told["dispatch"]] == [f"{run_id}:a@2", f"{run_id}:b@2"]
    about = done.json["run_id"] if action.of_new_run else run_id
    queued = {e["job_id"] for e in cell.events(about) if e["type"] == "step.queued"}
    assert {one["job_id"].partition(":")[2] for one in told["dispatch"]} <= {job.partition(":")[2] for job in queued}
    if name != "dlq bulk retry":
        types = [e["type"] for e in cell.events(about)]
        assert [one for one in told["events"] if one not in types] == []
        run = cell.api.get(f"{V1}/workflow-runs/{about}").json
        assert run["status"] == told["run"]["to"]
        shown = {one["step_id"]: run["steps"][one["step_id"]]["status"] for one in told["steps"]}
        assert {one["step_id"]: one["to"].replace("pending", "queued") for one in told["steps"]} == shown


@pytest.mark.parametrize("name", ACTIONS)
def test_who_did_it_and_why_stays_on_the_timeline(cell: Cell, name: str) -> None:
    action = ACTIONS[name]
    run_id = action.ready(cell)
    done = action.ask(cell, run_id)
    if name == "dlq bulk retry":
        cell.engine.bulk_retries.carry_on()
    about = done.json["run_id"] if action.of_new_run else run_id
    (event,) = [e for e in cell.events(about) if e["type"] == action.event and e["actor"] == "olga"][:1]
    said = {**event["data"]}
    if action.says_why:
        assert REASON["reason"] in (said.get("reason"), said.get("comment"))


@pytest.mark.parametrize("name", OTHERS)
def test_who_did_it_and_why_is_in_the_audit(cell: Cell, name: str) -> None:
    action = OTHERS[name]
    about = action.ready(cell)
    assert action.ask(cell, about).status_code in (200, 204)
    (told,) = cell.audited(type=action.event, actor="olga")
    if action.says_why:
        assert told["data"]["reason"] == REASON["reason"]


@pytest.mark.parametrize("name", OTHERS)
def test_what_changes_nothing_is_not_told_twice(cell: Cell, name: str) -> None:
    action = OTHERS[name]
    about = action.ready(cell)
    action.ask(cell, about)
    told = cell.audited(type=action.event)
    if name not in ("hook rotate", "signal by correlation"):  # each of these is another one
        action.ask(cell, about)
    assert cell.audited(type=action.event) == told


# Programs for Cordum's published API do these without a word (CONTRACT.md 5.1): the record says so.
UNSAID = ("cancel", "rerun", "delete run", "dlq retry", "dlq retry edited", "dlq discard")
ASKED = [name for name, action in ALL.items() if action.says_why and name not in UNSAID]


@pytest.mark.parametrize("name", UNSAID)
def test_what_published_clients_do_without_a_reason_is_told_as_that(cell: Cell, name: str) -> None:
    action = ALL[name]
    path = V1 + action.path.replace("{run}", action.ready(cell))
    done = cell.api.open(path, method=action.method, json=action.body, headers={"X-Principal-Id": "olga"})
    assert done.status_code in (200, 204), done.text
    assert cell.audited(type=action.event, actor="olga")[0]["data"]["reason"] == "none given"


@pytest.mark.parametrize("name", ASKED)
def test_a_reason_is_asked_for(cell: Cell, name: str) -> None:
    action = ALL[name]
    path = V1 + action.path.replace("{run}", action.ready(cell))
    before = cell.everything()
    refused = cell.api.open(path, method=action.method, json=action.body or {})
    assert (refused.status_code, refused.json["errors"][0]["path"]) == (422, "/reason")
    assert "say why" in refused.json["errors"][0]["message"]
    assert cell.everything() == before


# (action, in which state, code, a word of what to do instead)
REFUSED = [
    ("pause", Cell.failed, "run_terminal", "rerun"),
    ("resume", Cell.failed, "run_terminal", "rerun"),
    ("retry", Cell.start, "run_not_retryable", "failed"),
    ("retry", Cell.cancelled, "run_not_retryable", "rerun"),
    ("retry", Cell.rescued, "run_not_retryable", "rerun"),
    ("rerun", Cell.start, "run_active", "cancel it"),
    ("skip", Cell.active, "step_terminal", "rerun"),
    ("complete", Cell.active, "step_terminal", "rerun"),
    ("skip", Cell.failed, "run_terminal", "rerun"),
    ("complete", Cell.failed, "run_terminal", "rerun"),
    ("dlq retry", Cell.active, "run_active", "wait for its end"),
    ("dlq retry", Cell.cancelled, "run_not_retryable", "rerun"),
    ("dlq retry", Cell.rescued, "dead_letter_rescued", "rerun"),
    ("dlq retry", Cell.discarded, "dead_letter_discarded", "retry the run"),
    ("dlq retry edited", Cell.replayed, "dead_letter_replayed", "edit the new dead letter"),
    ("dlq discard", Cell.replayed, "dead_letter_replayed", "cancel its run"),
    ("dlq discard", Cell.rescued, "dead_letter_rescued", "leave it"),
]


@pytest.mark.parametrize("dry_run", [False, True], ids=["", "dry"])
@pytest.mark.parametrize(("name", "state", "code", "mend"), REFUSED, ids=lambda part: getattr(part, "__name__", part))
def test_a_refusal_says_why_and_what_to_do_and_changes_nothing(
    cell: Cell, name: str, state: Callable[[Cell], str], code: str, mend: str, dry_run: bool
) -> None:
    run_id = state(cell)
    before = cell.everything()
    refused = ACTIONS[name].ask(cell, run_id, **({"dry_run": "true"} if dry_run else {}))
    assert (refused.status_code, refused.json["code"]) == (409, code)
    assert mend in refused.json["detail"]
    assert cell.everything() == before


def test_a_bulk_retry_that_is_done_cannot_be_stopped(cell: Cell) -> None:
    bulk = cell.bulk()
    before = cell.everything()
    refused = cell.post(f"/dlq/retry/{bulk}/stop", REASON)
    assert (refused.status_code, refused.json["code"]) == (409, "bulk_retry_done")
    assert "cancelling the runs" in refused.json["detail"]
    assert cell.everything() == before


@pytest.mark.parametrize(
    ("name", "state"),
    [
        ("cancel", Cell.cancelled),
        ("pause", Cell.paused),
        ("resume", Cell.start),
        ("retry", Cell.replayed),
        ("dlq retry", Cell.replayed),
        ("dlq discard", Cell.discarded),
    ],
)
def test_what_is_done_already_is_not_done_again(cell: Cell, name: str, state: Callable[[Cell], str]) -> None:
    run_id = state(cell)
    before = cell.events(run_id)
    assert ACTIONS[name].ask(cell, run_id).status_code in (200, 204)
    assert cell.events(run_id) == before


def test_the_comparison_sees_a_change(cell: Cell) -> None:
    """The negative control: an action that is done leaves another state."""
    for action in ALL.values():
        run_id = action.ready(cell)
        before = cell.everything()
        action.ask(cell, run_id)
        assert cell.everything() != before
