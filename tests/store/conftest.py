"""Stores for script tests: each test runs on fakeredis with Lua and on a real server, and must see the same on both.

fakeredis is good for one thing here: it is another implementation of the commands, so that a script which leans on a
peculiarity shows. The clock is virtual on both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import fakeredis
import pytest
import redis

from cordum.redis_address import RedisAddress
from cordum.store import Store
from cordum.store.connection import Connection
from cordum.store.scripts import Library
from tests.store.world import World


@pytest.fixture(params=["fake", "real"])
def client(request: pytest.FixtureRequest) -> Iterator[redis.Redis]:
    if request.param == "fake":
        yield fakeredis.FakeRedis(version=(6, 2), decode_responses=True)
        return
    address: RedisAddress = request.getfixturevalue("redis_address")
    with redis.Redis(**{**address.redis_py_kwargs(), "decode_responses": True}) as real:
        yield real


@pytest.fixture
def world_without(client: redis.Redis) -> Callable[..., World]:
    """Makes worlds whose scripts lack some guards, given as (script, guard)."""

    def make(*guards: tuple[str, str]) -> World:
        library = Library(virtual_clock=True, without=guards)
        return World(Store(Connection(client, library), "c1", 32), client)

    return make


@pytest.fixture
def world(world_without: Callable[..., World]) -> World:
    return world_without()
