"""What the figures of a benchmark depend on, besides its options."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from cordum.ops.redis_binary import find_redis_server, require_version

_PACKAGES = ("cordum", "celery", "kombu", "redis", "hiredis")


def setting() -> dict[str, Any]:
    """The machine, the versions and how Redis keeps its data."""
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        "versions": {package: version(package) for package in _PACKAGES},
        "redis_server": ".".join(map(str, require_version(find_redis_server()))),
        "persistence": "append-only log, synced each second",
    }
