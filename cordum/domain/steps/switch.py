"""One branch of several: the first case that fits names the step that goes on (CONTRACT.md 3.13, Outputs).

The other branches are skipped by whoever looks at them (`readiness`), because this step's output says which was taken.
"""

from __future__ import annotations

from cordum.domain.expressions.budget import Budget
from cordum.domain.expressions.values import equal, text_of
from cordum.domain.instances import Instance
from cordum.domain.steps.ending import fail, finish
from cordum.domain.turn import Turn
from cordum.domain.workflow import JSON, Case, Switch
from cordum.errors import ExpressionError


def ready(turn: Turn, instance: Instance) -> None:
    switch = instance.step.own
    assert isinstance(switch, Switch)
    try:
        value = switch.condition.evaluate(turn.scope(instance))
    except ExpressionError as error:
        fail(turn, instance, "expression_error", error.detail)
        return
    case = next((case for case in switch.cases if _fits(switch, case, value)), None)
    if case is not None:
        finish(turn, instance, _output(case.value, value, case.target))
    elif switch.default is not None:
        finish(turn, instance, _output("default", value, switch.default))
    else:
        fail(turn, instance, "fatal", "no case fits the value, and there is no default")


def _fits(switch: Switch, case: Case, value: JSON) -> bool:
    compared = text_of(value, Budget()) if switch.by_text else value
    return equal(compared, case.value, Budget())


def _output(case: JSON, value: JSON, target: str) -> dict[str, JSON]:
    return {"matched_case": case, "matched_value": value, "target_step": target}
