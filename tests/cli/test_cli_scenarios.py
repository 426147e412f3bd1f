"""`cordum test`: a line for each scenario, all of what went wrong, and an exit code."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cordum.cli import main
from cordum.testing import suite

GOOD = """\
- name: good
  group: retries
  workflow: {id: good, steps: {a: {topic: job.t, retry: {max_retries: 1}}}}
  workers: {a: [{do: retry}, {do: succeed}]}
  expect: {run: succeeded, attempts: {a: 2}}
"""
BAD = """\
- name: "bad\\x1b[2J"
  workflow: {id: bad, steps: {a: {topic: job.t}}}
  expect: {run: failed, attempts: {a: 2}}
"""


@pytest.fixture
def good(tmp_path: Path) -> Path:
    file = tmp_path / "good.yaml"
    file.write_text(GOOD)
    return file


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    file = tmp_path / "bad.yaml"
    file.write_text(BAD)
    return file


def cordum_test(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["test", *map(str, arguments)])


def test_scenarios_that_hold_are_told_one_by_one(good: Path) -> None:
    answered = cordum_test(good)
    first, last = answered.stdout.splitlines()
    assert answered.exit_code == 0
    assert first.startswith("passed  good")
    assert first.endswith("[1/1]")
    assert last.startswith("1 passed, 0 failed")


def test_a_scenario_that_fails_shows_expected_got_and_timeline(good: Path, bad: Path) -> None:
    answered = cordum_test(bad, good)
    assert answered.exit_code == 1
    assert "run: expected 'failed', found 'succeeded'" in answered.stdout
    assert "attempts.a: expected 2, found 1" in answered.stdout
    assert "step.succeeded" in answered.stdout
    assert "1 passed, 1 failed" in answered.stdout
    assert "\x1b" not in answered.stdout


def test_the_answer_as_json(good: Path, bad: Path) -> None:
    answered = cordum_test(good, bad, "--json")
    problems = ["run: expected 'failed', found 'succeeded'", "attempts.a: expected 2, found 1"]
    assert answered.exit_code == 1
    assert json.loads(answered.stdout) == {
        "scenarios": [
            {"name": "good", "passed": True, "problems": []},
            {"name": "bad\x1b[2J", "passed": False, "problems": problems},
        ]
    }


def test_the_answer_as_junit_reads_it(good: Path, bad: Path, tmp_path: Path) -> None:
    assert cordum_test(good, bad, "--junit", tmp_path / "report.xml").exit_code == 1
    suites = ET.parse(tmp_path / "report.xml").getroot().findall("testsuite")
    assert [(one.get("name"), one.get("tests"), one.get("failures")) for one in suites] == [
        (str(good), "1", "0"),
        (str(bad), "1", "1"),
    ]
    failure = suites[1].find("testcase/failure")
    assert failure is not None
    assert failure.get("message") == "run: expected 'failed', found 'succeeded'"


def test_scenarios_are_chosen_by_name_or_group(good: Path, bad: Path) -> None:
    assert "1 passed, 0 failed" in cordum_test(good, bad, "-k", "goo").stdout
    assert "1 passed, 0 failed" in cordum_test(good, bad, "-k", "retries").stdout
    nothing = cordum_test(good, "-k", "no such")
    assert (nothing.exit_code, nothing.stdout) == (2, "")


def test_a_file_that_is_no_scenario_file_is_refused_with_its_place(good: Path, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("- name: x\n  workflow: {}\n  expects: {}\n")
    answered = cordum_test(good, wrong)
    assert answered.exit_code == 1
    assert "3:3" in answered.stderr
    assert "did you mean" in answered.stderr
    assert answered.stdout == ""


def test_what_breaks_in_cordum_fails_one_case_only(good: Path, bad: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_scenario = suite.run_scenario

    def broken(scenario: suite.Scenario, address: suite.RedisAddress) -> suite.Result:
        if scenario.name == "good":
            raise KeyError("oops")
        return run_scenario(scenario, address)

    monkeypatch.setattr(suite, "run_scenario", broken)
    results = [one["problems"] for one in json.loads(cordum_test(good, bad, "--json").stdout)["scenarios"]]
    assert results[0] == ["cordum broke: KeyError: 'oops'"]
    assert len(results[1]) == 2


def test_its_redis_is_gone_afterwards(good: Path) -> None:
    with suite.private_redis() as address:
        assert Path(address.socket).exists()
    assert not Path(address.socket).exists()
