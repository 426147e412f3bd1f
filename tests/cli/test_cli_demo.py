"""`cordum demo` as a process: with flags, without a terminal, and at a terminal."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from cordum.client import Client
from tests.cli.programs import PATIENCE_SEC, ROOT, Program, eventually, survivors

Spawn = Callable[..., Program]

FOUND = [
    "severity high",
    "21,600 lines",
    "2026.04.01-3",
    "Apply production rollback",
    "Traffic shifts to last known good build",
]
STEPS = ["classify", "fanout_diagnostics", "logs_scan", "metric_scan", "approval_gate", "rollback"]


def test_approved_it_succeeds_reports_and_leaves_nothing(spawn: Spawn, home: Path) -> None:
    program = spawn("demo", "--yes", "--port", "0")
    assert program.end() == 0, program.text
    for fact in [*FOUND, "yes, build and link agree", "2026.04.01-3 -> 2026.04.01-2"]:
        assert fact in program.text
    for step in STEPS:
        assert re.search(rf"^ +\d+\.\ds  {step} +succeeded", program.text, re.MULTILINE), program.text
    assert re.search(r"^Run http://127\.0\.0\.1:\d+/api/v1/workflow-runs/c1-\w+$", program.text.splitlines()[-1])
    assert "\x1b" not in program.text
    assert survivors(home) == []
    assert [entry.name for entry in home.iterdir() if entry.name.startswith("cordum-demo")] == []


def test_rejected_it_changes_nothing_and_fails(spawn: Spawn, home: Path) -> None:
    program = spawn("demo", "--no", "--port", "0", "--data-dir", "kept")
    assert program.end() == 1, program.text
    assert "rejected by" in program.text
    assert re.search(r"approval_gate +denied", program.text)
    assert (home / "kept/demo/releases/current").readlink() == Path("2026.04.01-3")
    assert "cordum dev --data-dir kept" in program.text


def test_a_worker_that_fails_twice_is_tried_again_with_a_growing_pause(spawn: Spawn) -> None:
    program = spawn("demo", "--yes", "--fail", "metrics", "--port", "0")
    assert program.end() == 0, program.text
    retries = re.findall(
        r"metric_scan +retrying +attempt (\d) failed: metrics backend .*again in (\d\.\d)s", program.text
    )
    assert [attempt for attempt, _ in retries] == ["1", "2"]
    assert float(retries[1][1]) > float(retries[0][1])
    assert re.search(r"metric_scan +succeeded +took \d\.\ds, attempt 3", program.text)
    assert "Variant of the example" in program.text


def test_a_worker_nobody_knows_is_wrong_usage(spawn: Spawn) -> None:
    program = spawn("demo", "--fail", "coffee")
    assert program.end() == 2
    assert "classify, logs, metrics, rollback" in program.text


def test_without_a_terminal_it_says_how_to_approve_and_waits(spawn: Spawn, home: Path) -> None:
    program = spawn("demo", "--port", "0")
    url = program.line("API ")
    program.line("Nobody can be asked here")
    approve = shlex.split(program.line("  curl"))
    assert eventually(lambda: "To reject:" in program.text)
    with urlopen(as_request(approve), timeout=PATIENCE_SEC) as answer:
        assert answer.status == 200
    assert program.end() == 0, program.text
    assert url in program.text
    assert survivors(home) == []


def as_request(words: list[str]) -> Request:
    """What curl would send: the machine of a test may have none."""
    options = {"-X": [], "-H": [], "-d": []}
    rest = iter(words)
    places = [word if word not in options else options[word].append(next(rest)) for word in rest]
    (url,) = [word for word in places if word not in (None, "-sS")]
    headers = dict(line.split(": ") for line in options["-H"])
    return Request(str(url), options["-d"][0].encode(), headers, method=options["-X"][0])


def test_the_next_free_port_is_taken(spawn: Spawn) -> None:
    first = spawn("demo", "--port", "0")
    port = int(first.line("API ").rpartition(":")[2])
    second = spawn("demo", "--port", str(port), "--yes")
    assert int(second.line("API ").rpartition(":")[2]) > port
    assert second.end() == 0, second.text


def test_told_to_stop_it_stops_quietly(spawn: Spawn, home: Path) -> None:
    program = spawn("demo", "--port", "0")
    program.line("Nobody can be asked here")
    assert program.end(signal.SIGTERM) == 130
    assert survivors(home) == []
    assert "Traceback" not in program.text


_AT_TERMINAL = """
import fcntl, os, sys, termios
os.setsid()
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""


class Terminal:
    """A cordum that believes to be at a terminal, and the person there."""

    def __init__(self, arguments: list[str], home: Path, env: dict[str, str]) -> None:
        self._fd, theirs = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-c", _AT_TERMINAL, sys.executable, "-m", "cordum.cli", *arguments],
            cwd=home,
            env=env,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)
        self.text = ""

    def read_until(self, wanted: str) -> None:
        give_up = time.monotonic() + PATIENCE_SEC
        while wanted not in self.text:
            assert time.monotonic() < give_up, self.text
            assert self._read(), f"ended without {wanted!r}:\n{self.text}"

    def type(self, keys: str) -> None:
        os.write(self._fd, keys.encode())

    def end(self) -> int:
        while self._read():
            pass
        return self.process.wait(PATIENCE_SEC)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._fd)

    def _read(self) -> bool:
        select.select([self._fd], [], [], 1.0)
        try:
            data = os.read(self._fd, 65_536)
        except OSError:
            return False
        self.text += data.decode(errors="replace")
        return bool(data)


@pytest.fixture
def terminal(home: Path, clean_env: dict[str, str]) -> Iterator[Callable[..., Terminal]]:
    opened: list[Terminal] = []

    def start(*arguments: str) -> Terminal:
        opened.append(Terminal(list(arguments), home, clean_env | {"TERM": "xterm", "COLUMNS": "110", "USER": "ann"}))
        return opened[-1]

    yield start
    for one in opened:
        one.close()


def test_at_a_terminal_the_person_is_asked_until_the_answer_is_one(
    terminal: Callable[..., Terminal], home: Path
) -> None:
    person = terminal("demo", "--port", "0")
    person.read_until("[y/n]")
    for fact in ["Apply production rollback", "Traffic shifts to last known good build", "5xx rate"]:
        assert fact in person.text
    person.type("perhaps\n")
    person.read_until("perhaps")
    person.type("y\n")
    person.read_until("Approved by")
    assert person.end() == 0, person.text
    assert person.text.count("[y/n]") == 2
    assert "\x1b[32m" in person.text
    assert survivors(home) == []


def test_at_a_terminal_no_is_no(terminal: Callable[..., Terminal]) -> None:
    person = terminal("demo", "--port", "0")
    person.read_until("[y/n]")
    person.type("N\n")
    assert person.end() == 1
    assert "Rejected by" in person.text


def test_at_a_terminal_somebody_else_may_be_quicker(terminal: Callable[..., Terminal]) -> None:
    person = terminal("demo", "--port", "0")
    person.read_until("[y/n]")
    found = re.search(r"API (http://[\d.:]+)", person.text)
    assert found
    client = Client(found[1], principal="bob")
    (approval,) = client.approvals()
    client.approve(approval["job_id"])
    assert person.end() == 0, person.text
    assert "Somebody else has decided" in person.text


@pytest.mark.parametrize("keys", ["\x03", "\x04"])
def test_ctrl_c_and_ctrl_d_at_the_question_end_it(terminal: Callable[..., Terminal], home: Path, keys: str) -> None:
    person = terminal("demo", "--port", "0")
    person.read_until("[y/n]")
    person.type(keys)
    assert person.end() == 130
    assert "Traceback" not in person.text
    assert survivors(home) == []


def test_the_example_is_applied_unchanged(spawn: Spawn) -> None:
    program = spawn("demo", "--port", "0")
    client = Client(program.line("API "))
    program.line("Nobody can be asked here")
    saved = client.workflow("incident_triage_parallel")
    again = client.save_workflow((ROOT / "config/workflows/incident_triage_parallel.yaml").read_bytes())
    assert (again["version"], again["digest"]) == (1, saved["digest"])
    (run,) = client.runs()
    assert run["triggered_by"] == "demo"
    assert client.get(run["id"])["input"] == json.loads((ROOT / "cordum/demo/data/incident.json").read_text())
