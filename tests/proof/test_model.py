"""The model against the real scripts and the real engine, and what it finds when a guard is taken away.

CI runs 200 examples of 50 acts, always the same ones; `PROOF_LONG=1` runs 2,000, other ones each time, with the seed
printed (`PROOF_SEED=<n>` runs them again).
"""

from __future__ import annotations

import ast
import os
import random
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from cordum.redis_address import RedisAddress
from cordum.store.scripts import Library
from tests.proof import cell, model, state
from tests.proof.definitions import POLICIES, TOPICS
from tests.proof.machine import ACTS, WORKERS, Disagreement, Machine, machine_on
from tests.proof.planted import PLANTED, Bug
from tests.proof.rig import Rig
from tests.proof.wire import Fault

pytestmark = [pytest.mark.proof, pytest.mark.stress]

LONG = bool(os.environ.get("PROOF_LONG"))
EXAMPLES, STEPS = (2000 if LONG else 200), 50
PATIENCE_SEC = 3600 if LONG else 600
FAULTS = {*(fault.value for fault in Fault if fault is not Fault.NONE), "script not in the cache"}
# Words that no act of the machine can bring about, each with the reason. None today.
UNREACHABLE: dict[tuple[str, str], str] = {}

# The explorer's planted bugs, and two coarser ones.
BUGS = {
    **PLANTED,
    "commit_without_any_check": Bug(
        "a plan is committed whatever has become of the run",
        without=[("apply_plan", "run_version"), ("apply_plan", "step_states")],
    ),
    "claim_in_any_state": Bug("a claim does not look at the step at all", without=[("claim", "step_queued")]),
}


@pytest.fixture
def rig_on(redis_address: RedisAddress) -> Iterator[Callable[[Library], Rig]]:
    rigs: list[Rig] = []

    def make(library: Library) -> Rig:
        rigs.append(Rig(redis_address, library, POLICIES, TOPICS, WORKERS))
        return rigs[-1]

    yield make
    for rig in rigs:
        rig.close()


def run_machine(machine: type[Machine], *, steps: int = STEPS, **options: Any) -> None:
    """Raises Disagreement with the acts that led to it."""
    if LONG:
        number = int(os.environ.get("PROOF_SEED") or random.SystemRandom().randrange(2**32))
        print(f"\nPROOF_SEED={number}")
        machine = seed(number)(machine)
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=steps,
            derandomize=not LONG,
            database=None,
            deadline=None,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
            **options,
        ),
    )


@pytest.mark.parametrize("module", [state, model, cell])
def test_the_model_imports_nothing_of_cordum(module: Any) -> None:
    tree = ast.parse(Path(module.__file__).read_text())
    named = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    named += [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    assert {name.partition(".")[0] for name in named} <= {"__future__", "dataclasses", "typing", "tests"}
    assert {name for name in named if name.startswith("tests")} <= {"tests.proof.state", "tests.proof.model"}


@pytest.mark.timeout(PATIENCE_SEC)
def test_model_and_cordum_agree(rig_on: Callable[[Library], Rig], capsys: pytest.CaptureFixture[str]) -> None:
    rig, ruled = rig_on(Library(virtual_clock=True)), Counter[str]()
    with capsys.disabled():
        run_machine(machine_on(rig, ruled))
        words = {(name, word): 0 for name, script in rig.library.scripts.items() for word in script.replies}
        tables = {
            "acts": dict.fromkeys(ACTS, 0) | ruled,
            "faults": dict.fromkeys(sorted(FAULTS), 0) | rig.wire.happened,
            "replies": {f"{name} {word}": rig.wire.words[name, word] for name, word in sorted(words)},
        }
        for title, counts in tables.items():
            print(f"\n{title}: " + ", ".join(f"{name} {count}" for name, count in counts.items()))
    never = {name for counts in tables.values() for name, count in counts.items() if not count}
    assert never == {f"{name} {word}" for name, word in UNREACHABLE}


@pytest.mark.timeout(PATIENCE_SEC)
@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_is_found(rig_on: Callable[[Library], Rig], name: str) -> None:
    ruled = Counter[str]()
    with pytest.raises(Disagreement):
        run_machine(machine_on(rig_on(BUGS[name].library()), ruled), phases=[Phase.generate])
    print(f"{BUGS[name].what}: found after {ruled.total()} acts")


@pytest.mark.timeout(PATIENCE_SEC)
def test_a_failing_example_is_small_and_repeatable(rig_on: Callable[[Library], Rig]) -> None:
    rig = rig_on(BUGS["claim_in_any_state"].library())
    small = _failure_of(rig, Phase.shrink)
    acts = [line for line in small.splitlines() if line.startswith("state.") and "(" in line]
    # The beginning, an act or two, the end, and what is looked at after each.
    assert 0 < len(acts) <= 12, small
    assert LONG or _failure_of(rig) == _failure_of(rig)


def _failure_of(rig: Rig, *phases: Phase) -> str:
    with pytest.raises(Disagreement) as failure:
        run_machine(machine_on(rig, Counter(), drains=False), steps=8, phases=[Phase.generate, *phases])
    return "\n".join(traceback.format_exception_only(failure.value))
