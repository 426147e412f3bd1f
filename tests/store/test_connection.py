"""Calls of scripts over connections of our own: several in a round trip, sent again after a break, never mixed up."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest
import redis

from cordum.errors import Unavailable
from cordum.ops.redis_server import RedisServer
from cordum.redis_address import RedisAddress
from cordum.store.connection import Call, Connection


@pytest.fixture
def connection(redis_address: RedisAddress) -> Iterator[Connection]:
    connection = Connection.open(redis_address)
    yield connection
    connection.close()


@pytest.fixture
def real(redis_address: RedisAddress) -> Iterator[redis.Redis]:
    with redis.Redis(**redis_address.redis_py_kwargs(), decode_responses=True) as client:
        yield client


def ring(connection: Connection, queue: str) -> Call:
    return connection.call("ring", {"coordinator": queue}, message="m")


def test_many_calls_are_answered_in_their_order(connection: Connection) -> None:
    replies = connection.run_all([ring(connection, queue) for queue in ("q1", "q2", "q1")])
    assert replies == [["RUNG"], ["RUNG"], ["WAITING"]]
    assert connection.run_all([]) == []


def test_a_flushed_script_is_sent_whole_in_the_middle_of_others(connection: Connection, real: redis.Redis) -> None:
    connection.run("ring", {"coordinator": "q0"}, message="m")
    real.script_flush()
    known = connection.call("take_due", {"wakeups": "w", "clock": "c"}, limit=1, aside_ms=1)
    real.script_load(known.script.source)
    assert connection.run_all([ring(connection, "q1"), known, ring(connection, "q1")]) == [
        ["RUNG"],
        ["DUE", []],
        ["WAITING"],
    ]


def test_the_first_calls_of_scripts_keep_their_order(connection: Connection, real: redis.Redis) -> None:
    """A worker's first result frees the slot for which it takes the next job."""
    due = connection.call("take_due", {"wakeups": "w", "clock": "c"}, limit=1, aside_ms=1)
    real.script_load(due.script.source)
    real.zadd("w", {"r": 1})
    with real.monitor() as monitor:
        connection.run_each([ring(connection, "q1"), due], undivided=True)
        real.ping()
        seen = []
        while not seen or seen[-1] != "PING":
            seen.append(monitor.next_command()["command"])
    done = [command.split()[0] for command in seen if command.split()[0] in ("LPUSH", "ZRANGEBYSCORE", "ZADD")]
    assert done[0] == "LPUSH"
    assert len(done) > 1


def test_flushed_scripts_are_sent_whole_though_nothing_may_come_between(
    connection: Connection, real: redis.Redis
) -> None:
    for _ in range(2):
        real.script_flush()
        replies = connection.run_each([ring(connection, "q1"), ring(connection, "q1")], undivided=True)
    assert replies == [["WAITING"], ["WAITING"]]


def test_a_script_that_fails_does_not_undo_the_others_nor_leave_a_reply_behind(
    connection: Connection, real: redis.Redis
) -> None:
    real.set("broken", "not a list")
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        connection.run_all([ring(connection, "broken"), ring(connection, "q1")])
    assert real.llen("q1") == 1
    assert connection.run("ring", {"coordinator": "q2"}, message="m") == ["RUNG"]


UNDIVIDED = pytest.mark.parametrize("undivided", [False, True])


@UNDIVIDED
def test_the_error_of_one_of_many_stands_in_its_place(
    connection: Connection, real: redis.Redis, undivided: bool
) -> None:
    real.set("broken", "not a list")
    calls = [ring(connection, queue) for queue in ("q1", "broken", "q2")]
    first, second, third = connection.run_each(calls, undivided=undivided)
    assert (first, third) == (["RUNG"], ["RUNG"])
    assert isinstance(second, redis.ResponseError)


@UNDIVIDED
def test_a_redis_that_is_full_is_nobodys_own_error(connection: Connection, real: redis.Redis, undivided: bool) -> None:
    real.config_set("maxmemory", 1)
    try:
        with pytest.raises(Unavailable, match="memory or disk is full"):
            connection.run_each([ring(connection, "q1")], undivided=undivided)
    finally:
        real.config_set("maxmemory", 0)


def test_a_cut_connection_is_replaced(connection: Connection, real: redis.Redis) -> None:
    for number in range(3):
        assert connection.run("ring", {"coordinator": f"q{number}"}, message="m") == ["RUNG"]
        real.client_kill_filter(_type="normal", skipme=True)


def test_a_restarted_redis_is_found_again_by_all_threads(fresh_redis: Callable[..., RedisServer]) -> None:
    server = fresh_redis()
    connection = Connection.open(server.address)
    together = threading.Barrier(4)
    answers: list[object] = []

    def call(number: int) -> None:
        together.wait()
        answers.append(connection.run("ring", {"coordinator": f"q{number}"}, message="m"))

    def all_call(first: int) -> None:
        threads = [threading.Thread(target=call, args=(first + number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    all_call(0)
    server.restart()
    all_call(4)
    assert answers == [["RUNG"]] * 8
    connection.close()


def test_an_absent_redis_is_unavailable_for_a_batch_as_for_one(fresh_redis: Callable[..., RedisServer]) -> None:
    server = fresh_redis()
    connection = Connection.open(server.address)
    server.stop()
    with pytest.raises(Unavailable):
        connection.run_all([ring(connection, "q1"), ring(connection, "q2")])
    connection.close()
