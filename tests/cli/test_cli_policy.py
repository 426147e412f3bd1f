"""`cordum policy`: files looked at here, the active policy asked and changed through the API."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Cli

RULES = """\
version: "1"
rules:
  - {id: read, match: {topics: [job.sre.logs]}, decision: allow}
  - {id: prod, match: {risk_tags: [prod]}, decision: require_approval, reason: Production}
"""
CASES = """\
cases:
  - name: logs may be read
    request: {topic: job.sre.logs}
    expect: {decision: allow}
  - name: production asks
    request: {topic: job.x, risk_tags: [prod]}
    expect: {decision: require_approval, rule_id: prod}
"""


@pytest.fixture
def rules(tmp_path: Path) -> str:
    (tmp_path / "rules.yaml").write_text(RULES)
    return str(tmp_path / "rules.yaml")


@pytest.fixture
def loose(tmp_path: Path) -> str:
    (tmp_path / "loose.yaml").write_text("default_decision: allow\nrules: []\n")
    return str(tmp_path / "loose.yaml")


@pytest.fixture
def cases(tmp_path: Path) -> str:
    (tmp_path / "cases.yaml").write_text(CASES)
    return str(tmp_path / "cases.yaml")


@pytest.fixture
def broken(tmp_path: Path) -> str:
    (tmp_path / "broken.yaml").write_text(f"{RULES}  - {{id: c, decision: alow}}\n")
    return str(tmp_path / "broken.yaml")


def test_the_schema_is_json(cli: Cli) -> None:
    assert json.loads(cli("policy", "schema").stdout)["title"] == "cordum policy"


def test_lint_tells_the_line(cli: Cli, rules: str, broken: str, tmp_path: Path) -> None:
    assert cli("policy", "lint", rules).exit_code == 0
    failed = cli("policy", "lint", broken)
    assert failed.exit_code == 1
    assert f"{broken}:5:" in failed.output
    assert 'did you mean "allow"' in failed.output
    (tmp_path / "odd.yaml").write_text("rules: [{id: a, decision: deny}, {id: b, decision: allow}]")
    odd = cli("policy", "lint", str(tmp_path / "odd.yaml"))
    assert odd.exit_code == 1
    assert "unreachable_rule" in odd.stdout


def test_a_catalogue_is_run_here_against_a_file(cli: Cli, rules: str, loose: str, cases: str) -> None:
    assert cli("policy", "test", cases, "--policy", rules).exit_code == 0
    failed = cli("policy", "test", cases, "--policy", loose)
    assert failed.exit_code == 1
    assert f"{cases}:5: expected require_approval, got allow by no rule" in failed.stdout


def test_publish_explain_simulate_and_roll_back(cli: Cli, rules: str, loose: str, cases: str) -> None:
    published = cli("policy", "publish", rules, "--cases", cases, "--note", "first")
    assert published.exit_code == 0, published.output
    assert "is active, epoch 2" in published.stdout
    assert cli("policy", "test", cases).exit_code == 0

    explained = cli("policy", "explain", "--topic", "job.x", "--risk-tag", "prod", "--label", "a=b")
    assert "require_approval" in explained.stdout
    assert 'topics is not ["job.sre.logs"]' in explained.stdout
    shown = json.loads(cli("policy", "explain", "--topic", "job.x", "--json").stdout)
    assert (shown["decision"], shown["rule_id"]) == ("deny", None)

    simulated = cli("policy", "simulate", loose, "--topic", "job.x", "--input", '{"a": 1}')
    assert "active policy: deny" in simulated.stdout
    assert "decision" in simulated.stdout

    assert cli("policy", "rollback", "--note", "too strict").exit_code == 0
    listed = json.loads(cli("policy", "history", "--json").stdout)
    assert [(one["how"], one["note"]) for one in listed[:2]] == [("rollback", "too strict"), ("publish", "first")]
    assert "rollback" in cli("policy", "history").stdout


def test_a_draft_is_kept_replayed_and_published_once(cli: Cli, gate: str, rules: str, broken: str) -> None:
    assert cli("run", gate).exit_code == 0
    refused = cli("policy", "draft", "save", "next", broken)
    assert refused.exit_code == 1
    assert "next:5:" in refused.output
    assert cli("policy", "publish", "--draft", "next").exit_code == 1
    assert cli("policy", "draft", "save", "next", rules).exit_code == 0
    assert "id: read" in cli("policy", "draft", "show", "next").stdout
    assert "next" in cli("policy", "draft", "list").stdout
    replayed = cli("policy", "replay", "--draft", "next")
    assert (replayed.exit_code, replayed.stdout.strip()) == (0, "0 of 0 decisions in 1 runs would change")
    first = cli("policy", "publish", "--draft", "next", "--key", "k")
    assert cli("policy", "rollback").exit_code == 0
    assert cli("policy", "publish", "--draft", "next", "--key", "k").stdout == first.stdout
    assert len(json.loads(cli("policy", "history", "--json").stdout)) == 3
    assert cli("policy", "draft", "delete", "next").exit_code == 0
    assert cli("policy", "draft", "show", "next").exit_code == 1


def test_a_replay_lists_what_would_change(cli: Cli, rules: str, tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_text("id: job\nsteps: {a: {topic: job.x}}\n")
    cli("apply", str(tmp_path / "job.yaml"))
    tried = cli("run", "job", "--dry-run")
    assert (tried.exit_code, "allow" in tried.stdout) == (0, True)
    assert json.loads(cli("runs", "--json").stdout) == []
    cli("run", "job")
    replayed = cli("policy", "replay", rules)
    assert replayed.exit_code == 1
    assert "1 of 1 decisions in 1 runs would change" in replayed.stdout
    assert "allow -> deny" in replayed.stdout
    assert json.loads(cli("policy", "replay", rules, "--json").stdout)["changed"] == 1


def test_what_fails_its_cases_or_is_broken_is_not_published(cli: Cli, loose: str, cases: str, broken: str) -> None:
    for arguments in ((loose, "--cases", cases), (broken,)):
        refused = cli("policy", "publish", *arguments)
        assert refused.exit_code == 1
        assert "Traceback" not in refused.output
    assert "broken.yaml:5:" in refused.output
    assert len(json.loads(cli("policy", "history", "--json").stdout)) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("explain",),
        ("explain", "--topic", "a", "--label", "x"),
        ("explain", "--topic", "a", "--input", "{"),
        ("publish", "/nowhere.yaml"),
        ("publish",),
        ("replay",),
        ("rollback", "--to", "0"),
    ],
)
def test_wrong_usage_is_2(cli: Cli, arguments: tuple[str, ...]) -> None:
    assert cli("policy", *arguments).exit_code == 2
