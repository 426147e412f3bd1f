"""How a second terminal finds a running cordum, and what must not mislead it."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from cordum.errors import ConfigurationRefused
from cordum.ops.discovery import Running, find, published, resolve_address
from cordum.redis_address import RedisAddress
from cordum.settings import Settings

TCP = RedisAddress.parse("redis://:secret@localhost:7000/0")


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    runtime = tmp_path / "run"
    runtime.mkdir(mode=0o700)
    return {"XDG_RUNTIME_DIR": str(runtime), "HOME": str(tmp_path / "user")}


def ours(address: RedisAddress = TCP, api_url: str | None = "http://127.0.0.1:8081") -> Running:
    return Running(address, api_url, os.getpid())


def ended_pid() -> int:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


def test_running_cordum_is_found_from_its_data_directory_and_gone_after_its_end(
    tmp_path: Path, env: dict[str, str]
) -> None:
    settings = Settings(data_dir=tmp_path / "data")
    with published(settings.data_dir, ours(), env):
        assert find(settings, env={}) == ours()
    assert find(settings, env) is None
    assert list(tmp_path.rglob("*.json")) == []


@pytest.mark.parametrize("missing", ["", "XDG_RUNTIME_DIR"])
def test_running_cordum_is_found_from_any_other_directory(tmp_path: Path, env: dict[str, str], missing: str) -> None:
    env.pop(missing, None)
    with published(tmp_path / "data", ours(), env):
        assert find(Settings(data_dir=tmp_path / "elsewhere"), env) == ours()


def test_terminal_with_a_runtime_directory_finds_what_one_without_published(
    tmp_path: Path, env: dict[str, str]
) -> None:
    with published(tmp_path / "data", ours(), {"HOME": env["HOME"]}):
        assert find(Settings(data_dir=tmp_path / "elsewhere"), env) == ours()


def test_published_files_are_for_this_user_only(tmp_path: Path, env: dict[str, str]) -> None:
    with published(tmp_path / "data", ours(), env):
        files = list(tmp_path.rglob("*.json"))
        assert len(files) == 2
        assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
        assert {stat.S_IMODE(file.parent.stat().st_mode) for file in files} == {0o700}


def test_home_that_cannot_be_written_does_not_stop_publishing(tmp_path: Path) -> None:
    (tmp_path / "user").write_text("a file, so that no directory can be made below it")
    settings = Settings(data_dir=tmp_path / "data")
    with published(settings.data_dir, ours(), {"HOME": str(tmp_path / "user")}):
        assert find(settings, env={"HOME": str(tmp_path / "user")}) == ours()


def test_file_of_a_dead_process_is_ignored(tmp_path: Path, env: dict[str, str]) -> None:
    settings = Settings(data_dir=tmp_path / "data")
    with published(settings.data_dir, Running(TCP, None, ended_pid()), env):
        assert find(settings, env) is None


def test_file_whose_socket_is_gone_is_ignored_even_if_the_pid_lives_again(tmp_path: Path, env: dict[str, str]) -> None:
    settings = Settings(data_dir=tmp_path / "data")
    with published(settings.data_dir, ours(RedisAddress("unix", socket=str(tmp_path / "gone.sock"))), env):
        assert find(settings, env) is None


def test_stale_file_in_the_data_directory_does_not_hide_a_living_cordum(tmp_path: Path, env: dict[str, str]) -> None:
    settings = Settings(data_dir=tmp_path / "data")
    with (
        published(settings.data_dir, Running(TCP, None, ended_pid()), env={"HOME": "/nonexistent"}),
        published(tmp_path / "other", ours(), env),
    ):
        assert find(settings, env) == ours()


def test_own_data_directory_wins_over_a_cordum_started_later_elsewhere(tmp_path: Path, env: dict[str, str]) -> None:
    settings = Settings(data_dir=tmp_path / "data")
    later = Running(RedisAddress.parse("redis://localhost:7001/0"), None, os.getppid())
    with published(settings.data_dir, ours(), env), published(tmp_path / "other", later, env):
        assert find(settings, env) == ours()
        assert find(Settings(data_dir=tmp_path / "third"), env) == later


def test_one_process_never_removes_the_file_of_another(tmp_path: Path, env: dict[str, str]) -> None:
    settings = Settings(data_dir=tmp_path / "data")
    with published(settings.data_dir, Running(TCP, None, ended_pid()), env), published(settings.data_dir, ours(), env):
        pass
    with published(settings.data_dir, ours(), env):
        with published(settings.data_dir, Running(TCP, None, os.getppid()), env={"HOME": "/nonexistent"}):
            (settings.data_dir / "running.json").write_text(
                json.dumps({"redis_url": TCP.url(), "api_url": None, "pid": os.getpid()})
            )
        assert find(settings, env={}) == Running(TCP, None, os.getpid())


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"redis_url": 1, "api_url": null, "pid": 1}', '{"pid": "x"}', "\xff"]
)
def test_file_that_makes_no_sense_is_ignored(tmp_path: Path, text: str) -> None:
    (tmp_path / "running.json").write_text(text, encoding="latin-1")
    assert find(Settings(data_dir=tmp_path), env={"HOME": str(tmp_path)}) is None


def test_configured_redis_wins_over_a_running_one(tmp_path: Path, env: dict[str, str]) -> None:
    settings = Settings(data_dir=tmp_path, redis_url="redis://configured:6379/0")
    with published(tmp_path, ours(), env):
        assert resolve_address(settings, env).host == "configured"
        assert resolve_address(Settings(data_dir=tmp_path), env) == TCP


def test_no_redis_at_all_is_refused_with_the_way_to_get_one(tmp_path: Path, env: dict[str, str]) -> None:
    with pytest.raises(ConfigurationRefused, match="cordum dev"):
        resolve_address(Settings(data_dir=tmp_path), env)
