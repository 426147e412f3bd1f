"""When cron expressions tick, above all where clocks change."""

from __future__ import annotations

from itertools import takewhile

import pytest

from cordum.domain.cron import Cron, problems
from cordum.domain.times import milliseconds
from cordum.engine.views import rfc3339


def ticks(expression: str, zone: str, after: str, count: int) -> list[str]:
    start = milliseconds(after)
    assert start is not None
    found = Cron(expression, zone).ticks(start)
    return [(rfc3339(next(found)) or "").removesuffix(":00.000Z") for _ in range(count)]


def test_a_tick_is_later_than_the_moment_asked_about():
    assert ticks("0 3 * * *", "UTC", "2026-01-01T03:00:00Z", 1) == ["2026-01-02T03:00"]
    assert ticks("0 3 * * *", "UTC", "2026-01-01T02:59:59.999Z", 1) == ["2026-01-01T03:00"]


def test_a_zone_has_its_own_midnight():
    assert ticks("0 0 * * *", "Asia/Kolkata", "2026-01-01T00:00:00Z", 2) == ["2026-01-01T18:30", "2026-01-02T18:30"]


def test_a_fixed_time_in_a_skipped_hour_comes_at_its_end():
    # 2026-03-29 02:00 becomes 03:00 in Berlin: 01:00 UTC.
    assert ticks("30 2 * * *", "Europe/Berlin", "2026-03-28T00:00:00Z", 3) == [
        "2026-03-28T01:30",
        "2026-03-29T01:00",
        "2026-03-30T00:30",
    ]


def test_two_fixed_times_in_a_skipped_hour_are_one_tick():
    found = ticks("0,30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", 3)
    assert found == ["2026-03-29T01:00", "2026-03-30T00:00", "2026-03-30T00:30"]


def test_a_fixed_time_in_a_doubled_hour_comes_once_in_the_first_pass():
    # 2026-10-25 03:00 becomes 02:00 in Berlin: 02:30 is at 00:30 and at 01:30 UTC.
    assert ticks("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 2) == ["2026-10-25T00:30", "2026-10-26T01:30"]


@pytest.mark.parametrize("after", ["2026-10-25T00:30:00Z", "2026-10-25T01:10:00Z", "2026-10-25T01:30:00Z"])
def test_asked_within_the_doubled_hour_the_first_pass_is_over(after):
    assert ticks("30 2 * * *", "Europe/Berlin", after, 1) == ["2026-10-26T01:30"]


def test_an_interval_follows_elapsed_time_through_both_changes():
    spring = ticks("*/30 * * * *", "Europe/Berlin", "2026-03-29T00:15:00Z", 4)
    assert spring == ["2026-03-29T00:30", "2026-03-29T01:00", "2026-03-29T01:30", "2026-03-29T02:00"]
    autumn = ticks("*/30 * * * *", "Europe/Berlin", "2026-10-25T00:15:00Z", 4)
    assert autumn == ["2026-10-25T00:30", "2026-10-25T01:00", "2026-10-25T01:30", "2026-10-25T02:00"]


def test_ticks_rise_through_every_kind_of_change():
    for zone in ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Sao_Paulo", "Africa/Cairo"):
        for expression in ("30 2 * * *", "*/20 * * * *", "0 0 * * *", "15 1,2,3 * * *", "0 */2 * * *"):
            found = Cron(expression, zone).ticks(milliseconds("2026-03-01T00:00:00Z") or 0)
            first = [next(found) for _ in range(400)]
            assert first == sorted(set(first)), (zone, expression)


def test_what_comes_next_does_not_depend_on_where_one_begins():
    cron = Cron("15,45 1,2,3 * * *", "Europe/Berlin")
    begin, end = milliseconds("2026-10-24T00:00:00Z") or 0, milliseconds("2026-10-27T00:00:00Z") or 0
    whole = list(takewhile(lambda tick: tick < end, cron.ticks(begin)))
    for moment in range(begin, end - 3_600_000 * 24, 7 * 60_000):
        assert cron.next(moment) == next(tick for tick in whole if tick > moment)


def test_names_stand_for_expressions():
    assert ticks("@daily", "UTC", "2026-01-01T12:00:00Z", 1) == ["2026-01-02T00:00"]


@pytest.mark.parametrize(
    ("expression", "zone", "path", "said"),
    [
        ("* * * *", "UTC", "/cron", "five fields"),
        ("61 * * * *", "UTC", "/cron", "the field minute"),
        ("0 0 30 2 *", "UTC", "/cron", "the field day-of-month"),
        ("@dayly", "UTC", "/cron", "did you mean '@daily'"),
        ("0 0 * * * *", "UTC", "/cron", "here are 6"),
        ("0 0 L/x * *", "UTC", "/cron", "day-of-month"),
        ("0 0 * * *", "Europe/Berln", "/timezone", "did you mean 'Europe/Berlin'"),
        ("0 0 * * *", "../../etc/passwd", "/timezone", "not an IANA time zone"),
        ("0 0 * * *", "", "/timezone", "not an IANA time zone"),
    ],
)
def test_what_is_wrong_has_its_place_and_its_mend(expression, zone, path, said):
    (problem,) = problems(expression, zone)
    assert problem.path == path
    assert said in problem.message


def test_what_can_be_used_has_no_problems():
    for expression in ("* * * * *", "0 9 * * MON-FRI", "0 0 L * *", "@hourly", "0 0 29 2 *"):
        assert problems(expression, "Europe/Berlin") == []
