"""The embedded Redis: a private redis-server that lives and dies with this process.

Owns one child process and the directory it writes to. The server listens on a unix socket only, keeps an append-only
log, never evicts, and is told by the kernel to end when this process does (`die_with_parent`). It runs in a session of
its own, so that Ctrl-C in the terminal reaches cordum first and Redis is stopped last. May not speak to Redis beyond
PING: clients belong to the store.
"""

from __future__ import annotations

import logging
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from cordum.errors import ConfigurationRefused
from cordum.ops import die_with_parent
from cordum.ops.data_dir import claimed, private_directory
from cordum.ops.redis_binary import find_redis_server, require_version
from cordum.redis_address import MAX_SOCKET_PATH_BYTES, RedisAddress
from cordum.settings import Durability

__all__ = ["RedisServer", "find_redis_server"]

_log = logging.getLogger(__name__)

_FSYNC = {"standard": "everysec", "strict": "always"}
_SOCKET_NAME = "redis.sock"
_LOG_NAME = "redis.log"
_LOG_TAIL_LINES = 5
_READY_POLL_SEC = 0.01
_STOP_TIMEOUT_SEC = 10.0
_CALM_SEC = 5.0  # a server that lived this long was not in a crash loop
_LONGEST_PAUSE_SEC = 5.0


class RedisServer:
    """A redis-server under `data_dir/redis`, started by `start()` or `with`, ended by `stop()`.

    `supervise=True` starts it again when it ends by itself; `on_event` hears one sentence for each such event (default:
    a log line). All methods may be called from any thread.
    """

    def __init__(
        self,
        data_dir: Path,
        durability: Durability = "standard",
        *,
        binary: Path | None = None,
        supervise: bool = False,
        on_event: Callable[[str], None] = _log.warning,
        ready_timeout_sec: float = 30.0,
    ) -> None:
        self._home = data_dir / "redis"
        self._durability = durability
        self._binary = binary
        self._supervise = supervise
        self._on_event = on_event
        self._ready_timeout_sec = ready_timeout_sec
        self._mutex = threading.RLock()
        self._stopping = threading.Event()
        self._held = ExitStack()
        self._process: subprocess.Popen[bytes] | None = None
        self._address: RedisAddress | None = None
        self._command: list[str] = []
        self._lock_descriptor = -1

    @property
    def address(self) -> RedisAddress:
        if self._address is None:
            raise RuntimeError("the Redis server has not been started")
        return self._address

    @property
    def pid(self) -> int:
        """Process id of the server running now; it changes with every restart."""
        return self._child().pid

    @property
    def is_alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> Self:
        """Start and wait until it answers; ConfigurationRefused, with the end of its log, when it will not."""
        with self._mutex:
            if self._process is not None:
                raise RuntimeError("the Redis server has been started already")
            self._stopping.clear()
            try:
                self._prepare()
                self._launch()
            except BaseException:
                self._release()
                raise
            if self._supervise:
                threading.Thread(target=self._watch, name="redis-supervisor", daemon=True).start()
        return self

    def stop(self) -> None:
        """End the server, flushing its log, and give back everything it held. Idempotent."""
        self._stopping.set()
        with self._mutex:
            self._release()

    def restart(self) -> None:
        """End the server if it is alive and start it again on the same data and address."""
        with self._mutex:
            self._end(self._child())
            self._launch()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _child(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError("the Redis server has not been started")
        return self._process

    def _prepare(self) -> None:
        binary = self._binary or find_redis_server()
        version = require_version(binary)
        self._home = private_directory(self._home)
        self._lock_descriptor = self._held.enter_context(claimed(self._home))
        _refuse_newer_data(self._home, version)
        self._address = RedisAddress.unix(self._socket_directory() / _SOCKET_NAME)
        self._command = [str(binary), *_options(self._home, self._address.socket, _FSYNC[self._durability])]
        # The kernel ties "the parent died" to the *thread* that forked, so one thread forks and outlives the server.
        self._parent = self._held.enter_context(ThreadPoolExecutor(1, thread_name_prefix="redis-parent"))

    def _socket_directory(self) -> Path:
        if len(os.fsencode(self._home / _SOCKET_NAME)) <= MAX_SOCKET_PATH_BYTES:
            return self._home
        short = Path(tempfile.mkdtemp(prefix="cordum-"))
        self._held.callback(shutil.rmtree, short, ignore_errors=True)
        return short

    def _launch(self) -> None:
        self._process = self._parent.submit(self._spawn).result()
        try:
            self._await_ready(self._process)
        except BaseException:
            self._end(self._process)
            raise

    def _spawn(self) -> subprocess.Popen[bytes]:
        guard = [sys.executable, "-I", "-S", die_with_parent.__file__, str(os.getpid())]
        with open(self._home / _LOG_NAME, "ab") as log:
            return subprocess.Popen(
                [*guard, *self._command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(self._lock_descriptor,),
                start_new_session=True,
                umask=0o077,
            )

    def _await_ready(self, process: subprocess.Popen[bytes]) -> None:
        give_up = time.monotonic() + self._ready_timeout_sec
        while not _answers(self.address.socket):
            if process.poll() is not None:
                raise self._failed(f"ended at once with exit code {process.returncode}")
            if self._stopping.is_set():
                raise self._failed("was told to stop before it was ready")
            if time.monotonic() > give_up:
                raise self._failed(f"was not ready within {self._ready_timeout_sec:g} s")
            time.sleep(_READY_POLL_SEC)

    def _failed(self, what: str) -> ConfigurationRefused:
        log = self._home / _LOG_NAME
        tail = log.read_text(errors="replace").splitlines()[-_LOG_TAIL_LINES:]
        return ConfigurationRefused("\n  ".join([f"redis-server {what}; the end of {log}:", *tail]))

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        process.terminate()
        try:
            process.wait(_STOP_TIMEOUT_SEC)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _release(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            self._end(process)
        self._held.close()

    def _watch(self) -> None:
        early_ends = 0
        while (process := self._process) is not None and not self._stopping.is_set():
            started = time.monotonic()
            process.wait()
            early_ends = 0 if time.monotonic() - started > _CALM_SEC else early_ends + 1
            self._stopping.wait(_pause_sec(early_ends))
            self._replace(process)

    def _replace(self, ended: subprocess.Popen[bytes]) -> None:
        with self._mutex:
            if self._process is not ended or self._stopping.is_set():
                return
            self._on_event(f"redis-server ended by itself with exit code {ended.returncode}; starting it again")
            try:
                self._launch()
            except ConfigurationRefused as error:
                self._on_event(error.detail)
            else:
                self._on_event("redis-server is ready again")


def _pause_sec(early_ends: int) -> float:
    """None after a first end, then doubling, so that a crash loop does not eat the machine."""
    return 0.0 if early_ends <= 1 else min(0.1 * 2.0**early_ends, _LONGEST_PAUSE_SEC)


def _options(home: Path, socket_path: str, fsync: str) -> list[str]:
    options = {
        "port": "0",
        "unixsocket": socket_path,
        "unixsocketperm": "700",
        "dir": str(home),
        "appendonly": "yes",
        "appendfsync": fsync,
        "save": "",
        "maxmemory-policy": "noeviction",
        # A run is a few small hashes: packed they take half the memory. Redis 7 knows these names, too.
        "hash-max-ziplist-value": "512",
        "hash-max-ziplist-entries": "128",
        "daemonize": "no",
    }
    return [part for name, value in options.items() for part in (f"--{name}", value)]


def _refuse_newer_data(home: Path, version: tuple[int, int, int]) -> None:
    # Redis 7 moved the log into a directory that 6.2 does not look at: 6.2 would start empty, without a word.
    if version < (7, 0) and (home / "appendonlydir").exists():
        raise ConfigurationRefused(
            f"{home} was written by Redis 7 or newer and this redis-server is {'.'.join(map(str, version))}, "
            "which would start without the data; install a newer one, or choose another data directory"
        )


def _answers(socket_path: str) -> bool:
    """True when PING is answered with PONG; a server that is still loading its log is not ready."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(1.0)
        try:
            connection.connect(socket_path)
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
        except OSError:
            return False
