"""The stored form: the same for what means the same, and nothing is lost in it."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cordum.domain.definition import Document, build_workflow, canonical, digest, load_workflow, parse_document


def stored(text: str) -> bytes:
    return canonical(parse_document(text.encode(), "yaml"), "wf")


def test_keys_are_sorted_and_steps_keep_their_order() -> None:
    assert stored("steps: {z: {type: job, depends_on: []}, a: {}}\nid: wf\n") == (
        b'{"id":"wf","steps":[{"depends_on":[],"id":"z","type":"job"},{"id":"a"}]}'
    )


def test_a_mapping_and_a_list_of_the_same_steps_are_the_same_content() -> None:
    as_mapping = stored("{id: wf, steps: {z: {name: x}, a: {}}}")
    assert as_mapping == stored("{steps: [{name: x, id: z}, {id: a}], id: wf}")
    assert digest(as_mapping) == digest(stored("{id: wf, steps: {z: {id: z, name: x}, a: {}}}"))


def test_another_order_of_steps_is_other_content() -> None:
    assert stored("{id: wf, steps: {z: {}, a: {}}}") != stored("{id: wf, steps: {a: {}, z: {}}}")


def test_an_id_given_from_outside_is_part_of_the_content() -> None:
    assert stored("steps: {}") == stored("{id: wf, steps: {}}")


def test_a_digest_names_its_algorithm() -> None:
    assert digest(b"") == "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


# YAML has no surrogate pairs, so the texts of `test_json_is_yaml` must not need one.
_TEXT = st.text(st.characters(max_codepoint=0xFFFF, exclude_characters="$", exclude_categories=["Cs"]), max_size=8)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | _TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=6,
)
_SECONDS = st.integers(0, 1000) | st.floats(0, 1000)
_COMMON = {
    "name": _TEXT,
    "condition": st.sampled_from(["input.x", "input.n > 1 && true", "${ctx.y ?? 3}", True]),
    "input": st.dictionaries(_TEXT, _JSON | st.just("a ${input.b} c ${input.d}"), max_size=3),
    "retry": st.fixed_dictionaries({}, optional={"max_retries": st.integers(0, 9), "max_backoff_sec": _SECONDS}),
    "timeout_sec": _SECONDS,
    "priority": st.sampled_from(["critical", "interactive", "batch"]),
    "meta": st.fixed_dictionaries({}, optional={"risk_tags": st.lists(_TEXT, max_size=2), "actor_id": _TEXT}),
}
_WORKER = st.fixed_dictionaries({}, optional={**_COMMON, "type": st.sampled_from(["worker", "job", "approval"])})
_HEAD = {
    "name": _TEXT,
    "version": _TEXT | st.integers(),
    "labels": st.dictionaries(_TEXT, _TEXT, max_size=2),
    "output": st.just({"all": "${steps}"}),
}


@st.composite
def definitions(draw: st.DrawFn) -> dict[str, Any]:
    """A valid definition: each step depends on earlier ones, and a group may own the last."""
    names = draw(st.lists(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,5}", fullmatch=True), unique=True, max_size=5))
    steps: dict[str, dict[str, Any]] = {}
    for name in names:
        depends_on = draw(st.lists(st.sampled_from(list(steps)), unique=True, max_size=2)) if steps else []
        steps[name] = {**draw(_WORKER), "depends_on": depends_on}
    if len(names) > 1 and draw(st.booleans()):
        steps["the-group"] = {"type": "parallel", "steps": [names[-1]], "strategy": "any"}
    definition = {"id": "wf", **draw(st.fixed_dictionaries({}, optional=_HEAD))}
    as_list = [{"id": name, **step} for name, step in steps.items()]
    return {**definition, "steps": as_list if draw(st.booleans()) else steps}


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(definitions())
def test_the_stored_form_loads_to_an_equal_workflow(definition: dict[str, Any]) -> None:
    document = Document(definition)
    workflow = build_workflow(document)
    data = canonical(document, workflow.id)
    again = load_workflow(data, "json")
    assert again == workflow
    assert list(again.steps) == list(workflow.steps)
    assert canonical(parse_document(data, "json"), again.id) == data


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(definitions())
def test_json_is_yaml(definition: dict[str, Any]) -> None:
    data = json.dumps(definition).encode()
    assert load_workflow(data, "yaml") == load_workflow(data, "json")
