"""A job that leaves a line when it begins and one when it ends: `<word> <job id> <pid> <seconds>`."""

from __future__ import annotations

import os
import time
from typing import Any

from cordum import job

WORK_SEC = 0.1


def _tell(word: str, ctx: Any) -> None:
    with open(os.environ["JOURNAL"], "a") as journal:
        journal.write(f"{word} {ctx.job_id} {os.getpid()} {time.time():.6f}\n")


@job("job.hold")
def hold(ctx: Any) -> None:
    _tell("begin", ctx)
    time.sleep(WORK_SEC)
    _tell("end", ctx)
