"""Commands that talk to an API: what they print, and their exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from cordum.cli import main
from cordum.client import Client

Cli = Callable[..., Result]


def start(cli: Cli, *arguments: str) -> str:
    answered = cli("run", "gate", "--json", *arguments)
    assert answered.exit_code == 0, answered.output
    return str(json.loads(answered.stdout)["run_id"])


def approval_of(cli: Cli, run_id: str) -> dict[str, Any]:
    (found,) = [one for one in json.loads(cli("approvals", "--json").stdout) if one["run_id"] == run_id]
    return dict(found)


def test_run_prints_id_and_status_on_one_line(cli: Cli, gate: str) -> None:
    answered = cli("run", gate)
    run_id, status = answered.stdout.split()
    assert (answered.exit_code, status) == (0, "waiting")
    assert json.loads(cli("get", run_id, "--json").stdout)["id"] == run_id


def test_input_values_are_json_where_they_are_and_text_where_not(cli: Cli, gate: str) -> None:
    pairs = [
        "n=3",
        "yes=true",
        "list=[1,{}]",
        "text=a b",
        'quoted="3"',
        "no=",
        "big=9007199254740993",
        "eq=a=b",
        "inf=1e999",
    ]
    run_id = start(cli, *(part for pair in pairs for part in ("-i", pair)))
    assert json.loads(cli("get", run_id, "--json").stdout)["input"] == {
        "n": 3,
        "yes": True,
        "list": [1, {}],
        "text": "a b",
        "quoted": "3",
        "no": "",
        "big": 9007199254740993,
        "eq": "a=b",
        "inf": "1e999",
    }


@pytest.mark.parametrize("pair", ["novalue", "=3", 'x={"a":1,"a":2}', "x=[1"])
def test_an_input_that_cannot_be_meant_is_wrong_usage(cli: Cli, gate: str, pair: str) -> None:
    assert cli("run", gate, "-i", pair).exit_code == 2


@pytest.mark.parametrize(("name", "text"), [("in.json", '{"a": 1, "b": 2}'), ("in.yaml", "a: 1\nb: 2\n")])
def test_input_comes_from_a_file_and_single_keys_override_it(
    cli: Cli, gate: str, tmp_path: Path, name: str, text: str
) -> None:
    (tmp_path / name).write_text(text)
    run_id = start(cli, "-f", str(tmp_path / name), "-i", "b=3")
    assert json.loads(cli("get", run_id, "--json").stdout)["input"] == {"a": 1, "b": 3}


@pytest.mark.parametrize(("text", "said"), [("[1]", "mapping"), ('{"a": }', "1:7"), ("", "input")])
def test_an_input_file_that_is_none_is_refused_with_its_place(
    cli: Cli, gate: str, tmp_path: Path, text: str, said: str
) -> None:
    (tmp_path / "in.json").write_text(text)
    answered = cli("run", gate, "-f", str(tmp_path / "in.json"))
    assert answered.exit_code == 1
    assert said in answered.stderr


def test_the_same_key_gives_the_same_run_and_says_so(cli: Cli, gate: str) -> None:
    first, second = cli("run", gate, "--key", "k1"), cli("run", gate, "--key", "k1")
    assert first.stdout.split()[0] == second.stdout.split()[0]
    assert "known key" in second.stdout
    assert "known key" not in first.stdout
    other = cli("run", gate, "--key", "k1", "-i", "a=1")
    assert (other.exit_code, other.stdout) == (1, "")
    assert other.stderr.startswith("error: ")


def test_labels_reach_the_run(cli: Cli, gate: str) -> None:
    run_id = start(cli, "-l", "team=sre")
    assert json.loads(cli("get", run_id, "--json").stdout)["labels"] == {"team": "sre"}
    assert '{"team": "sre"}' in cli("get", run_id).stdout


def test_get_shows_steps_and_why_the_run_waits(cli: Cli, gate: str) -> None:
    shown = cli("get", start(cli, "-i", "build=7")).stdout
    assert "waits for a person's decision [approval]" in shown
    assert any(line.split()[:2] == ["ask", "waiting"] for line in shown.splitlines())


def test_why_names_the_holders_of_what_a_run_waits_for(cli: Cli, tmp_path: Path) -> None:
    definition = tmp_path / "dock.yaml"
    definition.write_text("id: dock\nsteps: {a: {topic: job.t, concurrency: {key: pier, limit: 1}}}\n")
    assert cli("apply", str(definition)).exit_code == 0
    first, second = (json.loads(cli("run", "dock", "--json").stdout)["run_id"] for _ in range(2))
    (waits,) = json.loads(cli("why", second, "--json").stdout)["steps"]
    assert (waits["step_id"], waits["reason"], waits["holders"]) == ("a", "concurrency_key", [f"{first}:a@1"])
    shown = " ".join(cli("why", second).stdout.split())
    assert "concurrency_key" in shown
    assert "the concurrency key pier lets 1 job run at one time; 1 taken" in shown


def test_runs_lists_the_newest_first_and_filters(cli: Cli, gate: str) -> None:
    ids = [start(cli) for _ in range(3)]
    cli("cancel", ids[0], "--reason", "enough")
    listed = cli("runs", "--workflow", gate)
    assert [line.split()[0] for line in listed.stdout.splitlines()[1:]] == ids[::-1]
    cancelled = json.loads(cli("runs", "--status", "cancelled", "--json").stdout)
    assert [run["id"] for run in cancelled] == ids[:1]
    assert len(json.loads(cli("runs", "--limit", "2", "--json").stdout)) == 2


def test_timeline_tells_the_story_in_order(cli: Cli, gate: str) -> None:
    run_id = start(cli)
    cli("approve", run_id, "--as", "ann", "--reason", "tested")
    events = [line.split()[1] for line in cli("timeline", run_id).stdout.splitlines()[1:]]
    assert events.index("run.created") < events.index("approval.requested") < events.index("approval.approved")
    assert [event["type"] for event in json.loads(cli("timeline", run_id, "--json").stdout)] == events


def test_approve_by_the_approval_s_id(cli: Cli, gate: str) -> None:
    run_id = start(cli, "-i", "build=7")
    approval = approval_of(cli, run_id)
    assert approval["reason"] == "Ship 7"
    assert "Ship 7" in cli("approvals").stdout
    answered = cli("approve", approval["job_id"], "--as", "ann")
    assert answered.stdout.split() == [approval["job_id"], "approved", "by", "ann"]
    assert cli("watch", run_id).exit_code == 0


def test_an_approval_is_shown_with_what_it_rests_on(cli: Cli, gate: str) -> None:
    run_id = start(cli, "-i", "build=7")
    shown = cli("approvals", "show", run_id).stdout
    assert "Ship 7" in shown
    assert "It is live" in shown
    assert '"build"' in shown
    assert json.loads(cli("approvals", "show", run_id, "--json").stdout)["evidence"] == []
    assert cli("approvals", "show", "nobody:ask@1").exit_code == 1


def test_how_long_people_let_questions_wait(cli: Cli, gate: str) -> None:
    start(cli)
    cli("approve", start(cli))
    shown = cli("approvals", "--stats")
    assert shown.exit_code == 0, shown.output
    assert "ended approved" in shown.stdout
    assert "up to 7 d" in shown.stdout
    found = json.loads(cli("approvals", "--stats", "--json").stdout)
    assert (found["open"], found["outcomes"]) == (1, {"approved": 1})


def test_approve_and_reject_by_the_run_s_id(cli: Cli, gate: str) -> None:
    approved, rejected = start(cli), start(cli)
    assert cli("approve", approved).exit_code == 0
    assert cli("reject", rejected, "--reason", "not now").exit_code == 0
    assert cli("watch", approved).exit_code == 0
    watched = cli("watch", rejected)
    assert watched.exit_code == 1
    assert "not now" in watched.stdout


def test_a_decision_taken_is_final(cli: Cli, gate: str) -> None:
    approval = approval_of(cli, start(cli))["job_id"]
    cli("approve", approval)
    assert cli("approve", approval).exit_code == 0
    answered = cli("reject", approval, "--reason", "too late")
    assert answered.exit_code == 1
    assert "error:" in answered.stderr
    listed = cli("approvals", "--all", "--json").stdout
    assert [one["state"] for one in json.loads(listed)] == ["approved"]


def test_who_started_a_run_cannot_approve_it_and_is_told_what_can_be_done(cli: Cli, gate: str) -> None:
    run_id = start(cli, "--as", "ann")
    answered = cli("approve", run_id, "--as", "ann")
    assert answered.exit_code == 1
    assert "--as" in answered.stderr


def test_a_run_that_waits_for_nobody_has_nothing_to_approve(cli: Cli, gate: str) -> None:
    run_id = start(cli)
    cli("cancel", run_id, "--reason", "enough")
    assert cli("approve", run_id).exit_code == 1
    assert "no run" in cli("approve", "c1-00000000000000000000000000").stderr


def test_reject_without_a_reason_is_wrong_usage(cli: Cli, gate: str) -> None:
    assert cli("reject", start(cli)).exit_code == 2


def test_cancel_ends_the_run_and_may_be_repeated(cli: Cli, gate: str) -> None:
    run_id = start(cli)
    for _ in range(2):
        answered = cli("cancel", run_id, "--reason", "a mistake")
        assert answered.stdout.split() == [run_id, "cancelled"]


def test_watch_can_leave_when_the_run_waits(cli: Cli, gate: str) -> None:
    run_id = start(cli)
    answered = cli("watch", run_id, "--no-wait")
    assert answered.exit_code == 3
    assert f"cordum approve {run_id}" in answered.stdout
    assert cli("run", gate, "--watch", "--no-wait").exit_code == 3


def test_watch_as_json_is_the_run_in_the_end(cli: Cli, gate: str) -> None:
    run_id = start(cli)
    cli("approve", run_id)
    assert json.loads(cli("watch", run_id, "--json").stdout)["status"] == "succeeded"


def test_output_without_a_terminal_has_no_control_sequences(cli: Cli, gate: str) -> None:
    run_id = start(cli, "-i", "build=\x1b[31mred")
    texts = [cli(*line).stdout for line in (["get", run_id], ["approvals"], ["runs"], ["approvals", "--json"])]
    assert "\x1b" not in "".join(texts)
    assert "\\u001b[31mred" in "".join(texts)


def test_an_empty_list_prints_no_table(cli: Cli) -> None:
    for command in (["runs"], ["approvals"], ["dlq", "list"]):
        answered = cli(*command)
        assert (answered.exit_code, answered.stdout, answered.stderr) == (0, "", "none\n")
    assert json.loads(cli("dlq", "list", "--json").stdout) == []


def test_tenants_do_not_see_each_other(cli: Cli, gate: str) -> None:
    run_id = start(cli)
    answered = cli("get", run_id, "--tenant", "other")
    assert answered.exit_code == 1
    assert "no run" in answered.stderr


def test_url_wins_over_the_environment(api_url: str) -> None:
    env = {"CORDUM_API_URL": "http://127.0.0.1:1"}
    assert CliRunner().invoke(main, ["runs", "--url", api_url], env=env).exit_code == 0


def test_an_api_that_is_away_is_one_line_and_the_mend() -> None:
    answered = CliRunner().invoke(main, ["runs", "--url", "http://127.0.0.1:1"])
    assert answered.exit_code == 1
    error, mend = answered.stderr.splitlines()
    assert error.startswith("error: no answer from the API at 127.0.0.1:1")
    assert "cordum dev" in mend


def test_an_address_that_is_none_is_refused() -> None:
    answered = CliRunner().invoke(main, ["runs", "--url", "localhost:8081"])
    assert answered.exit_code == 78
    assert "http://" in answered.stderr


def test_ctrl_c_ends_quietly(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Client, "runs", interrupted)
    answered = CliRunner().invoke(main, ["runs", "--url", "http://127.0.0.1:1"])
    assert (answered.exit_code, answered.output) == (130, "")


def test_a_bundle_is_written_and_shown_without_an_api(cli: Cli, gate: str, tmp_path: Path) -> None:
    run_id, file = start(cli, "-i", "text=cheese"), tmp_path / "run.json"
    cli("approve", run_id, "--as", "ann", "--reason", "fine")
    written = cli("bundle", run_id, "-o", str(file))
    assert (written.exit_code, str(file) in written.stdout) == (0, True), written.output
    shown = CliRunner().invoke(main, ["bundle", "show", str(file)])
    assert shown.exit_code == 0, shown.output
    assert all(word in shown.stdout for word in (run_id, "approval.requested", "approved", "cheese"))
    assert json.loads(CliRunner().invoke(main, ["bundle", "show", str(file), "--json"]).stdout)["run"]["id"] == run_id
    assert json.loads(cli("bundle", run_id).stdout) == json.loads(file.read_text())


@pytest.mark.parametrize("text", ["{", "[]", '{"format": "cordum.bundle/99"}'])
def test_what_is_no_bundle_is_said_to_be_none(text: str, tmp_path: Path) -> None:
    file = tmp_path / "run.json"
    file.write_text(text)
    refused = CliRunner().invoke(main, ["bundle", "show", str(file)])
    assert refused.exit_code != 0
    assert "Traceback" not in refused.output


def test_a_run_is_deleted_and_gone(cli: Cli, gate: str) -> None:
    run_id = start(cli)
    assert "cancel it" in cli("delete", run_id, "--reason", "not needed").output
    assert cli("cancel", run_id, "--compensate", "--reason", "enough").exit_code == 0
    assert cli("delete", run_id, "--reason", "not needed").stdout.split() == [run_id, "deleted"]
    assert cli("get", run_id).exit_code != 0
