"""What cordum demands of a Redis in production, as a pure function over what the server says of itself."""

from __future__ import annotations

from collections.abc import Mapping

from cordum.ops.redis_binary import MINIMUM_VERSION
from cordum.redis_address import RedisAddress

__all__ = ["check_redis"]


def check_redis(address: RedisAddress, info: Mapping[str, object]) -> list[str]:
    """Everything that makes this Redis unfit, one sentence each; empty when it will do.

    `info` is the answer of INFO, all sections, as redis-py parses it; CONFIG is not asked, hosted servers forbid it.
    """
    return [*_unfit_server(info), *_unfit_place(address)]


def _unfit_server(info: Mapping[str, object]) -> list[str]:
    version = str(info.get("redis_version", "unknown"))
    policy = info.get("maxmemory_policy")
    rules = [
        (_too_old(version), f"Redis is version {version}; 6.2 or newer is needed"),
        (
            not _is(info, "aof_enabled", "1"),
            "the append-only log is off: a crash would lose runs; set `appendonly yes`",
        ),
        (
            _is(info, "aof_last_write_status", "err"),
            "the last write to the append-only log failed: look at the server's disk",
        ),
        (
            policy != "noeviction",
            f"maxmemory-policy is {policy}: Redis may drop runs; set `maxmemory-policy noeviction`",
        ),
        (_is(info, "role", "slave"), "this Redis is a replica; use the address of the primary"),
        (_is(info, "cluster_enabled", "1"), "Redis Cluster is not supported by the broker; use a single primary"),
    ]
    return [message for is_broken, message in rules if is_broken]


def _unfit_place(address: RedisAddress) -> list[str]:
    if address.is_loopback:
        return []
    problems = []
    if not address.password and "ssl_certfile" not in dict(address.tls):
        problems.append("anyone who reaches this Redis can use it: set a password or a client certificate")
    if not address.is_tls:
        problems.append("the connection crosses a network in the clear: use rediss://, or a unix socket")
    return problems


def _is(info: Mapping[str, object], key: str, value: str) -> bool:
    return str(info.get(key)) == value


def _too_old(version: str) -> bool:
    parts = version.split(".")
    if len(parts) < 2 or not (parts[0].isdigit() and parts[1].isdigit()):
        return True
    return (int(parts[0]), int(parts[1])) < MINIMUM_VERSION
