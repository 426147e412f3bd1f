"""Child processes: started again when they die, gone when we are."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from cordum.cli.children import Children, Program
from cordum.errors import Unavailable
from tests.cli.programs import ROOT, eventually, survivors

SLEEPS = "import time; print('up', flush=True); time.sleep(600)"
STUBBORN = """
import signal, subprocess, sys, time
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, signal.SIG_IGN)
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print("up", flush=True)
time.sleep(600)
"""


@pytest.fixture
def program(home: Path) -> Callable[..., Program]:
    def make(code: str, name: str = "child") -> Program:
        return Program(name, (sys.executable, "-c", code), home / f"{name}.log")

    return make


@pytest.fixture
def environment(home: Path) -> dict[str, str]:
    return {**os.environ, "HOME": str(home)}


def is_up(program: Program) -> bool:
    return program.log.exists() and "up" in program.log.read_text()


def test_a_child_that_dies_is_started_again_and_told(
    program: Callable[..., Program], environment: dict[str, str]
) -> None:
    told: list[str] = []
    child = program(SLEEPS)
    with Children([child], environment, told.append) as children:
        children.watch()
        first = children.pids()["child"]
        os.kill(first, signal.SIGKILL)
        assert eventually(lambda: children.pids()["child"] != first)
        assert eventually(lambda: bool(told))
    assert "child ended by itself with exit code -9" in told[0]
    assert str(child.log) in told[0]


def test_no_process_is_left_even_of_a_child_that_will_not_end(
    program: Callable[..., Program], environment: dict[str, str], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cordum.cli.children.STOP_GRACE_SEC", 0.2)
    stubborn, meek = program(STUBBORN, "stubborn"), program(SLEEPS, "meek")
    with Children([stubborn, meek], environment, print):
        assert eventually(lambda: is_up(stubborn) and is_up(meek))
        assert len(survivors(home)) == 3
    assert eventually(lambda: survivors(home) == [])


def test_a_child_that_ends_before_it_is_watched_is_an_error_with_the_end_of_its_log(
    program: Callable[..., Program], environment: dict[str, str]
) -> None:
    def ended(children: Children) -> bool:
        with pytest.raises(Unavailable, match=r"(?s)child ended with exit code 7; .*no such thing"):
            children.check()
        return True

    with Children([program("print('no such thing'); raise SystemExit(7)")], environment, print) as children:
        os.waitid(os.P_PID, children.pids()["child"], os.WEXITED | os.WNOWAIT)
        assert ended(children)


def test_a_child_that_cannot_be_started_leaves_no_other(
    program: Callable[..., Program], environment: dict[str, str], home: Path
) -> None:
    nowhere = Program("nowhere", ("x",), home / "missing" / "log")
    with pytest.raises(FileNotFoundError), Children([program(SLEEPS), nowhere], environment, print):
        pass
    assert eventually(lambda: survivors(home) == [])


def test_stopping_twice_does_nothing(program: Callable[..., Program], environment: dict[str, str]) -> None:
    children = Children([program(SLEEPS)], environment, print)
    with children:
        children.watch()
        children.stop()
    names = [thread.name for thread in threading.enumerate()]
    assert not [name for name in names if name.startswith(("watch-", "children-"))]


def test_children_go_when_their_parent_is_killed(environment: dict[str, str], home: Path) -> None:
    code = f"""
import sys, time
from pathlib import Path
from cordum.cli.children import Children, Program
home = {str(home)!r}
child = Program("child", (sys.executable, "-c", {SLEEPS!r}), Path(home) / "log")
with Children([child], {{"HOME": home}}, print):
    print("ready", flush=True)
    time.sleep(600)
"""
    parent = subprocess.Popen(
        [sys.executable, "-c", code], env=environment | {"PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, text=True
    )
    with parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "ready\n"
        assert eventually(lambda: (home / "log").exists() and "up" in (home / "log").read_text())
        parent.kill()
    assert eventually(lambda: survivors(home) == [])
