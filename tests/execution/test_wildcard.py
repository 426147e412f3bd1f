"""Workers that consume by name and by pattern: what they take up, what they leave to others, what they tell."""

from __future__ import annotations

import json
import logging
import subprocess
from collections.abc import Callable, Iterable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery, bootsteps
from celery.concurrency.prefork import TaskPool

from cordum.domain.routing import is_direct
from cordum.errors import Unavailable
from cordum.execution import process, wildcard
from cordum.execution.config import celery_config
from cordum.execution.lease import describe_worker
from cordum.execution.tasks import add_job_task
from cordum.execution.wildcard import Asked, RegisteredTopics, TopicQueues, consumed_topics
from cordum.redis_address import RedisAddress

POOLS = ("solo", "threads", "prefork")
every_pool = pytest.mark.parametrize("pool", POOLS)


# -- what is asked for -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "matched"),
    [
        ("job.sre.*", {"job.sre.a", "job.sre.b.c"}),
        ("job.*.c", {"job.sre.b.c"}),
        ("job.sre.?", {"job.sre.a"}),
        ("job.[!s]*", {"job.ops"}),
        ("*", {"job.sre.a", "job.sre.b.c", "job.ops"}),
        ("job.SRE.*", set()),
        ("sre.*", set()),
    ],
)
def test_a_pattern_is_held_against_the_whole_topic_and_crosses_dots(pattern: str, matched: set[str]) -> None:
    assert Asked.of([pattern]).wanted(["job.sre.a", "job.sre.b.c", "job.ops"]) == matched


def test_names_and_patterns_may_be_mixed_and_other_queues_are_left_alone() -> None:
    asked = Asked.of(["job.a", "job.b.*", "job.c.*", "cordum.coordinator"])
    assert asked == Asked(frozenset({"job.a"}), ("job.b.*", "job.c.*"))
    assert asked.wanted(["job.b.x", "job.d"]) == {"job.a", "job.b.x"}
    assert Asked.of(["cordum.coordinator"]) == Asked(frozenset(), ())


# -- following, beside a consumer that remembers -----------------------------------------------------------------


class Consumer:
    """As much of Celery's consumer as the steps touch."""

    def __init__(self, asked: Iterable[str], functions: Iterable[str], pool: Any = None) -> None:
        self.app = Celery("wild", set_as_current=False)
        self.app.finalize()
        for name in functions:
            self.learn(name)
        self.app.amqp.queues.select(list(asked))
        self.blueprint = SimpleNamespace(state=bootsteps.RUN)
        self.controller = SimpleNamespace(cordum=describe_worker("w@h"))
        self.strategies: set[str] = set()
        self.pool = pool
        self.timer = self
        self.timed: list[Callable[[], None]] = []
        self.cancelled: list[str] = []

    def learn(self, topic: str) -> None:
        add_job_task(self.app, topic)

    def call_repeatedly(self, secs: float, call: Callable[..., None], args: tuple[Any, ...]) -> Any:
        self.timed.append(lambda: call(*args))
        return SimpleNamespace(cancel=self.timed.clear)

    def tick(self) -> None:
        for call in list(self.timed):
            call()

    def update_strategies(self) -> None:
        self.strategies = set(self.app.tasks)

    def add_task_queue(self, topic: str) -> None:
        assert topic in self.strategies or is_direct(topic)
        self.app.amqp.queues.select_add(topic)

    def cancel_task_queue(self, topic: str) -> None:
        self.app.amqp.queues.deselect(topic)
        self.cancelled.append(topic)

    @property
    def queues(self) -> set[str]:
        """But for the worker's own."""
        return {name for name in self.app.amqp.queues.consume_from if not is_direct(name)}


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The topics that workflows name; a step reads them almost at once."""
    topics: list[str] = []
    engine = SimpleNamespace(topics=lambda: list(topics))
    monkeypatch.setattr(process, "engine", lambda: engine)
    monkeypatch.setattr(wildcard, "READ_EVERY_SEC", 0.01)
    return topics


@pytest.fixture
def follow(registered: list[str]) -> Iterator[Callable[..., Consumer]]:
    """A started consumer; its timer fires when the test says so."""
    started: list[tuple[TopicQueues, Consumer]] = []

    def make(asked: Iterable[str], functions: Iterable[str], pool: Any = None) -> Consumer:
        consumer = Consumer(asked, functions, pool)
        step = TopicQueues(consumer)
        assert not consumer.queues & set(functions)
        started.append((step, consumer))
        step.start(consumer)
        return consumer

    yield make
    for step, consumer in started:
        step.stop(consumer)
        step.shutdown(consumer)


def test_topics_of_later_workflows_are_followed(
    follow: Callable[..., Consumer], registered: list[str], eventually: Callable[..., Any]
) -> None:
    consumer = follow(["job.a", "job.b.*"], ["job.a", "job.b.x", "job.b.y"])
    assert consumer.queues == {"job.a"}
    registered += ["job.b.x", "job.c"]
    eventually(lambda: consumer.tick() or consumer.queues == {"job.a", "job.b.x"}, "the new topic")


def test_no_pattern_is_ever_a_queue(follow: Callable[..., Consumer]) -> None:
    assert follow(["job.b.*"], []).queues == set()


def test_a_topic_without_a_function_is_left_and_told_of_once(
    follow: Callable[..., Consumer], registered: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    registered += ["job.b.x", "job.b.y"]
    consumer = follow(["job.a", "job.b.*"], ["job.b.x"])
    consumer.tick()
    assert consumer.queues == {"job.b.x"}
    assert warnings(caplog) == [
        "not consumed: no function here for job.a, job.b.y; name the module that has it with -I, or leave it to other "
        "workers"
    ]


@pytest.mark.parametrize("asked", ["job.late", "job.*"])
def test_a_function_registered_later_counts(follow: Callable[..., Consumer], registered: list[str], asked: str) -> None:
    registered += ["job.late"]
    consumer = follow([asked], [])
    consumer.learn("job.late")
    consumer.tick()
    assert consumer.queues == {"job.late"}


def test_a_pool_that_has_forked_knows_no_later_function(
    follow: Callable[..., Consumer], caplog: pytest.LogCaptureFixture
) -> None:
    consumer = follow(["job.early", "job.late"], ["job.early"], pool=TaskPool.__new__(TaskPool))
    consumer.learn("job.late")
    consumer.tick()
    assert consumer.queues == {"job.early"}
    assert "job.late, registered after the pool's processes were started" in warnings(caplog)[-1]


def test_what_remote_control_has_cancelled_stays_so(follow: Callable[..., Consumer]) -> None:
    consumer = follow(["job.a", "job.b"], ["job.a", "job.b"])
    consumer.cancel_task_queue("job.a")
    consumer.tick()
    assert consumer.queues == {"job.b"}


def test_what_remote_control_has_added_needs_a_function(follow: Callable[..., Consumer]) -> None:
    consumer = follow(["job.a"], ["job.a", "job.b"])
    for topic in ("job.b", "job.c"):
        consumer.app.amqp.queues.select_add(topic)
    consumer.tick()
    assert consumer.queues == {"job.a", "job.b"}


def test_over_a_hundred_topics_are_warned_of_once(
    follow: Callable[..., Consumer],
    registered: list[str],
    caplog: pytest.LogCaptureFixture,
    eventually: Callable[..., Any],
) -> None:
    topics = [f"job.t{n}" for n in range(102)]
    registered += topics[:100]
    consumer = follow(["job.*"], topics)
    assert warnings(caplog) == []
    for number in (101, 102):
        registered.append(topics[number - 1])
        eventually(lambda count=number: consumer.tick() or len(consumer.queues) == count, "the new topic")
    assert len(warnings(caplog)) == 1
    assert "this worker consumes 101 topics" in warnings(caplog)[0]


def test_a_worker_that_is_leaving_takes_no_topic(follow: Callable[..., Consumer]) -> None:
    consumer = follow(["job.a", "cordum.coordinator"], ["job.a"])
    assert consumed_topics(consumer) == ("job.a",)
    consumer.blueprint.state = bootsteps.CLOSE
    assert consumed_topics(consumer) == ()


def answering(*answers: Any) -> Callable[[], list[str]]:
    """A reading that gives these answers, the last one for ever."""
    coming = list(answers)

    def read() -> list[str]:
        answer = coming.pop(0) if len(coming) > 1 else coming[0]
        if isinstance(answer, Exception):
            raise answer
        return list(answer)

    return read


@pytest.mark.parametrize("error", [Unavailable("away"), RuntimeError("a mistake of ours")])
def test_no_error_ends_the_reading(eventually: Callable[..., Any], error: Exception) -> None:
    topics = RegisteredTopics(answering(["job.a"], error, ["job.a", "job.b"]), 0.01)
    topics.start()
    assert topics.latest == ["job.a"]
    eventually(lambda: topics.latest == ["job.a", "job.b"], "the reading after the error")
    topics.stop()


def test_an_absent_redis_is_told_of_once_each_time(
    caplog: pytest.LogCaptureFixture, eventually: Callable[..., Any]
) -> None:
    away = Unavailable("away")
    topics = RegisteredTopics(answering(away, away, away, ["job.a"], away, away, ["job.b"]), 0.01)
    topics.start()
    eventually(lambda: topics.latest == ["job.b"], "the last reading")
    topics.stop()
    assert warnings(caplog) == ["topics cannot be read, those known are kept: away"] * 2


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


# -- real workers ------------------------------------------------------------------------------------------------


def waiting(cell: Any, queue: str) -> list[str]:
    """The ids of the messages on a list, the oldest last."""
    messages = cell.engine.store.connection.read(lambda client: client.lrange(queue, 0, -1))
    return [json.loads(message)["headers"]["id"] for message in messages]


def topics_of(cell: Any, worker: subprocess.Popen[bytes]) -> set[str]:
    info = cell.info_of(worker.pid)
    return set(info["topics"]) if info else set()


@pytest.fixture
def control(redis_address: RedisAddress) -> Iterator[Any]:
    """Celery's remote control, as `celery inspect` and Flower use it."""
    app = Celery("watcher", amqp="cordum.execution.broker:Amqp", set_as_current=False)
    app.conf.update(celery_config(redis_address))
    yield app.control
    app.close()


def worker_of(cell: Any, module: str, code: str, *topics: str, pool: str = "threads") -> subprocess.Popen[bytes]:
    """A worker with handlers of the test's own."""
    (cell.directory / f"{module}.py").write_text(f"from cordum import job\n{code}")
    handlers, cell.handlers = cell.handlers, module
    try:
        worker: subprocess.Popen[bytes] = cell.worker(*topics, pool=pool, name=module)
        return worker
    finally:
        cell.handlers = handlers


@every_pool
def test_a_pattern_covers_topics_that_appear_while_the_worker_runs(
    cell: Any, control: Any, eventually: Callable[..., Any], pool: str
) -> None:
    worker = cell.worker("job.t.e*", "job.t.[af]*", "job.t.once", pool=pool, name="w")
    assert topics_of(cell, worker) == {"job.t.once"}
    first = cell.start("a: {topic: job.t.echo}, b: {topic: job.t.once}")
    assert cell.ended(first)["status"] == "succeeded"
    second = cell.start("a: {topic: job.t.echo}, b: {topic: job.t.flaky, retry: {max_retries: 1}}")
    assert cell.ended(second)["status"] == "succeeded"
    expanded = {"job.t.echo", "job.t.flaky", "job.t.once"}
    eventually(lambda: topics_of(cell, worker) == expanded, "the lease to tell the topics")
    (queues,) = control.inspect(timeout=10, limit=1).active_queues().values()
    assert {queue["name"] for queue in queues if not is_direct(queue["name"])} == expanded


@every_pool
@pytest.mark.parametrize("asked", ["job.t.*", "job.t.echo,job.t.nobody"])
def test_a_job_without_a_function_waits_for_a_worker_that_has_one(
    cell: Any, eventually: Callable[..., Any], pool: str, asked: str
) -> None:
    mine = cell.worker(asked, pool=pool)
    run_id = cell.start("a: {topic: job.t.echo}, b: {topic: job.t.nobody}")
    eventually(lambda: cell.engine.coordinate() or cell.run(run_id)["steps"]["a"]["status"] == "succeeded", "the echo")
    eventually(lambda: "no function here for job.t.nobody" in cell.logs(), "the warning")
    eventually(lambda: topics_of(cell, mine) == {"job.t.echo"}, "the lease to tell the topics")
    wait = cell.run(run_id)["steps"]["b"]["wait"]
    assert wait["reason"] == "no_worker"
    assert "-Q job.t.nobody" in wait["message"]
    assert waiting(cell, "job.t.nobody\x06\x163") == [f"{run_id}:b@1"]
    worker_of(cell, "others", "@job('job.t.nobody')\ndef nobody(ctx): return 'done'\n", "job.*")
    run = cell.ended(run_id)
    assert run["steps"]["b"]["output"] == "done"
    assert not {"step.redispatched", "step.worker_lost"} & set(cell.events(run_id))
    assert cell.logs().count("no function here for job.t.nobody") == 1


LEARNER = """
@job("job.t.learn")
def learn(ctx):
    job("job.t.learned")(lambda ctx: "learned")
"""


@pytest.mark.parametrize("pool", ["solo", "threads"])
@pytest.mark.parametrize("asked", ["job.t.*", "job.t.learn,job.t.learned"])
def test_a_function_that_a_running_worker_learns_is_used(cell: Any, pool: str, asked: str) -> None:
    worker_of(cell, "learner", LEARNER, asked, pool=pool)
    run_id = cell.start("a: {topic: job.t.learn}, b: {topic: job.t.learned, depends_on: [a]}")
    assert cell.ended(run_id)["output"] == {"b": "learned"}


@every_pool
def test_patterns_outlive_the_loss_of_all_connections(cell: Any, eventually: Callable[..., Any], pool: str) -> None:
    cell.worker("job.t.*", pool=pool)
    assert cell.ended(cell.start("a: {topic: job.t.echo}"))["status"] == "succeeded"
    for kind in ("normal", "pubsub"):
        cell.engine.store.connection.read(lambda client, kind=kind: client.execute_command("CLIENT KILL TYPE", kind))
    eventually(lambda: "Connection to broker lost" in cell.logs(), "the worker to notice")
    run_id = cell.start("a: {topic: job.t.echo}, b: {topic: job.t.once}")
    assert cell.ended(run_id)["status"] == "succeeded"


def test_patterns_outlive_a_restart_of_redis(
    cell_on: Callable[..., Any], fresh_redis: Callable[..., Any], eventually: Callable[..., Any]
) -> None:
    server = fresh_redis()
    cell = cell_on(server.address)
    worker = cell.worker("job.t.*", pool="prefork")
    assert cell.ended(cell.start("a: {topic: job.t.echo}"))["status"] == "succeeded"
    server.stop()
    eventually(lambda: "topics cannot be read" in cell.logs(), "the worker to notice")
    server.start()
    run_id = cell.start("a: {topic: job.t.echo}, b: {topic: job.t.once}")
    assert cell.ended(run_id)["status"] == "succeeded"
    assert worker.poll() is None
