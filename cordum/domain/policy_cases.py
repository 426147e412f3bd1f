"""A catalogue of cases: what a policy must decide about these requests.

`cordum policy test` runs it, and a catalogue that does not pass keeps a policy from being published.

    cases:
      - name: production is never touched without a person
        request: {topic: job.sre.rollback, risk_tags: [prod]}
        expect: {decision: require_approval, rule_id: rollback-needs-a-person}
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from cordum.domain.definition import fields
from cordum.domain.definition.places import Field, Place, Table, expected, read_fields, refuse_unknown_keys, take
from cordum.domain.policy import Decision, Policy, Verdict
from cordum.domain.policy_document import read_document
from cordum.domain.policy_match import PolicyRequest
from cordum.domain.workflow import JSON

DEFAULT_TENANT = "default"


@dataclass(frozen=True, slots=True)
class Expectation:
    """`rule_id` None: whichever rule, or none, decides."""

    verdict: Verdict
    rule_id: str | None = None
    budgets: dict[str, JSON] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Case:
    name: str
    request: PolicyRequest
    expect: Expectation
    line: int | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a case went; `wrong` says what was expected and what came, and is empty when it passed."""

    case: Case
    decision: Decision
    wrong: tuple[str, ...]

    @property
    def passed(self) -> bool:
        return not self.wrong

    def document(self) -> dict[str, Any]:
        return {
            "name": self.case.name,
            "line": self.case.line,
            "passed": self.passed,
            "wrong": list(self.wrong),
            "decision": self.decision.verdict.value,
            "rule_id": self.decision.rule_id,
        }


def _any(place: Place) -> JSON:
    return place.value


REQUEST: Table = {
    "topic": Field("topic", fields.text, required=True),
    "tenant": Field("tenant", fields.text),
    "workflow_id": Field("workflow_id", fields.text),
    "capability": Field("capability", fields.text),
    "risk_tags": Field("risk_tags", fields.texts),
    "requires": Field("requires", fields.texts),
    "actor_id": Field("actor_id", fields.text),
    "actor_type": Field("actor_type", fields.text),
    "labels": Field("labels", fields.text_mapping),
    "input": Field("input", _any),
}

_verdict = fields.choice(Verdict)


def _mapping(place: Place) -> dict[str, JSON]:
    if not isinstance(place.value, dict):
        raise expected("a mapping", place)
    return place.value


EXPECT: Table = {
    "decision": Field("verdict", _verdict, required=True),
    "rule_id": Field("rule_id", fields.text),
    "budgets": Field("budgets", _mapping),
}


def _request(place: Place) -> PolicyRequest | None:
    values = _values(place, REQUEST, "a request")
    return PolicyRequest(**({"tenant": DEFAULT_TENANT} | values)) if "topic" in values else None


def _expectation(place: Place) -> Expectation | None:
    values = _values(place, EXPECT, "an expectation")
    return Expectation(**values) if "verdict" in values else None


def _values(place: Place, table: Table, what: str) -> dict[str, Any]:
    _mapping(place)
    refuse_unknown_keys(place, what, table)
    return read_fields(place, table)


CASE: Table = {
    "name": Field("name", fields.text, required=True),
    "request": Field("request", _request, required=True),
    "expect": Field("expect", _expectation, required=True),
}


def _cases(place: Place) -> tuple[Case, ...]:
    if not isinstance(place.value, list):
        raise expected("a list of cases", place)
    found = [take(_case, item) for item in place.items()]
    return tuple(case for case in found if case is not None)


def _case(place: Place) -> Case | None:
    values = _values(place, CASE, "a case")
    position = place.reading.document.position(place.path)
    line = position.line if position else None
    return Case(**values, line=line) if {"name", "request", "expect"} <= values.keys() else None


CATALOGUE: Table = {"cases": Field("cases", _cases, required=True)}


def load_cases(source: bytes) -> tuple[Case, ...]:
    """The cases of a YAML text; Unprocessable (`policy_invalid`) with every problem in it."""
    _, values = read_document(source, CATALOGUE, "a catalogue")
    found: tuple[Case, ...] = values["cases"]
    return found


def run_cases(policy: Policy, cases: Sequence[Case]) -> list[Outcome]:
    return [_run(policy, case) for case in cases]


def report_of(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """All outcomes as one document."""
    failed = sum(not one.passed for one in outcomes)
    return {
        "passed": not failed,
        "total": len(outcomes),
        "failed": failed,
        "results": [one.document() for one in outcomes],
    }


def _run(policy: Policy, case: Case) -> Outcome:
    decision = policy.decide(case.request)
    return Outcome(case, decision, tuple(_wrong(case.expect, decision)))


def _wrong(expect: Expectation, decision: Decision) -> Iterator[str]:
    if decision.verdict is not expect.verdict:
        yield f"expected {expect.verdict.value}, got {decision.verdict.value} by {decision.rule_id or 'no rule'}"
    if expect.rule_id is not None and decision.rule_id != expect.rule_id:
        yield f"expected rule {expect.rule_id}, got {decision.rule_id or 'none'}"
    given = decision.constraints.document()["budgets"]
    for name, wanted in expect.budgets.items():
        found = given.get(name) if isinstance(given, dict) else None
        if found != wanted:
            yield f"expected {name} {wanted}, got {found}"
