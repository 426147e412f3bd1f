"""What a schedule does next, as a function of values."""

from __future__ import annotations

from cordum.domain.cron import Cron
from cordum.domain.schedules import MAX_WAITING, MISSED_AFTER_MS, CatchUp, Move, Overlap, Schedule, Standing, move

MINUTE = 60_000
HOUR = 60 * MINUTE
AT = 1_000 * HOUR  # a full hour


def schedule(overlap: Overlap = Overlap.ALLOW, catch_up: CatchUp = CatchUp.NONE, **more: object) -> Schedule:
    return Schedule("s", "t", "wf", Cron("0 * * * *"), "ann", overlap=overlap, catch_up=catch_up, **more)  # type: ignore[arg-type]


def played(one: Schedule, standing: Standing, now: int, open_runs: tuple[str, ...] = ()) -> tuple[list[int], int, int]:
    """The ticks that get a run until nothing moves, and how many were skipped and missed; runs end at once."""
    fired: list[int] = []
    skipped = missed = 0
    while (found := move(one, standing, now, open_runs)) is not None:
        standing, skipped, missed = found.after, skipped + found.skipped, missed + found.missed
        if found.fire is None:
            break
        fired.append(found.fire)
    return fired, skipped, missed


def test_nothing_happens_before_its_time():
    assert move(schedule(), Standing(AT), AT - 1, ()) is None


def test_a_tick_fires_at_its_very_moment():
    assert move(schedule(), Standing(AT), AT, ()) == Move(Standing(AT + HOUR), AT + HOUR, fire=AT)


def test_a_minute_late_is_not_missed_and_later_is():
    assert played(schedule(), Standing(AT), AT + MISSED_AFTER_MS) == ([AT], 0, 0)
    assert played(schedule(), Standing(AT), AT + MISSED_AFTER_MS + 1) == ([], 0, 1)


def test_catch_up_says_what_becomes_of_missed_ticks():
    now = AT + 3 * HOUR + 30 * MINUTE
    for catch_up, fired in (
        (CatchUp.NONE, []),
        (CatchUp.ONE, [AT + 3 * HOUR]),
        (CatchUp.ALL, [AT, AT + HOUR, AT + 2 * HOUR, AT + 3 * HOUR]),
    ):
        assert played(schedule(catch_up=catch_up), Standing(AT), now) == (fired, 0, 4 - len(fired))


def test_a_tick_in_time_is_none_of_the_missed():
    assert played(schedule(), Standing(AT), AT + 2 * HOUR) == ([AT + 2 * HOUR], 0, 2)
    assert played(schedule(catch_up=CatchUp.ONE), Standing(AT), AT + 2 * HOUR)[0] == [AT + HOUR, AT + 2 * HOUR]


def test_of_more_missed_ticks_than_one_look_takes_one_is_still_one():
    now = AT + (3 * MAX_WAITING) * HOUR + 30 * MINUTE
    one = schedule(catch_up=CatchUp.ONE)
    standing, fired, missed = Standing(AT), [], 0
    while (found := move(one, standing, now, ())) is not None:
        standing, missed = found.after, missed + found.missed
        fired += [] if found.fire is None else [found.fire]
    assert (fired, missed) == ([AT + 3 * MAX_WAITING * HOUR], 3 * MAX_WAITING)


def test_overlap_says_what_becomes_of_a_tick_while_a_run_is_open():
    now, open_runs = AT, ("r1",)
    following = Standing(AT + HOUR)
    assert move(schedule(Overlap.ALLOW), Standing(AT), now, open_runs) == Move(following, AT + HOUR, fire=AT)
    assert move(schedule(Overlap.SKIP), Standing(AT), now, open_runs) == Move(following, AT + HOUR, skipped=1)
    waits = move(schedule(Overlap.QUEUE), Standing(AT), now, open_runs)
    assert waits is not None and waits.after == Standing(AT + HOUR, (AT,)) and waits.fire is None
    first = move(schedule(Overlap.CANCEL_PREVIOUS), Standing(AT), now, open_runs)
    assert first is not None and (first.cancel, first.fire) == (("r1",), None)
    assert move(schedule(Overlap.CANCEL_PREVIOUS), Standing(AT), now, ()) == Move(following, AT + HOUR, fire=AT)


def test_what_waits_is_carried_out_oldest_first():
    waits = Standing(AT + 3 * HOUR, (AT, AT + HOUR))
    found = move(schedule(Overlap.QUEUE), waits, AT + 2 * HOUR, ())
    assert found is not None and (found.fire, found.after.waiting) == (AT, (AT + HOUR,))


def test_a_queue_has_an_end_and_what_is_behind_it_is_looked_at_later():
    one = schedule(Overlap.QUEUE, CatchUp.ALL)
    now = AT + 2 * MAX_WAITING * HOUR
    found = move(one, Standing(AT), now, ("r1",))
    assert found is not None and len(found.after.waiting) == MAX_WAITING
    assert found.after.next_at == AT + MAX_WAITING * HOUR


def test_bounds_hold_and_the_end_counts():
    one = schedule(starts_at=AT + 1, ends_at=AT + 2 * HOUR)
    assert one.next_tick(0) == AT + HOUR
    assert one.next_tick(AT + HOUR) == AT + 2 * HOUR
    assert one.next_tick(AT + 2 * HOUR) is None
    assert schedule(starts_at=AT).next_tick(0) == AT


def test_after_its_last_tick_a_schedule_is_not_looked_at_any_more():
    found = move(schedule(ends_at=AT), Standing(AT), AT, ())
    assert found == Move(Standing(None), None, fire=AT)
