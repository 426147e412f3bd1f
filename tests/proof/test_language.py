"""Random definitions of all kinds, random workers and order: the planner goes with the interpreter, step by step.

`PROOF_LONG=1` runs twenty times as many, other ones each time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from cordum.domain.steps import loop
from cordum.errors import Unprocessable
from tests.proof.language import Run
from tests.proof.language_definitions import CHILD, INPUT, definitions
from tests.proof.language_play import Play
from tests.proof.test_model import LONG

pytestmark = pytest.mark.proof

EXAMPLES = 20_000 if LONG else 1000
MOST_EVENTS = 400
OUTCOMES = ["ok", "ok", "ok", "retry", "fatal", "timeout", "lost"]


def _known(run: Run, prefix: str = "") -> dict[str, tuple[str, int]]:
    """What the interpreter says, in the form of `Play.statuses`."""
    found = {}
    for node in run.nodes:
        found[prefix + node.ref] = (node.status, 0 if node.status == "skipped" else node.attempt)
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


def _go_together(
    definition: dict[str, Any], child: dict[str, Any], draw: Any, tell: Callable[[str], None] = lambda event: None
) -> str:
    """Play to the end, compared after every event; the answer is how the run ended."""
    workflows = {CHILD: child}
    play, run = Play(definition, INPUT, workflows), Run(definition, INPUT, workflows)
    for _ in range(MOST_EVENTS):
        known, seen = _known(run), play.statuses()
        assert not _differences(known, seen)
        if play.run.status.terminal:
            break
        assert run.status == "running"
        possible = play.possible()
        assert possible, f"nothing can happen any more: {seen}"
        event = _event(draw, *draw(st.sampled_from(possible)))
        tell(str(event))
        what, ref, more = event
        run.happen([("ok" if what == "again" and known[ref][0] == "waiting" else what, ref, more)])
        play.happen(*event)
    else:
        raise AssertionError("the run does not end")
    assert not _differences(_end(run), _without_prose(play.end()))
    assert len(set(play.dispatched)) == len(play.dispatched)
    return run.status


@pytest.mark.timeout(7200 if LONG else 300)
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
        try:
            ends[_go_together(definition, child, data.draw, note)] += 1
        except Unprocessable as refused:
            note(str(refused.problems))
            raise AssertionError("the definition is not valid") from refused
        ends.update(step.get("type", "worker") for step in definition["steps"].values())
        ends.update(f"for_each on {_kind(step)}" for step in definition["steps"].values() if "for_each" in step)

    check()
    print(f"\n{dict(ends)}")
    assert {"succeeded", "failed", "denied", "timed_out"} <= ends.keys()
    assert {"parallel", "loop", "switch", "subworkflow", "storage", "signal", "for_each on parallel"} <= ends.keys()


def _kind(step: dict[str, Any]) -> str:
    return str(step.get("type", "worker"))


LOOP = {
    "steps": {
        "l": {"type": "loop", "body_step": "b", "max_iterations": 2},
        "b": {"topic": "job.t", "on_error": "h"},
        "h": {"topic": "job.t"},
    }
}


def _first(strategy: st.SearchStrategy[Any]) -> Any:
    """Stands in for drawing: always the first choice, so every job succeeds."""
    return getattr(strategy, "elements", [0])[0]


def test_a_handler_left_behind_by_its_iteration_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The negative control: an iteration is put away though its handler is still open."""
    assert _go_together(LOOP, {"steps": {}}, _first) == "succeeded"
    monkeypatch.setattr(loop, "all_over", lambda turn, child: True)
    with pytest.raises(AssertionError, match="before it is over"):
        _go_together(LOOP, {"steps": {}}, _first)
