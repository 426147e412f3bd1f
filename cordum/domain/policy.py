"""Whether a job may run: rules in file order, the first match decides, anything unclear is a denial (CONTRACT.md 10).

A condition that cannot be judged (an expression that fails, a label that is no number) counts against the job: a rule
that would let it run does not match, a rule that would hold it back does.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from functools import cached_property

from cordum.domain.policy_match import MATCH_ANY, Check, Match, PolicyRequest, glob_of, is_glob
from cordum.domain.quotas import Quota, QuotaKind
from cordum.domain.workflow import JSON

__all__ = [
    # the question
    "PolicyRequest",
    "START_TOPIC",
    # the rules
    "Policy",
    "Rule",
    "TenantRules",
    "Velocity",
    "MOST_REQUESTS",
    "LONGEST_WINDOW_SEC",
    "Remediation",
    # the answer
    "Decision",
    "Verdict",
    "Constraints",
    "NO_CONSTRAINTS",
    "RuleReport",
    # its text
    "digest_of",
]

START_TOPIC = "workflow.start"

# Each request of a velocity's window is remembered until the window has passed it.
MOST_REQUESTS, LONGEST_WINDOW_SEC = 100_000, 7 * 24 * 3600

_TOPICS_KEPT = 4096


class Verdict(StrEnum):
    """Any other word is a denial."""

    ALLOW = "allow"
    DENY = "deny"
    REQUIRE_APPROVAL = "require_approval"
    ALLOW_WITH_CONSTRAINTS = "allow_with_constraints"
    THROTTLE = "throttle"

    @classmethod
    def _missing_(cls, value: object) -> Verdict:
        return cls.DENY

    @property
    def runs(self) -> bool:
        """Whether the job may go onto its queue with nobody asked; what is throttled, as its rule's rate allows."""
        return self in (Verdict.ALLOW, Verdict.ALLOW_WITH_CONSTRAINTS, Verdict.THROTTLE)


@dataclass(frozen=True, slots=True)
class Constraints:
    """What a job that may run has to keep to; None: nothing is said. Milliseconds, bytes, jobs at one time."""

    max_runtime_ms: int | None = None
    max_retries: int | None = None
    max_result_bytes: int | None = None
    max_concurrent_jobs: int | None = None

    def __bool__(self) -> bool:
        return self is not NO_CONSTRAINTS and bool(self._budgets())

    def document(self) -> dict[str, JSON]:
        return {"budgets": dict(self._budgets())}

    @classmethod
    def of(cls, decision: Mapping[str, JSON] | None) -> Constraints:
        """Those in a decision's document."""
        constraints = (decision or {}).get("constraints")
        budgets = constraints.get("budgets") if isinstance(constraints, dict) else None
        if not isinstance(budgets, dict):
            return NO_CONSTRAINTS
        return cls(**{name: most for name, most in budgets.items() if name in BUDGETS and isinstance(most, int)})

    def within(self, other: Constraints) -> Constraints:
        """The tighter of both, each by itself."""
        if not other:
            return self
        mine, theirs = self._budgets(), other._budgets()
        both = {name: [some[name] for some in (mine, theirs) if name in some] for name in mine | theirs}
        return Constraints(**{name: min(most) for name, most in both.items()})

    def _budgets(self) -> dict[str, int]:
        return {name: most for name in BUDGETS if (most := getattr(self, name)) is not None}


NO_CONSTRAINTS = Constraints()
BUDGETS = tuple(one.name for one in fields(Constraints))


@dataclass(frozen=True, slots=True)
class Velocity:
    """At most so many jobs in a sliding window; `key` says which jobs are counted together: a field of the request."""

    max_requests: int
    window_ms: int
    key: str = "tenant"

    def document(self, request: PolicyRequest) -> dict[str, JSON]:
        return {
            "max_requests": self.max_requests,
            "window_sec": self.window_ms / 1000,
            "key": self.key,
            "counted": self._counted(request),
        }

    def quota(self, rule: str, request: PolicyRequest) -> Quota:
        """What the request must find room in. A topic is counted for all tenants together, the rest for each alone."""
        tenant = "" if self.key == "topic" else request.tenant
        scope = "\n".join((self.key, tenant, self._counted(request)))
        return Quota(QuotaKind.VELOCITY, rule, self.max_requests, scope, self.window_ms)

    def _counted(self, request: PolicyRequest) -> str:
        return {
            "tenant": request.tenant,
            "topic": request.topic,
            "workflow": request.workflow_id,
            "actor": request.actor_id or "",
        }[self.key]


@dataclass(frozen=True, slots=True)
class Remediation:
    """What could be done instead, for whoever was refused."""

    id: str
    title: str | None = None
    summary: str | None = None
    replacement_topic: str | None = None
    replacement_capability: str | None = None
    add_labels: Mapping[str, str] = field(default_factory=dict)
    remove_labels: tuple[str, ...] = ()

    def document(self) -> dict[str, JSON]:
        given: dict[str, JSON] = {
            "id": self.id,
            "title": self.title,
            "summary": self.summary,
            "replacement_topic": self.replacement_topic,
            "replacement_capability": self.replacement_capability,
            "add_labels": dict(self.add_labels),
            "remove_labels": list(self.remove_labels),
        }
        return {name: value for name, value in given.items() if value}


@dataclass(frozen=True)
class Rule:
    """`line` is where it stands in the file, from 1."""

    id: str
    verdict: Verdict
    match: Match = MATCH_ANY
    reason: str | None = None
    constraints: Constraints = NO_CONSTRAINTS
    velocity: Velocity | None = None
    remediations: tuple[Remediation, ...] = ()
    line: int | None = field(default=None, compare=False)

    def quotas(self, request: PolicyRequest) -> tuple[Quota, ...]:
        """What the rule counts, of the requests that it decides."""
        most, found = self.constraints.max_concurrent_jobs, []
        if most is not None:
            found.append(Quota(QuotaKind.RULE, self.id, most, request.tenant))
        if self.velocity is not None:
            found.append(self.velocity.quota(self.id, request))
        return tuple(found)

    def matches(self, request: PolicyRequest) -> bool:
        """For a rule that was found by the request's topic: everything else."""
        for holds in self._beyond_topic:
            held = holds(request)
            if held is False or (held is None and self.verdict.runs):
                return False
        return True

    @property
    def asks_input(self) -> bool:
        """Whether it looks at what a job would be given."""
        return self.match.input is not None or self.match.secrets_present is not None

    @cached_property
    def _beyond_topic(self) -> tuple[Check, ...]:
        return tuple(holds for name, holds in self.match.checks if name != "topics")

    def report(self, request: PolicyRequest) -> RuleReport:
        """The first field that does not hold, and those that could not be judged."""
        unjudged = []
        for name, holds in self.match.checks:
            held = holds(request)
            if held is None:
                unjudged.append(name)
            if held is False or (held is None and self.verdict.runs):
                return RuleReport(self, False, name, tuple(unjudged))
        return RuleReport(self, True, None, tuple(unjudged))


@dataclass(frozen=True, slots=True)
class RuleReport:
    """How one rule met a request. `failed`: the first field of its match that did not hold."""

    rule: Rule
    matched: bool
    failed: str | None
    unjudged: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TenantRules:
    """What holds for one tenant: its own default, and limits within which everything of it runs.

    `fail_open`: while there is no policy that can be used, its jobs go instead of waiting.
    """

    default: Verdict | None = None
    constraints: Constraints = NO_CONSTRAINTS
    fail_open: bool = False

    def quotas(self, tenant: str) -> tuple[Quota, ...]:
        most = self.constraints.max_concurrent_jobs
        return () if most is None else (Quota(QuotaKind.TENANT, tenant, most, tenant),)


@dataclass(frozen=True, slots=True)
class Decision:
    """One answer of the policy, as it goes onto the timeline before the job exists.

    `fail_open`: no policy has said so, only the tenant's fail mode. `override`: id of the rule of the workflow's own
    `policy_override` that has made it stricter.
    """

    verdict: Verdict
    rule_id: str | None
    reason: str | None
    digest: str
    epoch: int
    constraints: Constraints = NO_CONSTRAINTS
    velocity: Mapping[str, JSON] | None = None
    remediations: tuple[Remediation, ...] = ()
    fail_open: bool = False
    override: str | None = None
    quotas: tuple[Quota, ...] = ()

    def document(self) -> dict[str, JSON]:
        found: dict[str, JSON] = {
            "decision": self.verdict.value,
            "rule_id": self.rule_id,
            "reason": self.reason,
            "policy_snapshot": self.digest,
        }
        # Most decisions have none of these, and each is stored with its step.
        if self.constraints:
            found["constraints"] = self.constraints.document()
        if self.velocity:
            found["velocity"] = dict(self.velocity)
        if self.remediations:
            found["remediations"] = [one.document() for one in self.remediations]
        if self.fail_open:
            found["fail_mode"] = "open"
        if self.override is not None:
            found["policy_override"] = self.override
        return found


@dataclass(frozen=True)
class Policy:
    """A snapshot of the rules. `source` is the published text, `epoch` its number in this Redis (0: none published)."""

    rules: tuple[Rule, ...]
    default: Verdict
    source: bytes
    epoch: int = 0
    tenants: Mapping[str, TenantRules] = field(default_factory=dict)

    @cached_property
    def digest(self) -> str:
        return digest_of(self.source)

    def decide(self, request: PolicyRequest) -> Decision:
        own = self.tenants.get(request.tenant, _NO_TENANT_RULES)
        for rule in self._about(request.topic):
            if rule.matches(request):
                return Decision(
                    rule.verdict,
                    rule.id,
                    rule.reason,
                    self.digest,
                    self.epoch,
                    rule.constraints.within(own.constraints),
                    rule.velocity.document(request) if rule.velocity else None,
                    rule.remediations,
                    quotas=(*own.quotas(request.tenant), *rule.quotas(request)),
                )
        verdict = self.default if own.default is None else own.default
        return Decision(
            verdict,
            None,
            "no rule matched",
            self.digest,
            self.epoch,
            own.constraints,
            quotas=own.quotas(request.tenant),
        )

    def asks_input(self, topic: str) -> bool:
        """Whether a decision about this topic may depend on what the job would be given."""
        return any(rule.asks_input for rule in self._about(topic))

    def decide_start(self, request: PolicyRequest) -> Decision | None:
        """What rules that name the topic `workflow.start` say to a whole run; None when none of them does.

        Patterns that only happen to match it are about jobs, and so is the default (CONTRACT.md 3.13).
        """
        for rule in self.rules:
            if START_TOPIC in rule.match.topics and rule.matches(request):
                quotas = (rule.velocity.quota(rule.id, request),) if rule.velocity else ()
                return Decision(rule.verdict, rule.id, rule.reason, self.digest, self.epoch, quotas=quotas)
        return None

    @property
    def open_tenants(self) -> tuple[str, ...]:
        """Those whose jobs go while this policy cannot be used."""
        return tuple(sorted(tenant for tenant, rules in self.tenants.items() if rules.fail_open))

    def reports(self, request: PolicyRequest) -> Iterator[RuleReport]:
        """Every rule, in order, and how it met the request; the first that matched has decided."""
        return (rule.report(request) for rule in self.rules)

    def _about(self, topic: str) -> tuple[Rule, ...]:
        """The rules whose topics match, in order: worked out once for each topic."""
        found = self._known_topics.get(topic)
        if found is None:
            numbers = set(self._by_topic.get(topic, ()))
            numbers.update(number for number, matches in self._patterns if matches(topic))
            found = tuple(self.rules[number] for number in sorted(numbers))
            if len(self._known_topics) >= _TOPICS_KEPT:
                self._known_topics.clear()
            self._known_topics[topic] = found
        return found

    @cached_property
    def _known_topics(self) -> dict[str, tuple[Rule, ...]]:
        return {}

    @cached_property
    def _by_topic(self) -> Mapping[str, list[int]]:
        """Rules by the topics that they name in full."""
        found: dict[str, list[int]] = {}
        for number, rule in enumerate(self.rules):
            for topic in rule.match.topics:
                found.setdefault(topic, []).append(number)
        return found

    @cached_property
    def _patterns(self) -> list[tuple[int, Callable[[str], object]]]:
        """Rules by their patterns; a rule without topics is about all of them."""
        found = []
        for number, rule in enumerate(self.rules):
            patterns = rule.match.topics or ("*",)
            found += [(number, glob_of(pattern)) for pattern in patterns if is_glob(pattern)]
        return found


_NO_TENANT_RULES = TenantRules()


def digest_of(source: bytes) -> str:
    """What a policy is known by: the SHA-256 of its text."""
    return "sha256:" + hashlib.sha256(source).hexdigest()
