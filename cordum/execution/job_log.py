"""`ctx.log`: one JSON line for each message, with the ids of the job that wrote it."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Mapping
from typing import Any

__all__ = ["JobLog", "JsonLines", "install"]

_LOGGER = logging.getLogger("cordum.job")
MAX_TEXT = 4_096


class JobLog:
    """Writes under the logger `cordum.job`; keyword arguments become members of the line."""

    def __init__(self, ids: Mapping[str, str]) -> None:
        self._ids = dict(ids)

    def debug(self, msg: str, **fields: Any) -> None:
        self._write(logging.DEBUG, msg, fields)

    def info(self, msg: str, **fields: Any) -> None:
        self._write(logging.INFO, msg, fields)

    def warning(self, msg: str, **fields: Any) -> None:
        self._write(logging.WARNING, msg, fields)

    def error(self, msg: str, **fields: Any) -> None:
        self._write(logging.ERROR, msg, fields)

    def _write(self, level: int, msg: str, fields: Mapping[str, Any]) -> None:
        # The ids come last: a field of the same name must not make a line look like another job's.
        _LOGGER.log(level, "%s", msg, extra={"fields": {**fields, **self._ids}})


class JsonLines(logging.Formatter):
    """A record as one line of ASCII JSON: nothing in a value can begin a new line or steer a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, Any] = dict(getattr(record, "fields", {}))
        line |= {
            "time": f"{stamp}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps({key: _bounded(value) for key, value in line.items()}, default=repr)


def install(level: str) -> None:
    """Send the lines to standard error, unless the program has given the logger a handler of its own."""
    if _LOGGER.handlers:
        return
    # Not sys.stderr: Celery may have put a logger in its place.
    handler = logging.StreamHandler(sys.__stderr__)
    handler.setFormatter(JsonLines())
    _LOGGER.addHandler(handler)
    _LOGGER.setLevel(level.upper())
    _LOGGER.propagate = False


def _bounded(value: Any) -> Any:
    return f"{value[:MAX_TEXT]}…" if isinstance(value, str) and len(value) > MAX_TEXT else value
