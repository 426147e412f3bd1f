"""Random workflow definitions of the present language, valid by construction, and the policies they run under."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from cordum.domain.definition import load_workflow
from cordum.errors import DefinitionInvalid

TOPICS = ["job.a", "job.b"]
POLICIES = {
    "open": {"job.a": "allow", "job.b": "allow"},
    "asking": {"job.a": "allow", "job.b": "require_approval"},
    "asking_more": {"job.a": "require_approval", "job.b": "require_approval"},
    "closed": {"job.a": "allow", "job.b": "deny"},
}
# What a step may have beside its kind; the first are the most common.
_TRAITS: list[dict[str, Any]] = [
    {},
    {},
    {},
    {"topic": "job.b"},
    {"topic": "job.b"},
    {"retry": {"max_retries": 1, "initial_backoff_sec": 0}},
    {"retry": {"max_retries": 2, "initial_backoff_sec": 0.5, "multiplier": 3, "max_backoff_sec": 1}},
    {"condition": "false"},
    {"condition": "true"},
    {"timeout_sec": 1},
    {"queue_timeout_sec": 1},
    {"priority": "critical"},
    {"priority": "batch"},
]
_MOST = 6


@st.composite
def definitions(draw: st.DrawFn) -> dict[str, Any]:
    """Workers, approvals, groups (also in groups), handlers (also of handlers); steps in any order."""
    count = draw(st.integers(1, _MOST))
    steps: dict[str, dict[str, Any]] = {}
    for number in range(count):
        steps[f"s{number}"] = _step(draw, [f"s{other}" for other in range(number)])
    if count > 2 and draw(st.booleans()):
        _add_groups(draw, steps, count)
    if draw(st.booleans()):
        _add_handlers(draw, steps)
    definition: dict[str, Any] = {"steps": {name: steps[name] for name in draw(st.permutations(list(steps)))}}
    if draw(st.booleans()):
        definition["on_failure"] = "continue_independent"
    if draw(st.integers(0, 5)) == 5:
        definition["timeout_sec"] = 6
    return definition if _is_valid(definition) else _without_handlers(definition)


def _step(draw: st.DrawFn, earlier: list[str]) -> dict[str, Any]:
    step: dict[str, Any] = {"topic": "job.a"}
    if draw(st.integers(0, 6)) == 6:
        step = {"type": "approval"}
    for trait in draw(st.lists(st.sampled_from(_TRAITS), max_size=2)):
        allowed = {"condition", "timeout_sec"} if "type" in step else trait.keys()
        step |= {key: value for key, value in trait.items() if key in allowed}
    if earlier and (needs := draw(st.lists(st.sampled_from(earlier), unique=True, max_size=2))):
        step["depends_on"] = needs
    return step


def _add_groups(draw: st.DrawFn, steps: dict[str, dict[str, Any]], count: int) -> None:
    """A group of some of the later steps; what comes after may depend on it, and a second group may hold it."""
    members = [f"s{number}" for number in range(1, count) if draw(st.booleans())]
    if not members:
        return
    steps["g"] = _group(draw, members)
    if draw(st.booleans()):
        steps["g"]["depends_on"] = ["s0"]
    free = [f"s{number}" for number in range(1, count) if f"s{number}" not in members]
    if free and draw(st.integers(0, 2)) == 2:
        steps["outer"] = _group(draw, ["g", free[-1]])
    elif free and draw(st.booleans()):
        steps["after"] = {"topic": "job.a", "depends_on": ["g"]}


def _group(draw: st.DrawFn, members: list[str]) -> dict[str, Any]:
    strategy = draw(st.sampled_from(["all", "any", "n_of_m"]))
    group: dict[str, Any] = {"type": "parallel", "steps": members, "strategy": strategy}
    if strategy == "n_of_m":
        group["required"] = draw(st.integers(1, len(members)))
    if draw(st.booleans()):
        group["max_parallel"] = draw(st.integers(1, 2))
    if draw(st.integers(0, 4)) == 4:
        group["timeout_sec"] = 2
    return group


def _add_handlers(draw: st.DrawFn, steps: dict[str, dict[str, Any]]) -> None:
    users = [name for name in steps if draw(st.booleans())]
    for name in users:
        steps[name]["on_error"] = "h"
    if users:
        steps["h"] = {"topic": "job.a"}
        if draw(st.booleans()):
            steps["h"]["on_error"] = "hh"
            steps["hh"] = {"topic": draw(st.sampled_from(TOPICS))}


def _is_valid(definition: dict[str, Any]) -> bool:
    try:
        load_workflow(json.dumps(definition).encode(), "json", default_id="w")
    except DefinitionInvalid:
        return False
    return True


def _without_handlers(definition: dict[str, Any]) -> dict[str, Any]:
    """Two steps that wait for each other may not share a handler; without handlers every definition here is valid."""
    steps = {
        name: {key: value for key, value in step.items() if key != "on_error"}
        for name, step in definition["steps"].items()
        if name not in ("h", "hh")
    }
    return {**definition, "steps": steps}
