"""Which pools serve which topics, and what a worker must be able to do to belong to one."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from cordum.domain.ids import POOL, TOPIC_PATTERN


@dataclass(frozen=True, slots=True)
class Pool:
    """`requires`: what each of its workers must be capable of, whatever the case.

    `max_parallel`: how many jobs that go to this pool for certain may be on their way at one time.
    """

    name: str
    requires: tuple[str, ...] = ()
    max_parallel: int | None = None
    description: str = ""

    def fits(self, pools: Collection[str], capabilities: Collection[str]) -> bool:
        """Whether a worker that says this of itself belongs here; one that names no pools does where it is fit."""
        if pools and self.name not in pools:
            return False
        if not self.requires:
            return True
        able = {capability.casefold() for capability in capabilities}
        return all(one.casefold() in able for one in self.requires)

    def document(self) -> dict[str, Any]:
        return {
            "requires": list(self.requires),
            "max_parallel": self.max_parallel,
            "description": self.description,
        }


@dataclass(frozen=True, slots=True)
class PoolMap:
    """Topics or patterns, to names of pools: a topic itself counts first, then the first pattern that matches.

    `epoch`: how often it was changed.
    """

    pools: Mapping[str, Pool] = field(default_factory=dict)
    topics: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    epoch: int = 0

    def pools_of(self, topic: str) -> tuple[Pool, ...] | None:
        """None: nobody has said who serves this topic."""
        fitting = (pools for pattern, pools in self.topics.items() if fnmatchcase(topic, pattern))
        names = self.topics.get(topic) or next(fitting, None)
        return None if names is None else tuple(self.pools[name] for name in names)

    def only_pool(self, topic: str, wanted: str | None) -> Pool | None:
        """The pool that is asked for by name, or the only one that serves a topic."""
        if wanted is not None:
            return self.pools.get(wanted)
        serving = self.pools_of(topic)
        return serving[0] if serving is not None and len(serving) == 1 else None

    def may_serve(self, topic: str, pools: Collection[str], capabilities: Collection[str]) -> bool:
        """Whether a worker that says this of itself may take jobs of a topic; one nobody knows is anybody's."""
        serving = self.pools_of(topic)
        return serving is None or any(pool.fits(pools, capabilities) for pool in serving)

    def document(self) -> dict[str, Any]:
        return {
            "topics": {pattern: list(names) for pattern, names in self.topics.items()},
            "pools": {name: pool.document() for name, pool in self.pools.items()},
        }


NO_POOLS = PoolMap()


def read_pool_map(document: Any, epoch: int = 0) -> tuple[PoolMap | None, list[str]]:
    """The map that a document {topics, pools} stands for, or everything that is wrong with it, each with its place."""
    wrong: list[str] = []
    if not isinstance(document, dict) or set(document) - {"topics", "pools"}:
        return None, ["it is a mapping of `topics` and `pools` and nothing else"]
    pools = {}
    for name, given in _mapping(document.get("pools"), "pools", wrong).items():
        if not POOL.match(str(name)):
            wrong.append(f"pools.{name}: a name of a pool is letters, digits, `.`, `_` or `-`")
        pool, problems = read_pool(str(name), given)
        wrong += problems
        if pool is not None:
            pools[pool.name] = pool
    topics = {}
    for pattern, given in _mapping(document.get("topics"), "topics", wrong).items():
        names = read_topic(str(pattern), given, pools, wrong)
        if names is not None:
            topics[str(pattern)] = names
    return (None, wrong) if wrong else (PoolMap(pools, topics, epoch), [])


def read_pool(name: str, given: Any) -> tuple[Pool | None, list[str]]:
    """One pool from its document {requires, max_parallel, description}."""
    place, wrong = f"pools.{name}", []
    if given is None:
        given = {}
    if not isinstance(given, dict):
        return None, [f"{place}: must be a mapping of requires, max_parallel, description"]
    wrong += [f"{place}.{key}: unknown" for key in given if key not in ("requires", "max_parallel", "description")]
    requires, most = given.get("requires") or [], given.get("max_parallel")
    if not isinstance(requires, list) or not all(isinstance(one, str) and one for one in requires):
        wrong.append(f"{place}.requires: must be a list of names")
    if most is not None and (isinstance(most, bool) or not isinstance(most, int) or most < 1):
        wrong.append(f"{place}.max_parallel: must be a whole number from 1")
    if not isinstance(given.get("description") or "", str):
        wrong.append(f"{place}.description: must be a text")
    if wrong:
        return None, wrong
    return Pool(name, tuple(dict.fromkeys(requires)), most, given.get("description") or ""), []


def read_topic(pattern: str, given: Any, pools: Collection[str], wrong: list[str]) -> tuple[str, ...] | None:
    """The pools of one topic: a name, or a list of names that exist."""
    if not TOPIC_PATTERN.match(pattern):
        wrong.append(f"topics.{pattern}: must be a topic, or a pattern of topics with `*` and `?`")
        return None
    names = [given] if isinstance(given, str) else given
    if not isinstance(names, list) or not names or not all(isinstance(one, str) for one in names):
        wrong.append(f"topics.{pattern}: must name a pool, or be a list of pools")
        return None
    unknown = [name for name in names if name not in pools]
    if unknown:
        wrong.append(f"topics.{pattern}: there is no pool {', '.join(unknown)}")
        return None
    return tuple(dict.fromkeys(names))


def _mapping(value: Any, place: str, wrong: list[str]) -> Mapping[Any, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        wrong.append(f"{place}: must be a mapping")
        return {}
    return value
