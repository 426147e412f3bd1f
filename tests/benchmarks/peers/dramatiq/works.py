"""The jobs of the works as Dramatiq actors; what is not named is Dramatiq's default.

A pipeline cannot hold a group, so `classify` starts the group that follows it, with the last actor as its
completion callback.
"""

from __future__ import annotations

import json
import os
import time
from typing import Any

import dramatiq
import redis
from common import WAIT_SEC
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import GroupCallbacks
from dramatiq.rate_limits.backends import RedisBackend as Barriers
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend as Kept

client = redis.Redis(unix_socket_path=os.environ["PEER_SOCKET"], db=5)
broker = RedisBroker(client=client)
broker.add_middleware(Results(backend=Kept(client=client)))
broker.add_middleware(GroupCallbacks(Barriers(client=client)))
dramatiq.set_broker(broker)

ENDED = "ended"


@dramatiq.actor(store_results=True)
def classify(incident: int, wait: bool = False, size: int | None = None, single: bool = False) -> dict[str, int]:
    found = _after(wait, {"incident": incident})
    if not single:
        parts = (
            [look.message(found, wait)] * 2 if size is None else [look.message({"incident": n}) for n in range(size)]
        )
        parts = [part.copy(message_id=f"{part.message_id}-{n}") for n, part in enumerate(parts)]
        members = dramatiq.group(parts, broker=broker)
        ids = [part.message_id for part in parts] if size is None else size
        members.add_completion_callback(rollback.message(ids, wait))
        members.run()
    else:
        client.rpush(ENDED, json.dumps(incident))
    return found


@dramatiq.actor(store_results=True)
def look(case: dict[str, int], wait: bool = False) -> dict[str, int]:
    return _after(wait, case)


@dramatiq.actor
def rollback(members: Any, wait: bool = False) -> None:
    """The results of its group's members come from the result backend; what it made of them is told by a list."""
    if isinstance(members, int):
        found: Any = members
    else:
        asked = [look.message_with_options(args=()).copy(message_id=one) for one in members]
        found = [one.get_result(backend=broker.get_results_backend())["incident"] for one in asked]
    client.rpush(ENDED, json.dumps(_after(wait, found)))


def _after(wait: bool, value: Any) -> Any:
    if wait:
        time.sleep(WAIT_SEC)
    return value
