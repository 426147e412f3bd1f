"""Schedules carried out by the real engine and its real scripts, in virtual time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from cordum.domain.times import milliseconds
from cordum.engine import Caller, Engine
from cordum.errors import Forbidden, NotFound, StateConflict, Unprocessable
from cordum.redis_address import RedisAddress
from cordum.settings import Settings
from cordum.store import Store
from cordum.store.connection import Connection
from cordum.store.scripts import Library
from tests.engine.hands import ALICE, ALLOW, BOB

MINUTE, HOUR = 60_000, 3_600_000
START = milliseconds("2026-03-28T00:00:00Z") or 0
GATE = b"steps: {gate: {type: approval}}"
QUICK = b"steps: {note: {type: transform, input: {x: 1}}}"


class Clock:
    """An engine of its own for each process that a test wants, and one clock for all of them."""

    def __init__(self, address: RedisAddress, *without: tuple[str, str]) -> None:
        self._address = address
        self._library = Library(virtual_clock=True, without=without)
        self._engines: list[Engine] = []
        self.engine = self.process()
        self.now = START
        self.at(START)
        self.engine.publish_policy(ALLOW, "test")
        self.engine.save_workflow("default", GATE, "yaml", default_id="gate")
        self.engine.save_workflow("default", QUICK, "yaml", default_id="quick")

    def process(self) -> Engine:
        settings = Settings(sweep_ms=10)
        store = Store(Connection.open(self._address, self._library), settings.cell, settings.window_minimum)
        self._engines.append(Engine(store, settings))
        return self._engines[-1]

    def at(self, moment: int) -> None:
        self.now = moment
        store = self.engine.store
        store.connection.read(lambda client: client.set(store.keys.clock, moment))

    def play(self, until: int, step: int = MINUTE) -> None:
        """Time passes in steps, and a coordinator is there."""
        while self.now < until:
            self.at(min(self.now + step, until))
            self.engine.coordinate()

    def create(self, caller: Caller = ALICE, **wanted: Any) -> None:
        self.engine.schedules.create(caller, {"id": "s", "workflow_id": "quick", "cron": "0 * * * *", **wanted})

    def shown(self) -> dict[str, Any]:
        return self.engine.schedules.get("default", "s")

    def runs(self) -> list[dict[str, Any]]:
        """Oldest first."""
        return self.engine.runs("default", limit=200).items[::-1]

    def ticks(self) -> list[str]:
        return sorted(run["labels"]["scheduled_for"][5:16] for run in self.runs() if "scheduled_for" in run["labels"])

    def close(self) -> None:
        for engine in self._engines:
            engine.close()


@pytest.fixture
def clock_without(redis_address: RedisAddress) -> Iterator[Callable[..., Clock]]:
    made: list[Clock] = []

    def make(*without: tuple[str, str]) -> Clock:
        made.append(Clock(redis_address, *without))
        return made[-1]

    yield make
    for clock in made:
        clock.close()


@pytest.fixture
def clock(clock_without: Callable[..., Clock]) -> Clock:
    return clock_without()


def test_a_tick_is_never_early_and_gives_one_run(clock: Clock) -> None:
    clock.create(input={"x": [1, 2**53 + 1]})
    clock.play(START + HOUR - 10, step=HOUR)
    clock.at(START + HOUR - 1)
    clock.engine.schedules.carry_on("default", "s")
    assert clock.runs() == []
    clock.at(START + HOUR)
    clock.engine.coordinate()
    (run,) = clock.runs()
    assert run["labels"] == {"schedule": "s", "scheduled_for": "2026-03-28T01:00:00.000Z"}
    assert (run["triggered_by"], run["created_by"], run["created_at"]) == ("s", "alice", "2026-03-28T01:00:00.000Z")
    assert clock.engine.run("default", run["id"])["input"] == {"x": [1, 2**53 + 1]}
    clock.play(START + 5 * HOUR)
    assert clock.ticks() == [f"03-28T0{hour}:00" for hour in range(1, 6)]
    assert clock.shown()["counts"] == {"fired": 5, "skipped": 0, "missed": 0, "refused": 0}


def test_clocks_that_change_skip_and_double_no_tick(clock: Clock) -> None:
    clock.create(cron="30 2 * * *", timezone="Europe/Berlin")
    clock.play(START + 72 * HOUR, step=10 * MINUTE)
    assert clock.ticks() == ["03-28T01:30", "03-29T01:00", "03-30T00:30"]
    autumn = milliseconds("2026-10-24T12:00:00Z") or 0
    clock.at(autumn)
    clock.engine.coordinate()
    clock.play(autumn + 48 * HOUR, step=10 * MINUTE)
    assert clock.ticks()[-2:] == ["10-25T00:30", "10-26T01:30"]  # the runs of the spring have been removed


@pytest.mark.parametrize(
    ("catch_up", "made_up"),
    [("none", []), ("one", ["03-28T05:00"]), ("all", [f"03-28T0{hour}:00" for hour in range(1, 6)])],
)
def test_after_an_outage_catch_up_is_as_declared(clock: Clock, catch_up: str, made_up: list[str]) -> None:
    clock.create(catch_up=catch_up)
    clock.at(START + 5 * HOUR + 30 * MINUTE)
    clock.engine.coordinate()
    assert clock.ticks() == made_up
    assert clock.shown()["counts"]["missed"] == 5 - len(made_up)
    clock.play(START + 6 * HOUR)
    assert clock.ticks() == [*made_up, "03-28T06:00"]


def test_skip_leaves_out_the_ticks_of_an_open_run(clock: Clock) -> None:
    clock.create(workflow_id="gate")
    clock.play(START + 3 * HOUR)
    assert clock.ticks() == ["03-28T01:00"]
    assert clock.shown()["counts"]["skipped"] == 2
    clock.engine.cancel_run(ALICE, clock.runs()[0]["id"])
    clock.play(START + 4 * HOUR)
    assert clock.ticks() == ["03-28T01:00", "03-28T04:00"]


def test_queue_has_one_run_after_another(clock: Clock) -> None:
    clock.create(workflow_id="gate", overlap="queue")
    clock.play(START + 3 * HOUR)
    assert clock.ticks() == ["03-28T01:00"]
    assert len(clock.shown()["waiting"]) == 2
    for count in (2, 3):
        clock.engine.cancel_run(ALICE, clock.runs()[-1]["id"])
        clock.play(clock.now + 2000, step=1000)
        assert len(clock.ticks()) == count
    assert clock.ticks() == ["03-28T01:00", "03-28T02:00", "03-28T03:00"]
    assert clock.shown()["waiting"] == []


def test_cancel_previous_ends_the_run_before_its_own_begins(clock: Clock) -> None:
    clock.create(workflow_id="gate", overlap="cancel_previous")
    clock.play(START + 3 * HOUR)
    assert [run["status"] for run in clock.runs()] == ["cancelled", "cancelled", "waiting"]
    events = clock.engine.timeline("default", clock.runs()[0]["id"]).items
    assert events[-1]["actor"] == "schedule s"


def test_allow_has_them_side_by_side(clock: Clock) -> None:
    clock.create(workflow_id="gate", overlap="allow")
    clock.play(START + 3 * HOUR)
    assert [run["status"] for run in clock.runs()] == ["waiting"] * 3


def test_a_paused_schedule_starts_nothing_and_resumes_with_the_next_tick(clock: Clock) -> None:
    clock.create(catch_up="all")
    clock.engine.schedules.pause(BOB, "s", "maintenance")
    clock.play(START + 3 * HOUR)
    assert (clock.runs(), clock.shown()["state"]) == ([], "paused")
    clock.engine.schedules.resume(BOB, "s", "maintenance")
    clock.play(START + 4 * HOUR)
    assert clock.ticks() == ["03-28T04:00"]


def test_two_coordinators_at_once_give_one_run_a_tick(clock: Clock) -> None:
    clock.create(catch_up="all", overlap="allow")
    clock.at(START + 100 * HOUR + 1)
    others = [clock.process() for _ in range(4)]
    threads = [threading.Thread(target=one.schedules.carry_on, args=("default", "s")) for one in others]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(clock.ticks()) == len(set(clock.ticks())) == 100
    assert clock.shown()["counts"]["fired"] == 100


def test_a_stale_look_starts_nothing_after_a_pause(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    assert _paused_between_look_and_start(clock, monkeypatch) == 0


def test_without_its_guard_a_stale_look_starts_a_run_after_a_pause(
    clock_without: Callable[..., Clock], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = clock_without(("create_run", "schedule_as_seen"))
    assert _paused_between_look_and_start(clock, monkeypatch) == 1


def _paused_between_look_and_start(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> int:
    clock.create()
    clock.at(START + HOUR)
    slow, create = clock.process(), clock.process()._core.create

    def paused_first(*args: Any, **more: Any) -> Any:
        clock.engine.schedules.pause(ALICE, "s", "maintenance")
        return create(*args, **more)

    monkeypatch.setattr(slow._core, "create", paused_first)
    slow.schedules.carry_on("default", "s")
    return len(clock.runs())


def test_whoever_changes_a_schedule_is_behind_it_and_cannot_approve(clock: Clock) -> None:
    clock.create(workflow_id="gate", overlap="allow")
    wanted = {"workflow_id": "gate", "cron": "0 * * * *", "overlap": "allow", "input": {"x": 2}}
    clock.engine.schedules.replace(BOB, "s", wanted)
    clock.play(START + HOUR)
    (run,) = clock.runs()
    with pytest.raises(Forbidden, match="cannot approve"):
        clock.engine.approve(BOB, f"{run['id']}:gate@1")
    assert clock.engine.approve(ALICE, f"{run['id']}:gate@1")["state"] == "approved"


def test_a_tick_whose_run_is_refused_is_told_and_the_next_one_comes(clock: Clock) -> None:
    clock.create()
    clock.engine.delete_workflow("default", "quick")
    clock.play(START + 2 * HOUR)
    shown = clock.shown()
    assert (shown["counts"]["refused"], shown["last_error"]) == (2, "there is no workflow quick")
    clock.engine.save_workflow("default", QUICK, "yaml", default_id="quick")
    clock.play(START + 3 * HOUR)
    assert (clock.ticks(), clock.shown()["last_error"]) == (["03-28T03:00"], None)


def test_by_hand_a_run_begins_now_once_for_its_key_and_belongs_to_who_asked(clock: Clock) -> None:
    clock.create(workflow_id="gate")
    first = clock.engine.schedules.trigger(BOB, "s", "k")
    assert clock.engine.schedules.trigger(BOB, "s", "k") == first
    (run,) = clock.runs()
    assert (run["created_by"], run["triggered_by"]) == ("bob", "s")
    clock.play(START + HOUR)  # it counts as an open run of the schedule
    assert len(clock.runs()) == 1


def test_a_backfill_brings_what_is_missing_and_nothing_twice(clock: Clock) -> None:
    clock.create()
    clock.play(START + 2 * HOUR)
    first, last = START - 2 * HOUR, START + 2 * HOUR
    done = clock.engine.schedules.backfill(BOB, "s", first, last, "a gap")
    assert [one["created"] for one in done["runs"]] == [True, True, True, False, False]
    assert len(clock.runs()) == 5
    again = clock.engine.schedules.backfill(BOB, "s", first, last, "a gap")
    assert [one["run_id"] for one in again["runs"]] == [one["run_id"] for one in done["runs"]]
    assert len(clock.runs()) == 5
    for wrong in ((START, START + 9 * HOUR), (last, first), (START - 1000 * HOUR, START)):
        with pytest.raises(Unprocessable):
            clock.engine.schedules.backfill(BOB, "s", *wrong, "a gap")


def test_everything_that_is_wrong_is_said_at_once_with_its_place(clock: Clock) -> None:
    wanted = {"id": "x", "workflow_id": "nothing", "cron": "61 * * * *", "timezone": "Mars", "starts_at": "soon"}
    with pytest.raises(Unprocessable) as refusal:
        clock.engine.schedules.create(ALICE, wanted)
    assert {problem.path for problem in refusal.value.problems} == {"/workflow_id", "/cron", "/timezone", "/starts_at"}


def test_an_id_is_taken_once_and_what_is_gone_is_not_found(clock: Clock) -> None:
    clock.create()
    with pytest.raises(StateConflict):
        clock.create(cron="1 * * * *")
    clock.engine.schedules.delete(BOB, "s", "not needed")
    with pytest.raises(NotFound):
        clock.shown()
    clock.play(START + 2 * HOUR)
    assert clock.runs() == []


def test_bounds_hold(clock: Clock) -> None:
    clock.create(starts_at="2026-03-28T02:30:00Z", ends_at="2026-03-28T04:00:00Z")
    clock.play(START + 6 * HOUR)
    assert clock.ticks() == ["03-28T03:00", "03-28T04:00"]
    assert clock.shown()["state"] == "finished"
