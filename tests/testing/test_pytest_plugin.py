"""The fixtures for users' own suites, in a pytest of their own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCENARIOS = """\
- name: one
  workflow: {id: one, steps: {a: {topic: job.t}}}
  expect: {run: %s}
"""


def pytest_in(directory: Path, expected: str) -> subprocess.CompletedProcess[str]:
    (directory / "conftest.py").write_text('pytest_plugins = ["cordum.testing.pytest_plugin"]\n')
    (directory / "one.yaml").write_text(SCENARIOS % expected)
    (directory / "test_it.py").write_text("def test_it(run_scenario_file):\n    run_scenario_file('one.yaml')\n")
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"], cwd=directory, capture_output=True, text=True
    )


def test_a_file_that_holds_passes(tmp_path: Path) -> None:
    assert pytest_in(tmp_path, "succeeded").returncode == 0


def test_a_file_that_does_not_hold_fails_with_its_problems(tmp_path: Path) -> None:
    answered = pytest_in(tmp_path, "failed")
    assert answered.returncode == 1
    assert "one: run: expected 'failed', found 'succeeded'" in answered.stdout
