"""Whatever stands in a definition: it is read or refused, and what is read is valid by the published schema too."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from cordum.domain.definition import (
    Document,
    build_workflow,
    canonical,
    check_workflow,
    differences,
    language_schema,
    load_workflow,
    read_json,
)
from cordum.domain.definition.kinds import ALIASES, KINDS
from cordum.domain.definition.steps import STEP
from cordum.domain.picture import graph, mermaid
from cordum.errors import DefinitionInvalid

VALIDATOR = Draft202012Validator(language_schema())

IDS = st.sampled_from(["a", "b", "c", "d", "ghost"])
EXPRESSIONS = st.sampled_from(["input.x", "steps.a.output > 1", "${item}", "true", "1 +", "steps.ghost", "'x'"])
SCALARS = st.none() | st.booleans() | st.integers(-2, 5) | st.floats(-1, 3) | IDS | EXPRESSIONS | st.text(max_size=3)
WORDS = st.sampled_from(
    [
        "all",
        "any",
        "n_of_m",
        "read",
        "write",
        "delete",
        "INFO",
        "log",
        "escalate",
        "batch",
        "2026-01-31T08:00:00Z",
        "a.b",
    ]
)
VALUES = st.recursive(
    SCALARS | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS | IDS | st.text(max_size=2), inner, max_size=3),
    max_leaves=6,
)
CASES = st.lists(
    st.dictionaries(st.sampled_from(["when", "match", "value", "next", "step", "target", "x"]), SCALARS, max_size=3),
    max_size=2,
)
SCHEMAS = st.sampled_from([{}, True, {"type": "object"}, {"type": "text"}, {"$ref": "http://x"}, {"pattern": "("}, 3])
# What is likely to be right for a key; for all others anything.
LIKELY: dict[str, st.SearchStrategy[Any]] = {
    **dict.fromkeys(("condition", "while", "until", "for_each"), EXPRESSIONS),
    **dict.fromkeys(("depends_on", "steps"), st.lists(IDS, max_size=2)),
    **dict.fromkeys(("on_error", "body_step", "default"), IDS),
    **dict.fromkeys(("input_schema", "output_schema"), SCHEMAS),
    **dict.fromkeys(("operation", "strategy", "level", "channel", "priority", "on_expire"), WORDS),
    **dict.fromkeys(("name", "workflow_id", "key", "output_path"), IDS),
    **dict.fromkeys(
        ("max_iterations", "max_parallel", "required", "quorum", "version", "delay_sec"), st.integers(0, 3)
    ),
    "cases": CASES | st.dictionaries(WORDS, IDS, max_size=2),
    "delay_until": WORDS,
    "topic": st.just("job.t"),
}


def keys(known: set[str]) -> st.SearchStrategy[dict[str, Any]]:
    """A mapping of some of the keys, most of them with a value that could be right."""
    options = {key: LIKELY[key] | LIKELY[key] | VALUES if key in LIKELY else VALUES for key in known}
    return st.lists(st.sampled_from(sorted(known)), max_size=4, unique=True).flatmap(
        lambda chosen: st.fixed_dictionaries({key: options[key] for key in chosen})
    )


def step(kind: str) -> st.SearchStrategy[dict[str, Any]]:
    known = KINDS[ALIASES.get(kind, kind)]
    needed = {key for key, entry in {**known.own, **known.inner}.items() if entry.required}
    outside = keys({*STEP, *known.own} - {"input"})
    inside = keys({*known.inner} or {"x", "y"}) | VALUES
    likely = st.fixed_dictionaries({key: LIKELY.get(key, IDS) for key in sorted(needed & set(known.own))})
    inner = st.fixed_dictionaries({key: LIKELY.get(key, IDS) for key in sorted(needed - set(known.own))})
    return st.tuples(outside, inside, likely, inner, st.booleans()).map(
        lambda drawn: {
            **drawn[0],
            **drawn[2],
            **({"input": {**(drawn[1] if isinstance(drawn[1], dict) else {}), **drawn[3]}} if drawn[4] else {}),
            "type": kind,
        }
    )


STEPS = st.sampled_from([*KINDS, *ALIASES]).flatmap(step)
DEFINITIONS = st.fixed_dictionaries(
    {"id": st.just("w"), "steps": st.dictionaries(st.sampled_from("abcd"), STEPS, max_size=4)}
)


@given(DEFINITIONS)
def test_a_definition_is_refused_or_means_the_same_everywhere(definition: dict[str, Any]) -> None:
    document = Document(definition)
    try:
        workflow = build_workflow(document)
    except DefinitionInvalid:
        return
    assert VALIDATOR.is_valid(definition)
    stored = canonical(document, "w")
    assert load_workflow(stored, "json") == workflow
    again: Any = read_json(stored)
    assert differences(definition, again) == []
    assert check_workflow(Document(again)).workflow == workflow
    drawn = graph(workflow)
    assert len(drawn["nodes"]) == len(workflow.steps)
    assert all(line.isprintable() for line in mermaid(drawn).splitlines())


@given(st.dictionaries(st.sampled_from(["id", "steps", "input_schema", "output", "timeout_sec", "x"]), VALUES) | VALUES)
def test_anything_else_is_refused_or_read(definition: Any) -> None:
    try:
        build_workflow(Document(definition), default_id="w")
    except DefinitionInvalid:
        return
    assert VALIDATOR.is_valid(definition)
