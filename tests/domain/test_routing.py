"""The choice of a worker: who is eligible, who has room, and who comes first."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from cordum.domain.pools import Pool, PoolMap, read_pool_map
from cordum.domain.routing import Candidate, Route, direct_queue, is_direct, least_loaded

T = "job.t"
GPU = PoolMap({"gpu": Pool("gpu", ("CUDA", "Big")), "any": Pool("any")}, {"job.t": ("gpu",), "job.*": ("any",)})
BOTH = replace(GPU, topics={"job.t": ("gpu", "any")})
EU = Route(T, None, (("region", "eu"),))


def worker(name: str, slots: int = 4, active: int = 0, **said: object) -> Candidate:
    return Candidate(name, slots, active, frozenset({T}), name=f"{name}@h", **said)  # type: ignore[arg-type]


def chosen(*workers: Candidate, route: Route | None = None, **how: object) -> list[str]:
    return [one.id for one in least_loaded(workers, T, route, **how)]  # type: ignore[arg-type]


def test_least_loaded_strategy_takes_the_least_part_of_its_slots() -> None:
    assert chosen(worker("a", 4, 2), worker("b", 8, 3), worker("c", 2, 1)) == ["b", "a", "c"]


def test_least_loaded_strategy_gives_equally_busy_workers_their_turn() -> None:
    workers = [worker(name) for name in "abc"]
    firsts = [chosen(*workers, turn=turn)[0] for turn in range(6)]
    assert firsts == ["a", "b", "c", "a", "b", "c"]


def test_least_loaded_strategy_wants_a_function_for_the_topic() -> None:
    assert chosen(replace(worker("a"), topics=frozenset({"job.u"})), worker("b")) == ["b"]


@pytest.mark.parametrize(
    ("slots", "active", "overloaded"),
    [
        *((1, 0, False), (1, 1, True), (4, 3, False), (4, 4, True), (9, 8, False), (10, 9, True)),
        *((100, 89, False), (100, 90, True), (16, 14, False), (16, 15, True), (0, 0, True)),
    ],
)
def test_least_loaded_strategy_passes_over_who_is_overloaded(slots: int, active: int, overloaded: bool) -> None:
    assert chosen(worker("a", slots, active)) == ([] if overloaded else ["a"])


def test_least_loaded_strategy_wants_every_label_to_be_equal() -> None:
    workers = [worker("a", labels={"region": "eu", "disk": "ssd"}), worker("b", labels={"region": "us"}), worker("c")]
    assert chosen(*workers, route=EU) == ["a"]
    assert chosen(*workers, route=Route(T, None, (("disk", "ssd"), ("region", "us")))) == []


def test_least_loaded_strategy_wants_all_that_a_pool_requires_whatever_the_case() -> None:
    workers = [worker("a", capabilities=("cuda", "BIG")), worker("b", capabilities=("cuda",)), worker("c")]
    assert chosen(*workers, pools=GPU) == ["a"]
    assert chosen(*workers, pools=BOTH) == ["a", "b", "c"]


def test_least_loaded_strategy_keeps_a_worker_to_the_pools_it_names() -> None:
    able = {"capabilities": ("cuda", "big")}
    workers = [worker("a", pools=("any",), **able), worker("b", pools=("gpu",), **able), worker("c", **able)]
    assert chosen(*workers, pools=GPU) == ["b", "c"]
    assert chosen(*workers, pools=BOTH, route=Route(T, "any")) == ["a", "c"]
    assert chosen(*workers, pools=BOTH, route=Route(T, "gpu")) == ["b", "c"]


def test_least_loaded_strategy_takes_the_preferred_worker_only_if_it_may_and_can() -> None:
    idle, busy, full = worker("a"), worker("b", 4, 3), worker("c", 4, 4)
    assert chosen(idle, busy, full, preferred="b")[0] == "b"
    assert chosen(idle, busy, full, preferred="b@h")[0] == "b"
    assert chosen(idle, busy, full, preferred="c") == ["a", "b"]
    assert chosen(idle, worker("d", labels={"region": "eu"}), route=EU, preferred="a") == ["d"]


def test_least_loaded_strategy_spreads_what_it_counts() -> None:
    workers = {name: worker(name, slots) for name, slots in (("a", 4), ("b", 8), ("c", 4))}
    given: Counter[str] = Counter()
    for turn in range(16):
        first = least_loaded(list(workers.values()), T, turn=turn)[0]
        workers[first.id] = replace(first, active=first.active + 1)
        given[first.id] += 1
    assert given == {"a": 4, "b": 8, "c": 4}
    assert least_loaded(list(workers.values()), T) == []


def test_a_route_can_be_read_back_from_its_text() -> None:
    for labels in ({"region": "eu"}, {"preferred_pool": "gpu"}, {"a": "1", "z/y": "x.2", "preferred_pool": "p"}):
        route = Route.of(T, labels)
        assert route is not None
        assert Route.parse(str(route)) == route
    assert Route.of(T, {}) is None
    assert Route.of(T, {"preferred_worker_id": "w@h"}) is None


def test_a_worker_s_own_queue_is_no_topic() -> None:
    assert direct_queue("celery@h/7-1") == "cordum.direct.celery@h.7-1"
    assert is_direct("cordum.direct.celery@h.7-1")
    assert not is_direct("job.t")


# -- the map of pools --------------------------------------------------------------------------------------------


def test_a_topic_itself_counts_before_every_pattern() -> None:
    found = replace(GPU, topics={"job.*": ("any",), "job.t": ("gpu",)})
    assert [pool.name for pool in found.pools_of("job.t") or ()] == ["gpu"]


def test_the_first_pattern_that_matches_counts() -> None:
    found, wrong = read_pool_map(
        {"topics": {"job.sre.*": "sre", "job.*": ["b", "sre"]}, "pools": {"sre": None, "b": {}}}
    )
    assert not wrong
    assert found is not None
    names = {topic: [pool.name for pool in found.pools_of(topic) or ()] for topic in ("job.sre.x", "job.y")}
    assert names == {"job.sre.x": ["sre"], "job.y": ["b", "sre"]}
    assert found.pools_of("other") is None
    assert read_pool_map(found.document(), 0)[0] == found


@pytest.mark.parametrize(
    ("document", "place"),
    [
        ([], "mapping"),
        ({"pool": {}}, "nothing else"),
        ({"pools": []}, "pools: must be a mapping"),
        ({"pools": {"a b": {}}}, "pools.a b"),
        ({"pools": {"a": {"require": []}}}, "pools.a.require: unknown"),
        ({"pools": {"a": {"requires": "x"}}}, "pools.a.requires"),
        ({"pools": {"a": {"max_parallel": 0}}}, "pools.a.max_parallel"),
        ({"topics": {"job.x": "a"}}, "topics.job.x: there is no pool a"),
        ({"topics": {"job.x": []}, "pools": {"a": {}}}, "topics.job.x: must name a pool"),
        ({"topics": {"a b": "a"}, "pools": {"a": {}}}, "topics.a b"),
    ],
)
def test_what_is_wrong_with_a_map_is_said_with_its_place(document: object, place: str) -> None:
    found, wrong = read_pool_map(document)
    assert found is None
    assert any(place in one for one in wrong)
