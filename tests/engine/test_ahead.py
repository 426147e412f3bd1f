"""Children of a fan-out begin as others succeed, and are put away: all as a look would have done it."""

from __future__ import annotations

import json
import random
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import orjson
import pytest
from redis import Redis

from cordum.domain import ahead
from cordum.domain.limits import Limits
from cordum.domain.routing import queue_list
from cordum.domain.run import Failure, OutcomeClass
from cordum.engine import Engine, Outcome
from cordum.engine.core import Core
from cordum.redis_address import RedisAddress
from cordum.settings import Settings
from cordum.store import Store
from cordum.store.connection import Connection
from cordum.store.keys import RunKeys
from tests.engine.hands import ALICE, ALLOW, Hands

QUEUE = queue_list("job.t", 3)
SIZE = 200
FANS = {
    "item": "fan: {topic: job.t, for_each: input.items, input: {host: '${item}', n: '${index}', of: '${input.x}'}}",
    "run's input": "fan: {topic: job.t, for_each: input.items}",
    "after a step": """
  first: {topic: job.t}
  fan:
    topic: job.t
    depends_on: [first]
    for_each: input.items
    input: {item: "${item}", first: "${steps.first.output}", run: "${run.workflow_id} ~"}
    output_schema: {type: object}
    timeout_sec: 70
    retry: {max_retries: 2, initial_backoff_sec: 0}
""",
    "few places": "fan: {topic: job.t, for_each: input.items, max_parallel: 3, input: {all: ['${item}']}}",
}
ITEMS: list[Any] = [f'"ü" {n}\n\x7f~' if n % 3 else {"b": [n, 2**60, 1.5], "a": None} for n in range(SIZE)]
INPUT = {"items": ITEMS, "x": {"z": 1, "a": "ö"}}


@pytest.fixture
def client(redis_address: RedisAddress) -> Redis:
    return Redis(**redis_address.redis_py_kwargs(), decode_responses=True)


@pytest.fixture
def open_engine(redis_address: RedisAddress, client: Redis, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Engine]:
    monkeypatch.setattr(ahead, "MOST_AHEAD", 40)  # so that more is prepared again and again

    def make(*, straight: bool = True, policy: bytes = ALLOW) -> Engine:
        client.flushall()
        settings = replace(Settings(), straight=straight)
        store = Store(Connection.open(redis_address), settings.cell, settings.window_minimum)
        engine = Engine(store, settings, Limits(max_items=SIZE, jitter=False))
        engine.publish_policy(policy, "test")
        return engine

    return make


class Crew:
    """Carries out all jobs of a run, as they come. `fails`: which attempts do."""

    def __init__(self, engine: Engine, client: Redis, fails: Callable[[str, int], bool] = lambda *_: False) -> None:
        self.hands, self.engine, self.client, self.fails = Hands(engine), engine, client, fails
        self.words: list[str] = []
        self.most = 0

    def claim(self) -> Any:
        message = self.client.rpop(QUEUE)
        if message is None:
            return None
        job_id = orjson.loads(message)["headers"]["id"]
        claim = self.engine.jobs.claim(job_id, "job.t", 3, self.hands.worker.incarnation, job_id)
        return (job_id, claim.input) if claim.word == "CLAIMED" else self.claim()

    def record(self, job_id: str, given: Any) -> str:
        step, _, attempt = job_id.partition(":")[2].rpartition("@")
        bad = self.fails(step, int(attempt))
        outcome = (
            Outcome(OutcomeClass.RETRYABLE, None, Failure("error", "broke"))
            if bad
            else Outcome(OutcomeClass.SUCCESS, {"given": given})
        )
        word = self.engine.jobs.record(job_id, "job.t", self.hands.worker.incarnation, job_id, outcome).value
        self.words.append(word)
        return word

    def work(
        self, run_id: str, chance: random.Random | None = None, between: Callable[[], None] = lambda: None
    ) -> None:
        """Up to the end of the run; nobody looks but when somebody is called."""
        running: deque[Any] = deque()
        for turn in range(20 * SIZE):
            while len(running) < 8 and (claimed := self.claim()) is not None:
                running.append(claimed)
            self.most = max(self.most, len(running))
            if chance is not None:
                running.rotate(chance.randrange(8))
            if not running or self.record(*running.popleft()) == "ADVANCE":
                self.engine.coordinate(stay=False)
            if turn % 10 == 0:
                self.engine.jobs.renew(self.hands.worker)
            if self.engine.store.runs.fields([run_id])[0]["status"] in ("succeeded", "failed", "cancelled"):
                return
            between()
        raise AssertionError("the run does not end")


def left(client: Redis, run_id: str) -> dict[str, Any]:
    """All that is kept of a run, without what differs from run to run."""
    own = RunKeys.of(run_id)
    events: dict[str, list[Any]] = {}
    for text in client.lrange(own.timeline, 0, -1):
        event = json.loads(text.partition("|")[2].replace(run_id, "RUN"))
        events.setdefault(event.get("step_id", ""), []).append(event)
    children = {ref: json.loads(text) for ref, text in client.hgetall(own.children).items()}
    return {
        "events": events,
        "children": {ref: _without_times(state) for ref, state in children.items()},
        "inputs": {step: text.replace(run_id, "RUN") for step, text in client.hgetall(own.inputs).items()},
        "outputs": {step: text.replace(run_id, "RUN") for step, text in client.hgetall(own.outputs).items()},
        "child_outputs": {ref: text.replace(run_id, "RUN") for ref, text in client.hgetall(own.child_outputs).items()},
        "steps": client.hgetall(own.steps),
        "facts": {
            f for f in client.hgetall(own.facts) if not f.endswith(("#results", "#wake_after", "#ahead", "#recorded"))
        },
        "prepared": client.hgetall(own.prepared),
    }


def _without_times(state: dict[str, Any]) -> dict[str, Any]:
    kept = {name: text for name, text in state.items() if not name.endswith(("_at", "recorded"))}
    return kept | {"begun": state["begun"].split()[2]}


@pytest.mark.parametrize("fan", FANS.values(), ids=FANS)
def test_it_is_what_a_look_would_have_done(open_engine: Callable[..., Engine], client: Redis, fan: str) -> None:
    found = []
    for straight in (False, True):
        engine = open_engine(straight=straight)
        crew = Crew(engine, client)
        run_id = crew.hands.start(f"steps:\n  {fan.strip()}", INPUT)
        crew.work(run_id)
        assert engine.run("default", run_id)["status"] == "succeeded"
        went = engine.store.figures.counters().get("commits:straight", 0)
        assert went == 0 if not straight else went > SIZE / 2
        found.append(left(client, run_id))
        engine.close()
    planned, straight_ = found
    for part, kept in planned.items():
        assert straight_[part] == kept, part


def test_few_have_to_look_and_the_window_stays_full(open_engine: Callable[..., Engine], client: Redis) -> None:
    crew = Crew(open_engine(), client)
    run_id = crew.hands.start(f"steps:\n  {FANS['after a step'].strip()}", INPUT)
    crew.work(run_id)
    assert crew.words.count("ADVANCE") < SIZE / 10
    assert crew.most == 8


OTHERS = {
    "context": ("fan: {topic: job.t, for_each: input.items, input: {a: '${ctx.a}'}}", ALLOW),
    "another step": (
        "a: {topic: job.t}\n  fan: {topic: job.t, for_each: input.items, input: '${steps.a.status}'}",
        ALLOW,
    ),
    "undone": ("fan: {topic: job.t, for_each: input.items, compensate: {topic: job.t}}", ALLOW),
    "key": ("fan: {topic: job.t, for_each: input.items, concurrency: {key: k, limit: 3}}", ALLOW),
    "patience": ("fan: {topic: job.t, for_each: input.items, queue_timeout_sec: 100}", ALLOW),
    "the policy looks at the input": (
        FANS["item"],
        b"{version: '1', default_decision: allow, rules: [{id: r, match: {input: 'input.n == 500'}, decision: deny}]}",
    ),
}


@pytest.mark.parametrize(("fan", "policy"), OTHERS.values(), ids=OTHERS)
def test_what_is_not_alike_waits_for_a_look(
    open_engine: Callable[..., Engine], client: Redis, fan: str, policy: bytes
) -> None:
    crew = Crew(open_engine(policy=policy), client)
    run_id = crew.hands.start(f"steps:\n  {fan}", INPUT)
    crew.work(run_id)
    assert not client.hexists(RunKeys.of(run_id).facts, "fan#ahead")
    assert crew.engine.run("default", run_id)["status"] == "succeeded"
    assert crew.engine.store.figures.counters().get("commits:straight", 0) <= 2


@pytest.mark.parametrize("seed", range(6))
def test_failures_pauses_and_policies_in_between(open_engine: Callable[..., Engine], client: Redis, seed: int) -> None:
    """Some attempts fail and are tried again, the run is paused, the policy changes: each child ends once."""
    chance = random.Random(seed)
    crew = Crew(open_engine(), client, lambda step, attempt: attempt == 1 and step.endswith(("3]", f"{seed}]")))
    engine = crew.engine
    run_id = crew.hands.start(f"steps:\n  {FANS['after a step'].strip()}", INPUT)

    def between() -> None:
        match chance.randrange(60):
            case 0:
                engine.pause_run(ALICE, run_id, "to see")
            case 1 | 2 | 3:
                engine.resume_run(ALICE, run_id, "goes on")
            case 4:
                engine.publish_policy(ALLOW.replace(b"'1'", f"'{chance.random()}'".encode()), "test")
            case 5:
                engine.coordinate(stay=False)

    crew.work(run_id, chance, between)
    shown = engine.run("default", run_id)
    assert (shown["status"], shown["error"]) == ("succeeded", None)
    assert len(shown["steps"]["fan"]["output"]) == SIZE
    ended = [e["step_id"] for e in told(client, run_id) if e["type"] == "step.succeeded"]
    assert len(ended) == len(set(ended)) == SIZE + 2
    assert set(client.hgetall(RunKeys.of(run_id).steps)) == {"first", "fan"}
    assert {f.partition("#")[0] for f in client.hgetall(RunKeys.of(run_id).facts)} == {"first", "fan"}


def told(client: Redis, run_id: str) -> list[dict[str, Any]]:
    return [json.loads(text.partition("|")[2]) for text in client.lrange(RunKeys.of(run_id).timeline, 0, -1)]


def test_a_plan_that_was_refused_holds_children_until_one_is_committed(
    open_engine: Callable[..., Engine], client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else an operator would be refused for as long as children succeed."""
    crew = Crew(open_engine(), client)
    engine = crew.engine
    run_id = crew.hands.start(f"steps:\n  {FANS['item']}", INPUT)
    for _ in range(100):
        claimed = crew.claim()
        if crew.record(*claimed) == "ADVANCE":
            engine.coordinate(stay=False)
    plans: list[str] = []
    look = Core.look

    def slow(core: Core, run: str) -> Any:
        found = look(core, run)
        plans.append(run)
        if claimed := crew.claim():
            crew.record(*claimed)
        return found

    monkeypatch.setattr(Core, "look", slow)
    engine.pause_run(ALICE, run_id, "to see")
    assert 2 <= len(plans) <= 3
    monkeypatch.undo()
    assert engine.run("default", run_id)["status"] == "paused"
    engine.resume_run(ALICE, run_id, "seen")
    crew.work(run_id)
    assert len(engine.run("default", run_id)["steps"]["fan"]["output"]) == SIZE
