"""What a command costs before it does anything."""

from __future__ import annotations

import subprocess
import sys

import pytest
from click.testing import CliRunner

from cordum.cli import main

HEAVY = ("celery", "kombu", "redis", "flask", "waitress", "rich", "cordum.engine", "cordum.store")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["demo", "--help"],
        ["get", "c1-0", "--url", "http://127.0.0.1:1"],
        ["runs", "--json"],
        ["validate", "-"],
    ],
)
def test_light_commands_load_neither_celery_nor_redis_nor_flask(
    arguments: list[str], clean_env: dict[str, str]
) -> None:
    code = f"""
import sys
from cordum.cli import main
main({arguments!r}, standalone_mode=False)
print("LOADED", sorted({set(HEAVY)!r} & set(sys.modules)))
"""
    told = subprocess.run(
        [sys.executable, "-c", code], env=clean_env, input="", capture_output=True, text=True, timeout=60, check=False
    )
    assert told.stdout.splitlines()[-1] == "LOADED []", told.stderr


def test_every_command_explains_itself() -> None:
    listed = CliRunner().invoke(main, ["--help"])
    assert listed.exit_code == 0
    lines = listed.stdout.partition("Commands:\n")[2].splitlines()
    assert [line.split()[0] for line in lines] == list(main.commands)
    # No explanation is cut off or goes on in a second line.
    assert all(line.endswith(".") and not line.endswith("...") for line in lines), listed.stdout


def test_version_is_the_package_s() -> None:
    from cordum._version import __version__

    assert CliRunner().invoke(main, ["--version"]).stdout.strip().endswith(__version__)
