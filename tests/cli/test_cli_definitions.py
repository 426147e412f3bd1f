"""`validate` and `apply`: every problem with its place, before anything is sent."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cordum.cli import main
from tests.cli.programs import ROOT

Cli = Callable[..., Result]

EXAMPLE = ROOT / "config" / "workflows" / "incident_triage_parallel.yaml"
BROKEN = """\
id: broken
steps:
  a: {topic: job.a, depends_on: [c]}
  b: {topic: job.b, depends_on: [nowhere], retires: 3}
  c: {topic: job.c, depends_on: [a]}
"""


def validate(*arguments: str, input: str | None = None) -> Result:
    return CliRunner().invoke(main, ["validate", *arguments], input=input)


def test_the_example_is_valid_without_a_server() -> None:
    answered = validate(str(EXAMPLE))
    assert (answered.exit_code, answered.stdout) == (0, f"{EXAMPLE}: valid\n")


def test_every_problem_is_printed_with_its_place_and_mend(tmp_path: Path) -> None:
    file = tmp_path / "broken.yaml"
    file.write_text(BROKEN)
    answered = validate(str(file))
    lines = answered.stdout.splitlines()
    assert answered.exit_code == 1
    assert {line.rpartition("[")[2] for line in lines} == {"dag_cycle]", "unknown_step]", "unknown_field]"}
    (typo,) = [line for line in lines if "unknown_field" in line]
    assert typo.startswith(f"{file}:4:")
    assert "did you mean" in typo


@pytest.mark.parametrize(
    ("name", "text", "code"),
    [
        ("bad.yaml", "steps: [", "yaml_syntax"),
        ("bad.json", '{"steps": ', "json_syntax"),
        ("empty.yaml", "", "yaml_syntax"),
        ("list.yaml", "[]", "type"),
    ],
)
def test_what_cannot_be_read_has_a_place_too(tmp_path: Path, name: str, text: str, code: str) -> None:
    (tmp_path / name).write_text(text)
    answered = validate(str(tmp_path / name))
    assert answered.exit_code == 1
    assert f"[{code}]" in answered.stdout


def test_several_files_and_standard_input_are_judged_apart(tmp_path: Path) -> None:
    (tmp_path / "broken.yaml").write_text(BROKEN)
    answered = validate(str(EXAMPLE), str(tmp_path / "broken.yaml"), "-", "--json", input="steps: {}\n")
    assert answered.exit_code == 1
    assert [one["valid"] for one in json.loads(answered.stdout)] == [True, False, True]


def test_a_file_that_is_not_there_is_one_line() -> None:
    answered = validate("/nowhere/at-all.yaml")
    assert answered.exit_code == 1
    assert answered.stderr == "error: /nowhere/at-all.yaml cannot be read: No such file or directory\n"


def test_apply_saves_and_says_when_nothing_changed(cli: Cli, tmp_path: Path) -> None:
    first, again = cli("apply", str(EXAMPLE)), cli("apply", str(EXAMPLE))
    assert first.stdout == "incident_triage_parallel version 1\n"
    assert again.stdout == "incident_triage_parallel version 1 (unchanged)\n"
    (tmp_path / "w.json").write_text('{"id": "from-json", "steps": {}}')
    saved = json.loads(cli("apply", str(tmp_path / "w.json"), "--json").stdout)
    assert (saved["id"], saved["version"]) == ("from-json", 1)


def test_apply_sends_nothing_that_is_not_valid(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "broken.yaml").write_text(BROKEN)
    answered = cli("apply", str(tmp_path / "broken.yaml"))
    assert answered.exit_code == 1
    assert f"{tmp_path}/broken.yaml:4:" in answered.stderr
    assert cli("run", "broken").exit_code == 1


def test_what_is_legal_but_strange_is_a_warning(tmp_path: Path) -> None:
    file = tmp_path / "strange.yaml"
    file.write_text("id: w\nsteps:\n  s: {type: switch, condition: '1', input: {cases: {x: b}}}\n  b: {}\n")
    answered = validate(str(file))
    assert (answered.exit_code, answered.stdout) == (0, f"{file}: valid\n")
    assert "does not depend on" in answered.stderr
    (verdict,) = json.loads(validate(str(file), "--json").stdout)
    assert (verdict["valid"], [one["code"] for one in verdict["warnings"]]) == (True, ["branch_not_dependent"])
