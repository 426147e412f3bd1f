"""Schedules carried out by processes that are killed around every script of a tick: one run a tick, none lost."""

from __future__ import annotations

import multiprocessing
import signal
from itertools import cycle

import pytest

from cordum.engine import Engine
from cordum.redis_address import RedisAddress
from tests.engine.ticking import finished, overdue, sweep_until_killed, ticks_of

TICKS = 100
FIRST = ["save_schedule.before=kill@1", "save_schedule.after=kill@1"]
AGAIN = [
    f"{script}.{when}=kill@{nth}"
    for script, nth in (("create_run", 4), ("sweep", 1), ("read_record", 12))
    for when in ("before", "after")
]


def killed(address: RedisAddress, place: str, *schedule_ids: str) -> int:
    """Two processes carry the schedules out at once, each to be killed at this place; how many were."""
    spawning = multiprocessing.get_context("forkserver")
    spawning.set_forkserver_preload(["tests.engine.ticking"])
    pair = [spawning.Process(target=sweep_until_killed, args=(address.url(), place, *schedule_ids)) for _ in range(2)]
    for process in pair:
        process.start()
    for process in pair:
        process.join()
    codes = [process.exitcode for process in pair]
    assert set(codes) <= {0, -signal.SIGKILL}
    return codes.count(-signal.SIGKILL)


@pytest.mark.timeout(300)
def test_a_hundred_ticks_under_kills_are_a_hundred_runs(engine: Engine, redis_address: RedisAddress) -> None:
    overdue(engine, "all", TICKS, catch_up="all", overlap="allow")
    died = dict.fromkeys(AGAIN, 0)
    for place in cycle(AGAIN):
        died[place] += killed(redis_address, place, "all")
        if finished(engine, "all"):
            break
    assert all(died.values()), died
    ticks = ticks_of(engine, "all")
    assert len(ticks) == len(set(ticks)) == TICKS
    assert engine.schedules.get("acme", "all")["counts"]["fired"] == TICKS


def test_what_is_missed_is_counted_once_under_kills(engine: Engine, redis_address: RedisAddress) -> None:
    overdue(engine, "none", TICKS, 5, catch_up="none")
    assert [killed(redis_address, place, "none") > 0 for place in FIRST] == [True, True]
    assert finished(engine, "none")
    assert ticks_of(engine, "none") == []
    assert engine.schedules.get("acme", "none")["counts"]["missed"] == TICKS
