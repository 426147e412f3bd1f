"""The map of topics and pools as people work with it: read, changed piece by piece, taken from its file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from cordum.config_files import read_mapping
from cordum.domain.audit import Act
from cordum.domain.plan import Event
from cordum.domain.pools import Pool, PoolMap, read_pool, read_pool_map, read_topic
from cordum.engine.core import Core
from cordum.engine.values import Caller
from cordum.errors import ConfigurationRefused, NotFound, Problem, StateConflict, Unavailable, Unprocessable

_MOST_ATTEMPTS = 20


class PoolSettings:
    def __init__(self, core: Core) -> None:
        self._core = core
        self._store = core.store.pools
        self._tenant = core.settings.admin_tenant  # they serve all tenants

    def now(self) -> PoolMap:
        """What is active; empty when there is no map, and then every topic is known."""
        return self._core.read_pools() or PoolMap()

    def publish_file(self, file: Path, actor: str) -> None:
        """At a start-up, if there is such a file. One that is broken is refused; what people have changed stays."""
        if not file.is_file():
            return
        found, wrong = read_pool_map(dict(read_mapping(file)))
        if found is None:
            raise ConfigurationRefused("\n".join(f"{file}: {one}" for one in wrong))
        document, limited = _text(found), _limited(self.now(), found)
        told = Act(actor, self._tenant).event("pools.published", how="startup")
        digest = hashlib.sha256(document.encode()).hexdigest()
        self._store.publish_file(document, told, self._tenant, digest, limited)

    # -- pools ---------------------------------------------------------------------------------------------------

    def pools(self) -> list[dict[str, Any]]:
        known = self.now()
        return [_pool_view(known, name) for name in sorted(known.pools)]

    def pool(self, name: str) -> dict[str, Any]:
        known = self.now()
        if name not in known.pools:
            raise NotFound(f"there is no pool {name}")
        return _pool_view(known, name)

    def put_pool(self, caller: Caller, name: str, document: Mapping[str, Any]) -> dict[str, Any]:
        """Make a pool, or change all of what is said of it."""
        pool, wrong = read_pool(name, dict(document))
        if pool is None:
            raise _refusal(wrong)
        told = Act(caller.person, self._tenant).event("pool.saved", pool=name)
        self._change(told, lambda known: replace(known, pools={**known.pools, name: pool}))
        return self.pool(name)

    def delete_pool(self, caller: Caller, name: str) -> None:
        """Refused while a topic names it."""

        def without(known: PoolMap) -> PoolMap:
            if name not in known.pools:
                raise NotFound(f"there is no pool {name}")
            users = [topic for topic, pools in known.topics.items() if name in pools]
            if users:
                raise StateConflict(
                    f"{', '.join(users)} is served by {name}: name another pool for it first", code="pool_in_use"
                )
            return replace(known, pools={other: pool for other, pool in known.pools.items() if other != name})

        self._change(Act(caller.person, self._tenant).event("pool.deleted", pool=name), without)

    # -- topics --------------------------------------------------------------------------------------------------

    def topics(self) -> list[dict[str, Any]]:
        """In the order in which patterns are tried; a topic itself comes before all of them."""
        return [_topic_view(pattern, pools) for pattern, pools in self.now().topics.items()]

    def put_topic(self, caller: Caller, pattern: str, pools: Any) -> dict[str, Any]:
        """Say who serves a topic. A new pattern is tried before those that were there."""

        def having(known: PoolMap) -> PoolMap:
            wrong: list[str] = []
            names = read_topic(pattern, pools, known.pools, wrong)
            if names is None:
                raise _refusal(wrong)
            if pattern in known.topics:
                return replace(known, topics={**known.topics, pattern: names})
            return replace(known, topics={pattern: names, **known.topics})

        changed = self._change(Act(caller.person, self._tenant).event("topic.saved", topic=pattern), having)
        return _topic_view(pattern, changed.topics[pattern])

    def delete_topic(self, caller: Caller, pattern: str) -> None:
        def without(known: PoolMap) -> PoolMap:
            if pattern not in known.topics:
                raise NotFound(f"nothing is said of a topic {pattern}")
            return replace(known, topics={other: names for other, names in known.topics.items() if other != pattern})

        self._change(Act(caller.person, self._tenant).event("topic.deleted", topic=pattern), without)

    def _change(self, told: Event, change: Callable[[PoolMap], PoolMap]) -> PoolMap:
        for _ in range(_MOST_ATTEMPTS):
            known = self.now()
            changed = change(known)
            limited = _limited(known, changed)
            if self._store.publish(_text(changed), told, self._tenant, known.epoch, limited):
                return changed
        raise Unavailable("the pools are changing too fast, try again", code="conflict_repeated")


def _limited(before: PoolMap, after: PoolMap) -> list[Pool]:
    """The pools that have a limit, as they are now, and those that had one."""
    gone = (name for name, pool in before.pools.items() if pool.max_parallel and name not in after.pools)
    had = {name for name, pool in before.pools.items() if pool.max_parallel}
    kept = [pool for pool in after.pools.values() if pool.max_parallel or pool.name in had]
    return [*kept, *(Pool(name) for name in gone)]


def _text(known: PoolMap) -> str:
    return json.dumps(known.document(), ensure_ascii=False, separators=(",", ":"))


def _pool_view(known: PoolMap, name: str) -> dict[str, Any]:
    topics = [pattern for pattern, pools in known.topics.items() if name in pools]
    return {"id": name, "name": name, **known.pools[name].document(), "topics": topics}


def _topic_view(pattern: str, pools: tuple[str, ...]) -> dict[str, Any]:
    return {"id": pattern, "topic": pattern, "pools": list(pools)}


def _refusal(wrong: list[str]) -> Unprocessable:
    problems = [Problem("/" + one.partition(":")[0].replace(".", "/"), "invalid_choice", one) for one in wrong]
    return Unprocessable(f"the pools are not usable: {wrong[0]}", problems=problems)
