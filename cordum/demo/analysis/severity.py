"""How bad an incident is, from its one-line summary. Every point given has a reason in words."""

from __future__ import annotations

import re
from dataclasses import dataclass

from cordum.errors import Unprocessable

MAX_SUMMARY_CHARACTERS = 2000

# What a summary can complain about: points, words that name it, and the parts of a system it points at.
SYMPTOMS: dict[str, tuple[int, frozenset[str], frozenset[str]]] = {
    "data loss": (6, frozenset({"corrupt", "corrupted", "corruption", "loss", "lost"}), frozenset({"database"})),
    "outage": (5, frozenset({"outage", "down", "unavailable", "unreachable"}), frozenset({"request-path", "config"})),
    "errors": (
        3,
        frozenset({"error", "errors", "5xx", "500", "503", "failing"}),
        frozenset({"request-path", "config"}),
    ),
    "latency": (
        2,
        frozenset({"latency", "slow", "timeout", "timeouts", "p50", "p95", "p99"}),
        frozenset({"request-path", "database", "cache"}),
    ),
}
LEVELS = ((7, "critical"), (4, "high"), (2, "medium"), (0, "low"))

_WORD = re.compile(r"[a-z0-9]+")
_FACTOR = re.compile(r"\b([0-9]{1,6}(?:\.[0-9]{1,6})?) ?(?:x|times)\b")


@dataclass(frozen=True, slots=True)
class Severity:
    """`areas` are the parts of a system the summary points at; a change that touches one of them is suspect."""

    level: str
    score: int
    reasons: tuple[str, ...]
    areas: frozenset[str]


def score_severity(summary: str) -> Severity:
    """Points of the worst symptom named, plus points for magnitude ("4x"). Raises Unprocessable when it is too long."""
    if len(summary) > MAX_SUMMARY_CHARACTERS:
        raise Unprocessable(f"the summary has {len(summary)} characters; at most {MAX_SUMMARY_CHARACTERS} are read")
    text = summary.lower()
    words = frozenset(_WORD.findall(text))
    named = {symptom: entry for symptom, entry in SYMPTOMS.items() if entry[1] & words}
    score, reasons = 0, []
    if named:
        symptom, (points, _, _) = max(named.items(), key=lambda item: item[1][0])
        score += points
        reasons.append(f"{symptom} named in the summary (+{points})")
    factor = max((float(match) for match in _FACTOR.findall(text)), default=1.0)
    magnitude = _magnitude_points(factor)
    if magnitude:
        score += magnitude
        reasons.append(f"grew {factor:g} times (+{magnitude})")
    areas = frozenset[str]().union(*(entry[2] for entry in named.values()))
    level = next(name for least, name in LEVELS if score >= least)
    return Severity(level, score, tuple(reasons), areas)


def _magnitude_points(factor: float) -> int:
    if factor >= 10:
        return 3
    if factor >= 3:
        return 2
    return 1 if factor >= 1.5 else 0
