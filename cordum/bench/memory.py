"""What a run keeps in Redis: when it has ended, while it waits for people, and after it has been removed."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from cordum.bench import triage
from cordum.bench.player import ME, Player, player, started
from cordum.engine import Engine

BUDGET_FINISHED_KIB = 12.0
_WAITS = b"id: waits\nsteps: {gate: {type: approval}}"
_WARM_UP = 100


@dataclass(frozen=True, slots=True)
class Kept:
    """KiB of Redis' memory for each of `runs` runs: finished triage runs with their whole timelines, runs that wait for
    an approval, and triage runs that retention has removed (their audit stays).
    """

    runs: int
    finished_kib: float
    waiting_kib: float
    removed_kib: float

    @property
    def within_budget(self) -> bool:
        return self.finished_kib <= BUDGET_FINISHED_KIB

    def document(self) -> dict[str, Any]:
        return {**asdict(self), "budget_finished_kib": BUDGET_FINISHED_KIB, "within_budget": self.within_budget}


def measure_memory(runs: int) -> Kept:
    """Removed ones are measured where so many have been removed before: what grows then grows with every run."""
    with player() as one:
        # Of its own, so that no sweep removes what is to be measured.
        remover = Engine(one.engine.store, replace(one.engine.settings, retention_sec=0))
        _finish(one, _WARM_UP)
        before = _settled(one)
        _finish(one, runs)
        finished = _settled(one)
        remover.expire_runs(ME.tenant)
        removed = _settled(one)
        _finish(one, runs)
        remover.expire_runs(ME.tenant)
        removed_again = _settled(one)
        one.engine.save_workflow(ME.tenant, _WAITS, "yaml")
        started(one.engine, "waits", runs)
        waiting = one.memory()
    return Kept(
        runs,
        _kib(finished - before, runs),
        _kib(waiting - removed_again, runs),
        _kib(removed_again - removed, runs),
    )


def _finish(one: Player, runs: int) -> None:
    started(one.engine, triage.WORKFLOW_ID, runs)
    one.play(triage.TOPICS, runs)


def _settled(one: Player) -> int:
    one.engine.coordinate()
    return one.memory()


def _kib(bytes_: int, runs: int) -> float:
    return bytes_ / runs / 1024
