"""Holds what happens in one scenario against every promise; each distinct thing is judged once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from tests.proof.explorer.evidence import Broken, Law, Move, Notes, noted
from tests.proof.explorer.moment import Moment
from tests.proof.promises import OVER_MOVES, OVER_NOTES


class Judge:
    """All promises over what happens in one scenario; each distinct thing is judged once, and its result remembered."""

    def __init__(self, law: Law) -> None:
        self._law = law
        self._moves: dict[Any, Counter[str] | Broken] = {}
        self._notes: dict[Any, Counter[str] | Broken] = {}

    def move(self, move: Move) -> Counter[str]:
        """By promise, how often it was put to the test."""
        key = (move.before, move.call, move.word, move.after)
        if key not in self._moves:
            self._moves[key] = _judged(lambda: self._look_at_move(move))
        return _result(self._moves[key])

    def notes(self, moment: Moment, notes: Notes) -> Counter[str]:
        key = (moment, frozenset(notes.items()))
        if key not in self._notes:
            self._notes[key] = _judged(lambda: self._look_at(moment, notes))
        return _result(self._notes[key])

    def _look_at_move(self, move: Move) -> dict[str, int]:
        """A run that goes is the business of one promise; for all others it has never been there."""
        rest = replace(move, before=move.before.without(set(move.before.run_ids) - set(move.after.run_ids)))
        return {name: check(move if name.startswith("p13") else rest, self._law) for name, check in OVER_MOVES.items()}

    def _look_at(self, moment: Moment, notes: Notes) -> dict[str, int]:
        for note in noted(notes, "broke"):
            raise Broken("P0", f"code met what it does not expect: {note[1]}")
        return {name: check(moment, notes, self._law) for name, check in OVER_NOTES.items()}


def _judged(look: Callable[[], dict[str, int]]) -> Counter[str] | Broken:
    counts: Counter[str] = Counter()
    try:
        for name, count in look().items():
            counts[name.partition("_")[0].upper()] += int(count)
    except Broken as broken:
        return broken
    return counts


def _result(found: Counter[str] | Broken) -> Counter[str]:
    if isinstance(found, Broken):
        raise found
    return found
