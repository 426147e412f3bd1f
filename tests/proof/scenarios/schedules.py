"""Schedules: ticks, those who carry them out, and those who stop them."""

from __future__ import annotations

from tests.proof.explorer.cast import maker, schedule_pauser, ticker, time
from tests.proof.explorer.scenario import Scenario, scenario

GATE = "steps: {gate: {type: approval}}"
QUICK = "steps: {note: {type: transform, input: {x: 1}}}"
# The first tick is 20 s after the beginning.
FIRST, SECOND = 20_000, 60_000


@scenario("create_run.schedule_as_seen", "save_schedule.schedule_as_seen")
def a_tick_and_a_pause() -> Scenario:
    """Two coordinators carry out what is due while somebody pauses the schedule."""
    return Scenario(
        QUICK,
        (
            maker("maker"),
            time(FIRST, SECOND),
            ticker("c1"),
            ticker("c2"),
            schedule_pauser("bob"),
        ),
        runs=(),
    )


@scenario("save_schedule.schedule_as_seen")
def a_tick_while_a_run_is_open() -> Scenario:
    """It is skipped: the schedule moves on without a run, and a pause in between is kept."""
    return Scenario(
        GATE,
        (
            maker("maker"),
            time(FIRST, SECOND),
            ticker("c1"),
            ticker("c2"),
            ticker("c3"),
            schedule_pauser("bob"),
        ),
        runs=(),
    )


@scenario("save_schedule.schedule_as_seen")
def missed_ticks_are_made_up_for() -> Scenario:
    """Three are late, and one at least in time; two make the schedule."""
    return Scenario(
        QUICK,
        (
            maker("maker", catch_up="one", overlap="allow"),
            maker("other", catch_up="none"),
            time(FIRST + 3 * SECOND),
            ticker("c1"),
            ticker("c2"),
            schedule_pauser("bob"),
        ),
        runs=(),
    )
