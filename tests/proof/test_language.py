"""Random definitions of all kinds, random workers and random order: the planner goes with the interpreter, step by step.

`PROOF_LONG=1` runs twenty times as many, other ones each time.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, note, settings
from hypothesis import strategies as st

from cordum.errors import Unprocessable
from tests.proof.language import Run
from tests.proof.language_definitions import CHILD, INPUT, definitions
from tests.proof.language_play import Play
from tests.proof.test_model import LONG

pytestmark = pytest.mark.proof

EXAMPLES = 6000 if LONG else 300
MOST_EVENTS = 400
OUTCOMES = ["ok", "ok", "ok", "retry", "fatal", "timeout", "lost"]


def _known(run: Run, prefix: str = "") -> dict[str, tuple[str, int]]:
    """What the interpreter says, in the form of `Play.statuses`."""
    found = {}
    for node in run.nodes:
        found[prefix + node.ref] = (node.status, node.attempt)
        if node.child is not None:
            found |= _known(node.child, f"{prefix}{node.ref}/")
    return found


def _end(run: Run) -> dict[str, Any]:
    return {
        "status": run.status,
        "output": run.output,
        "outputs": {node.ref: node.output for node in run.nodes if node.status == "succeeded"},
        "skips": {node.ref: node.reason for node in run.nodes if node.status == "skipped"},
        "codes": {node.ref: node.error[0] for node in run.nodes if node.error},
        "dead": run.dead,
        "context": run.context,
        "children": {node.ref: _end(node.child) for node in run.nodes if node.child is not None},
    }


def _differences(expected: dict[str, Any], seen: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """{key: (what the interpreter says, what is so)}"""
    keys = [*expected, *(key for key in seen if key not in expected)]
    return {key: (expected.get(key), seen.get(key)) for key in keys if expected.get(key) != seen.get(key)}


def _without_prose(value: Any) -> Any:
    """Messages of errors are left out: no rule says how they are worded."""
    if isinstance(value, list):
        return [_without_prose(one) for one in value]
    if not isinstance(value, dict):
        return value
    plain = {key: _without_prose(one) for key, one in value.items()}
    if isinstance(plain.get("error"), dict):
        plain["error"].pop("message", None)
    return plain


def _event(draw: Any, kind: str, ref: str, attempt: int) -> tuple[str, str, Any]:
    if kind == "time":
        return "again", ref, None
    if kind == "approval":
        what = draw(st.sampled_from(["ok", "ok", "reject"]))
        return what, ref, {"decision": "approved"} if what == "ok" else "no"
    if kind == "signal":
        return "ok", ref, {"n": 1}
    what = draw(st.sampled_from(OUTCOMES))
    return what, ref, {"n": draw(st.integers(0, 2))} if what == "ok" else f"{what} {attempt}"


def test_the_planner_goes_with_the_interpreter() -> None:
    ends: Counter[str] = Counter()

    @settings(
        max_examples=EXAMPLES,
        derandomize=not LONG,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(definitions(), definitions(child=True), st.data())
    def check(definition: dict[str, Any], child: dict[str, Any], data: st.DataObject) -> None:
        workflows = {CHILD: child}
        try:
            play = Play(definition, INPUT, workflows)
        except Unprocessable as refused:
            ends["refused"] += 1
            note(str(refused.problems))
            assume(False)
        run = Run(definition, INPUT, workflows)
        for _ in range(MOST_EVENTS):
            known, seen = _known(run), play.statuses()
            assert not _differences(known, seen), play.run.status
            assert run.status == play.run.status.value or not play.run.status.terminal
            if play.run.status.terminal:
                break
            possible = play.possible()
            assert possible, f"nothing can happen any more: {seen}"
            event = _event(data.draw, *data.draw(st.sampled_from(possible)))
            note(str(event))
            if event[0] == "again" and known[event[1]][0] == "waiting":
                run.happen([("ok", event[1], None)])
            else:
                run.happen([event])
            play.happen(*event)
        else:
            raise AssertionError("the run does not end")
        assert not _differences(_end(run), _without_prose(play.end()))
        assert len(set(play.dispatched)) == len(play.dispatched)
        ends[run.status] += 1
        for step in definition["steps"].values():
            ends[step.get("type", "worker") + (" for_each" if "for_each" in step else "")] += 1

    try:
        check()
    finally:
        print(f"\n{dict(ends)}")
