"""What a rule looks at: the request, and the conditions that it must meet, all of them.

Each condition that is set becomes one check, made once: a policy of a thousand rules is walked through for every job.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from fnmatch import translate
from functools import cached_property
from operator import attrgetter
from typing import Any, TypeAlias

from cordum.domain.expressions import Expression
from cordum.domain.policy_secrets import holds_secrets
from cordum.domain.workflow import JSON
from cordum.errors import ExpressionError


@dataclass(frozen=True)
class PolicyRequest:
    """What a decision may look at. `input` is what the job would be given."""

    topic: str
    tenant: str
    workflow_id: str = ""
    risk_tags: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    capability: str | None = None
    actor_id: str | None = None
    actor_type: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    input: JSON = None

    @cached_property
    def secrets_present(self) -> bool:
        return holds_secrets(self.input)

    def scope(self) -> Mapping[str, Any]:
        """What a rule's `input` expression can see."""
        return {
            "input": self.input,
            "labels": dict(self.labels),
            "topic": self.topic,
            "tenant": self.tenant,
            "workflow_id": self.workflow_id,
            "actor_id": self.actor_id,
        }


SCOPE_NAMES = frozenset({"input", "labels", "topic", "tenant", "workflow_id", "actor_id"})

Check: TypeAlias = Callable[[PolicyRequest], bool | None]
"""Whether a condition holds; None when that cannot be judged."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """A label read as a number lies within these; None: no bound on that side."""

    gte: float | None = None
    gt: float | None = None
    lte: float | None = None
    lt: float | None = None

    def hold(self, value: float) -> bool:
        return (
            (self.gte is None or value >= self.gte)
            and (self.gt is None or value > self.gt)
            and (self.lte is None or value <= self.lte)
            and (self.lt is None or value < self.lt)
        )


@dataclass(frozen=True)
class Match:
    """All conditions that are set must hold. `topics`, `tenants` and `workflows` are patterns (`*`, `?`, `[…]`)."""

    topics: tuple[str, ...] = ()
    tenants: tuple[str, ...] = ()
    workflows: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    risk_tags: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    actor_ids: tuple[str, ...] = ()
    actor_types: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    label_threshold: Mapping[str, Bounds] = field(default_factory=dict)
    secrets_present: bool | None = None
    input: Expression | None = None

    @cached_property
    def checks(self) -> tuple[tuple[str, Check], ...]:
        """One for each condition that is set, with its name; the dearest last."""
        made = {name: _CHECKS[name](getattr(self, name)) for name in _CHECKS if _is_set(getattr(self, name))}
        return tuple(made.items())

    def document(self) -> dict[str, JSON]:
        """The conditions that are set, as the file has them."""
        set_ = {name: getattr(self, name) for name in _CHECKS if _is_set(getattr(self, name))}
        return {name: _shown(condition) for name, condition in set_.items()}


def _shown(condition: Any) -> JSON:
    if isinstance(condition, Expression):
        return condition.text
    if isinstance(condition, Bounds):
        return {name: bound for name, bound in asdict(condition).items() if bound is not None}
    if isinstance(condition, Mapping):
        return {name: _shown(value) for name, value in condition.items()}
    shown: JSON = list(condition) if isinstance(condition, tuple) else condition
    return shown


def _is_set(condition: object) -> bool:
    return condition not in (None, (), {})


def is_glob(pattern: str) -> bool:
    return any(char in pattern for char in "*?[")


def glob_of(pattern: str) -> Callable[[str], object]:
    """Whether a text matches: shell style, `*` crosses dots, upper and lower case differ."""
    if pattern == "*":
        return _anything
    return re.compile(translate(pattern)).match


def _anything(_text: str) -> bool:
    return True


def _globs(attribute: str) -> Callable[[tuple[str, ...]], Check]:
    def make(patterns: tuple[str, ...]) -> Check:
        plain = frozenset(pattern for pattern in patterns if not is_glob(pattern))
        globs = [glob_of(pattern) for pattern in patterns if is_glob(pattern)]

        def holds(request: PolicyRequest) -> bool:
            text = getattr(request, attribute)
            return text in plain or any(matches(text) for matches in globs)

        return holds

    return make


def _member(attribute: str) -> Callable[[tuple[str, ...]], Check]:
    value = attrgetter(attribute)

    def make(wanted: tuple[str, ...]) -> Check:
        known = frozenset(wanted)
        return lambda request: value(request) in known

    return make


def _any_risk_tag(wanted: tuple[str, ...]) -> Check:
    known = frozenset(wanted)
    return lambda request: not known.isdisjoint(request.risk_tags)


def _all_requires(wanted: tuple[str, ...]) -> Check:
    known = frozenset(wanted)
    return lambda request: known.issubset(request.requires)


def _labels(wanted: Mapping[str, str]) -> Check:
    pairs = dict(wanted).items()
    return lambda request: pairs <= request.labels.items()


def _label_thresholds(wanted: Mapping[str, Bounds]) -> Check:
    def holds(request: PolicyRequest) -> bool | None:
        found = [_within(request.labels.get(name), bounds) for name, bounds in wanted.items()]
        return False if False in found else None if None in found else True

    return holds


def _within(label: str | None, bounds: Bounds) -> bool | None:
    """False for a label that is absent; None for one that is no number."""
    if label is None:
        return False
    if not _NUMBER.match(label):
        return None
    return bounds.hold(float(label))


_NUMBER = re.compile(r"[+-]?[0-9]{1,300}(\.[0-9]{1,300})?\Z")


def _secrets(wanted: bool) -> Check:
    return lambda request: request.secrets_present is wanted


def _expression(wanted: Expression) -> Check:
    def holds(request: PolicyRequest) -> bool | None:
        try:
            return wanted.truth(request.scope())
        except ExpressionError:
            return None

    return holds


# In this order they are looked at, and told of when one does not hold.
_CHECKS: Mapping[str, Callable[[Any], Check]] = {
    "topics": _globs("topic"),
    "tenants": _globs("tenant"),
    "workflows": _globs("workflow_id"),
    "capabilities": _member("capability"),
    "risk_tags": _any_risk_tag,
    "requires": _all_requires,
    "actor_ids": _member("actor_id"),
    "actor_types": _member("actor_type"),
    "labels": _labels,
    "label_threshold": _label_thresholds,
    "secrets_present": _secrets,
    "input": _expression,
}

MATCH_ANY = Match()
