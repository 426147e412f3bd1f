"""What limits the jobs of many runs together, as people see it: who holds it, who waits, and why a step does."""

from __future__ import annotations

from typing import Any

from cordum.domain.quotas import Quota, QuotaKind
from cordum.store.quotas import Standing, Usage


def usage_view(usage: Usage) -> dict[str, Any]:
    """`key`: the concurrency key, the rule's id or the tenant; `holders` and `waiters` name some if they are many."""
    return {
        "id": usage.id,
        "kind": usage.kind,
        "key": usage.name,
        "limit": usage.most,
        "held": usage.held,
        "waiting": usage.waiting,
        "holders": list(usage.holders),
        "waiters": list(usage.waiters),
    }


def why_limited(standing: Standing) -> tuple[str, str]:
    """The reason and one sentence for a step that waits for a place."""
    quota = standing.quota
    about = _RULES[quota.kind].format(name=quota.name, most=quota.most, jobs=_jobs(quota))
    if quota.window_ms:
        about += f" in {quota.window_ms / 1000:g} s"
    else:
        about += f"; {standing.taken} taken" + (f", by {_some(standing.holders)}" if standing.holders else "")
    return quota.kind.reason, about + (f"; {standing.ahead} in line before it" if standing.ahead else "")


_RULES = {
    QuotaKind.KEY: "the concurrency key {name} lets {most} {jobs} run at one time",
    QuotaKind.TENANT: "the policy lets {most} {jobs} of the tenant {name} run at one time",
    QuotaKind.RULE: "the policy rule {name} lets {most} {jobs} run at one time",
    QuotaKind.POOL: "the pool {name} lets {most} {jobs} run at one time",
    QuotaKind.VELOCITY: "the policy rule {name} lets {most} {jobs} begin",
}
_MOST_NAMED = 3


def _jobs(quota: Quota) -> str:
    return "job" if quota.most == 1 else "jobs"


def _some(holders: tuple[str, ...]) -> str:
    more = len(holders) - _MOST_NAMED
    return ", ".join(holders[:_MOST_NAMED]) + (" and others" if more > 0 else "")
