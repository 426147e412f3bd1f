"""What one process of the execution edge has: its settings, its engine, its jobs that run, its worker's incarnation.

Made when first asked for and never shared across a fork: a pool child makes its own.
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass

from cordum.engine import Engine
from cordum.execution.stops import Stops
from cordum.ops.discovery import resolve_address
from cordum.redis_address import RedisAddress
from cordum.settings import Settings, load_settings

__all__ = ["address", "engine", "incarnation", "set_incarnation", "settings", "stops", "use"]


@dataclass(slots=True)
class _Parts:
    settings: Settings | None = None
    address: RedisAddress | None = None
    engine: Engine | None = None
    incarnation: str = ""


_parts = _Parts()
_lock = threading.RLock()
stops = Stops()


def use(chosen: Settings, place: RedisAddress) -> None:
    """Settings and Redis of this process, in place of those it would find; before anything else asks."""
    with _lock:
        _parts.settings, _parts.address = chosen, place


def settings() -> Settings:
    with _lock:
        if _parts.settings is None:
            _parts.settings = load_settings()
        return _parts.settings


def address() -> RedisAddress:
    with _lock:
        if _parts.address is None:
            _parts.address = resolve_address(settings())
        return _parts.address


def engine() -> Engine:
    with _lock:
        if _parts.engine is None:
            _parts.engine = Engine.connect(settings(), address())
        return _parts.engine


def set_incarnation(name: str) -> None:
    """Once, by a worker's main process, before its pool starts: the children inherit it."""
    _parts.incarnation = name


def incarnation() -> str:
    return _parts.incarnation


def _after_fork() -> None:
    """The parent's sockets are the parent's, and so are its locks: another thread may have held one at the fork."""
    global _lock, stops
    _lock = threading.RLock()
    stops = Stops()
    _parts.engine = None


os.register_at_fork(after_in_child=_after_fork)
