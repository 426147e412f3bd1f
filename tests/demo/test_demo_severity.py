from __future__ import annotations

import pytest

from cordum.demo.analysis.severity import MAX_SUMMARY_CHARACTERS, score_severity
from cordum.errors import Unprocessable


@pytest.mark.parametrize(
    ("summary", "score", "level"),
    [
        ("p95 latency up 4x", 4, "high"),
        ("latency up 1.5 times", 3, "medium"),
        ("p99 is slow", 2, "medium"),
        ("checkout is down", 5, "high"),
        ("data loss, errors up 12x", 9, "critical"),
        ("errors on /cart", 3, "medium"),
        ("a button is the wrong blue", 0, "low"),
        ("", 0, "low"),
        ("grew 3x and 20X", 3, "medium"),
    ],
)
def test_a_summary_scores_its_worst_symptom_and_its_magnitude(summary: str, score: int, level: str) -> None:
    severity = score_severity(summary)
    assert (severity.score, severity.level) == (score, level)


def test_the_areas_of_every_symptom_named_are_suspect() -> None:
    assert score_severity("slow, then errors").areas == {"request-path", "database", "cache", "config"}


def test_a_word_inside_another_word_is_not_named() -> None:
    assert score_severity("downtown slowdown countdown").score == 0


def test_an_oversized_summary_is_refused_not_truncated() -> None:
    assert score_severity("x" * MAX_SUMMARY_CHARACTERS).score == 0
    with pytest.raises(Unprocessable, match="2001 characters"):
        score_severity("x" * (MAX_SUMMARY_CHARACTERS + 1))
