"""What was foreseen of a run's steps when it began, and is kept with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cordum.store.scripts import Argument

END = "*"


@dataclass(frozen=True, slots=True)
class Prepared:
    """`steps`: {step: how it is dispatched}; `following`: {step: those that wait for it}, all of them prepared.

    `END` stands for the end of the run in both. `epoch`: of the policy by which they were decided.
    """

    epoch: int = 0
    steps: Mapping[str, bytes] = field(default_factory=dict)
    following: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def facts(self) -> list[Argument]:
        return [part for step, names in self.following.items() for part in (f"{step}#next", self._next(names))]

    def _next(self, names: Sequence[str]) -> str:
        return f"{self.epoch} {' '.join(names)}"
