"""Blocks of plain text no wider than WIDTH: tables, paragraphs, times. Knows nothing of runs or incidents."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from datetime import datetime

WIDTH = 96
ABSENT = "-"


def plain(value: object) -> str:
    """`value` on one line. Control characters are shown, not obeyed: names and reasons come from outside."""
    text = " ".join(str(value).split()) if value is not None else ""
    if not text:
        return ABSENT
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)


def paragraph(text: str, indent: str = "  ") -> list[str]:
    return textwrap.wrap(plain(text), WIDTH, initial_indent=indent, subsequent_indent=indent)


def field(label: str, value: object, label_width: int = 10) -> list[str]:
    """`  label     value`, the value wrapped under itself."""
    head = f"  {label:<{label_width}} "
    return textwrap.wrap(plain(value), WIDTH, initial_indent=head, subsequent_indent=" " * len(head))


def table(header: Sequence[str], rows: Sequence[Sequence[object]], right: str = "") -> list[str]:
    """Columns as wide as their content; `right` has one character a column, `>` where it is to be flush right.

    The last column is wrapped under itself when the line would be too wide.
    """
    cells = [tuple(header), *(tuple(plain(cell) for cell in row) for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    lines: list[str] = []
    for row in cells:
        fixed = "".join(_aligned(row[i], widths[i], right[i : i + 1]) + "  " for i in range(len(row) - 1))
        last = row[-1].rjust(widths[-1]) if right[len(row) - 1 : len(row)] == ">" else row[-1]
        head = f"  {fixed}"
        lines += _wrapped(head, last)
    return lines


def seconds_between(start: object, end: object) -> str:
    """`12.3 s`, or ABSENT when one of the two is not an RFC 3339 time."""
    started, ended = _time(start), _time(end)
    if started is None or ended is None:
        return ABSENT
    return f"{(ended - started).total_seconds():.1f} s"


def _time(value: object) -> datetime | None:
    try:
        return datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _aligned(text: str, width: int, alignment: str) -> str:
    return text.rjust(width) if alignment == ">" else text.ljust(width)


def _wrapped(head: str, last: str) -> list[str]:
    room = max(WIDTH - len(head), 20)
    if len(last) <= room:
        return [(head + last).rstrip()]
    first, *rest = textwrap.wrap(last, room)
    return [head + first, *(" " * len(head) + line for line in rest)]
