"""How long a decision of the policy takes, with few rules and with many.

Once with a topic of its own for each rule, and once, the worst case, with one topic for all: no index helps then, each
rule falls at its last condition, and some requests meet no rule at all. Processor time of the thread, so that what
else the machine does is not counted.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from cordum.domain.policy import Policy, PolicyRequest
from cordum.domain.policy_document import read_policy

SIZES = (10, 100, 1_000)
BUDGET_P99_US = 1_000.0
_TOPIC = "job.team.task"


@dataclass(frozen=True, slots=True)
class Decided:
    """Microseconds of one decision; `topics`: shared by all rules, or one of each rule's own."""

    rules: int
    topics: str
    decisions: int
    p50_us: float
    p99_us: float

    @property
    def within_budget(self) -> bool:
        return self.p99_us < BUDGET_P99_US

    def document(self) -> dict[str, Any]:
        return {**asdict(self), "within_budget": self.within_budget}


def measure_decisions(decisions: int = 2_000) -> Iterator[Decided]:
    for size in SIZES:
        for shared in (False, True):
            yield _measured(_policy(size, shared), _requests(size, shared), size, shared, decisions)


def _measured(policy: Policy, requests: list[PolicyRequest], size: int, shared: bool, decisions: int) -> Decided:
    for request in requests:
        policy.decide(request)
    times = []
    for number in range(decisions):
        request = requests[number % len(requests)]
        begun = time.thread_time_ns()
        policy.decide(request)
        times.append(time.thread_time_ns() - begun)
    times.sort()
    kind = "shared" if shared else "own"
    return Decided(size, kind, decisions, times[decisions // 2] / 1000, times[decisions * 99 // 100] / 1000)


def _policy(size: int, shared: bool) -> Policy:
    rules = "".join(_rule(number, shared) for number in range(size))
    return read_policy(f'version: "1"\nrules:\n{rules}'.encode())


def _rule(number: int, shared: bool) -> str:
    topic = _TOPIC if shared else f"job.team{number}.*"
    match = f'topics: ["{topic}"], risk_tags: [prod, pii], labels: {{owner: "team{number}"}}'
    return f"  - {{id: rule-{number}, match: {{{match}}}, decision: allow}}\n"


def _requests(size: int, shared: bool) -> list[PolicyRequest]:
    """Spread over the rules from the first to the last, and beyond it."""
    step = max(size // 9, 1)
    return [_request(number, shared) for number in (*range(0, size, step), size)]


def _request(number: int, shared: bool) -> PolicyRequest:
    topic = _TOPIC if shared else f"job.team{number}.task"
    labels = {"owner": f"team{number}"}
    return PolicyRequest(topic, "acme", "workflow", risk_tags=("prod",), labels=labels, input={"a": [1, 2, 3]})
