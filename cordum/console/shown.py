"""How values look on a page: times, durations, JSON, and what colour a state has."""

from __future__ import annotations

import hashlib
import json
import re
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Any

from flask import Flask, url_for
from markupsafe import Markup

from cordum.console.guards import form_token
from cordum.console.visitors import keys_required

MOST_JSON_CHARS = 20_000

_TONES = {
    "succeeded": "good",
    "approved": "good",
    "failed": "bad",
    "denied": "bad",
    "rejected": "bad",
    "timed_out": "bad",
    "waiting": "asks",
    "retrying": "asks",
    "paused": "asks",
    "running": "busy",
    "queued": "busy",
}


def teach(app: Flask) -> None:
    app.jinja_env.filters.update(moment=moment, took=took, pretty=pretty, tone=tone, words=words, breakable=breakable)
    app.jinja_env.globals.update(form_token=form_token, keys_required=keys_required, asset=asset)


def asset(name: str) -> str:
    """The address of a file of ours, another one when its content is another, so that browsers may keep it."""
    return url_for("static", filename=name, v=_digest(name))


@cache
def _digest(name: str) -> str:
    content = (files("cordum.console") / "static" / name).read_bytes()
    return hashlib.sha256(content).hexdigest()[:12]


def moment(text: str | None, *, exact: bool = False) -> str:
    """An RFC 3339 time as `25 Nov 10:50:55`; with the year when it is another one than now.

    `exact`: with milliseconds.
    """
    at = _time(text)
    if at is None:
        return "–"
    fraction = f".{at.microsecond // 1000:03d}" if exact else ""
    year = f" {at.year}" if at.year != datetime.now(UTC).year else ""
    return f"{at.day} {at:%b}{year} {at:%H:%M:%S}{fraction}"


def took(begun: str | None, ended: str | None) -> str:
    """How long something took, or has taken until now."""
    start = _time(begun)
    if start is None:
        return ""
    seconds = max(((_time(ended) or datetime.now(UTC)) - start).total_seconds(), 0.0)
    if seconds < 1:
        return f"{round(seconds * 1000)} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    if seconds < 3600:
        return f"{int(seconds // 60)} min {int(seconds % 60)} s"
    hours = int(seconds // 3600)
    return f"{hours} h {int(seconds % 3600 // 60)} min" if hours < 48 else f"{hours // 24} days"


def pretty(value: Any) -> str:
    text = json.dumps(value, indent=2, ensure_ascii=False)
    return text if len(text) <= MOST_JSON_CHARS else f"{text[:MOST_JSON_CHARS]}\n… ({len(text)} characters)"


def tone(state: str) -> str:
    return _TONES.get(state, "calm")


def words(state: str) -> str:
    """`timed_out` as `timed out`, `step.ready` as `step ready`."""
    return state.replace("_", " ").replace(".", " ")


def breakable(text: str) -> Markup:
    """A name without blanks that may go on in the next line behind its own separators."""
    parts = re.split(r"(?<=[._@:-])", text)
    return Markup("<wbr>").join(parts)


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
