"""Failures on demand, to watch the retries: `CORDUM_DEMO_FAIL=metrics:2` fails attempts 1 and 2 of metrics."""

from __future__ import annotations

import os
from collections.abc import Mapping

from cordum.errors import ConfigurationRefused

FAIL_VARIABLE = "CORDUM_DEMO_FAIL"


def fail_if_asked(worker: str, attempt: int, environ: Mapping[str, str] = os.environ) -> None:
    """`worker` is the last segment of the topic. Raises RuntimeError, like any backend that is away, while asked to."""
    asked = environ.get(FAIL_VARIABLE)
    if not asked:
        return
    name, _, times = asked.partition(":")
    if not (name and times.isascii() and times.isdigit()):
        raise ConfigurationRefused(f"{FAIL_VARIABLE} is {asked!r}; it should look like metrics:2")
    if name == worker and attempt <= int(times):
        raise RuntimeError(f"{worker} backend answered 503 (injected)")
