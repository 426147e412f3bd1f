"""What becomes of a worker's result before it is recorded: the part that is the output, held against its schema."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from cordum.domain.context import MISSING, look_up
from cordum.domain.run import Failure, OutcomeClass
from cordum.domain.schemas import violations
from cordum.domain.workflow import JSON
from cordum.engine.values import Outcome


def shaped(outcome: Outcome, shape: JSON) -> Outcome:
    """The outcome with `result_data_path` and `output_schema` applied; a result that does not fit is a fatal failure.

    `shape` is {path: list of keys, schema: JSON Schema or null}, or null for neither.
    """
    if outcome.kind is not OutcomeClass.SUCCESS or not isinstance(shape, dict):
        return outcome
    path, schema = shape["path"], shape["schema"]
    assert isinstance(path, list)
    keys = tuple(str(key) for key in path)
    output: Any = outcome.output
    if keys:
        output = look_up(output, keys) if isinstance(output, dict) else MISSING
        if output is MISSING:
            return _misfit(f"the result has no {'.'.join(keys)}, which result_data_path asks for")
    if schema is not None and (wrong := violations(schema, output)):
        return _misfit(f"the output is not what the step promises: {wrong[0]}")
    return replace(outcome, output=output, text=None)


def _misfit(message: str) -> Outcome:
    return Outcome(OutcomeClass.FATAL, failure=Failure("schema_validation_failed", message))
