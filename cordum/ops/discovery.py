"""How a second terminal finds the cordum that is running here.

A process that serves an embedded Redis publishes one small file in its data directory and one in a per-user directory
(`$XDG_RUNTIME_DIR/cordum`, else `~/.cache/cordum/running`), both readable by this user only, and removes them at its
end. Who reads them ignores what a dead process left behind, and files that another user could have written.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from cordum.errors import ConfigurationRefused
from cordum.ops.data_dir import pid_alive, private_directory
from cordum.redis_address import RedisAddress
from cordum.settings import Settings

__all__ = ["Running", "find", "published", "resolve_address"]

_FILE_NAME = "running.json"


@dataclass(frozen=True, slots=True)
class Running:
    """A cordum on this machine: its Redis, its API when it has one, and the process to which both belong."""

    address: RedisAddress
    api_url: str | None
    pid: int


@contextmanager
def published(data_dir: Path, running: Running, env: Mapping[str, str] = os.environ) -> Iterator[None]:
    """Let other terminals of this user find `running` while the block lasts."""
    with ExitStack() as stack:
        for place in _places(data_dir, running.pid, env):
            _write(place, running)
            stack.callback(_remove, place, running.pid)
        yield


def find(settings: Settings, env: Mapping[str, str] = os.environ) -> Running | None:
    """The cordum of this data directory if it is alive, else the one this user started last, else None."""
    pointers = [pointer for directory in _per_user_directories(env) for pointer in directory.glob("*.json")]
    latest_first = sorted(pointers, key=_modified, reverse=True)
    for place in [settings.data_dir / _FILE_NAME, *latest_first]:
        running = _read(place)
        if running is not None:
            return running
    return None


def resolve_address(settings: Settings, env: Mapping[str, str] = os.environ) -> RedisAddress:
    """The Redis to use: the configured one, else that of a running cordum; ConfigurationRefused says how to get one."""
    if settings.redis_url is not None:
        return RedisAddress.parse(settings.redis_url)
    running = find(settings, env)
    if running is None:
        raise ConfigurationRefused(
            "no Redis is configured and no cordum is running here: start one with `cordum dev`, "
            "or set CORDUM_REDIS_URL (redis://host:6379/0)"
        )
    return running.address


def _per_user_directories(env: Mapping[str, str]) -> list[Path]:
    """Every place a pointer may be: one terminal may have XDG_RUNTIME_DIR while another (su, cron) has not."""
    runtime = Path(env.get("XDG_RUNTIME_DIR", ""))
    cache = Path(env.get("HOME") or "~").expanduser() / ".cache" / "cordum" / "running"
    return [runtime / "cordum", cache] if runtime.is_absolute() and runtime.is_dir() else [cache]


def _places(data_dir: Path, pid: int, env: Mapping[str, str]) -> Iterator[Path]:
    yield private_directory(data_dir) / _FILE_NAME
    for directory in _per_user_directories(env):
        try:
            yield private_directory(directory) / f"{pid}.json"
        except ConfigurationRefused:
            continue  # a read-only home: the file in the data directory still leads here
        return


def _write(place: Path, running: Running) -> None:
    text = json.dumps({"redis_url": running.address.url(), "api_url": running.api_url, "pid": running.pid})
    # mkstemp makes the file 0600; the rename lets a reader see all of it or nothing.
    descriptor, name = tempfile.mkstemp(dir=place.parent, prefix=".running-")
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(name, place)


def _remove(place: Path, pid: int) -> None:
    running = _parsed(place)
    if running is not None and running.pid == pid:
        place.unlink(missing_ok=True)


def _read(place: Path) -> Running | None:
    """What a file says, if it is of this user and its process lives; a stale one must not hide a living one."""
    running = _parsed(place)
    if running is None or not pid_alive(running.pid):
        return None
    # Process ids are used again; the socket of an ended server is gone.
    is_gone = running.address.is_unix and not Path(running.address.socket).exists()
    return None if is_gone else running


def _parsed(place: Path) -> Running | None:
    try:
        with open(place, encoding="utf-8") as file:
            if os.fstat(file.fileno()).st_uid != os.getuid():
                return None
            content = json.load(file)
        return Running(RedisAddress.parse(str(content["redis_url"])), content["api_url"], int(content["pid"]))
    except (OSError, ValueError, KeyError, TypeError, ConfigurationRefused):
        return None


def _modified(place: Path) -> float:
    try:
        return place.stat().st_mtime
    except OSError:
        return 0.0
