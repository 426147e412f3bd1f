"""The published schema and the reader say the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from jsonschema import Draft202012Validator

from cordum.cli import main
from cordum.domain.definition import Document, build_workflow, language_schema, parse_document
from cordum.domain.definition.kinds import ALIASES, KINDS
from cordum.domain.definition.steps import LATER, STEP
from cordum.errors import DefinitionInvalid, Problem
from cordum.testing import load_scenarios
from tests.domain.definition.test_definition_kinds import PROBLEMS, text

ROOT = Path(__file__).parents[3]
SCHEMA: Any = language_schema()
VALIDATOR = Draft202012Validator(SCHEMA)
# Problems that a schema cannot see: they hold between values, or depend on where a key stands.
_BETWEEN = {
    "/escalate_to",
    "/input/value",
    "/delay_sec",
    "/input/cases/0/match",
}


def problems(definition: Any) -> tuple[Problem, ...]:
    try:
        build_workflow(Document(definition), default_id="generated")
    except DefinitionInvalid as refusal:
        return refusal.problems
    return ()


def test_it_is_a_schema_that_the_command_prints() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert json.loads(CliRunner().invoke(main, ["schema"]).stdout) == SCHEMA


DEFINITIONS = [
    *(
        pytest.param(definition, id=scenario.name)
        for file in sorted((ROOT / "tests" / "scenarios").glob("*.yaml"))
        for scenario in load_scenarios(file)
        for definition in (scenario.workflow, *scenario.workflows)
    ),
    *(
        pytest.param(parse_document(file.read_bytes(), "yaml").value, id=file.stem)
        for file in sorted((ROOT / "config" / "workflows").glob("*.yaml"))
    ),
]


@pytest.mark.parametrize("definition", DEFINITIONS)
def test_every_valid_definition_is_valid_by_the_schema(definition: Any) -> None:
    if not problems(definition):
        assert [error.message for error in VALIDATOR.iter_errors(definition)] == []


@pytest.mark.parametrize(("keys", "code", "path"), PROBLEMS)
def test_what_is_wrong_in_shape_is_wrong_by_the_schema(keys: str, code: str, path: str) -> None:
    if code in ("type", "unknown_field", "missing_field", "invalid_choice") and path not in _BETWEEN:
        wrong_together = code == "invalid_choice" and path == "/delay_until"
        assert VALIDATOR.is_valid(parse_document(text(keys).encode(), "yaml").value) is wrong_together


@pytest.mark.parametrize("kind", [*KINDS, *ALIASES])
def test_a_kind_has_the_same_keys_for_both(kind: str) -> None:
    everything = {
        *STEP,
        *LATER,
        *(key for one in KINDS.values() for key in (*one.own, *one.inner)),
        "id",
        "type",
        "nope",
    }
    listed = SCHEMA["$defs"][f"step_{ALIASES.get(kind, kind)}"]["properties"]
    step: Any = {**dict.fromkeys(sorted(everything), True), "type": kind}
    unknown = {one.path for one in problems({"id": "w", "steps": {"a": step}}) if one.code == "unknown_field"}
    assert {path.removeprefix("/steps/a/") for path in unknown if path.count("/") == 3} == everything - set(listed)


@pytest.mark.parametrize("kind", [name for name, one in KINDS.items() if one.inner])
def test_an_input_of_own_keys_has_the_same_keys_for_both(kind: str) -> None:
    listed = SCHEMA["$defs"][f"step_{kind}"]["properties"]["input"]["properties"]
    keys = {*(key for one in KINDS.values() for key in one.inner), "nope"}
    step: Any = {"type": kind, "input": dict.fromkeys(sorted(keys), True)}
    unknown = {one.path for one in problems({"id": "w", "steps": {"a": step}}) if one.code == "unknown_field"}
    assert {path.removeprefix("/steps/a/input/") for path in unknown} == keys - set(listed)


def test_every_type_there_is_can_be_completed() -> None:
    assert set(SCHEMA["$defs"]["step"]["properties"]["type"]["enum"]) == {*KINDS, *ALIASES}


@pytest.mark.parametrize(
    "definition", [{"steps": 3}, {"id": "a b", "steps": {}}, {}, {"steps": {}, "stepz": 1}, [], {"steps": [{}]}]
)
def test_a_workflow_that_is_wrong_for_the_reader_is_wrong_by_the_schema(definition: Any) -> None:
    assert problems(definition)
    assert not VALIDATOR.is_valid(definition)


def test_steps_may_be_a_list_by_the_schema_too() -> None:
    assert VALIDATOR.is_valid({"steps": [{"id": "a"}, {"id": "b", "type": "job", "depends_on": ["a"]}]})
    assert not VALIDATOR.is_valid({"steps": {"a:b": {}}})
