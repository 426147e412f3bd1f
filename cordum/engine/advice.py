"""What to do about a step that waits: one action for each reason, in words that can be typed."""

from __future__ import annotations

from collections.abc import Mapping

_ACTIONS: Mapping[str, str] = {
    "approval": "`cordum approve {job}`, or `cordum reject {job} --reason …`",
    "concurrency_key": "wait until a holder has ended; `cordum workers` shows who works",
    "delay": "wait, or `cordum skip {run} {step} --reason …`",
    "dependencies": "nothing: it begins when these have ended",
    "max_parallel": "wait for another one to end; `max_parallel` of its group or pool says how many may run",
    "no_worker": "start such a worker; `cordum workers` shows those there are",
    "policy_throttled": "wait; `cordum policy explain` shows the rule",
    "policy_unavailable": "`cordum policy publish FILE`",
    "pool_overloaded": "wait, or start another worker; `cordum workers` shows how busy they are",
    "queue_paused": "`cordum queues resume {topic} --reason …`",
    "retry_backoff": "wait; `cordum timeline {run}` tells what failed",
    "run_paused": "`cordum resume {run} --reason …`",
    "signal": "`cordum signal {run} {signal}`",
    "tenant_limit": "wait for another job of this tenant to end",
}
REASONS = frozenset(_ACTIONS)


def action_for(reason: str, *, run: str, step: str, job: str | None, topic: str | None, signal: str) -> str:
    """The action, with the names of this very step in it."""
    return _ACTIONS[reason].format(run=run, step=step, job=job or step, topic=topic, signal=signal)
