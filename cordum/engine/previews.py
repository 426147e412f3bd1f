"""What an action would do, told instead of done: a plan as a document (`?dry_run=true`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cordum.domain.ids import JobId
from cordum.domain.plan import Plan
from cordum.domain.run import RunState

Preview = dict[str, Any]
"""{dry_run, run_id, run {from, to}, steps [{step_id, from, to}], dispatch [{job_id, step_id, topic}], decisions
[{step_id, decision, rule_id, reason, …}], approvals [job id], cancel [job id], child_runs {start, retry}, dead_letters
{added, replayed, discarded, rescued}, events [type]}"""


def preview(run: RunState, plan: Plan, *, new: bool = False) -> Preview:
    """`new`: the run would come into being with this plan; it has no id yet."""

    def job(step: str, attempt: int) -> str:
        return str(JobId(run.id, step, attempt))

    return {
        "dry_run": True,
        "run_id": None if new else run.id,
        "run": {"from": None if new else run.status.value, "to": (plan.run.status if plan.run else run.status).value},
        "steps": [
            {
                "step_id": change.step,
                "from": change.before.status.public.value if change.before else None,
                "to": change.after.status.public.value,
            }
            for change in plan.changes
            if change.before is None or change.before.status.public is not change.after.status.public
        ],
        "dispatch": [
            {"job_id": job(one.step, one.attempt), "step_id": one.step, "topic": one.topic} for one in plan.jobs
        ],
        "decisions": [
            {"step_id": event.step, **_plain(event.data)} for event in plan.events if event.type == "step.decision"
        ],
        "approvals": [job(one.step, one.attempt) for one in plan.approvals],
        "cancel": [job(one.step, one.attempt) for one in plan.withdrawals],
        "child_runs": {"start": [one.run_id for one in plan.spawns], "retry": list(plan.reopened)},
        "dead_letters": {
            "added": [job(one.step, one.attempt) for one in plan.dead_letters],
            "replayed": list(plan.replayed),
            "discarded": list(plan.discarded),
            "rescued": list(plan.rescued),
        },
        "events": [event.type for event in plan.events],
    }


def _plain(data: Mapping[str, Any]) -> dict[str, Any]:
    return dict(data)
