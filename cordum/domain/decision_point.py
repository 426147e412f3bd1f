"""Whoever is asked whether a job may run: the built-in rules today, an external decision point tomorrow.

A decision point is a value to the planner. One that has to ask elsewhere must have its answers by the time it is asked,
as everything else that a plan needs is brought beforehand (`domain.wants`); what it cannot answer it raises.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from cordum.domain.policy import Decision, Policy, PolicyRequest, Verdict

UNAVAILABLE = "unavailable"
"""Stands for the snapshot's digest in a decision that no policy has made."""


class Undecided(Exception):
    """No decision can be had now: the job waits (`policy_unavailable`)."""


class DecisionPoint(Protocol):
    """`epoch`: of the published policy it decides by, which the commit checks; `digest`: what its answers go by."""

    @property
    def epoch(self) -> int: ...

    @property
    def digest(self) -> str: ...

    def decide(self, request: PolicyRequest) -> Decision:
        """Whether a job may run. Any exception says that nothing can be said."""

    def decide_start(self, request: PolicyRequest) -> Decision | None:
        """What is said to a whole run before it begins; None: nothing."""


@dataclass(frozen=True)
class Guarded:
    """A decision point whose absence is foreseen: each tenant's jobs wait, or go (`fail_mode: open`), until it is back.

    `point` None: there is a published policy, and nobody who can use it. `open_tenants` come from what was published,
    and so outlive its text. What was asked of people does not go on by itself: see `attempts`.
    """

    point: DecisionPoint | None
    epoch: int
    open_tenants: frozenset[str] = frozenset()

    @property
    def usable(self) -> bool:
        return self.point is not None

    @property
    def digest(self) -> str:
        return UNAVAILABLE if self.point is None else self.point.digest

    def asks_input(self, topic: str) -> bool:
        """Whether a decision about this topic may depend on the job's input; of what is not ours, nobody knows."""
        return not isinstance(self.point, Policy) or self.point.asks_input(topic)

    def decide(self, request: PolicyRequest) -> Decision:
        """Raises Undecided, and nothing else."""
        try:
            if self.point is not None:
                return self.point.decide(request)
            fault = "it cannot be read"
        except Exception as error:  # whatever it is: a decision point that fails is as good as away
            fault = f"{type(error).__name__}: {error}"
        if request.tenant not in self.open_tenants:
            raise Undecided(fault)
        said = f"the policy is unavailable ({fault}), and this tenant's fail mode is open"
        return Decision(Verdict.ALLOW, None, said, UNAVAILABLE, self.epoch, fail_open=True)

    def decide_start(self, request: PolicyRequest) -> Decision | None:
        """A start asks only the rules that are about starts; its steps are decided each in its turn."""
        try:
            return None if self.point is None else self.point.decide_start(request)
        except Exception:
            if request.tenant in self.open_tenants:
                return None
            raise Undecided("the decision point fails") from None
