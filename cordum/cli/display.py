"""The way to show a run that suits standard output: a live table on a terminal, lines elsewhere."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager

from cordum.cli.progress import PlainProgress, Progress, plain_progress


def progress(hint: str = "") -> AbstractContextManager[Progress]:
    """`hint`: what to say while the run waits for a person."""
    if not sys.stdout.isatty():
        return plain_progress(PlainProgress(hint))
    # Late: rich is large, and the other commands do without.
    from cordum.cli.live import live_progress

    return live_progress(hint)
