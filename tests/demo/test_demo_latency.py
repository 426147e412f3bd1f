from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cordum.demo.analysis.deploys import Deploy
from cordum.demo.analysis.latency import (
    MIN_SAMPLES,
    Percentiles,
    Sample,
    nearest_rank,
    parse_latency_series,
    percentiles,
    shifts,
    suspect_shift,
)
from cordum.errors import InvalidInput

NOON = datetime(2026, 4, 1, 12, tzinfo=UTC)


def at(second: int) -> datetime:
    return NOON + timedelta(seconds=second)


def deploy(build: str, second: int) -> Deploy:
    return Deploy(build, "api", at(second), "c")


def series(*levels: tuple[int, int]) -> list[Sample]:
    values = [value for count, value in levels for _ in range(count)]
    return [Sample(at(second), value) for second, value in enumerate(values)]


@pytest.mark.parametrize(
    ("percent", "expected"),
    [(1, 15), (5, 15), (20, 15), (21, 20), (30, 20), (40, 20), (50, 35), (95, 50), (99, 50), (100, 50)],
)
def test_nearest_rank_of_the_textbook_list(percent: int, expected: int) -> None:
    assert nearest_rank([15, 20, 35, 40, 50], percent) == expected


def test_percentiles_of_one_to_a_hundred_are_themselves() -> None:
    assert percentiles(range(100, 0, -1)) == Percentiles(samples=100, p50_ms=50, p95_ms=95, p99_ms=99)


def test_percentiles_of_one_value_are_that_value() -> None:
    assert percentiles([7]) == Percentiles(1, 7, 7, 7)


def test_percentiles_of_nothing_are_refused() -> None:
    with pytest.raises(InvalidInput, match="empty"):
        percentiles([])


@given(st.lists(st.integers(0, 10**6), min_size=1), st.integers(1, 100))
def test_nearest_rank_is_the_smallest_value_that_covers_its_share(values: list[int], percent: int) -> None:
    found = nearest_rank(sorted(values), percent)
    assert sum(value <= found for value in values) * 100 >= percent * len(values)
    assert sum(value < found for value in values) * 100 < percent * len(values)


def test_a_shift_compares_the_time_since_the_previous_deploy_with_the_time_until_the_next() -> None:
    samples = series((100, 10), (100, 20), (100, 60))
    found = shifts(samples, [deploy("b1", 100), deploy("b2", 200)])
    assert [(s.build, s.before.p95_ms, s.after.p95_ms, s.p95_factor) for s in found] == [
        ("b1", 10, 20, 2.0),
        ("b2", 20, 60, 3.0),
    ]
    worst = suspect_shift(found)
    assert worst is not None and worst.build == "b2"


def test_a_sample_at_the_very_moment_of_the_deploy_counts_as_after() -> None:
    samples = series((100, 10), (100, 50))
    (found,) = shifts(samples, [deploy("b", 100)])
    assert (found.before.samples, found.after.samples) == (100, 100)


@pytest.mark.parametrize(("before", "after"), [(MIN_SAMPLES - 1, 500), (500, MIN_SAMPLES - 1)])
def test_a_deploy_with_too_few_samples_on_a_side_is_not_judged(before: int, after: int) -> None:
    assert shifts(series((before, 10), (after, 90)), [deploy("b", before)]) == []


def test_a_deploy_before_the_series_began_is_not_judged() -> None:
    assert shifts(series((500, 10)), [deploy("b", -60)]) == []


def test_growth_below_the_limit_accuses_nobody() -> None:
    assert suspect_shift(shifts(series((100, 100), (100, 149)), [deploy("b", 100)])) is None
    assert suspect_shift(shifts(series((100, 100), (100, 150)), [deploy("b", 100)])) is not None
    assert suspect_shift([]) is None


def test_a_series_of_zeros_has_a_factor() -> None:
    (found,) = shifts(series((100, 0), (100, 3)), [deploy("b", 100)])
    assert found.p95_factor == 3.0


def test_a_series_is_read_line_by_line() -> None:
    assert parse_latency_series(["time,latency_ms\n", "2026-04-01T12:00:00Z,81\n"]) == [Sample(NOON, 81)]


@pytest.mark.parametrize(
    ("row", "named"),
    [
        ("2026-04-01T12:00:01Z", "line 3"),
        ("noon,5", "line 3"),
        ("2026-04-01T12:00:01Z,fast", "line 3"),
        ("2026-04-01T11:59:59Z,5", "earlier"),
        ("2026-04-01T12:00:01,5", "line 3"),
    ],
)
def test_a_bad_row_is_refused_with_its_line(row: str, named: str) -> None:
    with pytest.raises(InvalidInput, match=named):
        parse_latency_series(["time,latency_ms\n", "2026-04-01T12:00:00Z,81\n", row])


def test_a_series_without_its_header_is_refused() -> None:
    with pytest.raises(InvalidInput, match="header"):
        parse_latency_series(["2026-04-01T12:00:00Z,81\n"])
