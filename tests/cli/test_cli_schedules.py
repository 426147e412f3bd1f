"""`cordum schedule` and `cordum hook`, against a real API."""

from __future__ import annotations

import json

import pytest

from tests.cli.conftest import Cli


def test_a_schedule_from_its_making_to_its_end(cli: Cli, gate: str) -> None:
    wanted = ["--id", "nightly", "--timezone", "Europe/Berlin", "-i", "build=7", "--overlap", "allow"]
    made = cli("schedule", "create", gate, "30 2 * * *", *wanted, "--as", "ann", "--json")
    assert made.exit_code == 0, made.output
    assert json.loads(made.stdout)["input"] == {"build": 7}
    assert "nightly" in cli("schedule", "list").stdout
    ticks = cli("schedule", "next", "nightly", "--count", "3").stdout.split()
    assert len(ticks) == 3
    assert json.loads(cli("schedule", "show", "nightly", "--json").stdout)["next_ticks"][:3] == ticks
    run = json.loads(cli("schedule", "trigger", "nightly", "--key", "k", "--json").stdout)
    assert (run["triggered_by"], run["status"]) == ("nightly", "waiting")
    assert "paused" in cli("schedule", "pause", "nightly", "--reason", "an update").stdout
    assert "active" in cli("schedule", "resume", "nightly", "--reason", "an update").stdout
    bounds = ["--from", "2026-01-01T00:00:00Z", "--to", "2026-01-02T23:00:00Z"]
    filled = json.loads(cli("schedule", "backfill", "nightly", *bounds, "--reason", "a gap", "--json").stdout)
    assert [one["tick"][:16] for one in filled["runs"]] == ["2026-01-01T01:30", "2026-01-02T01:30"]
    assert cli("schedule", "delete", "nightly", "--reason", "an update").exit_code == 0
    assert cli("schedule", "show", "nightly").exit_code == 1


@pytest.mark.parametrize(("cron", "said"), [("61 * * * *", "/cron: the field minute"), ("@dayly", "'@daily'")])
def test_a_mistake_is_told_with_its_place_and_mend(cli: Cli, gate: str, cron: str, said: str) -> None:
    refused = cli("schedule", "create", gate, cron)
    assert refused.exit_code == 1
    assert said in refused.stderr


def test_a_hook_from_its_making_to_its_end(cli: Cli, gate: str) -> None:
    made = json.loads(cli("hook", "create", "--start", gate, "--input", '{"build": "${body.n}"}', "--json").stdout)
    assert gate in cli("hook", "list").stdout
    assert made["secret"] not in cli("hook", "show", made["id"], "--json").stdout
    assert cli("hook", "create", "--start", gate, "--signal", "x").exit_code == 2
    assert cli("hook", "delete", made["id"], "--reason", "it is over").exit_code == 0
    assert cli("hook", "show", made["id"]).exit_code == 1
