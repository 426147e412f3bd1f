"""`graph` and `diff` on files, and on what the API has stored; `workflows`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cordum.cli import main
from tests.cli.programs import ROOT

EXAMPLE = str(ROOT / "config" / "workflows" / "incident_triage_parallel.yaml")
OLD = "id: w\ntimeout_sec: 60\nsteps:\n  a: {topic: job.a}\n  b: {}\n"
NEW = 'id: w\nsteps:\n  b: {}\n  a: {topic: job.z, name: "\\e[2J"}\n  c: {}\n'


def cordum(*arguments: object) -> Result:
    return CliRunner().invoke(main, [*map(str, arguments)])


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    old, new = tmp_path / "old.yaml", tmp_path / "new.yaml"
    old.write_text(OLD)
    new.write_text(NEW)
    return old, new


def test_a_file_is_drawn_without_a_server() -> None:
    assert cordum("graph", EXAMPLE).stdout.startswith("flowchart TD\n")
    drawn = json.loads(cordum("graph", EXAMPLE, "--format", "json").stdout)
    assert len(drawn["nodes"]) == 6


def test_a_file_that_is_no_definition_is_refused_with_its_problems(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("id: w\nstepz: {}\n")
    for arguments in (["graph", wrong], ["diff", wrong, EXAMPLE]):
        answered = cordum(*arguments)
        assert answered.exit_code == 1
        assert "did you mean" in answered.stderr


def test_differences_are_told_by_step_and_key(files: tuple[Path, Path]) -> None:
    answered = cordum("diff", *files)
    assert answered.exit_code == 0
    assert answered.stdout.splitlines() == [
        "workflow",
        "  - timeout_sec",
        "step a",
        '  ~ topic: "job.a" -> "job.z"',
        '  + name: "\\u001b[2J"',
        "steps",
        '  + c: {"type": "worker"}',
        "workflow",
        '  ~ steps: now in the order ["b", "a"]',
    ]
    assert cordum("diff", *files, "--exit-code").exit_code == 1
    assert cordum("diff", files[0], files[0], "--exit-code").stdout == "no difference\n"


def test_differences_as_json(files: tuple[Path, Path]) -> None:
    changes = json.loads(cordum("diff", *files, "--json").stdout)["changes"]
    assert changes[0] == {"path": "/timeout_sec", "change": "removed", "old": 60, "new": None}


def test_what_is_stored_is_drawn_compared_listed_and_deleted(
    cli: Callable[..., Result], files: tuple[Path, Path]
) -> None:
    for file in files:
        assert cli("apply", str(file)).exit_code == 0
    assert "s2" in cli("graph", "w").stdout
    assert "s2" not in cli("graph", "w@1").stdout
    assert cli("diff", "w@1", str(files[0])).stdout == "no difference\n"
    assert "timeout_sec" in cli("diff", "w@1", "w").stdout
    assert cli("workflows", "versions", "w").stdout.splitlines()[1].startswith("2 ")
    assert cli("workflows", "list").stdout.splitlines()[1].startswith("w ")
    started = json.loads(cli("run", "w", "--json").stdout)["run_id"]
    assert cli("graph", started).stdout.startswith("flowchart TD")
    missing = cli("graph", "nowhere")
    assert (missing.exit_code, "no file, workflow or run" in missing.stderr) == (1, True)
    refused = cli("workflows", "delete", "w")
    assert (refused.exit_code, "have not ended: 1" in refused.stderr) == (1, True)
    assert cli("cancel", started, "--reason", "enough").exit_code == 0
    assert cli("workflows", "delete", "w").exit_code == 0
    assert cli("graph", "w").exit_code == 1
