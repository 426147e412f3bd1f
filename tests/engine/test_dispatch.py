"""Jobs that only some workers may have: where they go, where they wait, and what happens when their worker dies."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cordum.domain.ids import JobId
from cordum.domain.routing import direct_queue, queue_list
from cordum.engine import Engine
from cordum.engine.jobs import HOLD_MS
from cordum.redis_address import RedisAddress
from cordum.settings import load_settings
from cordum.store.scripts import Library
from tests.engine.hands import ALICE, ALLOW, Hands

ROUTED = "steps: {a: {topic: job.t, route_labels: {region: eu}}}"
ANYWHERE = "steps: {a: {topic: job.t, worker_id: w2@elsewhere}}"


@pytest.fixture
def timed(redis_address: RedisAddress) -> Any:
    """An engine whose time tests move."""
    engine = Engine.connect(load_settings(env={}), redis_address, Library(virtual_clock=True))
    at(engine, 1_000_000)
    engine.publish_policy(ALLOW, "test")
    yield engine
    engine.close()


def at(engine: Engine, ms: int) -> None:
    engine.store.connection.read(lambda client: client.set(engine.store.keys.clock, ms))


def join(engine: Engine, name: str, slots: int = 2, **said: Any) -> Hands:
    """A worker of job.t with these labels and the like."""
    hands = Hands(engine, name)
    hands.worker = replace(hands.worker, slots=slots, topics=("job.t",), **said)
    engine.jobs.renew(hands.worker)
    engine._core.dispatch._read_at = -1e9  # the registry is looked at anew
    return hands


def lying(engine: Engine, queue: str) -> list[str]:
    """The runs whose messages lie on a list, oldest first."""
    found: Any = engine.store.connection.read(lambda client: client.lrange(queue, 0, -1))
    return [text.partition('"id":"')[2].partition(":")[0] for text in reversed(found)]


def direct(engine: Engine, name: str) -> list[str]:
    return lying(engine, direct_queue(name))


def shared(engine: Engine) -> list[str]:
    return lying(engine, queue_list("job.t", 3))


def claim(hands: Hands, run_id: str) -> str:
    job = f"{run_id}:a@1"
    parsed = JobId.parse(job)
    assert parsed is not None
    return hands.engine.store.jobs.claim(parsed, "job.t", 3, hands.worker.incarnation, "n", direct=True).word.value


def test_a_job_goes_to_the_queue_of_an_eligible_worker_and_nowhere_else(engine: Engine) -> None:
    join(engine, "w1")
    join(engine, "w2", labels={"region": "eu"})
    runs = [Hands(engine, "starter").start(ROUTED) for _ in range(2)]
    assert (shared(engine), direct(engine, "w1"), direct(engine, "w2")) == ([], [], runs)


def test_a_worker_is_given_no_more_than_its_slots_and_the_rest_waits(engine: Engine) -> None:
    workers = [join(engine, name, 4, labels={"region": "eu"}) for name in ("w1", "w2", "w3", "w4")]
    hands = workers[0]
    hands.start(
        "steps: {a: {topic: job.t, for_each: '${input.items}', route_labels: {region: eu}}}", {"items": [0] * 200}
    )
    for _ in range(6):
        engine.coordinate()
    assert [len(direct(engine, f"w{n}")) for n in (1, 2, 3, 4)] == [4, 4, 4, 4]
    assert shared(engine) == []


def test_jobs_that_wait_are_taken_in_order_by_a_worker_with_a_free_slot(engine: Engine) -> None:
    hands = join(engine, "w1", 1, labels={"region": "eu"})
    runs = [hands.start(ROUTED) for _ in range(3)]
    assert direct(engine, "w1") == runs[:1]
    wait = engine.run("default", runs[1])["steps"]["a"]["wait"]
    assert wait["reason"] == "pool_overloaded"
    assert "region=eu" in wait["message"]
    routes = engine.jobs.routes(hands.worker)
    assert routes == ["job.t?region=eu"]
    engine.store.connection.read(lambda client: client.delete(direct_queue("w1")))
    assert claim(hands, runs[0]) == "CLAIMED"
    taken = engine.jobs.exchange("w1", [], [], (direct_queue("w1"), "job.t"), 1, routes, turn=1).taken
    assert [(queue, runs[1] in text) for queue, text in taken] == [(direct_queue("w1"), True)]
    events = [e for e in engine.timeline("default", runs[1]).items if e["step_id"] == "a"]
    assert [event["type"] for event in events][-2:] == ["step.ready", "step.queued"]
    assert events[-2]["data"] == {"reason": "worker_free", "worker": "w1"}


def test_a_worker_that_is_not_eligible_takes_nothing_that_waits(engine: Engine) -> None:
    hands = join(engine, "w1")
    run_id = hands.start(ROUTED)
    assert engine.jobs.routes(hands.worker) == []
    wait = engine.run("default", run_id)["steps"]["a"]["wait"]
    assert wait["reason"] == "no_worker"
    assert "region=eu" in wait["message"]
    assert "CORDUM_WORKER_LABELS" in wait["message"]


def test_a_worker_that_starts_later_gets_what_waits_and_the_timeline_says_why(engine: Engine) -> None:
    run_id = join(engine, "w1").start(ROUTED)
    join(engine, "w2", labels={"region": "eu"})
    engine.coordinate()
    assert direct(engine, "w2") == [run_id]
    types = [event["type"] for event in engine.timeline("default", run_id).items]
    assert types[-2:] == ["step.ready", "step.queued"]
    assert engine.store.jobs.routes() == []


def test_the_preferred_worker_is_used_while_it_has_room_then_anybody(engine: Engine) -> None:
    join(engine, "w1")
    hands = join(engine, "w2", 2)
    runs = [hands.start(ANYWHERE) for _ in range(3)]
    assert (direct(engine, "w2"), shared(engine)) == (runs[:2], runs[2:])


def test_a_job_without_a_route_stays_on_the_shared_queue(engine: Engine) -> None:
    run_id = join(engine, "w1", labels={"region": "eu"}).start("steps: {a: {topic: job.t}}")
    assert shared(engine) == [run_id]


def test_what_lies_with_a_dead_worker_goes_elsewhere_in_order(timed: Engine) -> None:
    dead = join(timed, "w1", 60, labels={"region": "eu"})
    runs = []
    for number in range(50):
        at(timed, 1_000_000 + number)
        runs.append(dead.start(ROUTED))
    assert direct(timed, "w1") == runs
    at(timed, 1_000_000 + 6000)
    join(timed, "w2", 60, labels={"region": "eu"})
    timed._core.dispatch._read_at = -1e9
    timed.coordinate()
    assert direct(timed, "w1") == []
    assert direct(timed, "w2") == runs
    (given,) = (
        e for e in timed.timeline("default", runs[0]).items if e["from"] == "queued" and e["type"] == "step.ready"
    )
    assert given["data"] == {"reason": "stale_worker", "worker": "w1"}
    step = timed.run("default", runs[0])["steps"]["a"]
    assert (step["attempts"], step["status"]) == (1, "queued")
    at(timed, 1_000_000 + 12_000)  # leases were spared once: nobody had swept for longer than one
    timed.coordinate()
    assert "w1" not in timed.store.workers.known()


def test_a_reservation_that_is_not_claimed_in_time_is_given_back(timed: Engine) -> None:
    slow = join(timed, "w1", labels={"region": "eu"})
    run_id = slow.start(ROUTED)
    at(timed, 1_000_000 + HOLD_MS - 1)
    slow = join(timed, "w1", labels={"region": "eu"})
    timed.coordinate()
    assert direct(timed, "w1") == [run_id]
    at(timed, 1_000_000 + HOLD_MS + 1000)
    join(timed, "w2", labels={"region": "eu"})
    timed.coordinate()
    events = [e for e in timed.timeline("default", run_id).items if e["from"] == "queued" and e["type"] == "step.ready"]
    assert [event["data"]["reason"] for event in events] == ["reservation_expired"]
    assert [*direct(timed, "w1"), *direct(timed, "w2")] == [run_id]


def test_each_cause_gives_back_only_what_it_is_true_of(timed: Engine) -> None:
    """A lease that runs out between a sweep's look and its script makes no job overdue, nor the other way round."""
    hands = join(timed, "w1", labels={"region": "eu"})
    at(timed, 1_001_000)
    run_id = hands.start(ROUTED)
    assert timed.jobs.give_back("w1", "stale_worker") == 0
    at(timed, 1_000_000 + timed.settings.lease_ms + 1)
    assert timed.jobs.give_back("w1", "reservation_expired") == 0
    assert direct(timed, "w1") == [run_id]
    assert timed.jobs.give_back("w1", "stale_worker") == 1


def test_a_worker_that_is_gone_is_given_nothing_however_old_the_look_at_it(engine: Engine) -> None:
    """The registry still shows it: the script that commits looks at its lease."""
    hands = join(engine, "w1", labels={"region": "eu"})
    engine._core.dispatch.workers()
    engine._core.read_pools()
    engine._core.dispatch._read_at = engine._core._pools_at = 1e18
    engine.jobs.leave("w1")
    hands.start(ROUTED)
    assert direct(engine, "w1") == []
    assert engine.store.jobs.routes() == ["job.t?region=eu"]


def test_a_worker_that_has_filled_up_is_given_nothing_however_old_the_look_at_it(engine: Engine) -> None:
    first = join(engine, "w1", 1, labels={"region": "eu"})
    engine._core.dispatch.workers()
    other = Engine(engine.store, engine.settings)
    runs = [first.start(ROUTED), Hands(other, "starter").start(ROUTED)]
    assert direct(engine, "w1") == runs[:1]


def test_a_job_that_is_cancelled_while_it_waits_is_sent_to_nobody(engine: Engine) -> None:
    hands = join(engine, "w1")
    run_id = hands.start(ROUTED)
    engine.cancel_run(ALICE, run_id)
    join(engine, "w2", labels={"region": "eu"})
    engine.coordinate()
    engine.coordinate()
    assert direct(engine, "w2") == []
    assert engine.store.jobs.routes() == []


def test_a_paused_queue_holds_what_waits_for_certain_workers_too(engine: Engine) -> None:
    engine.fleet.pause(ALICE, "job.t", "the disk is full")
    run_id = join(engine, "w1", labels={"region": "eu"}).start(ROUTED)
    engine.coordinate()
    assert direct(engine, "w1") == []
    engine.fleet.resume(ALICE, "job.t", "there is room")
    engine._core.dispatch._read_at = -1e9
    engine._coordinator._core.dispatch.release("job.t?region=eu", "worker_free")
    assert direct(engine, "w1") == [run_id]


# -- pools -------------------------------------------------------------------------------------------------------


def test_a_topic_that_no_pool_serves_fails_at_once(engine: Engine) -> None:
    hands = join(engine, "w1")
    engine.pools.put_pool(ALICE, "gpu", {"requires": ["cuda"]})
    engine.pools.put_topic(ALICE, "job.other", "gpu")
    run = engine.run("default", hands.start("steps: {a: {topic: job.t}}"))
    assert (run["status"], run["steps"]["a"]["error"]["code"]) == ("failed", "unknown_topic")
    assert engine.dead_letters("default").items[0]["reason_code"] == "unknown_topic"
    engine.pools.put_topic(ALICE, "job.*", ["gpu"])
    assert engine.run("default", hands.start("steps: {a: {topic: job.t}}"))["status"] == "running"
    wrong = hands.start("steps: {a: {topic: job.t, route_labels: {preferred_pool: cpu}}}")
    assert engine.run("default", wrong)["steps"]["a"]["error"]["code"] == "no_pool_mapping"


def test_without_pools_every_topic_is_known(engine: Engine) -> None:
    assert engine.run("default", join(engine, "w1").start("steps: {a: {topic: job.x}}"))["status"] == "running"


# -- what it costs -----------------------------------------------------------------------------------------------


def commands(engine: Engine) -> int:
    """All but the SET of the clock, which two calls in one millisecond share."""
    found: Any = engine.store.connection.read(lambda client: client.info("commandstats"))
    apart = ("cmdstat_info", "cmdstat_ping", "cmdstat_set")
    return sum(stat["calls"] for name, stat in found.items() if name not in apart)


def cost_of_a_start(engine: Engine, hands: Hands, definition: str) -> int:
    """Commands of one start, the registry being fresh."""
    engine.save_workflow("default", definition.encode(), "yaml", default_id="wf")
    engine.start_run(ALICE, "wf", {})
    engine._core.dispatch.workers()
    engine._core.read_pools()
    engine._core.dispatch._read_at = engine._core._pools_at = 1e18
    before = commands(engine)
    engine._runs.start(ALICE, "wf", {})
    return commands(engine) - before


def test_commands_of_a_dispatch_grow_neither_with_workers_nor_with_what_waits(engine: Engine) -> None:
    hands = join(engine, "w0", 8, labels={"region": "eu"})
    few = cost_of_a_start(engine, hands, ROUTED)
    for number in range(1, 100):
        join(engine, f"w{number}", 8, labels={"region": "eu"})
    assert cost_of_a_start(engine, hands, ROUTED) == few
    waiting = "steps: {a: {topic: job.t, route_labels: {region: nowhere}}}"
    first = cost_of_a_start(engine, hands, waiting)
    for _ in range(50):
        hands.start(waiting)
    assert cost_of_a_start(engine, hands, waiting) == first


def test_no_change_of_the_pools_is_lost_between_two_people(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = engine.pools.now()
    engine.pools.put_pool(ALICE, "first", {})
    looks = iter([seen])
    now = engine.pools.now
    monkeypatch.setattr(engine.pools, "now", lambda: next(looks, None) or now())
    engine.pools.put_pool(ALICE, "second", {})
    assert [one["name"] for one in engine.pools.pools()] == ["first", "second"]
