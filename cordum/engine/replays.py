"""Decisions that were made, made again by another policy: what would have gone otherwise. Changes nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from cordum.domain.attempts import step_request
from cordum.domain.ids import JobId
from cordum.domain.policy import Constraints, Decision, Policy, Verdict
from cordum.domain.policy_document import read_policy
from cordum.domain.policy_override import stricter
from cordum.domain.run import StepState
from cordum.domain.workflow import JSON
from cordum.engine.core import Core
from cordum.engine.dry_run import decision_view
from cordum.engine.looks import Look

MOST_RUNS = 200
MOST_SHOWN = 500


def replay(
    core: Core, tenant: str, source: bytes, *, workflow_id: str | None = None, limit: int = MOST_RUNS
) -> dict[str, Any]:
    """What this text would have decided about the latest attempt of each job of the tenant's newest runs.

    Everything that a rule can look at is kept with a run, so a decision can be made again exactly; the workflow's own
    `policy_override` counts as it did then. At most `MOST_SHOWN` changes are shown, all are counted.
    """
    candidate = read_policy(source)
    runs = core.store.runs.newest(tenant, workflow_id, None, limit)
    decisions = 0
    changes: Counter[tuple[str, str]] = Counter()
    shown: list[dict[str, Any]] = []
    for run_id in runs:
        look = core.look(run_id)
        for ref, state, payload in _decided(core, look) if look else ():
            assert look is not None
            decisions += 1
            then = _again(look, ref, candidate, payload)
            if _same(state.decision or {}, then):
                continue
            was = str((state.decision or {}).get("decision"))
            changes[was, then.verdict.value] += 1
            if len(shown) < MOST_SHOWN:
                shown.append(_change(look, ref, state, then))
    return {
        "policy_snapshot": candidate.digest,
        "runs": len(runs),
        "decisions": decisions,
        "changed": changes.total(),
        "changes": [{"from": was, "to": now, "count": count} for (was, now), count in changes.most_common()],
        "items": shown,
    }


def _decided(core: Core, look: Look) -> Iterator[tuple[str, StepState, JSON]]:
    """The jobs of a run that were decided, each with what it was given."""
    over = core.store.runs.children(look.run.id) if look.workflow.has_children else {}
    steps: Mapping[str, StepState] = {**over, **look.run.steps}
    inputs = core.store.runs.inputs(look.run.id)
    for ref in sorted(steps, key=look.workflow.instances.order):
        if steps[ref].decision is not None:
            yield ref, steps[ref], inputs.get(ref, look.run.input)


def _again(look: Look, ref: str, candidate: Policy, payload: JSON) -> Decision:
    run, step = look.run, look.workflow.instances[ref].step
    request = step_request(step, run.tenant, run.workflow_id, run.created_by, run.labels, payload)
    return stricter(candidate.decide(request), look.workflow.policy_override, request)


def _same(was: Mapping[str, JSON], then: Decision) -> bool:
    return Verdict(str(was.get("decision"))) is then.verdict and Constraints.of(was) == then.constraints


def _change(look: Look, ref: str, state: StepState, then: Decision) -> dict[str, Any]:
    return {
        "run_id": look.run.id,
        "workflow_id": look.run.workflow_id,
        "step_id": ref,
        "job_id": str(JobId(look.run.id, ref, state.attempt)),
        "topic": state.topic,
        "was": dict(state.decision or {}),
        "would_be": decision_view(then),
    }
