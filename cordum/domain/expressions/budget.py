"""What one evaluation may spend: steps (time), values and characters (memory). It counts; it never reads a clock."""

from __future__ import annotations

MAX_STEPS = 100_000
MAX_VALUES = 1_000_000
MAX_TEXT = 16 * 1024 * 1024

_SCANNED_PER_STEP = 1024


class Refused(Exception):
    """A rule does not allow this value. The evaluator makes it an ExpressionError, which adds the place."""


class Budget:
    """Spent by one expression, or by all expressions of one template together."""

    __slots__ = ("_steps", "_text", "_values")

    def __init__(self) -> None:
        self._steps = MAX_STEPS
        self._values = MAX_VALUES
        self._text = MAX_TEXT

    def step(self, count: int = 1) -> None:
        """Pay for `count` nodes evaluated or items looked at."""
        self._steps -= count
        if self._steps < 0:
            raise Refused(f"takes more than {MAX_STEPS} steps")

    def scan(self, text: str) -> None:
        """Pay for looking through `text`, which costs time where it is long."""
        self.step(len(text) // _SCANNED_PER_STEP)

    def values(self, count: int) -> None:
        """Pay for `count` values in a result."""
        self._values -= count
        if self._values < 0:
            raise Refused(f"makes more than {MAX_VALUES} values")

    def text(self, length: int) -> None:
        """Pay for a text of `length` characters that is made or handed out."""
        self._text -= length
        if self._text < 0:
            raise Refused(f"makes more than {MAX_TEXT} characters of text")
