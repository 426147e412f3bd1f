"""The numbers that planning depends on and that an operator may set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from cordum.domain.pools import PoolMap
from cordum.domain.workflow import Step, Workflow

MAX_RUN_TIMEOUT_MS = 7 * 24 * 3600 * 1000


@dataclass(frozen=True, slots=True)
class Limits:
    """Milliseconds where a definition says nothing.

    Patterns map to milliseconds; the first that matches counts, in order.
    """

    job_timeout_ms: int = 900_000
    topic_timeouts_ms: Mapping[str, int] = field(default_factory=dict)
    run_timeouts_ms: Mapping[str, int] = field(default_factory=dict)
    queue_timeout_ms: int | None = None
    max_losses: int = 3
    max_items: int = 1000  # of a for_each
    max_depth: int = 10  # of sub-workflows
    pools: PoolMap | None = None  # None: every topic is known
    jitter: bool = True  # scenarios do without, so that their times are exact

    def of_attempt(self, step: Step) -> int:
        """How long one attempt of a step may run: its own word, else its topic's, else the default."""
        if step.timeout_ms is not None:
            return step.timeout_ms
        return _first(self.topic_timeouts_ms, step.topic or "", self.job_timeout_ms)

    def of_queue(self, step: Step) -> int | None:
        """How long a dispatched attempt may wait for a worker; None: as long as it takes."""
        return self.queue_timeout_ms if step.queue_timeout_ms is None else step.queue_timeout_ms

    def of_run(self, workflow: Workflow) -> int:
        if workflow.timeout_ms is not None:
            return workflow.timeout_ms
        return _first(self.run_timeouts_ms, workflow.id, MAX_RUN_TIMEOUT_MS)


def _first(patterns: Mapping[str, int], name: str, default: int) -> int:
    return next((limit for pattern, limit in patterns.items() if fnmatchcase(name, pattern)), default)
