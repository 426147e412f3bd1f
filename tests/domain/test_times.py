"""Times as text."""

from __future__ import annotations

import pytest

from cordum.domain.times import milliseconds


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01t00:00:01z", 1000),
        ("1970-01-01T01:00:00.0019+01:00", 1),
        ("2026-01-31T08:00:00.5Z", 1_769_846_400_500),
        ("1969-12-31T23:59:59.999Z", -1),
    ],
)
def test_a_time_is_milliseconds_since_1970(text: str, moment: int) -> None:
    assert milliseconds(text) == moment


@pytest.mark.parametrize(
    "text",
    [
        *("", "tomorrow", "2026-01-31", "2026-01-31T08:00Z", "2026-01-31T08:00:00", "2026-01-31 08:00:00Z"),
        *("2026-02-30T08:00:00Z", "2026-01-31T25:00:00Z", "2026-01-31T08:00:00+99:00", "2026-01-31T08:00:00Z\n"),
        *("٢٠٢٦-01-31T08:00:00Z", "2026-01-31T08:00:00.Z", "1769846400"),
    ],
)
def test_what_is_no_time(text: str) -> None:
    assert milliseconds(text) is None
