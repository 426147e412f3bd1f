"""Collecting what is wrong with a document, within bounds: how many problems, how much of the input they repeat.

A document of 256 KiB can hold tens of thousands of mistakes; an answer lists the first `MAX_PROBLEMS` of them.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator
from typing import NoReturn

from cordum.errors import Problem

MAX_PROBLEMS = 100
MAX_COMPARISONS = 2000
_SHOWN_CHARS = 60


class ReadingStopped(Exception):
    """Nothing useful can be read past this point; what was found is in the `Problems`."""


class Problems:
    """An ordered, bounded list of problems."""

    def __init__(self) -> None:
        self._found: list[Problem] = []
        self._comparisons_left = MAX_COMPARISONS

    def __iter__(self) -> Iterator[Problem]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)

    def add(self, problem: Problem) -> None:
        """Keep `problem`. Raises ReadingStopped when no more are kept."""
        self._found.append(problem)
        if len(self._found) >= MAX_PROBLEMS:
            raise ReadingStopped

    def stop(self, problem: Problem) -> NoReturn:
        """Keep `problem` and read no further."""
        self._found.append(problem)
        raise ReadingStopped

    def did_you_mean(self, word: str, known: Collection[str]) -> str:
        """`; did you mean …?`, or nothing. Comparing is slow (0.1 ms a pair), so its sum is bounded."""
        if self._comparisons_left < len(known):
            return ""
        self._comparisons_left -= len(known)
        close = difflib.get_close_matches(word[:128], known, n=1)
        return f"; did you mean {shown(close[0])}?" if close else ""

    def in_order_of_place(self) -> tuple[Problem, ...]:
        return tuple(sorted(self._found, key=lambda problem: (problem.line or 0, problem.column or 0)))


def shown(text: str) -> str:
    """`text` as a message may repeat it: quoted, short, and without characters that do something."""
    return f'"{printable(text)}"'


def printable(text: str) -> str:
    short = text if len(text) <= _SHOWN_CHARS else text[: _SHOWN_CHARS - 1] + "…"
    return "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in short)
