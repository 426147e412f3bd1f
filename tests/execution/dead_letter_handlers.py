"""A job that fails for good, and a function that is handed its dead letters."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from cordum import Fatal, dead_letter, job

_journal = Path(os.environ["JOURNAL"])


@job("job.sre.bad")
def bad(ctx: Any, n: int) -> None:
    raise Fatal(f"cannot do {n}")


@job("job.sre.worse")
def worse(ctx: Any, n: int) -> None:
    raise Fatal(f"cannot do {n} either")


@dead_letter("job.sre.*")
def on_any(letter: dict[str, Any]) -> None:
    with _journal.open("a") as file:
        file.write(f"any {letter['job_id']} {letter['topic']}\n")


@dead_letter("job.sre.bad")
def on_dead(letter: dict[str, Any]) -> None:
    with _journal.open("a") as file:
        file.write(f"letter {letter['job_id']} {letter['input']['n']} {letter['reason_code']} {letter['error']}\n")
