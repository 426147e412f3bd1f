"""The table of guards: take each out of its script, and find the scenario in which a promise is broken then."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from cordum.store.scripts import Library, Script
from tests.proof.explorer.laboratory import SCENARIOS, Laboratory
from tests.proof.explorer.opening import GENUINE
from tests.proof.planted import Guard

GUARDS: tuple[Guard, ...] = tuple((name, guard) for name, script in GENUINE.scripts.items() for guard in script.guards)

# Words of a reply that refuse nothing which would do harm.
HARMLESS = {
    "FAILED": "nothing is refused: one of several results could not be written down, and its error is told",
    "NOT_FOUND": "there is nothing that could be changed",
    "UNCHANGED": "what was asked for is there already",
    "UNKNOWN": "what was asked for is there already: an unknown worker has no lease that could be ended",
    "HELD": "a job is left to the worker it is held for; given back too early it would only begin elsewhere",
    "MOVED": "whoever changes the pools looks again; that no change is lost is shown in tests/engine/test_dispatch.py",
    "RECORDED": "the result is there; the planner has said that nobody needs to look before more have come",
    "TOO_SOON": "a sweep is left to the one that has just been made; one more would only find less",
}


@dataclass(frozen=True)
class Row:
    """One guard, and what catches its absence."""

    script: str
    guard: str
    scenario: str | None
    promise: str | None
    calls: int | None  # of the shortest course of things that breaks it
    what: str

    def __str__(self) -> str:
        first = self.what.partition("\n")[0]
        return f"{self.script + '.' + self.guard:34} {self.scenario or '-':40} {self.calls or '-':>5} {first}"


def catch(lab: Laboratory, guard: Guard, *, meant: int, others: int) -> Row:
    """Search without this guard up to the first broken promise.

    `meant`: the most states of the scenarios that are there for it; `others`: of each other scenario, looked at later.
    """
    library = Library(virtual_clock=True, without=[guard])
    most = {name: meant if ".".join(guard) in listed.guards else others for name, listed in SCENARIOS.items()}
    for name in sorted(most, key=lambda name: -most[name]):
        breach = lab.breach(name, library, most_states=most[name])
        if breach is not None:
            return Row(*guard, name, breach.broken.promise, len(breach.trail), str(breach))
    return Row(*guard, None, None, None, "nobody notices")


def write(rows: list[Row], path: Path) -> None:
    path.write_text(json.dumps([asdict(row) for row in rows], indent=2, ensure_ascii=False) + "\n")


# -- which refusals are marked -------------------------------------------------------------------------------------

_RETURN = re.compile(r"return (?:\{\s*'([A-Z_]+)'|known and|grant\(\))")


def unmarked_refusals(script: Script) -> Iterator[str]:
    """Lines that answer something else than success, and neither carry a guard nor stand in the block of one.

    Success is the first word that the header declares, and whatever the last line answers.
    """
    text = script.source[script.source.index("\n-- REPLY") :]
    success = re.findall(r"[A-Z_]+", text.partition("\n-- REPLY")[2].partition("\n")[0])[0]
    lines = text.rstrip().splitlines()
    inside: str | None = None  # the indentation of the guarded block we are in
    for line in lines[:-1]:
        indent = line[: len(line) - len(line.lstrip())]
        if inside is not None and line.startswith((f"{inside}end", f"{inside}else")):
            inside = None
        guarded = "-- guard: " in line
        if guarded and inside is None and re.search(r"\bthen\s*-- guard: ", line):
            inside = indent
        found = _RETURN.search(line)
        word = found and found[1]
        if word and word != success and word not in HARMLESS and not guarded and inside is None:
            yield line.strip()
