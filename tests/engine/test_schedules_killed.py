"""Schedules carried out by processes that are killed around every script of a tick: one run a tick, none lost."""

from __future__ import annotations

import multiprocessing
import signal
from itertools import chain, cycle

import pytest

from cordum.engine import Engine
from cordum.redis_address import RedisAddress
from tests.engine.ticking import finished, overdue, sweep_until_killed, ticks_of

TICKS = 100
# What is dropped as missed is saved once, and first: it is the most overdue.
FIRST = ["save_schedule.before=kill@1", "save_schedule.after=kill@1"]
AGAIN = [
    f"{script}.{when}=kill@{nth}"
    for script, nth in (("create_run", 4), ("sweep", 1), ("read_record", 12))
    for when in ("before", "after")
]


@pytest.mark.timeout(300)
def test_a_hundred_ticks_under_kills_are_a_hundred_runs(engine: Engine, redis_address: RedisAddress) -> None:
    overdue(engine, "all", TICKS, catch_up="all", overlap="allow")
    overdue(engine, "none", TICKS + 5, catch_up="none", overlap="allow")
    spawning, died = multiprocessing.get_context("forkserver"), 0
    spawning.set_forkserver_preload(["tests.engine.ticking"])
    for place in chain(FIRST, cycle(AGAIN)):
        pair = [
            spawning.Process(target=sweep_until_killed, args=(redis_address.url(), place, "all", "none"))
            for _ in range(2)
        ]
        for process in pair:
            process.start()
        for process in pair:
            process.join()
        codes = [process.exitcode for process in pair]
        assert set(codes) <= {0, -signal.SIGKILL}
        died += codes.count(-signal.SIGKILL)
        if finished(engine, "all", "none"):
            break
    assert died >= 2 * len([*FIRST, *AGAIN])
    ticks = ticks_of(engine, "all")
    assert len(ticks) == len(set(ticks)) == TICKS
    assert engine.schedules.get("acme", "all")["counts"]["fired"] == TICKS
    late = ticks_of(engine, "none")
    assert len(late) == len(set(late)) <= 1
    assert engine.schedules.get("acme", "none")["counts"]["missed"] == TICKS + 5 - len(late)
