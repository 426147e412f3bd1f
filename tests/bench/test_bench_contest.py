"""The benchmark in small: that each side does its work and is checked, not how fast it is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from click.testing import CliRunner

from cordum.bench import contest, proc
from cordum.bench.contest import Options, Pair, Report, hold_contest
from cordum.bench.sides import Measured, Place, measure
from cordum.cli.bench import bench
from cordum.redis_address import RedisAddress

SMALL = Options(runs=20, pairs=1, pool="threads", concurrency=2, warm_up=2)


def pair(cordum: float, canvas: float, problem: str = "") -> Pair:
    return Pair(
        Measured(cordum, 2 * cordum, (problem,) if problem else ()), Measured(canvas, 8.0, ()), Measured(1.0, None, ())
    )


def test_every_side_does_all_its_runs() -> None:
    seen = []
    report = hold_contest(SMALL, lambda told: seen.append(len(told.pairs)))
    assert (seen, report.problems()) == ([1], [])
    document = json.loads(json.dumps(report.document()))
    (only,) = document["pairs"]
    assert min(only[side][time] for time in ("seconds", "cpu_sec") for side in ("cordum", "canvas", "plain")) > 0
    assert document["median_ratio"] == only["ratio"] == only["canvas"]["seconds"] / only["cordum"]["seconds"]
    assert {"machine", "python", "versions", "redis_server", "persistence"} <= document["setting"].keys()


def test_the_ratio_is_the_median_of_the_pairs() -> None:
    report = Report(SMALL, {}, [pair(1.0, 9.0), pair(2.0, 4.0), pair(1.0, 3.0)])
    assert report.median_ratio == 3.0


class BadSide:
    """Gives one run too few."""

    name = "bad"

    @contextmanager
    def ready(self, place: Place) -> Iterator[BadSide]:
        yield self

    def run(self, count: int) -> None:
        self.done = count - 1
        self.asked = count

    def problems(self) -> list[str]:
        return [] if self.done == self.asked else [f"{self.done} of {self.asked}"]


def test_what_is_wrong_with_a_measured_run_is_kept_with_its_time(redis_address: RedisAddress, tmp_path) -> None:
    measured = measure(BadSide(), Place(redis_address, os.getpid(), "threads", 1, tmp_path), 5, 1)
    assert measured.problems == ("4 of 5",)


def test_a_pair_with_a_problem_voids_the_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = iter([pair(1.0, 2.0), pair(1.0, 2.0, "c1-x is failed"), pair(1.0, 2.0)])
    monkeypatch.setattr(contest, "_pair", lambda options: next(pairs))
    result = CliRunner().invoke(bench, ["--runs", "1", "--pairs", "3"])
    assert result.exit_code == 1
    assert "void: pair 2, cordum: c1-x is failed" in result.output
    assert "pair 3" not in result.output


def test_pairs_are_printed_with_their_rates_and_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contest, "_pair", lambda options: pair(2.0, 4.0))
    result = CliRunner().invoke(bench, ["--runs", "100", "--pairs", "2"])
    assert result.exit_code == 0
    rates = "cordum   50.0 (40.0 cpu ms/run)  canvas   25.0 (80.0 cpu ms/run)  plain  100.0"
    assert f"pair 2: runs/s  {rates}   ratio cordum / canvas 2.00" in result.output
    assert "median ratio cordum / canvas: 2.00" in result.output
    assert "median ratio of processor time canvas / cordum: 2.00" in result.output
    assert "append-only log" in result.output and "celery 5." in result.output


def test_a_busy_machine_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    quiet, busy = replace(pair(2.0, 4.0), busy_before=0.02), replace(pair(2.0, 4.0), busy_before=0.4)
    pairs = iter([quiet, busy])
    monkeypatch.setattr(contest, "_pair", lambda options: next(pairs))
    result = CliRunner().invoke(bench, ["--pairs", "2"])
    assert "pair 2: something else used 40% of this machine" in result.output
    assert "pair 1: something else" not in result.output


def test_a_spinning_process_makes_the_machine_busy() -> None:
    spinning = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        assert proc.busy_share(0.5) > 0.5 / (os.cpu_count() or 1)
    finally:
        spinning.kill()
        spinning.wait()
