"""Results of one turn are recorded by one call: they and their runs must be as if each had come alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from redis import Redis

from cordum.domain.run import Failure, OutcomeClass
from cordum.engine import Engine
from cordum.redis_address import RedisAddress
from cordum.settings import Settings
from cordum.store import Store
from cordum.store.connection import Connection
from cordum.store.jobs import Recording, RecordReply
from cordum.store.keys import RunKeys
from tests.engine.hands import ALICE, ALLOW, Hands

TRIAGE = """
steps:
  classify: {topic: job.a, input: {n: "${input.n}"}}
  logs: {topic: job.b, depends_on: [classify], input: {case: "${steps.classify.output}"}}
  metrics: {topic: job.b, depends_on: [classify], input: {case: "${steps.classify.output}", run: "${run.id}"}}
  rollback:
    topic: job.a
    depends_on: [logs, metrics]
    input: {all: ["${steps.logs.output}", "${steps.metrics.output}"]}
"""
FAN = """
steps:
  each: {topic: job.b, for_each: input.items, max_parallel: 9, input: {x: "${item}"}}
  last: {topic: job.a, depends_on: [each], input: {all: "${steps.each.output}"}}
"""
LIMITED = "steps: {only: {topic: job.a, concurrency: {key: one, limit: 2}}}"
DEFINITIONS = {
    "triage": (TRIAGE, [{"n": n} for n in range(9)]),
    "fan-outs": (FAN, [{"items": [*range(size)]} for size in (30, 17)]),
    "limited": (LIMITED, [{"n": n} for n in range(7)]),
}
TOPICS = ["job.a", "job.b"]


@pytest.fixture
def client(redis_address: RedisAddress) -> Iterator[Redis]:
    client: Redis = Redis(**redis_address.redis_py_kwargs(), decode_responses=True)
    client.flushall()
    yield client
    client.close()


@pytest.fixture
def open_engine(redis_address: RedisAddress, client: Redis) -> Callable[..., Engine]:
    def make(window: int = 32) -> Engine:
        settings = Settings()
        engine = Engine(Store(Connection.open(redis_address), settings.cell, window), settings)
        engine.publish_policy(ALLOW, "test")
        return engine

    return make


class Turns:
    """A worker of eight slots that asks for its turns by hand."""

    def __init__(self, engine: Engine, *, together: bool) -> None:
        self.engine, self.hands, self.together = engine, Hands(engine), together
        self.number = 0
        self.words: Counter[str] = Counter()
        self.began: Counter[str] = Counter()

    def start(self, definition: str, inputs: list[dict[str, Any]]) -> list[str]:
        self.engine.save_workflow("default", definition.encode(), "yaml", default_id="wf")
        return [str(one) for one in self.engine.start_runs(ALICE, "wf", inputs)]

    def take(self) -> list[Recording]:
        self.number += 1
        begun = self._exchange([], TOPICS, 8, self.number).begun
        self.began.update(str(one.job) for one, _ in begun)
        return [Recording(one.job, one.topic, one.nonce, OutcomeClass.SUCCESS, '{"n":1}') for one, _ in begun]

    def record(self, results: list[Recording]) -> None:
        for some in [results] if self.together else [[one] for one in results]:
            self.words.update(self._exchange(some, [], 0).recorded)
        self.engine.coordinate(stay=False)

    def work(self) -> None:
        while results := self.take():
            self.record(results)

    def _exchange(self, results: list[Recording], topics: list[str], want: int, number: int = 0) -> Any:
        return self.engine.store.jobs.exchange(self.hands.worker.incarnation, results, [], topics, want, (), number)


def left(engine: Engine, client: Redis, run_ids: list[str]) -> list[dict[str, Any]]:
    """What is kept of these runs, without what differs from run to run."""
    found = []
    for run_id in run_ids:
        own = RunKeys.of(run_id)
        events = engine.timeline("default", run_id, limit=500).items
        facts: Any = client.hgetall(own.facts)
        outputs: Any = {part: client.hgetall(getattr(own, part)) for part in ("inputs", "outputs", "child_outputs")}
        found.append(
            {
                "status": engine.run("default", run_id)["status"],
                "steps": client.hgetall(own.steps),
                "facts": {name for name in facts if not name.endswith(("#wake_after", "#results", "#ahead"))},
                "texts": {part: str(texts).replace(run_id, "RUN") for part, texts in outputs.items()},
                "events": Counter((e["type"], e.get("step_id"), e.get("from"), e.get("to")) for e in events),
            }
        )
    return found


@pytest.mark.parametrize("window", [1, 3, 32])
@pytest.mark.parametrize("name", DEFINITIONS)
def test_they_leave_what_they_would_leave_one_by_one(
    open_engine: Callable[..., Engine], client: Redis, name: str, window: int
) -> None:
    definition, inputs = DEFINITIONS[name]
    found = []
    for together in (False, True):
        client.flushdb()
        engine = open_engine(window=window)
        turns = Turns(engine, together=together)
        run_ids = turns.start(definition, inputs)
        turns.work()
        counters = engine.store.figures.counters()
        ended = {what: n for what, n in counters.items() if what.startswith(("runs_", "steps_", "attempts_"))}
        audited: Any = client.lrange("cordum:c1:audit:default", 0, -1)
        numbers = [int(text.split()[0]) for text in audited]
        assert numbers == [*range(1, len(numbers) + 1)]
        places = [key for kind in ("window", "sent", "turns", "ready", "parked") for key in client.keys(f"*:{kind}:*")]
        assert [key for key in places if "job." in key] == []
        assert engine.store.workers.held(turns.hands.worker.incarnation) == []
        assert set(turns.began.values()) == {1}
        found.append((left(engine, client, run_ids), ended, len(numbers), sorted(turns.words)))
        assert {run["status"] for run in found[-1][0]} == {"succeeded"}
        engine.close()
    assert found[0] == found[1]


def test_a_window_never_holds_more_than_its_width(open_engine: Callable[..., Engine], client: Redis) -> None:
    engine = open_engine(window=5)
    turns = Turns(engine, together=True)
    turns.start(FAN, [{"items": [*range(40)]}, {"items": [*range(25)]}])
    most = 0
    while results := turns.take():
        turns.record(results)
        most = max(most, int(client.scard("cordum:c1:window:job.b")))
    assert most == 5


def test_what_was_foreseen_of_all_may_be_forgotten(open_engine: Callable[..., Engine], client: Redis) -> None:
    """Then somebody looks, as if nothing had been foreseen."""
    engine = open_engine()
    turns = Turns(engine, together=True)
    run_ids = turns.start(TRIAGE, [{"n": n} for n in range(3)])
    (template,) = client.keys("cordum:c1:template:*")
    assert 0 < client.pttl(template) <= 86_400_000
    client.delete(template)
    turns.work()
    assert [engine.run("default", run_id)["status"] for run_id in run_ids] == ["succeeded"] * 3
    # A first step's success says what follows, and nobody knows how; a commit then says it anew, of the run's own.
    assert turns.words[RecordReply.ADVANCE] >= 3


def test_by_another_policy_what_all_have_in_common_does_not_hold(open_engine: Callable[..., Engine]) -> None:
    engine = open_engine()
    turns = Turns(engine, together=True)
    run_ids = turns.start(TRIAGE, [{"n": 1}, {"n": 2}])
    results = turns.take()
    rule = "{id: r, match: {topics: [job.b]}, decision: allow}"
    engine.publish_policy(f"{{version: '2', default_decision: allow, rules: [{rule}]}}".encode(), "test")
    turns.record(results)
    turns.work()
    for run_id in run_ids:
        assert engine.run("default", run_id)["status"] == "succeeded"
        events = engine.timeline("default", run_id, limit=100).items
        assert [e["data"]["rule_id"] for e in events if e["type"] == "step.decision"] == [None, "r", "r", None]


def test_a_run_of_which_more_was_foreseen_has_that_of_its_own(
    open_engine: Callable[..., Engine], client: Redis
) -> None:
    engine = open_engine()
    turns = Turns(engine, together=True)
    failing = TRIAGE.replace(
        "{topic: job.a, input", "{topic: job.a, retry: {max_retries: 1, initial_backoff_sec: 0}, input", 1
    )
    run_id = turns.start(failing, [{"n": 1}, {"n": 2}])[1]
    assert client.hget(RunKeys.of(run_id).run, "template")
    broke = Failure("error", "broke")
    turns.record([one._replace(outcome=OutcomeClass.RETRYABLE, output="", failure=broke) for one in turns.take()])
    turns.work()
    assert client.hget(RunKeys.of(run_id).run, "template") == ""
    assert engine.run("default", run_id)["status"] == "succeeded"
