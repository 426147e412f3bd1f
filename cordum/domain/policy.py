"""Whether a job may run: rules in file order, the first match decides, and anything unclear is a denial (CONTRACT.md
10).

This version knows `topics`, `tenants`, `workflows`, `risk_tags`, `capabilities` and `labels` in `match`, and the
decisions allow, deny and require_approval. A rule that uses anything else is refused when the file is read, never
ignored: a rule that is not understood must not loosen what its author meant to forbid.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase
from functools import cached_property

from cordum.domain.workflow import JSON


class Verdict(StrEnum):
    ALLOW = "allow"
    DENY = "deny"
    REQUIRE_APPROVAL = "require_approval"


@dataclass(frozen=True, slots=True)
class PolicyRequest:
    """What a decision may look at."""

    topic: str
    tenant: str
    workflow_id: str
    risk_tags: tuple[str, ...] = ()
    capability: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Rule:
    """All fields that are set must hold; `topics`, `tenants` and `workflows` are glob patterns."""

    id: str
    verdict: Verdict
    reason: str | None = None
    topics: tuple[str, ...] = ()
    tenants: tuple[str, ...] = ()
    workflows: tuple[str, ...] = ()
    risk_tags: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)

    def matches(self, request: PolicyRequest) -> bool:
        return (
            _globs(self.topics, request.topic)
            and _globs(self.tenants, request.tenant)
            and _globs(self.workflows, request.workflow_id)
            and (not self.risk_tags or not set(self.risk_tags).isdisjoint(request.risk_tags))
            and (not self.capabilities or request.capability in self.capabilities)
            and all(request.labels.get(name) == value for name, value in self.labels.items())
        )


def _globs(patterns: tuple[str, ...], text: str) -> bool:
    return not patterns or any(fnmatchcase(text, pattern) for pattern in patterns)


@dataclass(frozen=True, slots=True)
class Decision:
    """One answer of the policy, as it goes onto the timeline before the job exists."""

    verdict: Verdict
    rule_id: str | None
    reason: str | None
    digest: str
    epoch: int

    def document(self) -> dict[str, JSON]:
        return {
            "decision": self.verdict.value,
            "rule_id": self.rule_id,
            "reason": self.reason,
            "policy_snapshot": self.digest,
        }


@dataclass(frozen=True)
class Policy:
    """A snapshot of the rules. `source` is the published text, `epoch` its number in this Redis (0: none published)."""

    rules: tuple[Rule, ...]
    default: Verdict
    source: bytes
    epoch: int = 0

    @cached_property
    def digest(self) -> str:
        return "sha256:" + hashlib.sha256(self.source).hexdigest()

    def decide(self, request: PolicyRequest) -> Decision:
        for rule in self.rules:
            if rule.matches(request):
                return Decision(rule.verdict, rule.id, rule.reason, self.digest, self.epoch)
        return Decision(self.default, None, "no rule matched", self.digest, self.epoch)
