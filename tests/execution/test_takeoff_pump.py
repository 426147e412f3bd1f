"""The turns of the fast path beside an engine, a pool and a loop that remember: nothing is lost, nothing loops."""

from __future__ import annotations

import json
import select
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from celery.worker import state

from cordum.domain.ids import JobId
from cordum.domain.run import OutcomeClass
from cordum.errors import Unavailable
from cordum.execution import lease
from cordum.execution.takeoff.flight import Flight, parse
from cordum.execution.takeoff.in_pool import Landed
from cordum.execution.takeoff.knock import Knock
from cordum.execution.takeoff.pump import Pump
from cordum.settings import Settings
from cordum.store.envelope import job_message
from cordum.store.jobs import Claimed, ClaimReply, Delivered, Exchanged, Recording, RecordReply

TOPIC = "job.t.one"
DONE = Landed(OutcomeClass.SUCCESS, "1", None, None, 0.1)
SETTINGS = Settings(lease_ms=1000, lease_renew_ms=100)
GRANTED = Claimed(ClaimReply.CLAIMED)


def message(name: str) -> str:
    return job_message(f"r:{name}@1", TOPIC, 3)


@dataclass
class Engine:
    """Answers exchanges; `queue` holds what may be taken, `claims` and `records` what to answer instead of yes.

    What has an answer of its own to a claim is not claimed as it is taken.
    """

    queue: list[str] = field(default_factory=list)
    claims: dict[str, Any] = field(default_factory=dict)
    records: dict[str, Any] = field(default_factory=dict)
    away: bool = False
    turns: list[int] = field(default_factory=list)
    asked: list[tuple[list[str], list[str], int]] = field(default_factory=list)
    waiting_on: dict[str, list[str]] = field(default_factory=dict)  # by route, what waits for those who may serve it

    def exchange(
        self,
        incarnation: str,
        recordings: list[Recording],
        deliveries: list[Delivered],
        topics: Any,
        want: int,
        routes: Any = (),
        turn: int = 1,
    ) -> Exchanged:
        self.turns += [turn] if topics else []
        if self.away:
            raise Unavailable("Redis cannot be reached")
        recorded, delivered = [str(one.job) for one in recordings], [str(one.job) for one in deliveries]
        self.asked.append((recorded, delivered, want if topics else 0))
        begun, taken = [], []
        for route in routes:
            self.queue += [self.waiting_on[route].pop(0) for _ in range(want) if self.waiting_on.get(route)]
        for text in [self.queue.pop(0) for _ in range(want if topics else 0) if self.queue]:
            job = JobId.parse(json.loads(text)["headers"]["id"]) if text.startswith('{"body"') else None
            if job is None or str(job) in self.claims:
                taken.append((TOPIC, text))
            else:
                begun.append((Delivered(job, TOPIC, 3, f"w#{turn}"), GRANTED))
        return Exchanged(
            [self.records.get(job_id, RecordReply.ADVANCE) for job_id in recorded],
            [self.claims.get(job_id, GRANTED) for job_id in delivered],
            begun,
            taken,
        )


class Place:
    """A worker with so many slots, a pool that keeps what it is given, and a loop that turns when it is told to."""

    def __init__(self, slots: int) -> None:
        self.engine = Engine()
        self.flying: list[Flight] = []
        self.strange: list[Any] = []
        self.later: list[Callable[[], None]] = []
        self.listening = False
        self.topics: tuple[str, ...] = (TOPIC,)
        self.routes: tuple[str, ...] = ()
        self._readers: list[Callable[[], None]] = []
        self._ticks: set[Callable[[], None]] = set()
        self.pool = SimpleNamespace(num_processes=slots, uses_semaphore=False)
        task = SimpleNamespace(acks_late=True, send_events=True, soft_time_limit=None, time_limit=None)
        self.consumer = SimpleNamespace(
            app=SimpleNamespace(tasks={TOPIC: task}),
            controller=SimpleNamespace(),
            connection_errors=(),
            event_dispatcher=None,
            hostname="w@h",
            hub=SimpleNamespace(add_reader=lambda fd, callback: self._readers.append(callback), on_tick=self._ticks),
            on_task_request=self.flying.append,
            pool=self.pool,
            timer=SimpleNamespace(call_after=lambda seconds, call: self.later.append(call)),
        )
        port: Any = self.engine
        self.pump = Pump(
            self.consumer,
            port,
            "w",
            SETTINGS,
            topics=lambda: self.topics,
            listening=lambda: self.listening,
            strange=lambda raw, topic: self.strange.append(raw),
            routes=lambda: self.routes,
        )
        self.pump.restart()

    def loop(self) -> None:
        for callback in (*self._ticks, *self._readers):
            callback()

    def settle(self) -> None:
        """Turn until nothing changes any more; a loop without end fails the test."""
        for _ in range(100):
            before = len(self.engine.asked)
            self.loop()
            if len(self.engine.asked) == before:
                return
        raise AssertionError(f"it never rests: {self.engine.asked[-4:]}")

    def hear(self, name: str) -> None:
        assert self.pump.deliver(json.loads(message(name)), TOPIC)

    def land(self, name: str) -> None:
        flight = next(one for one in self.flying if one.id == f"r:{name}@1")
        self.flying.remove(flight)
        self.pump.landed(flight, DONE)

    def in_flight(self) -> list[str]:
        return [flight.id for flight in self.flying]


@pytest.fixture
def place() -> Iterator[Callable[[int], Place]]:
    yield Place
    state.reset_state()
    lease._losses.clear()


def losses() -> list[str]:
    return [loss.job_id for loss in lease._losses]


def test_no_more_is_taken_than_there_are_slots(place: Callable[[int], Place]) -> None:
    here = place(2)
    here.engine.queue = [message(name) for name in "abc"]
    here.settle()
    assert here.in_flight() == ["r:a@1", "r:b@1"]
    assert here.engine.queue == [message("c")]


def test_one_turn_records_takes_and_claims(place: Callable[[int], Place]) -> None:
    here = place(2)
    here.engine.queue = [message(name) for name in "abcd"]
    here.settle()
    here.engine.asked.clear()
    here.land("a")
    here.land("b")
    here.loop()
    assert here.engine.asked == [(["r:a@1", "r:b@1"], [], 2)]
    assert here.in_flight() == ["r:c@1", "r:d@1"]
    here.land("c")
    here.loop()
    assert here.engine.asked[-1][0] == ["r:c@1"]


def test_a_turn_is_asked_for_until_its_answer_is_known(place: Callable[[int], Place]) -> None:
    """What it has claimed meanwhile is claimed by this worker, and nobody else would begin it."""
    here = place(1)
    here.engine.away = True
    here.loop()
    here.engine.away = False
    here.engine.queue = [message("a")]
    here.later.pop()()
    here.settle()
    here.land("a")
    here.settle()
    assert here.engine.turns == [1, 1, 2]


def test_what_a_turn_has_claimed_is_recorded_by_that_claim(place: Callable[[int], Place]) -> None:
    here = place(1)
    here.engine.queue = [message("a")]
    here.settle()
    assert here.flying[0].recording(DONE).nonce == "w#1"


def test_jobs_that_cannot_be_begun_are_lost(place: Callable[[int], Place]) -> None:
    here = place(2)
    here.engine.queue = [message("a"), message("b")]
    here.consumer.app.tasks = {}
    here.loop()
    assert losses() == ["r:a@1", "r:b@1"]


def test_large_results_are_recorded_a_few_at_a_time(place: Callable[[int], Place]) -> None:
    here = place(8)
    here.engine.queue = [message(name) for name in "abcd"]
    here.settle()
    here.engine.asked.clear()
    for flight in list(here.flying):
        here.pump.landed(flight, DONE._replace(output="x" * (3 << 20)))
    here.settle()
    assert [len(recorded) for recorded, _, _ in here.engine.asked if recorded] == [2, 2]


def test_a_slot_is_kept_for_the_message_that_kombu_waits_for(place: Callable[[int], Place]) -> None:
    here = place(2)
    here.listening = True
    here.routes = ("some route",)
    here.engine.queue = [message(name) for name in "ab"]
    here.settle()
    assert here.in_flight() == ["r:a@1"]
    here.hear("k")
    assert here.in_flight() == ["r:a@1", "r:k@1"]


def test_while_kombu_waits_only_what_follows_from_its_records_is_asked_for(place: Callable[[int], Place]) -> None:
    """Any other message would wake kombu; only what waits on routes wakes nobody."""
    here = place(4)
    here.settle()
    here.listening = True
    here.hear("a")
    here.engine.asked.clear()
    here.land("a")
    here.settle()
    assert here.engine.asked == [(["r:a@1"], [], 2)], "two branches, and not all that there is room for"
    assert here.pump.dry
    here.pump.call()
    here.settle()
    assert len(here.engine.asked) == 1, "nothing has ended"
    here.routes = ("some route",)
    here.hear("b")
    here.land("b")
    here.settle()
    assert here.engine.asked[-1] == (["r:b@1"], [], 3)


def test_a_worker_that_has_no_job_left_does_not_rest_while_something_waits_on_its_routes(
    place: Callable[[int], Place],
) -> None:
    """Every second turn of a busy worker asks for no route: all its jobs may end in the one before such a turn."""
    here = place(2)
    here.routes = ("some route",)
    here.engine.waiting_on["some route"] = [message(name) for name in "abcdefgh"]
    here.settle()
    for pair in ("ab", "cd", "ef", "gh"):
        assert [flight.id for flight in here.flying] == [f"r:{name}@1" for name in pair]
        for name in pair:
            here.land(name)
        here.settle()


def test_what_is_no_plain_job_is_left_to_celery(place: Callable[[int], Place]) -> None:
    here = place(2)
    assert not here.pump.deliver([1], TOPIC)
    assert not here.pump.deliver(json.loads(message("a")), "job.other")
    assert here.engine.asked == []


def test_kombu_listens_only_when_there_was_less_than_room_for(place: Callable[[int], Place]) -> None:
    here = place(2)
    here.engine.queue = [message(name) for name in "abc"]
    here.settle()
    assert not here.pump.dry
    here.land("a")
    here.land("b")
    here.settle()
    assert here.in_flight() == ["r:c@1"]
    assert here.pump.dry


@pytest.mark.parametrize("word", [ClaimReply.STALE, ClaimReply.POLICY_CHANGED])
def test_what_may_not_be_claimed_is_dropped_and_leaves_its_slot(
    place: Callable[[int], Place], word: ClaimReply
) -> None:
    here = place(1)
    here.engine.queue = [message("a"), message("b")]
    here.engine.claims["r:a@1"] = Claimed(word)
    here.settle()
    assert here.in_flight() == ["r:b@1"]
    assert losses() == []


def test_a_refused_message_that_kombu_brought_does_not_end_the_taking(place: Callable[[int], Place]) -> None:
    here = place(1)
    here.settle()
    here.engine.claims["r:a@1"] = Claimed(ClaimReply.STALE)
    here.engine.queue = [message("b")]
    here.hear("a")
    here.settle()
    assert here.in_flight() == ["r:b@1"]


def test_a_claim_waits_for_a_lease_that_comes_back(place: Callable[[int], Place]) -> None:
    here = place(1)
    here.engine.queue = [message("a"), message("b")]
    here.engine.claims["r:a@1"] = Claimed(ClaimReply.NO_LEASE)
    here.settle()
    assert here.in_flight() == []
    assert here.engine.queue == [message("b")], "its slot is not given to another"
    here.engine.claims.clear()
    here.later.pop()()
    here.settle()
    assert here.in_flight() == ["r:a@1"]


def test_a_lease_that_stays_away_drops_the_message(
    place: Callable[[int], Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    from cordum.execution.takeoff import pump

    here = place(1)
    here.engine.queue = [message("a")]
    here.engine.claims["r:a@1"] = Claimed(ClaimReply.NO_LEASE)
    here.settle()
    late = pump.time.monotonic() + 2
    monkeypatch.setattr(pump, "time", SimpleNamespace(monotonic=lambda: late))
    here.later.pop()()
    here.settle()
    assert here.pump.has_room
    assert here.later == []


def test_nothing_is_forgotten_while_redis_is_away(place: Callable[[int], Place]) -> None:
    here = place(2)
    here.engine.queue = [message("a")]
    here.settle()
    here.engine.away = True
    here.land("a")
    here.hear("b")
    here.loop()
    here.engine.away = False
    here.engine.asked.clear()
    here.later.pop()()
    here.settle()
    assert here.engine.asked[0][:2] == (["r:a@1"], ["r:b@1"])
    assert here.in_flight() == ["r:b@1"]


def test_an_error_of_one_job_is_told_of_that_job_only(place: Callable[[int], Place]) -> None:
    here = place(4)
    here.engine.queue = [message(name) for name in "abcd"]
    here.engine.claims["r:a@1"] = RuntimeError("broken")
    here.engine.records["r:b@1"] = RuntimeError("broken")
    here.settle()
    assert here.in_flight() == ["r:b@1", "r:c@1", "r:d@1"]
    here.land("b")
    here.land("c")
    here.settle()
    assert losses() == ["r:a@1", "r:b@1"]
    assert here.in_flight() == ["r:d@1"]


def test_a_pool_that_refuses_a_job_loses_that_job_only(place: Callable[[int], Place]) -> None:
    here = place(2)

    def refuse(flight: Flight) -> None:
        if flight.id == "r:a@1":
            raise OSError("no more processes")
        here.flying.append(flight)

    here.consumer.on_task_request = refuse
    here.engine.queue = [message(name) for name in "abc"]
    here.settle()
    assert losses() == ["r:a@1"]
    assert here.in_flight() == ["r:b@1", "r:c@1"]


def test_an_error_of_ours_in_a_turn_ends_nothing(place: Callable[[int], Place]) -> None:
    here = place(1)
    exchange, here.engine.exchange = here.engine.exchange, lambda *_: 1 / 0  # type: ignore[method-assign,assignment]
    here.engine.queue = [message("a")]
    here.loop()
    here.engine.exchange = exchange  # type: ignore[method-assign]
    here.later.pop()()
    here.settle()
    assert here.in_flight() == ["r:a@1"]


def test_strange_messages_go_celerys_way_and_unreadable_ones_nowhere(
    place: Callable[[int], Place], caplog: pytest.LogCaptureFixture
) -> None:
    here = place(4)
    other = json.dumps({"headers": {"task": "proj.send", "id": "x"}, "properties": {}})
    here.engine.queue = [other, "{no json", message("a")]
    here.settle()
    assert here.in_flight() == ["r:a@1"]
    assert here.strange == [json.loads(other)]
    assert "cannot be read" in caplog.text


def test_topics_take_turns_to_be_first(place: Callable[[int], Place]) -> None:
    here = place(1)
    here.topics = (TOPIC, "job.t.two", "job.t.three")
    first = [here.pump._in_turn()[0] for _ in range(6)]
    assert sorted(first[:3]) == sorted(here.topics)
    assert first[:3] == first[3:]


def test_a_prefork_pool_that_forgot_its_jobs_has_lost_them(place: Callable[[int], Place]) -> None:
    here = place(2)
    here.engine.queue = [message("a"), message("b")]
    here.settle()
    here.flying[0].time_start = 1.0
    here.pool.uses_semaphore = True
    here.pump.restart()
    assert losses() == ["r:b@1"]


def test_what_is_claimed_is_written_to_a_prefork_child_at_once(place: Callable[[int], Place]) -> None:
    here = place(1)
    written: list[int] = []
    here.pool._pool = SimpleNamespace(outbound_buffer=["a job"], _all_inqueues={3, 4}, _active_writes={4})
    here.consumer.hub.consolidate_callback = written.extend
    here.engine.queue = [message("a")]
    here.loop()
    assert set(written) == {3}


def test_a_slot_that_comes_free_elsewhere_is_noticed(place: Callable[[int], Place]) -> None:
    here = place(1)
    here.engine.queue = [message("a"), message("b")]
    here.settle()
    here.pool.num_processes = 2
    here.pump.look()
    here.settle()
    assert here.in_flight() == ["r:a@1", "r:b@1"]


def test_after_the_end_an_outcome_is_recorded_by_the_thread_that_brings_it(place: Callable[[int], Place]) -> None:
    here = place(2)
    here.engine.queue = [message("a"), message("b")]
    here.settle()
    for flight in here.flying:
        flight.time_start = 1.0
    here.land("a")
    assert here.pump.close() == []
    thread = threading.Thread(target=here.land, args=("b",))
    thread.start()
    thread.join()
    assert [recorded for recorded, _, _ in here.engine.asked if recorded] == [["r:a@1"], ["r:b@1"]]
    here.engine.queue = [message("c")]
    here.loop()
    assert here.engine.queue == [message("c")]


def test_the_end_waits_for_claimed_jobs_to_begin(place: Callable[[int], Place]) -> None:
    here = place(1)
    here.engine.queue = [message("a")]
    here.settle()
    (flight,) = here.flying

    def begin() -> None:
        flight.time_start = 1.0
        here.pump.begun(flight)

    closed: list[bool] = []
    thread = threading.Thread(target=lambda: closed.append(here.pump.close() == []))
    thread.start()
    thread.join(0.2)
    assert not closed
    begin()
    thread.join(30)
    assert closed == [True]


@pytest.mark.parametrize("told", [{"should_stop": 0}, {"should_terminate": 1}, {"should_stop": True}])
def test_a_worker_that_is_told_to_end_takes_and_claims_nothing_more(
    place: Callable[[int], Place], monkeypatch: pytest.MonkeyPatch, told: dict[str, Any]
) -> None:
    one = place(2)
    one.engine.queue = [message("b"), message("c"), message("d")]
    one.settle()
    for name, value in told.items():
        monkeypatch.setattr(state, name, value)
    one.land("b")
    one.hear("late")
    one.settle()
    assert one.engine.queue == [message("d")]
    assert one.in_flight() == ["r:c@1"]
    assert [flight.id for flight in one.pump.close()] == ["r:late@1"]
    assert not one.pump.deliver(json.loads(message("later")), TOPIC)


def test_what_is_not_claimed_at_the_end_is_given_back(place: Callable[[int], Place]) -> None:
    here = place(2)
    here.engine.queue = [message("a"), message("b")]
    here.engine.claims = {"r:a@1": Claimed(ClaimReply.NO_LEASE), "r:b@1": Claimed(ClaimReply.NO_LEASE)}
    here.settle()
    assert [flight.id for flight in here.pump.close()] == ["r:a@1", "r:b@1"]


# -- the parts ---------------------------------------------------------------------------------------------------


def test_a_plain_message_is_a_job() -> None:
    found = parse(json.loads(message("a")), TOPIC)
    assert found is not None
    assert (str(found[0]), found[1]) == ("r:a@1", 3)


@pytest.mark.parametrize(
    "change",
    [
        {"headers": None},
        {"properties": None},
        {"content-type": "application/x-python-serialize"},
        {"headers": {"task": "job.t.other", "id": "r:a@1"}},
        {"headers": {"task": TOPIC, "id": "no job"}},
        {"headers": {"task": TOPIC, "id": None}},
        {"headers": {"task": TOPIC, "id": "r:a@1", "eta": "2030-01-01T00:00:00Z"}},
        {"headers": {"task": TOPIC, "id": "r:a@1", "expires": "2030-01-01T00:00:00Z"}},
        {"properties": {"priority": 0, "body_encoding": "base64"}},
        {"properties": {"priority": "high"}},
    ],
)
def test_anything_else_is_not(change: dict[str, Any]) -> None:
    assert parse(json.loads(message("a")) | change, TOPIC) is None


class Loop:
    """An event loop as far as a knock needs one; `awake`: it would not wait."""

    def __init__(self, answer: Callable[[], object]) -> None:
        self.on_tick: set[Callable[[], None]] = set()
        self.knock = Knock(answer)
        self.knock.attach(self)

    def add_reader(self, fd: int, callback: Callable[[], None]) -> None:
        self._fd, self._read = fd, callback

    @property
    def awake(self) -> bool:
        return bool(select.select([self._fd], [], [], 0)[0])

    def come_round(self) -> None:
        for tick in self.on_tick:
            tick()
        if self.awake:
            self._read()


def test_many_knocks_are_one() -> None:
    heard: list[int] = []
    loop = Loop(lambda: heard.append(1))
    for _ in range(3):
        loop.knock()
    assert not loop.awake, "the loop's own call is answered before it waits"
    loop.come_round()
    loop.come_round()
    assert len(heard) == 1


def test_a_knock_of_another_thread_wakes_the_loop() -> None:
    heard: list[int] = []
    loop = Loop(lambda: heard.append(1))
    thread = threading.Thread(target=loop.knock)
    thread.start()
    thread.join()
    assert loop.awake
    loop.come_round()
    assert (len(heard), loop.awake) == (1, False)


def test_a_knock_while_one_is_answered_is_heard() -> None:
    again = [True]
    heard: list[int] = []

    def answer() -> None:
        heard.append(1)
        if again:
            again.pop()
            loop.knock()

    loop = Loop(answer)
    loop.knock()
    for tick in loop.on_tick:
        tick()
    assert (len(heard), loop.awake) == (2, False)


def test_the_loop_comes_round_beside_calls_without_end() -> None:
    heard: list[int] = []

    def answer() -> None:
        heard.append(1)
        loop.knock()

    loop = Loop(answer)
    loop.knock()
    for tick in loop.on_tick:
        tick()
    assert loop.awake
    before = len(heard)
    loop.come_round()
    assert len(heard) > before


def test_no_knock_is_lost_among_many_threads() -> None:
    given: list[int] = []
    seen = [0]

    def look() -> None:
        seen[0] = len(given)

    loop = Loop(look)

    def work() -> None:
        for _ in range(2_000):
            given.append(1)
            loop.knock()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        loop.come_round()
    loop.come_round()
    assert seen[0] == len(given) == 8_000
