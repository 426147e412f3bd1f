"""Time that decides anything is Redis' own, and it never goes back."""

from __future__ import annotations

import redis

from cordum.redis_address import RedisAddress
from cordum.store import Store
from cordum.store.connection import Connection


def test_the_clock_is_redis_time_and_never_goes_back(redis_address: RedisAddress) -> None:
    store = Store(Connection.open(redis_address), "c1", 32)
    first = store.policies.current(0).now
    with redis.Redis(**redis_address.redis_py_kwargs()) as client:
        seconds, micros = client.time()  # type: ignore[misc]
        assert 0 <= seconds * 1000 + micros // 1000 - first < 60_000
        client.set(store.keys.clock, first + 3_600_000)  # the machine's clock was an hour ahead and was set right
    assert store.policies.current(0).now == first + 3_600_000
    store.close()
