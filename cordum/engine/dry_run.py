"""A workflow tried on a policy: what would be decided about each of its jobs, as far as that is known beforehand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cordum.domain.attempts import step_request
from cordum.domain.policy import START_TOPIC, Decision, Policy, PolicyRequest
from cordum.domain.policy_override import stricter
from cordum.domain.workflow import JSON, Step, Workflow
from cordum.engine.values import Caller
from cordum.errors import ExpressionError


@dataclass(frozen=True, slots=True)
class Trial:
    """A run as it would be started; `labels` with those of its workflow."""

    workflow: Workflow
    policy: Policy
    caller: Caller
    input: dict[str, JSON]
    labels: Mapping[str, str]


def tried_start(trial: Trial) -> dict[str, Any] | None:
    """What rules about starts say to the run as a whole; null: none is about it."""
    request = PolicyRequest(
        START_TOPIC,
        trial.caller.tenant,
        trial.workflow.id,
        actor_id=trial.caller.person,
        labels=trial.labels,
        input=trial.input,
    )
    decision = trial.policy.decide_start(request)
    return None if decision is None else decision_view(decision)


def tried(trial: Trial, workers: Mapping[str, Mapping[str, Any]]) -> tuple[list[dict[str, Any]], list[str]]:
    """A document for each step that dispatches a job, and warnings.

    What earlier steps will find is not known: a step whose input needs it is decided without, and a warning says so.
    `workers`: what each living worker said of itself.
    """
    workflow, caller = trial.workflow, trial.caller
    steps, warnings = [], []
    for step in workflow.steps.values():
        if step.topic is None:
            continue
        given, problem = _input_beforehand(step, trial.input)
        if problem:
            warnings.append(f"{step.id}: {problem}")
        request = step_request(step, caller.tenant, workflow.id, caller.person, trial.labels, given)
        decision = stricter(trial.policy.decide(request), workflow.policy_override, request)
        serving = sorted(name for name, info in workers.items() if step.topic in info.get("topics", ()))
        steps.append({"step_id": step.id, "topic": step.topic, "workers": serving, **decision_view(decision)})
    return steps, warnings


def _input_beforehand(step: Step, input_: dict[str, JSON]) -> tuple[JSON, str]:
    """What a job would be given, and why that is not known."""
    if step.input is None:
        return input_, ""
    unknown = {path[0] for path in step.input.references()} - {"input"}
    if unknown:
        return None, f"its input depends on {', '.join(sorted(unknown))}; decided without it"
    try:
        return step.input.render({"input": input_}), ""
    except ExpressionError as error:
        return None, f"its input cannot be put together: {error.detail}"


def decision_view(decision: Decision) -> dict[str, Any]:
    """Like the one on a timeline, with every key there."""
    absent: dict[str, JSON] = {"constraints": None, "velocity": None, "remediations": []}
    return {**absent, **decision.document()}
