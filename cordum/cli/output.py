"""What commands print: tables, JSON, complaints. Everything that comes from outside is made harmless for a terminal.

Colours are click's, which leaves them out where the output is no terminal. Columns are never cut: ids are for copying.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import click

from cordum.errors import CordumError

Json = Mapping[str, Any]

ABSENT = "-"
MENDS = {
    "api_unreachable": "start cordum with `cordum dev`, or say where it is with --url or CORDUM_API_URL",
    "unauthenticated": "give a key in CORDUM_API_KEY; `cordum keys create` makes one",
    "self_approval_denied": "decide as somebody else with --as PERSON",
}

_COLOURS = {
    "succeeded": "green",
    "approved": "green",
    "failed": "red",
    "denied": "red",
    "rejected": "red",
    "timed_out": "red",
    "cancelled": "magenta",
    "running": "cyan",
    "queued": "cyan",
    "waiting": "yellow",
    "retrying": "yellow",
    "paused": "yellow",
}


def say(text: str = "") -> None:
    click.echo(text)


def tell(text: str) -> None:
    """What is for the person and not for the next program in a pipe."""
    click.echo(text, err=True)


def complain(error: CordumError, source: str = "") -> None:
    """What is wrong, then each problem with its place, then the mend where one is known.

    `source` is the file in which the problems are.
    """
    for line in printable_lines(error.detail):
        # An indented line belongs to the one before it, such as the end of a log.
        tell(line if line.startswith(" ") else f"{click.style('error:', fg='red', bold=True)} {line}")
    for problem in error.problems:
        tell(f"  {printable(f'{source}:{problem}' if source else str(problem))}")
    if error.code in MENDS:
        tell(f"  {MENDS[error.code]}")


def print_json(value: Any) -> None:
    text = json.dumps(value, indent=2, ensure_ascii=False)
    # JSON leaves these as they are, and a terminal obeys some of them.
    click.echo("".join(char if char == "\n" or char.isprintable() else f"\\u{ord(char):04x}" for char in text))


def printable(value: object) -> str:
    """`value` on one line; characters that would do something are shown instead."""
    text = ABSENT if value is None or value == "" else str(value)
    return "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in text)


def printable_lines(text: str) -> list[str]:
    return [printable(line) for line in text.splitlines() if line.strip()] or [ABSENT]


def status_text(status: object, width: int = 0) -> str:
    text = printable(status)
    return click.style(text, fg=_COLOURS.get(text)) + " " * (width - len(text))


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Columns as wide as their content; a column called `status` or `state` is coloured."""
    cells = [[printable(cell) for cell in row] for row in rows]
    if not cells:
        tell("none")
        return
    widths = [max(len(row[column]) for row in [list(header), *cells]) for column in range(len(header))]
    say(
        click.style(
            "  ".join(name.ljust(width) for name, width in zip(header, widths, strict=True)).rstrip(), bold=True
        )
    )
    for row in cells:
        padded = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        padded[-1] = padded[-1].rstrip()
        coloured = [
            click.style(text, fg=_COLOURS.get(cell)) if name in ("status", "state") else text
            for name, cell, text in zip(header, row, padded, strict=True)
        ]
        say("  ".join(coloured))


def fields(pairs: Iterable[tuple[str, object]]) -> None:
    """`name   value` lines; what is absent is left out."""
    shown = [(name, value) for name, value in pairs if value not in (None, "", {}, [])]
    width = max((len(name) for name, _ in shown), default=0)
    for name, value in shown:
        text = compact(value) if isinstance(value, dict | list) else printable(value)
        say(f"{name.ljust(width)}  {status_text(value) if name == 'status' else text}")


def compact(value: Any) -> str:
    return printable(json.dumps(value, ensure_ascii=False))


def undone_by(run: Mapping[str, Any]) -> str:
    """Which run undoes this one, and how far that is; empty for one that nobody undoes."""
    found = run.get("compensation")
    if not found:
        return ""
    steps = found.get("steps") or []
    done = sum(one["status"] == "succeeded" for one in steps)
    return f"{printable(found['run_id'])}  {status_text(found['status'])}  {done} of {len(steps)} steps"
