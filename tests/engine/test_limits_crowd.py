"""Limits hold exactly, however many coordinators and workers move the same runs at once."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

import pytest

from cordum.domain.run import OutcomeClass
from cordum.engine import Engine
from cordum.redis_address import RedisAddress
from cordum.settings import load_settings
from cordum.store.jobs import ClaimReply, Recording
from tests.cells import eventually
from tests.engine.hands import ALLOW, Hands

COORDINATORS, WORKERS, RUNS = 8, 4, 40
TWO = "steps: {a: {topic: job.t, KEY}, b: {topic: job.t, depends_on: [a], KEY}}"
PLAIN = TWO.replace(", KEY", "")


def keyed(limit: int) -> str:
    return TWO.replace("KEY", f"concurrency: {{key: x, limit: {limit}}}")


def tenant(limit: int) -> bytes:
    budgets = f"{{budgets: {{max_concurrent_jobs: {limit}}}}}"
    return f"{{default_decision: allow, tenants: {{default: {{constraints: {budgets}}}}}}}".encode()


class Crowd:
    """Coordinators and workers, each a thread with an engine and connections of its own.

    No job ends before `hold` of them have been at work at one time, so that the limit is reached in every run.
    """

    def __init__(self, address: RedisAddress, hold: int) -> None:
        self.most = 0
        self._hold = hold
        self._address = address
        self._at_work: set[str] = set()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._broken: list[BaseException] = []

    def __enter__(self) -> Crowd:
        parts = [self._coordinate] * COORDINATORS + [self._work] * WORKERS
        self._threads = [threading.Thread(target=self._play, args=(part,)) for part in parts]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        assert self._broken == []

    def _play(self, part: Callable[[Engine], None]) -> None:
        with closing(Engine.connect(load_settings(env={"CORDUM_SWEEP_MS": "50"}), self._address)) as engine:
            try:
                part(engine)
            except BaseException as error:
                self._broken.append(error)

    def _coordinate(self, engine: Engine) -> None:
        while not self._stop.wait(0.001):
            engine.coordinate()

    def _work(self, engine: Engine) -> None:
        """Two jobs at a time, so that more could run than may."""
        hands = Hands(engine, threading.current_thread().name)
        me = hands.worker.incarnation
        recordings: list[Recording] = []
        for turn in itertools.count(1):
            if self._stop.wait(0.002):
                return
            engine.jobs.renew(hands.worker)
            ended = recordings if self.most >= self._hold else []
            with self._lock:
                self._at_work.difference_update(str(one.job) for one in ended)
            want = 2 - len(recordings) + len(ended)
            done = engine.jobs.exchange(me, ended, [], ["job.t"], want, turn=turn)
            recordings = recordings[len(ended) :]
            assert done.taken == []
            for begun, claimed in done.begun:
                assert claimed.word is ClaimReply.CLAIMED
                self._begin(str(begun.job))
                recordings.append(Recording(begun.job, "job.t", begun.nonce, OutcomeClass.SUCCESS, "{}"))

    def _begin(self, job_id: str) -> None:
        with self._lock:
            self._at_work.add(job_id)
            self.most = max(self.most, len(self._at_work))


@pytest.fixture
def crowd(redis_address: RedisAddress) -> Iterator[Callable[[int], Crowd]]:
    with ExitStack() as stack:
        yield lambda hold: stack.enter_context(Crowd(redis_address, hold))


def all_ended(engine: Engine, runs: list[str]) -> bool:
    return all(fields["status"] == "succeeded" for fields in engine.store.runs.fields(runs))


def queued_at(engine: Engine, runs: list[str]) -> list[int]:
    """When jobs were put onto their queues, by Redis' clock, in milliseconds."""
    told = [event for run_id in runs for event in engine.store.runs.timeline(run_id, 1, 100)]
    return sorted(event["at_ms"] for event in told if event["type"] == "step.queued")


@pytest.mark.parametrize(
    ("definition", "policy", "limit"),
    [
        (keyed(1), ALLOW, 1),
        (keyed(3), ALLOW, 3),
        (PLAIN, tenant(1), 1),
        (PLAIN, tenant(3), 3),
        (keyed(2), tenant(3), 2),
    ],
)
def test_so_many_run_at_one_time_and_no_more(
    engine: Engine, hands: Hands, crowd: Callable[[int], Crowd], definition: str, policy: bytes, limit: int
) -> None:
    engine.publish_policy(policy, "test")
    runs = [hands.start(definition) for _ in range(RUNS)]
    busy = crowd(limit)
    eventually(lambda: all_ended(engine, runs), "the end of all runs")
    assert busy.most == limit
    assert engine.concurrency("default").items == []
    assert len(queued_at(engine, runs)) == 2 * len(runs)


@pytest.mark.parametrize("most", [1, 7])
def test_so_many_begin_in_a_window_and_no_more(
    engine: Engine, hands: Hands, crowd: Callable[[int], Crowd], most: int
) -> None:
    window_ms = 40 * most
    velocity = f"velocity: {{max_requests: {most}, window_sec: {window_ms / 1000}}}"
    engine.publish_policy(f"rules: [{{id: slow, decision: throttle, {velocity}}}]".encode(), "test")
    runs = [hands.start(PLAIN) for _ in range(RUNS // 2)]
    crowd(0)
    eventually(lambda: all_ended(engine, runs), "the end of all runs")
    times = queued_at(engine, runs)
    assert len(times) == RUNS
    assert [
        later - earlier for earlier, later in zip(times, times[most:], strict=False) if later - earlier < window_ms
    ] == []


def test_the_measure_sees_more_than_allowed(engine: Engine, hands: Hands, crowd: Callable[[int], Crowd]) -> None:
    """The negative control: without a limit more run at one time."""
    runs = [hands.start(PLAIN) for _ in range(RUNS)]
    busy = crowd(4)
    eventually(lambda: all_ended(engine, runs), "the end of all runs")
    assert busy.most > 3
