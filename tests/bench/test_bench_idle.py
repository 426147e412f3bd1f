"""What an idle cordum costs is read from /proc; whether that is little is for a quiet machine to say."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import pytest
from click.testing import CliRunner

from cordum.bench import Idle, measure_idle, proc
from cordum.bench.idle import ProcessCost
from cordum.cli.bench import bench


def test_all_processes_of_a_stack_are_measured() -> None:
    found = measure_idle(1)
    commands = [one.command for one in found.processes]
    assert sum("redis-server" in command for command in commands) == 1
    assert sum("-Q cordum.coordinator" in command for command in commands) == 1
    assert sum("-Q job." in command for command in commands) == 6  # two workers with two children each
    assert found.cpu_sec >= 0 and all(one.pss_mib > 0 for one in found.processes)
    assert found.seconds >= 1


def test_a_busy_process_is_told_from_an_idle_one() -> None:
    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        before = proc.cpu_sec(busy.pid)
        give_up = time.monotonic() + 30
        while proc.cpu_sec(busy.pid) <= before and time.monotonic() < give_up:
            time.sleep(0.02)
        assert proc.cpu_sec(busy.pid) > before
    finally:
        busy.kill()
        busy.wait()


@pytest.mark.parametrize(
    ("cpu_sec", "pss_mib", "within"), [(0.5, 399.0, True), (0.51, 10.0, False), (0.1, 400.0, False)]
)
def test_the_budget_is_for_a_minute_and_for_all_processes(
    cpu_sec: float, pss_mib: float, within: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    halves = (ProcessCost("a", cpu_sec / 2, pss_mib / 2), ProcessCost("b", cpu_sec / 2, pss_mib / 2))
    measured = Idle(10.0, halves)
    assert measured.within_budget is within
    monkeypatch.setattr("cordum.bench.measure_idle", lambda seconds: measured)
    result = CliRunner().invoke(bench, ["idle", "--seconds", "10", "--json"])
    assert result.exit_code == (0 if within else 1)
    assert json.loads(result.output)["within_budget"] is within
