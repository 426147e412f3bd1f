"""A run as a table that moves, on a terminal."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from cordum.cli.output import Json, printable
from cordum.cli.progress import Progress, note, rows, seconds_between, waits_for_person

_FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_MARKS = {"succeeded": "✓", "pending": "·", "queued": "·", "waiting": "?", "retrying": "↻", "skipped": "-"}
_STYLES = {"succeeded": "green", "running": "cyan", "waiting": "bold yellow", "retrying": "yellow"}


class LiveProgress:
    """Draws the last run document it was shown, and between two of them moves what is running."""

    def __init__(self, hint: str = "") -> None:
        self._hint = hint
        self._run: Json = {}
        self._looked = 0.0
        self._began: dict[tuple[str, int], float] = {}

    def show(self, run: Json) -> None:
        if run["updated_at"] != self._run.get("updated_at"):
            self._looked = time.monotonic()
        self._run = run
        for step_id, step in run["steps"].items():
            if step["status"] == "running":
                self._began.setdefault((step_id, step["attempts"]), time.monotonic())

    def __rich__(self) -> RenderableType:
        if not self._run:
            return Text("")
        run = self._run
        heading = Text.assemble("  ", (printable(run["workflow_id"]), "bold"), f"  {printable(run['id'])}  ")
        heading.append(printable(run["status"]), style=_style(run["status"]))
        hint = [Text(f"\n  {self._hint}", style="bold")] if self._hint and waits_for_person(run) else []
        return Group(heading, self._table(), *hint)

    def _table(self) -> RenderableType:
        table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
        table.add_column(width=3)
        table.add_column(no_wrap=True)
        table.add_column(width=9)
        table.add_column(width=7, justify="right")
        table.add_column()
        age = time.monotonic() - self._looked
        for depth, step_id, step in rows(self._run["steps"]):
            status = step["status"]
            table.add_row(
                Text(f"  {_mark(status)}", style=_style(status)),
                Text("   " * depth + printable(step_id)),
                Text(printable(status), style=_style(status)),
                Text(self._time(step_id, step), style="dim"),
                Text(note(self._run, step, age=age), style="yellow" if status == "retrying" else "dim"),
            )
        return table

    def _time(self, step_id: str, step: Json) -> str:
        took = seconds_between(step.get("started_at"), step.get("completed_at"))
        began = self._began.get((step_id, step["attempts"]))
        if took is None and step["status"] == "running" and began is not None:
            took = time.monotonic() - began
        return "" if took is None else f"{took:.1f}s"


def _mark(status: str) -> str:
    if status == "running":
        return _FRAMES[int(time.monotonic() * 10) % len(_FRAMES)]
    return _MARKS.get(status, "✗")


def _style(status: str) -> str:
    return _STYLES.get(status, "dim" if status in ("pending", "queued", "skipped") else "red")


@contextmanager
def live_progress(hint: str) -> Iterator[Progress]:
    shown = LiveProgress(hint)
    console = Console(highlight=False)
    with Live(shown, console=console, refresh_per_second=10, redirect_stdout=False, redirect_stderr=False):
        yield shown
