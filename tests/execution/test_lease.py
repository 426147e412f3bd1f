from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from cordum.errors import Unavailable
from cordum.execution import lease
from cordum.execution.beat import Ringer
from cordum.execution.lease import Lease, describe_worker, report_lost
from cordum.execution.stops import Stops


@pytest.fixture
def stops() -> Stops:
    return Stops()


@pytest.fixture
def make_lease(fake_port: Any, stops: Stops, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], Lease]]:
    made: list[Lease] = []
    monkeypatch.setattr(lease, "_losses", type(lease._losses)())

    def make() -> Lease:
        one = Lease(
            describe_worker("w1@host"), fake_port, renew_sec=0.01, topics=lambda: ("job.a",), stop_jobs=stops.stop
        )
        made.append(one)
        one.start()
        return one

    yield make
    for one in made:
        one.leave()


def test_a_worker_is_registered_when_start_returns(make_lease: Callable[[], Lease], fake_port: Any) -> None:
    make_lease()
    assert fake_port.names()[:2] == ["register", "renew"]
    worker = fake_port.told[0][1]
    assert (worker.name, worker.host, worker.topics) == ("w1", "host", ("job.a",))


def test_the_lease_is_renewed_beside_the_work(
    make_lease: Callable[[], Lease], fake_port: Any, eventually: Callable[..., Any]
) -> None:
    make_lease()
    eventually(lambda: fake_port.names().count("renew") > 3, "renewals")
    assert fake_port.names().count("register") == 1


def test_a_restarted_worker_is_another_incarnation(monkeypatch: pytest.MonkeyPatch) -> None:
    first = describe_worker("w1@host")
    # In a container a restart may well have the same process id.
    monkeypatch.setattr(lease.time, "time_ns", lambda: (first.started_at_ms + 1) * 1_000_000)
    second = describe_worker("w1@host")
    assert (first.host, first.name) == (second.host, second.name)
    assert first.incarnation != second.incarnation


def test_a_worker_that_cannot_register_goes_on_trying(
    make_lease: Callable[[], Lease], fake_port: Any, eventually: Callable[..., Any]
) -> None:
    fake_port.away = [Unavailable("away"), Unavailable("away")]
    make_lease()
    eventually(lambda: "renew" in fake_port.names(), "the registration")
    assert fake_port.names()[0] == "register"


@pytest.mark.parametrize("error", [Unavailable("away"), RuntimeError("a mistake of ours")])
def test_no_error_ends_the_lease(
    make_lease: Callable[[], Lease], fake_port: Any, eventually: Callable[..., Any], error: Exception
) -> None:
    make_lease()
    fake_port.away = [error]
    eventually(lambda: not fake_port.away, "the error")
    seen = len(fake_port.told)
    eventually(lambda: len(fake_port.told) > seen, "renewals after it")


def test_stops_reach_running_jobs(
    make_lease: Callable[[], Lease], fake_port: Any, stops: Stops, eventually: Callable[..., Any]
) -> None:
    make_lease()
    stop = stops.begin("r1:s@1")
    fake_port.stops = ["r1:s@1"]
    eventually(stop.is_set, "the stop")


def test_a_loss_is_reported_until_it_is_heard(
    make_lease: Callable[[], Lease], fake_port: Any, eventually: Callable[..., Any]
) -> None:
    answer = fake_port.lost
    refused = threading.Event()

    def away_once(*args: Any, **options: Any) -> str:
        fake_port.lost = answer
        refused.set()
        raise Unavailable("away")

    fake_port.lost = away_once
    make_lease()
    report_lost("r1:s@1", "job.a", "killed")
    eventually(lambda: "lost" in fake_port.names(), "the report")
    assert refused.is_set()
    assert ("lost", "r1:s@1", "killed") in fake_port.told


def test_goodbye_comes_last_and_carries_what_was_not_reported(fake_port: Any, stops: Stops) -> None:
    one = Lease(describe_worker("w1@h"), fake_port, renew_sec=3600, topics=lambda: ("job.a",), stop_jobs=stops.stop)
    one.start()
    report_lost("r1:s@1", "job.a", "killed")
    one.leave()
    assert fake_port.names()[-2:] == ["lost", "leave"]


def test_a_goodbye_that_nobody_hears_does_not_keep_the_worker(fake_port: Any, stops: Stops) -> None:
    one = Lease(describe_worker("w1@h"), fake_port, renew_sec=3600, topics=lambda: ("job.a",), stop_jobs=stops.stop)
    one.start()
    fake_port.away = [Unavailable("away")]
    one.leave()
    assert "leave" not in fake_port.names()


def test_the_beat_rings_once_per_interval() -> None:
    rung: list[int] = []
    ringer = Ringer(lambda: rung.append(1), 3600)
    assert ringer.tick() > 3000
    assert ringer.tick() > 3000
    assert rung == [1]


def test_the_beat_goes_on_while_redis_is_away(caplog: pytest.LogCaptureFixture) -> None:
    def ring() -> None:
        raise Unavailable("away")

    ringer = Ringer(ring, 0)
    for _ in range(5):
        assert ringer.tick() == 0
    assert [record.message for record in caplog.records] == ["the beat cannot ring: away"]
