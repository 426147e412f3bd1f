"""Dead letters as Celery messages on `dlq.<topic>`, handed over to code by a real worker, each once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from cordum.errors import ConfigurationRefused
from cordum.execution.handlers import DeadLetterRegistry
from cordum.execution.wildcard import Asked
from cordum.redis_address import RedisAddress
from cordum.store.envelope import job_message
from tests.cells import FAST, Cell, eventually

QUEUE = "dlq.job.sre.bad"


@pytest.fixture
def client(redis_address: RedisAddress) -> Iterator[redis.Redis]:
    client: redis.Redis = redis.Redis(**redis_address.redis_py_kwargs(), decode_responses=True)
    yield client
    client.close()


@pytest.fixture
def cell(redis_address: RedisAddress, tmp_path: Path) -> Iterator[Cell]:
    timing = {**FAST, "CORDUM_FORWARD_DEAD_LETTERS": "true"}
    cell = Cell(redis_address, tmp_path, "dead_letter_handlers", Path(__file__).parent, timing)
    yield cell
    cell.end()


def fail(cell: Cell, number: int) -> str:
    """A run whose only step fails for good; the id of its dead letter."""
    run_id = cell.start("a: {topic: job.sre.bad}", {"n": number})
    assert cell.ended(run_id)["status"] == "failed"
    return f"{run_id}:a@1"


def handed(cell: Cell) -> list[str]:
    return [line.split()[1] for line in cell.lines("letter ")]


@pytest.mark.parametrize("pool", ["threads", "prefork"])
def test_a_worker_is_handed_each_dead_letter_once(cell: Cell, client: redis.Redis, pool: str) -> None:
    cell.worker("job.sre.bad", pool=pool)
    letters = [fail(cell, number) for number in range(3)]
    assert _queued(client) == letters[::-1]
    cell.worker("dlq.job.sre.*", pool=pool, name="other")
    eventually(lambda: len(handed(cell)) == 3, f"the letters\n{cell.logs()}")
    client.lpush(QUEUE, *(job_message(job_id, QUEUE, 0) for job_id in letters))  # as a broker may
    last = fail(cell, 9)
    eventually(lambda: last in handed(cell), f"the last letter\n{cell.logs()}")
    assert sorted(handed(cell)) == sorted([*letters, last])
    assert f"letter {letters[1]} 1 fatal cannot do 1" in cell.lines()
    shown = cell.engine.letters.get("acme", letters[0])
    assert (shown["state"], shown["taken_by"].startswith("other@")) == ("open", True)


@pytest.mark.parametrize("pool", ["threads", "prefork"])
def test_a_pattern_of_functions_covers_topics_that_come_later(cell: Cell, pool: str) -> None:
    """The worker runs before any workflow names these topics; the topic's own function goes before the pattern's."""
    cell.worker("dlq.job.sre.*", pool=pool, name="other")
    cell.worker("job.sre.*")
    run_id = cell.start("a: {topic: job.sre.bad}, b: {topic: job.sre.worse}", {"n": 1})
    assert cell.ended(run_id)["status"] == "failed"
    eventually(lambda: cell.lines("any ") and cell.lines("letter "), f"the letters\n{cell.logs()}")
    assert cell.lines("any ") == [f"any {run_id}:b@1 job.sre.worse"]
    assert cell.lines("letter ") == [f"letter {run_id}:a@1 1 fatal cannot do 1"]


def test_a_message_that_was_lost_is_sent_again(cell: Cell, client: redis.Redis) -> None:
    cell.worker("job.sre.bad")
    job_id = fail(cell, 1)
    assert client.rpop(QUEUE)  # taken by a worker that died with it in hand
    cell.worker("dlq.job.sre.*", name="other")

    def look() -> bool:
        cell.engine.coordinate()
        return handed(cell) == [job_id]

    eventually(look, f"the letter\n{cell.logs()}")


def test_without_the_setting_nothing_is_forwarded(
    redis_address: RedisAddress, tmp_path: Path, client: redis.Redis
) -> None:
    cell = Cell(redis_address, tmp_path, "dead_letter_handlers", Path(__file__).parent)
    try:
        cell.worker("job.sre.bad")
        job_id = fail(cell, 1)
        assert cell.engine.letters.get("acme", job_id)["state"] == "open"
        assert _queued(client) == []
    finally:
        cell.end()


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        ("dlq.job.sre.*", {"dlq.job.sre.a"}),
        ("dlq.job.ops", {"dlq.job.ops"}),
        ("dlq.*", {"dlq.job.sre.a", "dlq.job.ops"}),
        ("*", {"job.sre.a", "job.ops"}),
        ("job.*", {"job.sre.a", "job.ops"}),
    ],
)
def test_dead_letters_are_asked_for_by_their_own_name(asked: str, wanted: set[str]) -> None:
    assert Asked.of([asked]).wanted(["job.sre.a", "job.ops"]) == wanted


@pytest.mark.parametrize("topic", ["sre.bad", "dlq.job.sre.bad", "sre.*", "job.a b*", 7])
def test_a_handler_names_a_topic_or_a_pattern_of_topics(topic: Any) -> None:
    with pytest.raises(ConfigurationRefused, match="neither a topic nor a pattern"):
        DeadLetterRegistry().dead_letter(topic)


def test_two_handlers_of_one_topic_are_refused() -> None:
    known = DeadLetterRegistry()
    known.dead_letter("job.a")(print)
    with pytest.raises(ConfigurationRefused, match="have two"):
        known.dead_letter("job.a")(repr)


def test_the_function_of_the_topic_goes_before_those_of_patterns_and_the_first_pattern_before_others() -> None:
    known = DeadLetterRegistry()
    known.dead_letter("job.a.*")(len)
    known.dead_letter("*")(repr)
    known.dead_letter("job.a.b")(print)
    assert [known[topic] for topic in ("job.a.b", "job.a.c", "job.x")] == [print, len, repr]


def _queued(client: redis.Redis) -> list[str]:
    found: Any = client.lrange(QUEUE, 0, -1)
    return [json.loads(text)["headers"]["id"] for text in found]
