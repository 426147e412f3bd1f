"""The counters: what is counted where something is committed, and how it is read.

Fields are `<name>[:<label>[:<topic>]]`, or several of these with `|` between that move together, one that falls with
`-` before it: so what happens with each job is counted by one command. The scripts count what they decide themselves;
what a plan does is counted here and added by the script that commits it. So a counter moves exactly when the state
does, in whatever process.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from cordum.domain.plan import Plan
from cordum.domain.run import RunState
from cordum.domain.states import RunStatus, StepStatus

APPROVAL_WAIT_SEC = (60, 300, 900, 3600, 14_400, 43_200, 86_400, 172_800, 345_600, 604_800)
"""Upper bounds, in seconds, of what `_waited.lua` counts as `approval_waits:<outcome>:<bound>`; `inf`: longer."""

_TIME_IS_UP = frozenset({StepStatus.TIMED_OUT, StepStatus.RETRYING})


def counts_of(run: RunState, plan: Plan, *, new: bool) -> Mapping[str, int]:
    """By how much the counters move when this plan is committed."""
    counts: Counter[str] = Counter({"commits:committed": 1})
    _count_run(counts, run, plan, new)
    after = {change.step: change.after for change in plan.changes}
    for change in plan.changes:
        if change.after.status.terminal and not (change.before and change.before.status.terminal):
            counts[f"steps_ended:{change.after.status}:{change.after.topic or ''}"] += 1
    for gone in plan.withdrawals:
        if gone.status is StepStatus.RUNNING:
            outcome = "timeout" if after[gone.step].status in _TIME_IS_UP else "cancelled"
            counts[f"attempts_ended:{outcome}:{gone.topic or ''}"] += 1
    for letter in plan.dead_letters:
        counts[f"dead_letters:{letter.reason_code}"] += 1
    if plan.held:
        counts["policy_unavailable"] += 1
    for event in plan.events:
        if event.type == "step.decision" and event.data.get("fail_mode") == "open":
            counts["decisions_fail_open"] += 1
    handled = len(plan.rescued) + len(plan.replayed) + len(plan.discarded)
    counts["dead_letters_open"] += len(plan.dead_letters) - handled
    return {field: count for field, count in counts.items() if count}


def together(counts: Mapping[str, int]) -> str:
    """The field of counters that move together, each by one; those that rise stand first."""
    names = [f"-{name}" if count < 0 else name for name, count in counts.items() for _ in range(abs(count))]
    return "|".join(sorted(names, reverse=True))


def told_apart(fields: Mapping[str, str]) -> dict[str, int]:
    """The hash of counters as it is read: each of them by its name."""
    counts: Counter[str] = Counter()
    for field, count in fields.items():
        for name in field.split("|"):
            counts[name.removeprefix("-")] += -int(count) if name.startswith("-") else int(count)
    return dict(counts)


def _count_run(counts: Counter[str], run: RunState, plan: Plan, new: bool) -> None:
    status = plan.run.status if plan.run else run.status
    if new:
        counts["runs_started"] += 1
    elif status is not run.status and not run.status.terminal:
        counts[f"runs_open:{run.status}"] -= 1
    if plan.compensation is not None:
        counts["runs_started"] += 1
        counts[_counter_of(RunStatus.PENDING)] += 1
    if new or status is not run.status:
        counts[_counter_of(status)] += 1


def _counter_of(status: RunStatus) -> str:
    return f"runs_ended:{status}" if status.terminal else f"runs_open:{status}"
