"""The small parts: what a terminal is spared, when to stop, what progress says."""

from __future__ import annotations

import io
import json
import os
import re
import signal
from typing import Any

import click
import pytest
from rich.console import Console

from cordum.cli.live import LiveProgress
from cordum.cli.output import complain, print_json, printable, table
from cordum.cli.progress import PlainProgress, note, rows
from cordum.cli.stop import stop_on_signals
from cordum.errors import Problem, Unprocessable

CREATED = "2026-04-01T12:00:00.000Z"


def at(seconds: float) -> str:
    return f"2026-04-01T12:00:{seconds:06.3f}Z"


def step(status: str, attempts: int = 1, **more: Any) -> dict[str, Any]:
    return {"status": status, "attempts": attempts, "error": None, "wait": None, "children": None} | more


def run_of(now: float = 5.0, status: str = "running", **steps: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": "c1-1",
        "workflow_id": "w",
        "status": status,
        "created_at": CREATED,
        "updated_at": at(now),
        "steps": steps,
    }


# --- output ---


@pytest.mark.parametrize("text", ["\x1b[2J", "a\nb", "\x9b31m", "\u202egpj.exe", "\x00", "\u2028"])
def test_printable_leaves_nothing_that_a_terminal_obeys(text: str) -> None:
    assert printable(text).isprintable()


def test_printed_json_is_the_same_value_without_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    value = {"a": "\x9b31m\u202e é 漢 \n\t\x1b", "n": 2**53 + 1, "l": []}
    print_json(value)
    text = capsys.readouterr().out
    assert json.loads(text) == value
    assert "é 漢" in text
    assert all(char == "\n" or char.isprintable() for char in text)


def test_columns_are_aligned_and_never_cut(capsys: pytest.CaptureFixture[str]) -> None:
    table(("id", "status"), [("x" * 200, "succeeded"), ("y", None)])
    lines = click.unstyle(capsys.readouterr().out).splitlines()
    assert [line.split() for line in lines] == [["id", "status"], ["x" * 200, "succeeded"], ["y", "-"]]
    assert len({line.rindex(line.split()[-1]) for line in lines}) == 1


def test_a_complaint_is_a_line_each_with_the_place_of_each_problem(capsys: pytest.CaptureFixture[str]) -> None:
    problems = [Problem("/steps/a", "unknown_field", "unknown", 3, 5), Problem("", "type", "no\x1bgood")]
    complain(Unprocessable("first\nsecond\n  more of it", problems=problems), source="w.yaml")
    assert click.unstyle(capsys.readouterr().err).splitlines() == [
        "error: first",
        "error: second",
        "  more of it",
        "  w.yaml:3:5: /steps/a: unknown [unknown_field]",
        "  w.yaml:/: no\\u001bgood [type]",
    ]


# --- when to stop ---


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_where_stopping_is_safe(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with stop_on_signals() as stop:
        stop.check()
        stop.pause(0)
        os.kill(os.getpid(), number)
        with pytest.raises(KeyboardInterrupt):
            stop.wait()
        with pytest.raises(KeyboardInterrupt):
            stop.check()
        with pytest.raises(KeyboardInterrupt):
            stop.pause(60)
    assert signal.getsignal(number) is before


# --- progress ---


def test_plain_progress_says_each_change_once_in_the_order_of_time(capsys: pytest.CaptureFixture[str]) -> None:
    shown = PlainProgress()
    pending = step("pending", 0, wait={"reason": "dependencies", "message": "waits for a"})
    shown.show(run_of(1, a=step("running", started_at=at(0.5), worker="w1"), b=pending))
    shown.show(run_of(1, a=step("running", started_at=at(0.5), worker="w1"), b=pending))
    failed = step("retrying", error={"message": "503"}, next_attempt_at=at(4))
    shown.show(run_of(3, a=failed, b=step("succeeded", started_at=at(1), completed_at=at(2))))
    shown.show(run_of(4, status="failed", a=step("failed", 2, error={"message": "503"}, completed_at=at(4)), b=pending))
    assert [line.split(maxsplit=3) for line in capsys.readouterr().out.splitlines()] == [
        ["0.5s", "a", "running", "on w1"],
        ["1.0s", "run", "running"],
        ["2.0s", "b", "succeeded", "took 1.0s"],
        ["3.0s", "a", "retrying", "attempt 1 failed: 503; again in 1.0s"],
        ["4.0s", "a", "failed", "503"],
        ["4.0s", "run", "failed"],
    ]


def test_plain_progress_says_why_a_step_does_not_begin(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck = run_of(1, a=step("queued", wait={"reason": "no_worker", "message": "waits on job.x for a worker"}))
    shown = PlainProgress()
    shown.show(stuck)
    assert "job.x" not in capsys.readouterr().out
    monkeypatch.setattr("cordum.cli.progress.STUCK_SEC", -1.0)
    shown.show(stuck)
    shown.show(stuck)
    assert capsys.readouterr().out.count("waits on job.x for a worker") == 1


def test_steps_of_a_group_stand_under_it() -> None:
    steps = {
        "first": step("pending"),
        "group": step("pending", children=["x", "gone"]),
        "x": step("pending"),
        "last": step("pending"),
    }
    assert [(depth, step_id) for depth, step_id, _ in rows(steps)] == [
        (0, "first"),
        (0, "group"),
        (1, "x"),
        (0, "last"),
    ]


@pytest.mark.parametrize(
    "status", ["pending", "queued", "running", "waiting", "retrying", "succeeded", "failed", "skipped"]
)
def test_a_step_of_which_little_is_known_can_be_noted(status: str) -> None:
    assert isinstance(note(run_of(), step(status)), str)


def test_the_hint_is_shown_while_a_person_is_waited_for(capsys: pytest.CaptureFixture[str]) -> None:
    waiting = run_of(2, status="waiting") | {"wait": {"reason": "approval"}}
    console = Console(width=100, record=True, file=io.StringIO())
    plain, live = PlainProgress("do something"), LiveProgress("do something")
    plain.show(waiting)
    live.show(waiting)
    console.print(live)
    assert "waiting    do something" in capsys.readouterr().out
    assert "do something" in console.export_text()


def test_the_table_shows_every_step_and_counts_down_to_the_next_attempt() -> None:
    shown = LiveProgress("do something")
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(shown)
    shown.show(
        run_of(
            2,
            group=step("running", children=["a"], started_at=at(1)),
            a=step("retrying", error={"message": "503 [bold]"}, next_attempt_at=at(3)),
            gate=step("waiting", wait={"reason": "approval", "message": "waits for a person's decision"}),
        )
    )
    console.print(shown)
    text = console.export_text()
    assert "do something" not in text
    assert re.search(r"attempt 1 failed: 503 \[bold\]; again in [01]\.\ds", text)
    assert [line.split()[1] for line in text.splitlines() if line.startswith("  ")][1:] == ["group", "a", "gate"]
