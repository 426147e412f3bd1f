from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from cordum.demo.analysis.access_log import (
    PROGRESS_EVERY_LINES,
    BuildTraffic,
    read_access_log,
    summarise,
    unhealthy_builds,
)
from cordum.errors import InvalidInput


def line(build: str, status: int = 200, took: str = "0.100") -> str:
    return f'10.0.0.1 - - [01/Apr/2026:13:00:00 +0000] "GET /cart HTTP/1.1" {status} 10 rt={took} build={build}\n'


def traffic(build: str, requests: int, error_rate: float, p95_ms: int = 100) -> BuildTraffic:
    return BuildTraffic(build, requests, round(requests * error_rate), error_rate, 50, p95_ms, 200)


def test_requests_are_counted_per_build() -> None:
    lines = [line("a", took="0.010"), line("a", 503, "1.500"), line("b", 404, "0.020"), line("a", took="0.030")]
    found = summarise(lines)
    assert (found.lines, found.skipped_lines) == (4, 0)
    assert found.builds == (
        BuildTraffic("a", requests=3, errors=1, error_rate=0.3333, p50_ms=30, p95_ms=1500, p99_ms=1500),
        BuildTraffic("b", requests=1, errors=0, error_rate=0.0, p50_ms=20, p95_ms=20, p99_ms=20),
    )


@pytest.mark.parametrize(
    "bad",
    ["", "\x00\x01", "GET /cart", line("a", 999), line("a", took="fast"), line("a").replace(" build=a", "")],
)
def test_a_line_that_is_no_request_is_counted_and_skipped(bad: str) -> None:
    found = summarise([line("a"), bad])
    assert (found.lines, found.skipped_lines, len(found.builds)) == (2, 1, 1)


def test_an_empty_log_names_no_builds() -> None:
    assert summarise([]).builds == ()


def test_the_worst_build_comes_first() -> None:
    builds = [traffic("good", 1000, 0.004), traffic("bad", 1000, 0.05), traffic("worse", 1000, 0.06)]
    assert [build.build for build in unhealthy_builds(builds)] == ["worse", "bad"]


def test_a_build_with_few_requests_is_not_judged() -> None:
    assert unhealthy_builds([traffic("good", 1000, 0.0), traffic("new", 99, 1.0)]) == []


def test_a_rate_that_is_high_for_every_build_accuses_none() -> None:
    assert unhealthy_builds([traffic("a", 1000, 0.05), traffic("b", 1000, 0.06)]) == []


def test_a_low_rate_is_healthy_whatever_the_best_is() -> None:
    assert unhealthy_builds([traffic("a", 1000, 0.0), traffic("b", 1000, 0.019)]) == []


def test_progress_grows_while_the_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "access.log.gz"
    path.write_bytes(gzip.compress((line("a") * PROGRESS_EVERY_LINES * 3).encode()))
    fractions: list[float] = []
    assert summarise(read_access_log(path, fractions.append)).lines == PROGRESS_EVERY_LINES * 3
    assert len(fractions) == 3
    assert fractions == sorted(fractions)
    assert all(0 < fraction <= 1 for fraction in fractions)


@pytest.mark.parametrize("damage", ["cut", "plain"])
def test_a_damaged_file_is_refused(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "access.log.gz"
    whole = gzip.compress((line("a") * 50).encode())
    path.write_bytes(whole[:-12] if damage == "cut" else b"not gzip at all")
    with pytest.raises(InvalidInput, match=r"access\.log\.gz"):
        summarise(read_access_log(path))
