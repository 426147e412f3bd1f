"""Steps that are values: the planner evaluates them, nobody is asked and nothing is sent."""

from __future__ import annotations

from cordum.domain.attempts import Refusal, checked_input
from cordum.domain.instances import Instance
from cordum.domain.schemas import violations
from cordum.domain.steps.ending import fail, finish
from cordum.domain.turn import Turn
from cordum.domain.workflow import JSON, Gauge
from cordum.errors import ExpressionError


def condition(turn: Turn, instance: Instance) -> None:
    assert isinstance(instance.step.own, Gauge)
    try:
        truth = instance.step.own.condition.truth(turn.scope(instance))
    except ExpressionError as error:
        fail(turn, instance, "expression_error", error.detail)
        return
    finish(turn, instance, truth)


def transform(turn: Turn, instance: Instance) -> None:
    try:
        output = checked_input(turn, instance)
    except Refusal as refused:
        fail(turn, instance, refused.failure.code, refused.failure.message)
        return
    yield_checked(turn, instance, output)


def yield_checked(turn: Turn, instance: Instance, output: JSON) -> None:
    """Succeed with this output, if it is what the step's schema promises."""
    schema = instance.step.output_schema
    if schema is not None and (wrong := violations(schema, output)):
        fail(turn, instance, "schema_validation_failed", f"the output is not what the step promises: {wrong[0]}")
        return
    finish(turn, instance, output)
