"""The interpreter against the real engine and its scripts: random definitions as scenarios, with a virtual clock.

The order of events is the engine's own: it is read from the run's timeline and told to the interpreter afterwards.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from cordum.redis_address import RedisAddress
from cordum.testing.scenario import Do, Entry, Scenario
from cordum.testing.world import World
from tests.proof.language import DENIED_TOPIC, JOBS, Run
from tests.proof.language_definitions import INPUT, definitions
from tests.proof.test_model import LONG

pytestmark = pytest.mark.proof

EXAMPLES = 1200 if LONG else 60
OUTPUT = {"n": 1}
POLICY = {
    "default_decision": "allow",
    "rules": [{"id": "no", "match": {"topics": [DENIED_TOPIC]}, "decision": "deny", "reason": "never"}],
}
SCRIPTS = st.lists(st.sampled_from([*[Do.SUCCEED] * 4, Do.RETRY, Do.FATAL, Do.CRASH]), min_size=1, max_size=4)
_ENDS = {"fatal": "fatal", "max_retries_exceeded": "retry", "timeout": "timeout", "poison": "lost"}


def _told(definition: dict[str, Any], events: list[dict[str, Any]]) -> Iterator[tuple[str, tuple[str, str, Any]]]:
    """(time, event) of what came from outside: ends of attempts, and times that were over."""
    resting: set[str] = set()
    for event in events:
        ref, what = event.get("step_id"), event["type"]
        step = definition["steps"].get(str(ref).partition("[")[0], {})
        while step.get("type") == "loop":
            step = definition["steps"][step["body_step"]]
        kind, code = step.get("type", "worker"), (event.get("data") or {}).get("error", {}).get("code")
        if what == "step.queued" and ref in resting:
            resting.discard(ref)
            yield event["time"], ("again", ref, None)
        elif what == "step.succeeded" and (kind in JOBS or kind == "delay"):
            yield event["time"] if kind == "delay" else "", ("ok", ref, OUTPUT if kind in JOBS else None)
        elif what == "step.worker_lost":
            yield "", ("lost", ref, "")
        elif what == "step.retrying":
            resting.add(ref)
            yield "", ("timeout" if code == "timeout" else "retry", ref, "")
        elif what in ("step.failed", "step.timed_out") and kind in JOBS and code in _ENDS and code != "poison":
            yield "", (_ENDS[code], ref, "")


def _replay(definition: dict[str, Any], events: list[dict[str, Any]]) -> Run:
    """The interpreter, told all that; what time has brought about at one moment is told together."""
    run = Run(definition, INPUT, {})
    batch: list[tuple[str, str, Any]] = []
    at = ""
    for time, event in _told(definition, events):
        if batch and (time != at or not time):
            run.happen(_open(run, batch))
            batch = []
        at = time
        batch.append(event)
    run.happen(_open(run, batch))
    return run


def _open(run: Run, batch: list[tuple[str, str, Any]]) -> list[tuple[str, str, Any]]:
    """Without the ends of fan-outs and groups themselves, which the interpreter has to find out."""
    known = {node.ref: node for node in run.nodes}
    return [one for one in batch if one[1] in known and known[one[1]].leaf and not known[one[1]].over]


@pytest.mark.timeout(7200 if LONG else 300)
def test_the_engine_ends_every_run_as_the_interpreter_says(redis_address: RedisAddress) -> None:
    ends: Counter[str] = Counter()

    @settings(
        max_examples=EXAMPLES,
        derandomize=not LONG,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(definitions(child=True, people=False), st.lists(SCRIPTS, min_size=20, max_size=20))
    def check(definition: dict[str, Any], scripts: list[list[Do]]) -> None:
        workers = {
            name: tuple(Entry(do, OUTPUT) for do in script)
            for name, script in zip(definition["steps"], scripts, strict=False)
        }
        scenario = Scenario("random", {"id": "w", **definition}, {}, input=INPUT, policy=POLICY, workers=workers)
        with World(scenario, redis_address) as world:
            assume(world.save() is None)
            world.play()
            assert not world.problems
            evidence = world.evidence()
        assert evidence.run is not None
        run = _replay(definition, evidence.history.events)
        assert run.status == evidence.run["status"]
        said = {node.ref: (node.status, _shown(node.status, node.attempt)) for node in run.nodes}
        seen = {
            ref: (step["status"], _shown(step["status"], step["attempts"]))
            for ref, step in evidence.run["steps"].items()
        }
        assert said == seen
        assert evidence.run["output"] == run.output
        assert evidence.run["context"] == run.context
        dead = {f"{one['step']}@{one['attempts']}": one["reason_code"] for one in _letters(evidence.dead_letters)}
        assert dead == {job: code for job, (_, code) in run.dead.items()}
        ends[run.status] += 1

    try:
        check()
    finally:
        print(f"\n{dict(ends)}")


def _shown(status: str, attempts: int) -> int:
    return 0 if status == "skipped" else attempts


def _letters(letters: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for letter in letters:
        step, _, attempt = letter["job_id"].partition(":")[2].partition("@")
        yield {"step": step, "attempts": attempt, "reason_code": letter["reason_code"]}
