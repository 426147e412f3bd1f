"""Everything Redis holds at one moment, as a value; and what can be read from it without asking Redis.

Two moments are the same when nothing that anybody acts upon differs: counters, and the order in which events of
different steps came to lie in a timeline, or in the audit, are left out of the comparison.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

from cordum.store.codec import TOGETHER

CELL = "c1"
_RUN = "cordum:run:{"


class Mark(NamedTuple):
    """A step's `<status>:<attempt>`."""

    status: str
    attempt: int

    @classmethod
    def of(cls, text: str) -> Mark:
        status, _, attempt = text.partition(":")
        return cls(status, int(attempt))

    def __str__(self) -> str:
        return f"{self.status}:{self.attempt}"


class Entry(NamedTuple):
    """One key's type and value: text, or a flat tuple of texts (hashes: field and value in turn, by field)."""

    kind: str
    value: Any
    compared: Any

    @classmethod
    def of(cls, key: str, kind: str, raw: Any) -> Entry:
        if kind == "string":
            return cls(kind, raw, raw)
        if kind == "hash":
            value = tuple(part for pair in sorted(zip(raw[::2], raw[1::2], strict=True)) for part in pair)
            return cls(kind, value, () if key == f"cordum:{CELL}:stats" else value)
        value = tuple(sorted(raw)) if kind == "set" else tuple(raw)
        if key.startswith(f"cordum:{CELL}:audit:"):
            return cls(kind, value, tuple(sorted(record.split(" ", 2)[2] for record in value)))
        return cls(kind, value, _by_step(value) if key.endswith("}:timeline") else value)


def _by_step(lines: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(lines, key=lambda line: str(_event(line).get("step_id"))))


@lru_cache(100_000)
def _event(line: str) -> Mapping[str, Any]:
    found: dict[str, Any] = json.loads(line.partition("|")[2])
    return found


@lru_cache(10_000)
def _events(lines: tuple[str, ...]) -> tuple[Mapping[str, Any], ...]:
    return tuple(_event(line) for line in lines)


class Moment:
    """Made and kept once by the Stage: equal moments are the same object."""

    def __init__(self, entries: Mapping[str, Entry]) -> None:
        self.entries = entries

    def without(self, run_ids: Collection[str]) -> Moment:
        """The same without the keys of these runs."""
        if not run_ids:
            return self
        return Moment({key: one for key, one in self.entries.items() if not any(f"{{{r}}}" in key for r in run_ids)})

    # -- the cell ------------------------------------------------------------------------------------------------

    def value(self, *parts: str) -> Any:
        """What lies under a key of the cell; an empty tuple when there is none."""
        return self.raw(":".join(("cordum", CELL, *parts)))

    def raw(self, key: str) -> Any:
        entry = self.entries.get(key)
        return () if entry is None else entry.value

    def pairs(self, *parts: str) -> dict[str, str]:
        """A hash, or a sorted set with its scores."""
        flat = self.value(*parts)
        return dict(zip(flat[::2], flat[1::2], strict=True))

    @cached_property
    def now(self) -> int:
        return int(self.value("clock") or 0)

    @cached_property
    def policy(self) -> dict[str, str]:
        return self.pairs("policy")

    @cached_property
    def leases(self) -> dict[str, int]:
        return {worker: int(until) for worker, until in self.pairs("workers").items()}

    def lease_holds(self, worker: str) -> bool:
        return self.leases.get(worker, -1) >= self.now

    @cached_property
    def held(self) -> dict[str, frozenset[str]]:
        """Worker -> job ids it has claimed and not settled."""
        prefix = f"cordum:{CELL}:held:"
        return {key.removeprefix(prefix): frozenset(self.raw(key)) for key in self.entries if key.startswith(prefix)}

    def everything_of(self, part: str) -> dict[str, Any]:
        """All keys of one family of the cell (`window`, `sent`, `parked`, ...) by the rest of their name."""
        prefix = f"cordum:{CELL}:{part}:"
        return {key.removeprefix(prefix): self.raw(key) for key in self.entries if key.startswith(prefix)}

    def definition(self, workflow_id: str, tenant: str = "default") -> dict[str, str]:
        """What is stored of a workflow: see `CellKeys.workflow`."""
        return self.pairs("workflow", tenant, workflow_id)

    # -- runs ----------------------------------------------------------------------------------------------------

    @cached_property
    def run_ids(self) -> tuple[str, ...]:
        return tuple(sorted(key[len(_RUN) : -1] for key in self.entries if key.startswith(_RUN) and key.endswith("}")))

    def of_run(self, run_id: str, part: str = "") -> dict[str, str]:
        """One hash of a run: itself, its steps, facts, outputs, approvals."""
        flat = self.raw(f"{_RUN}{run_id}}}{part and ':' + part}")
        return dict(zip(flat[::2], flat[1::2], strict=True))

    def fields(self, run_id: str) -> dict[str, str]:
        """The run itself."""
        if run_id not in self._fields:
            self._fields[run_id] = self.of_run(run_id)
        return self._fields[run_id]

    @cached_property
    def _fields(self) -> dict[str, dict[str, str]]:
        return {}

    def put_away(self, run_id: str) -> dict[str, Mark]:
        """Children of fan-outs and loops that have left the open state."""
        return {ref: Mark.of(json.loads(text)["mark"]) for ref, text in self.of_run(run_id, "children").items()}

    def marks(self, run_id: str) -> dict[str, Mark]:
        if run_id not in self._marks:
            self._marks[run_id] = {step: Mark.of(text) for step, text in self.of_run(run_id, "steps").items()}
        return self._marks[run_id]

    @cached_property
    def _marks(self) -> dict[str, dict[str, Mark]]:
        return {}

    def facts(self, run_id: str) -> dict[str, str]:
        if run_id not in self._facts:
            self._facts[run_id] = self.of_run(run_id, "facts")
        return self._facts[run_id]

    @cached_property
    def _facts(self) -> dict[str, dict[str, str]]:
        return {}

    def fact(self, run_id: str, step: str, name: str) -> str:
        for field, names in TOGETHER.items():
            if name in names:
                texts = self.facts(run_id).get(f"{step}#{field}", "").split(" ", len(names) - 1)
                return texts[names.index(name)] if len(texts) == len(names) else ""
        return self.facts(run_id).get(f"{step}#{name}", "")

    def events(self, run_id: str) -> tuple[Mapping[str, Any], ...]:
        return _events(self.raw(f"{_RUN}{run_id}}}:timeline"))

    def dead_letters(self, run_id: str) -> dict[str, dict[str, str]]:
        prefix = f"{_RUN}{run_id}}}:dead_letter:"
        names = [key.removeprefix(prefix) for key in self.entries if key.startswith(prefix)]
        return {name: self.of_run(run_id, f"dead_letter:{name}") for name in names}

    def approvals(self, run_id: str) -> dict[str, dict[str, str]]:
        prefix = f"{_RUN}{run_id}}}:approval:"
        names = [key.removeprefix(prefix) for key in self.entries if key.startswith(prefix)]
        return {name: self.of_run(run_id, f"approval:{name}") for name in names}
