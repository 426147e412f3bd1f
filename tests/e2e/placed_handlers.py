"""Handlers that tell who ran them, by what the process itself was started with."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from cordum import job

_JOURNAL = Path(os.environ["JOURNAL"])


@job("job.place.fast")
def fast(ctx: Any) -> None:
    _tell(ctx)


@job("job.place.slow")
def slow(ctx: Any) -> None:
    time.sleep(0.05)
    _tell(ctx)


def _tell(ctx: Any) -> None:
    with _JOURNAL.open("a") as file:
        labels, abilities = (os.environ.get(f"CORDUM_WORKER_{name}") or "-" for name in ("LABELS", "CAPABILITIES"))
        file.write(f"{ctx.step_id.partition('[')[0]} {os.getpid()} {labels} {abilities}\n")
