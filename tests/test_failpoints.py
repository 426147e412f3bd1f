"""Failpoints: the list and the code agree, the language refuses what it does not know, actions do what they say."""

from __future__ import annotations

import ast
import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from click.testing import CliRunner
from redis.exceptions import ResponseError

import cordum
from cordum import failpoints
from cordum.cli import main
from cordum.engine import Engine
from cordum.errors import ConfigurationRefused
from cordum.failpoints import ACTIONS, IN_THE_CODE, places
from cordum.redis_address import RedisAddress
from cordum.settings import Settings, load_settings
from cordum.store.connection import Connection
from cordum.store.scripts import Library

pytestmark = pytest.mark.proof

PACKAGE = Path(cordum.__file__).parent
SCRIPTS = Library().scripts


@pytest.fixture(autouse=True)
def _disarmed() -> Iterator[None]:
    yield
    failpoints.arm(None)


@pytest.fixture
def connection(redis_address: RedisAddress) -> Iterator[Connection]:
    connection = Connection.open(redis_address)
    yield connection
    connection.close()


# -- the list and the code -----------------------------------------------------------------------------------------


def _reached_by_name() -> Counter[str]:
    """Places that the code names; each must be named once, and only behind a look at `ACTIVE`."""
    found: Counter[str] = Counter()
    for file in PACKAGE.rglob("*.py"):
        tree = ast.parse(file.read_text())
        guarded = {
            id(call)
            for node in ast.walk(tree)
            if isinstance(node, ast.If) and ast.unparse(node.test) == "failpoints.ACTIVE"
            for call in ast.walk(node)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "failpoints.reach":
                (place,) = node.args
                if isinstance(place, ast.Constant):
                    assert id(node) in guarded, f"{file}:{node.lineno} costs a call although nobody asked"
                    found[place.value] += 1
                else:
                    assert file == PACKAGE / "store" / "connection.py", f"{file}:{node.lineno} names no place"
    return found


def test_every_place_that_the_code_names_is_listed_and_named_once() -> None:
    assert _reached_by_name() == dict.fromkeys(IN_THE_CODE, 1)


def test_every_call_of_a_script_is_two_places(connection: Connection) -> None:
    """Each script is really called, with arguments that mean nothing; what it answers does not matter here."""
    of_scripts = {f"{name}.{when}" for name in SCRIPTS for when in ("before", "after")}
    assert of_scripts | IN_THE_CODE.keys() == places().keys()
    failpoints.arm(";".join(f"{place}=delay(0)" for place in of_scripts))
    for name, script in SCRIPTS.items():
        keys, args = {key: f"k:{key}" for key in script.keys}, dict.fromkeys(script.args, "1")
        with suppress(ResponseError, RuntimeError):
            connection.run(name, keys, **args)
    assert {place for place in of_scripts if failpoints.times_reached(place) != 1} == set()


def test_every_place_says_what_has_happened_there() -> None:
    assert [place for place, about in places().items() if len(about) < 20] == []


def test_the_command_lists_every_place_and_every_action() -> None:
    told = json.loads(CliRunner().invoke(main, ["failpoints", "--json"]).output)
    assert told == {"places": dict(places()), "actions": dict(ACTIONS)}
    shown = CliRunner().invoke(main, ["failpoints"]).output
    assert [name for name in (*places(), *ACTIONS) if name not in shown] == []


# -- the language --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "mend"),
    [
        ("claim.aftr=kill", "did you mean 'claim.after'?; `cordum failpoints` lists them"),
        ("claim.after=kil", "did you mean 'kill'?; there are kill, stop"),
        ("claim.after", "write it as in 'worker.after_user_before_record=kill@3"),
        ("claim.after=kill@0", "write it as in"),
        ("claim.after=kill@x", "write it as in"),
        ("claim.after=kill(3)", "only a delay takes milliseconds"),
        ("claim.after=delay", "as in delay(250)"),
        ("claim.before=lost_reply", "only a script has a reply to lose"),
        ("api.before_answer=lost_reply", "only a script has a reply to lose"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_mend(text: str, mend: str) -> None:
    with pytest.raises(ConfigurationRefused) as refused:
        load_settings(env={"CORDUM_FAILPOINTS": f"ring.before=kill; {text}"})
    assert mend in refused.value.detail
    assert len(refused.value.detail.splitlines()) == 1


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(ConfigurationRefused) as refused:
        failpoints.parse("a.b=kill;claim.after=die;nonsense")
    assert len(refused.value.detail.splitlines()) == 3


@pytest.mark.parametrize("command", [["api", "--port", "0"], ["coordinator"], ["doctor"]])
def test_production_refuses_failpoints(command: list[str]) -> None:
    env = {"CORDUM_ENV": "production", "CORDUM_FAILPOINTS": "claim.after=kill"}
    refused = CliRunner().invoke(main, command, env=env)
    assert refused.exit_code == 78
    assert refused.output == "error: failpoints must not be set when env is production: unset CORDUM_FAILPOINTS\n"


def test_a_production_worker_refuses_failpoints() -> None:
    env = {**os.environ, "CORDUM_ENV": "production", "CORDUM_FAILPOINTS": "claim.after=kill"}
    argv = [sys.executable, "-m", "celery", "-A", "cordum", "worker", "-Q", "job.x"]
    worker = subprocess.run(argv, env=env, capture_output=True, text=True)
    assert worker.returncode == 78
    assert worker.stderr == "error: failpoints must not be set when env is production: unset CORDUM_FAILPOINTS\n"


# -- what they do --------------------------------------------------------------------------------------------------


def test_nothing_is_set_unless_somebody_asks(redis_address: RedisAddress) -> None:
    Engine.connect(Settings(), redis_address).close()
    assert not failpoints.ACTIVE
    Engine.connect(Settings(failpoints="claim.after=kill"), redis_address).close()
    assert failpoints.ACTIVE


def test_the_nth_time_and_only_that() -> None:
    failpoints.arm("claim.after=error@2")
    failpoints.reach("claim.after")
    with pytest.raises(failpoints.InjectedError, match="failpoint claim"):
        failpoints.reach("claim.after")
    failpoints.reach("claim.after")
    failpoints.reach("claim.before")  # nobody asked for anything here
    assert failpoints.times_reached("claim.after") == 3


def test_without_a_number_each_time() -> None:
    failpoints.arm("claim.after=error")
    for _ in range(2):
        with pytest.raises(failpoints.InjectedError):
            failpoints.reach("claim.after")


def test_the_same_failpoints_again_keep_their_counts() -> None:
    """An engine made anew, as in each pool child, does not begin again."""
    failpoints.arm("claim.after=error@3")
    failpoints.reach("claim.after")
    failpoints.arm("claim.after=error@3")
    assert failpoints.times_reached("claim.after") == 1
    failpoints.arm("claim.after=error@4")
    assert failpoints.times_reached("claim.after") == 0


def test_threads_count_together() -> None:
    failpoints.arm("claim.after=delay(0)@1")
    threads = [threading.Thread(target=lambda: [failpoints.reach("claim.after") for _ in range(500)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failpoints.times_reached("claim.after") == 2000


def test_a_lost_reply_is_asked_for_again_after_the_script_ran(connection: Connection) -> None:
    failpoints.arm("ring.after=lost_reply@1")
    # The first sending rang; what counts is the answer to the second.
    assert connection.run("ring", {"coordinator": "q"}, message="m") == ["WAITING"]
    assert failpoints.times_reached("ring.after") == 2


def test_an_error_before_a_script_keeps_it_from_running(connection: Connection) -> None:
    failpoints.arm("ring.before=error@1")
    with pytest.raises(failpoints.InjectedError):
        connection.run("ring", {"coordinator": "q"}, message="m")
    assert connection.run("ring", {"coordinator": "q"}, message="m") == ["RUNG"]


@pytest.mark.parametrize(("action", "ended"), [("kill", -signal.SIGKILL), ("error", 1), ("delay(1)", 0)])
def test_how_a_process_ends_there(action: str, ended: int) -> None:
    program = f"from cordum import failpoints as f; f.arm('claim.after={action}'); f.reach('claim.after')"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True).returncode == ended
