"""Showing a run while it goes on: a table that moves on a terminal (`live`), a line for each change everywhere else.

Both are drawn from run documents of the API, so a change that comes and goes between two looks is not seen; the
timeline has it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Protocol

from cordum.cli.output import Json, printable, say, status_text

STUCK_SEC = 3.0
"""How long a step may stay as it is before a line says what it waits for."""

_QUIET = frozenset({"pending", "queued"})
"""Nothing has happened yet in a step with one of these statuses."""


class Progress(Protocol):
    def show(self, run: Json) -> None: ...


# --- lines ---


class PlainProgress:
    """Prints what has changed since the last look. May be used again after a pause; it remembers what it has said."""

    def __init__(self, hint: str = "") -> None:
        self._hint = hint
        self._said: dict[str, object] = {}
        self._stuck_since: dict[str, tuple[object, float]] = {}

    def show(self, run: Json) -> None:
        width = max(map(len, run["steps"]), default=0)
        news = [
            (_moment(run, step), step_id, step)
            for step_id, step in run["steps"].items()
            if self._is_news(step_id, step)
        ]
        for moment, step_id, step in sorted(news, key=lambda one: one[0] or 0.0):
            _line(moment, step_id.ljust(width), step["status"], note(run, step))
        if self._said.get("") != run["status"]:
            self._said[""] = run["status"]
            elapsed = seconds_between(run["created_at"], run["updated_at"])
            _line(elapsed, "run".ljust(width), run["status"], self._hint if waits_for_person(run) else "")

    def _is_news(self, step_id: str, step: Json) -> bool:
        """Whether there is something to say of the step: of one that has not begun, only that it is stuck, and why."""
        reason = (step.get("wait") or {}).get("reason")
        news = (step["status"], step["attempts"], reason)
        if step["status"] in _QUIET and (reason == "dependencies" or not self._stuck(step_id, news)):
            return False
        before = self._said.get(step_id)
        self._said[step_id] = news
        return before != news

    def _stuck(self, step_id: str, news: object) -> bool:
        seen, since = self._stuck_since.get(step_id, (None, 0.0))
        if seen != news:
            since = time.monotonic()
            self._stuck_since[step_id] = (news, since)
        return time.monotonic() - since > STUCK_SEC


def _line(elapsed: float | None, name: str, status: object, text: str = "") -> None:
    moment = " " * 8 if elapsed is None else f"{elapsed:7.1f}s"
    say(f"{moment}  {printable(name)}  {status_text(status, 9)}  {text}".rstrip())


def _moment(run: Json, step: Json) -> float | None:
    """How long after the run's creation the step took its status."""
    at = step.get("completed_at") or (step.get("started_at") if step["status"] == "running" else run["updated_at"])
    return seconds_between(run["created_at"], at)


@contextmanager
def plain_progress(shown: PlainProgress) -> Iterator[Progress]:
    yield shown


# --- what both say ---


def rows(steps: Mapping[str, Json]) -> Iterator[tuple[int, str, Json]]:
    """Steps in the order of the definition, those of a group under it: depth, id, step."""
    owned = {child for step in steps.values() for child in step.get("children") or ()}

    def below(step_id: str, depth: int) -> Iterator[tuple[int, str, Json]]:
        yield depth, step_id, steps[step_id]
        for child in steps[step_id].get("children") or ():
            if child in steps:
                yield from below(child, depth + 1)

    for step_id in steps:
        if step_id not in owned:
            yield from below(step_id, 0)


def note(run: Json, step: Json, *, age: float | None = None) -> str:
    """What else there is to say about a step in its status.

    `age`: for how many seconds `run` has been as it is; None for a line that is written once and has no columns.
    """
    status, attempts = step["status"], step["attempts"]
    error, wait = step.get("error") or {}, step.get("wait") or {}
    match status:
        case "retrying":
            delay = seconds_between(run["updated_at"], step.get("next_attempt_at"))
            again = "" if delay is None else f"; again in {max(delay - (age or 0.0), 0.0):.1f}s"
            return f"attempt {attempts} failed: {printable(error.get('message'))}{again}"
        case "waiting":
            return printable(wait.get("message"))
        case "running":
            return _attempt(attempts) or (f"on {_short(step['worker'])}" if step.get("worker") else "")
        case "succeeded":
            seconds = seconds_between(step.get("started_at"), step.get("completed_at")) if age is None else None
            parts = [f"took {seconds:.1f}s" if seconds is not None else "", _attempt(attempts)]
            return ", ".join(filter(None, parts))
        case "skipped":
            return printable(step.get("skip_reason"))
        case "pending" | "queued":
            return "" if wait.get("reason") in (None, "dependencies") else printable(wait.get("message"))
        case _:
            return printable(error.get("message")) if error else ""


def waits_for_person(run: Json) -> bool:
    return run["status"] == "waiting" and (run.get("wait") or {}).get("reason") == "approval"


def _attempt(attempts: int) -> str:
    return f"attempt {attempts}" if attempts > 1 else ""


def _short(worker: str) -> str:
    """A worker's name without what tells its incarnations apart."""
    return printable(worker.partition("/")[0])


def seconds_between(start: Any, end: Any) -> float | None:
    if not (isinstance(start, str) and isinstance(end, str)):
        return None
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()
