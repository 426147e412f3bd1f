"""What production demands of a Redis."""

from __future__ import annotations

import pytest
from redis import Redis

from cordum.ops.redis_checks import check_redis
from cordum.redis_address import RedisAddress

SAFE_PLACE = RedisAddress.parse("rediss://:secret@redis.example:6380/0")
GOOD = {
    "redis_version": "7.0.15",
    "aof_enabled": 1,
    "aof_last_write_status": "ok",
    "maxmemory_policy": "noeviction",
    "role": "master",
    "cluster_enabled": 0,
}


def test_embedded_server_passes(redis_address: RedisAddress) -> None:
    with Redis(**redis_address.redis_py_kwargs()) as client:
        assert check_redis(redis_address, client.info("everything")) == []


def test_embedded_server_with_its_safeguards_taken_off_does_not_pass(redis_address: RedisAddress) -> None:
    with Redis(**redis_address.redis_py_kwargs()) as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        found = check_redis(redis_address, client.info("everything"))
        client.config_set("maxmemory-policy", "noeviction")
    assert len(found) == 1
    assert "allkeys-lru" in found[0]


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"redis_version": "6.0.16"}, "6.0.16"),
        ({"redis_version": "unstable"}, "unstable"),
        ({"redis_version": None}, "6.2 or newer"),
        ({"aof_enabled": 0}, "appendonly yes"),
        ({"aof_enabled": None}, "appendonly yes"),
        ({"aof_last_write_status": "err"}, "disk"),
        ({"maxmemory_policy": "volatile-lru"}, "noeviction"),
        ({"role": "slave"}, "replica"),
        ({"cluster_enabled": 1}, "Cluster"),
    ],
)
def test_each_unfit_trait_is_told_by_itself(change: dict[str, object], word: str) -> None:
    assert check_redis(SAFE_PLACE, GOOD) == []
    found = check_redis(SAFE_PLACE, {key: value for key, value in (GOOD | change).items() if value is not None})
    assert len(found) == 1
    assert word in found[0]


@pytest.mark.parametrize(
    ("url", "problems"),
    [
        ("unix:///run/redis.sock", []),
        ("redis://127.0.0.1:6379/0", []),
        ("rediss://:pw@redis.example", []),
        ("rediss://redis.example?ssl_certfile=/c.pem&ssl_keyfile=/k.pem", []),
        ("redis://:pw@redis.example", ["in the clear"]),
        ("rediss://redis.example", ["set a password"]),
        ("redis://redis.example", ["set a password", "in the clear"]),
    ],
)
def test_redis_across_a_network_needs_a_secret_and_tls(url: str, problems: list[str]) -> None:
    found = check_redis(RedisAddress.parse(url), GOOD)
    assert len(found) == len(problems)
    assert all(problem in message for problem, message in zip(problems, found, strict=True))
