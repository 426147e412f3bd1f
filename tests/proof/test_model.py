"""The model against the real scripts and the real engine, and what it finds when a guard is taken away.

CI runs 200 examples of 50 acts, always the same ones; `PROOF_LONG=1` runs 2,000, other ones each time, with the seed
printed. `PROOF_SEED=<n>` chooses the seed of either.
"""

from __future__ import annotations

import ast
import os
import random
import re
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.database import ExampleDatabase, InMemoryExampleDatabase
from hypothesis.stateful import run_state_machine_as_test

from cordum.redis_address import RedisAddress
from cordum.store.jobs import ClaimReply
from cordum.store.scripts import Library
from tests.proof import cell, model, state
from tests.proof.definitions import POLICIES, TOPICS
from tests.proof.machine import ACTS, WORKERS, Disagreement, Machine, machine_on
from tests.proof.planted import PLANTED, Bug
from tests.proof.rig import Rig
from tests.proof.wire import Fault

pytestmark = pytest.mark.proof

LONG = bool(os.environ.get("PROOF_LONG"))
EXAMPLES, STEPS = (2000 if LONG else 200), 50
PATIENCE_SEC = 3600 if LONG else 600
FAULTS = {*(fault.value for fault in Fault if fault is not Fault.NONE), "script not in the cache"}
# Words that no act of the machine can bring about, each with the reason.
_OPERATORS = "routes, and operators of workers and queues, are the explorer's"
_KEYS, _DEFINITIONS, _SIGNALS = "keys of the API are no part of a run", "definitions stay here", "nobody signals here"
_REMOVALS = "runs are kept here; who removes them is in the explorer and in tests/engine/test_retention.py"
_SCHEDULES = "nothing runs by the clock here; the explorer has ticks"
_ALIKE = "here whoever starts a run is shown it; the explorer has others, and so has tests/engine/test_alike.py"
_HOOKS = "what a hook is kept as is no part of a run"
_LETTERS = "nobody deals with dead letters here; the explorer does"
UNREACHABLE: dict[tuple[str, str], str] = {
    ("begin_bulk_retry", "BEGUN"): _LETTERS,
    ("begin_bulk_retry", "EXISTS"): _LETTERS,
    ("claim", "PAUSED"): "nobody pauses here; the explorer does",
    ("create_api_key", "CREATED"): _KEYS,
    ("create_api_key", "UNCHANGED"): _KEYS,
    **{("create_alike", word): _ALIKE for word in ("ANSWERED", "EXISTS", "REPLAYED", "KEY_REUSED", "WORKFLOW_GONE")},
    ("create_alike", "POLICY_CHANGED"): _ALIKE,
    ("record_result", "FAILED"): "no key is of a wrong kind here; tests/store/test_exchange.py has one",
    ("create_run", "THROTTLED"): "no rule is about starts here; the explorer has one",
    ("create_run", "SCHEDULE_MOVED"): _SCHEDULES,
    ("create_run", "WORKFLOW_GONE"): _DEFINITIONS,
    ("delete_schedule", "DELETED"): _SCHEDULES,
    ("delete_schedule", "NOT_FOUND"): _SCHEDULES,
    ("delete_workflow", "DELETED"): _DEFINITIONS,
    ("delete_workflow", "IN_USE"): _DEFINITIONS,
    ("delete_workflow", "NOT_FOUND"): _DEFINITIONS,
    **{("deliver_signal", word): _SIGNALS for word in ("DELIVERED", "FULL", "KEPT", "KEY_REUSED", "MOVED", "REPLAYED")},
    ("keep_run", "KEPT"): _REMOVALS,
    ("drain_worker", "CHANGED"): _OPERATORS,
    ("drain_worker", "NOT_FOUND"): _OPERATORS,
    ("drain_worker", "UNCHANGED"): _OPERATORS,
    ("drain_pool", "CHANGED"): _OPERATORS,
    ("drain_pool", "UNCHANGED"): _OPERATORS,
    ("save_hook", "SAVED"): _HOOKS,
    ("save_hook", "UNCHANGED"): _HOOKS,
    ("rotate_hook", "ROTATED"): _HOOKS,
    ("rotate_hook", "UNCHANGED"): _HOOKS,
    ("rotate_hook", "NOT_FOUND"): _HOOKS,
    ("delete_hook", "DELETED"): _HOOKS,
    ("delete_hook", "NOT_FOUND"): _HOOKS,
    ("give_back", "GIVEN_BACK"): _OPERATORS,
    ("give_back", "HELD"): _OPERATORS,
    ("give_back", "STALE"): _OPERATORS,
    ("pause_queue", "PAUSED"): _OPERATORS,
    ("pause_queue", "UNCHANGED"): _OPERATORS,
    ("publish_pools", "MOVED"): _OPERATORS,
    ("publish_pools", "PUBLISHED"): _OPERATORS,
    ("publish_pools", "UNCHANGED"): _OPERATORS,
    ("read_api_key", "KEY"): _KEYS,
    ("remove_run", "CONFLICT"): _REMOVALS,
    ("remove_run", "NOT_FOUND"): _REMOVALS,
    ("remove_run", "REMOVED"): _REMOVALS,
    ("read_record", "RECORD"): _SCHEDULES,
    ("next_of_bulk_retry", "LETTERS"): _LETTERS,
    ("record_of_bulk_retry", "RECORDED"): _LETTERS,
    ("record_of_bulk_retry", "STALE"): _LETTERS,
    ("resolve_approval", "COUNTED"): "one person decides here; quorums are the explorer's",
    ("release_route", "RELEASED"): _OPERATORS,
    ("resume_queue", "RESUMED"): _OPERATORS,
    ("resume_queue", "UNCHANGED"): _OPERATORS,
    ("revoke_api_key", "NOT_FOUND"): _KEYS,
    ("revoke_api_key", "REVOKED"): _KEYS,
    ("revoke_api_key", "UNCHANGED"): _KEYS,
    ("save_policy_draft", "SAVED"): "a draft has no force",
    ("delete_policy_draft", "DELETED"): "a draft has no force",
    ("delete_policy_draft", "NOT_FOUND"): "a draft has no force",
    ("save_schedule", "MOVED"): _SCHEDULES,
    ("save_schedule", "SAVED"): _SCHEDULES,
    ("save_workflow", "STALE"): _DEFINITIONS,
    ("save_workflow", "UNCHANGED"): _DEFINITIONS,
    ("seal", "STALE"): "one coordinator at a time is here; several are the explorer's",
    ("send_signal", "ENDED"): _SIGNALS,
    ("send_signal", "NOT_FOUND"): _SIGNALS,
    ("send_signal", "SENT"): _SIGNALS,
    ("stop_bulk_retry", "STOPPED"): _LETTERS,
    ("stop_bulk_retry", "UNCHANGED"): _LETTERS,
    ("set_windows", "SET"): "windows keep their smallest size here",
    ("take_dead_letter", "NOT_FOUND"): _LETTERS,
    ("take_dead_letter", "STALE"): _LETTERS,
    ("take_dead_letter", "TAKEN"): _LETTERS,
    ("trim_bulk_retries", "TRIMMED"): _LETTERS,
    ("trim_dead_letters", "TRIMMED"): _LETTERS,
    ("take_routed", "TAKEN"): _OPERATORS,
    **{("take_jobs", word.value): "said of one job, not of a turn" for word in ClaimReply},
    ("take_jobs", "OVERTAKEN"): "nothing comes late here; the explorer has such a turn",
}

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


def run_machine(machine: type[Machine], *, steps: int = STEPS, shrinks: bool = True) -> None:
    """Raises the Disagreement of the smallest example that was found, with the acts that led to it.

    Every example makes all its acts, which Hypothesis would not shorten; so one that fails is kept, and run once more
    to be made small. That may take minutes.
    """
    number = int(os.environ.get("PROOF_SEED") or (random.SystemRandom().randrange(2**32) if LONG else 0))
    print(f"\nPROOF_SEED={number}")
    machine, kept = seed(number)(machine), InMemoryExampleDatabase()
    found: Disagreement | None = None
    try:
        machine.drains_after = steps
        _run(machine, steps, kept, [Phase.generate], at_least=steps - 1)
    except Disagreement as disagreement:
        found = disagreement
    if found is not None and shrinks:
        # Hypothesis takes what it finds under its first key for small already.
        for key, examples_kept in list(kept.data.items()):
            for example in list(examples_kept):
                kept.move(key, key + b".secondary", example)
        machine.drains_after = 0 if found.at_the_end else None
        _run(machine, steps, kept, [Phase.reuse, Phase.shrink], at_least=0)
    if found is not None:
        raise found


def _run(machine: type[Machine], steps: int, kept: ExampleDatabase, phases: list[Phase], at_least: int) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=steps,
            database=kept,
            phases=phases,
            deadline=None,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        ),
        _min_steps=at_least,
    )


@pytest.mark.parametrize("module", [state, model, cell])
def test_the_model_imports_nothing_of_cordum(module: Any) -> None:
    tree = ast.parse(Path(module.__file__).read_text())
    named = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    named += [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    assert {name.partition(".")[0] for name in named} <= {"__future__", "dataclasses", "typing", "tests"}
    assert {name for name in named if name.startswith("tests")} <= {"tests.proof.state", "tests.proof.model"}


@pytest.mark.timeout(PATIENCE_SEC)
def test_model_and_cordum_agree(rig_on: Callable[[Library], Rig], show: Callable[[str], None]) -> None:
    rig, ruled = rig_on(Library(virtual_clock=True)), Counter[str]()
    run_machine(machine_on(rig, ruled))
    words = {(name, word): 0 for name, script in rig.library.scripts.items() for word in script.replies}
    tables = {
        "acts": dict.fromkeys(ACTS, 0) | ruled,
        "faults": dict.fromkeys(sorted(FAULTS), 0) | rig.wire.happened,
        "replies": {f"{name} {word}": rig.wire.words[name, word] for name, word in sorted(words)},
    }
    lines = (
        f"{title}: " + ", ".join(f"{name} {count}" for name, count in counts.items())
        for title, counts in tables.items()
    )
    show("\n".join(lines))
    assert ruled["ran to the end"] >= EXAMPLES
    never = {name for counts in tables.values() for name, count in counts.items() if not count}
    assert never == {f"{name} {word}" for name, word in UNREACHABLE}


@pytest.mark.timeout(PATIENCE_SEC)
@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_is_found(rig_on: Callable[[Library], Rig], name: str) -> None:
    ruled = Counter[str]()
    with pytest.raises(Disagreement):
        run_machine(machine_on(rig_on(BUGS[name].library()), ruled), shrinks=False)
    print(f"{BUGS[name].what}: found after {ruled.total()} acts")


@pytest.mark.timeout(PATIENCE_SEC)
def test_a_failing_example_is_small_and_repeatable(rig_on: Callable[[Library], Rig]) -> None:
    rig = rig_on(BUGS["claim_in_any_state"].library())
    small = _failure_of(machine_on(rig, Counter()))
    acts = [line for line in small.splitlines() if re.match(r"state\.(?!no_run|the_same|teardown)\w+\(", line)]
    # The beginning, and an act or two; now and then one stays that only moves the others to their time.
    assert 0 < len(acts) <= 6, small
    assert LONG or _failure_of(machine_on(rig, Counter())) == small


def _failure_of(machine: type[Machine]) -> str:
    with pytest.raises(Disagreement) as failure:
        run_machine(machine, steps=12)
    return "\n".join(traceback.format_exception_only(failure.value))
