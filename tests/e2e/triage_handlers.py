"""The topics of the reference workflow as jobs that leave a trace: one line an execution, in a file of the test's.

A line is `<job id> <pid> <parent's pid> <seconds>`, written when the user's code begins.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

from cordum import job
from tests.e2e.topics import TOPICS

WORK_SEC = float(os.environ.get("WORK_SEC", "0.05"))


def _traced(topic: str) -> Callable[..., dict[str, Any]]:
    def work(ctx: Any) -> dict[str, Any]:
        with open(os.environ["JOURNAL"], "a") as journal:
            journal.write(f"{ctx.job_id} {os.getpid()} {os.getppid()} {time.time():.3f}\n")
        time.sleep(WORK_SEC)
        return {"by": topic}

    return work


for _topic in TOPICS:
    job(_topic)(_traced(_topic))
