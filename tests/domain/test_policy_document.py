"""The policy's text: every mistake with its line, nothing half understood; the schema, the lint, the catalogue."""

from __future__ import annotations

from typing import Any

import pytest

from cordum.domain import policy_cases, policy_document, policy_override, policy_schema
from cordum.domain.policy_cases import load_cases, run_cases
from cordum.domain.policy_document import read_policy
from cordum.domain.policy_lint import lint
from cordum.errors import Unprocessable

HEAD = "version: '1'\nrules:\n"


def refused(text: str) -> list[tuple[str, int | None, str]]:
    with pytest.raises(Unprocessable) as refusal:
        read_policy(text.encode())
    assert refusal.value.code == "policy_invalid"
    return [(one.code, one.line, one.message) for one in refusal.value.problems]


@pytest.mark.parametrize(
    ("rule", "code", "said"),
    [
        ("decision: allow", "missing_field", "id"),
        ("id: a", "missing_field", "decision"),
        ("id: a, decision: alow", "invalid_choice", 'did you mean "allow"'),
        ("id: a, decision: allow, matches: {}", "unknown_field", 'did you mean "match"'),
        ("id: a, decision: deny, match: {topic: [job.a]}", "unknown_field", 'did you mean "topics"'),
        ("id: a, decision: deny, match: {topics: []}", "number_range", "empty list"),
        ("id: a, decision: deny, match: {topics: job.a}", "type", "list of strings"),
        ("id: a, decision: deny, match: {topics: [1]}", "type", "quote it"),
        ("id: a, decision: deny, match: {labels: {}}", "number_range", "empty mapping"),
        ("id: a, decision: deny, match: {label_threshold: {a: x}}", "type", "a number"),
        ("id: a, decision: deny, match: {label_threshold: {a: {ge: 1}}}", "unknown_field", "ge"),
        ("id: a, decision: deny, match: {label_threshold: {a: {}}}", "missing_field", "gte"),
        ("id: a, decision: deny, match: {secrets_present: 1}", "type", "true or false"),
        ("id: a, decision: deny, match: {input: 'input >'}", "expr_syntax", ""),
        ("id: a, decision: deny, match: {input: 'inputs.a > 1'}", "unknown_field", 'did you mean "input"'),
        ("id: a, decision: deny, match: null", "type", "no value"),
        ("id: a, decision: allow_with_constraints", "missing_field", "constraints"),
        ("id: a, decision: allow, constraints: {budget: {}}", "unknown_field", 'did you mean "budgets"'),
        ("id: a, decision: allow, constraints: {budgets: {max_retries: -1}}", "number_range", ""),
        ("id: a, decision: allow, constraints: {budgets: {max_runtime_ms: 1.5}}", "type", "an integer"),
        ("id: a, decision: allow, remediations: [{title: x}]", "missing_field", "id"),
        ("id: a, decision: allow, remediations: [{id: x, replacement_topic: nope}]", "id_format", "topic"),
    ],
)
def test_a_mistake_is_told_with_its_line(rule: str, code: str, said: str) -> None:
    (found,) = refused(f"{HEAD}  - {{id: fine, decision: deny}}\n  - {{{rule}}}\n")
    assert found[0] == code
    assert found[1] == 4
    assert said in found[2]


def test_all_mistakes_are_told_at_once_in_order() -> None:
    text = f"{HEAD}  - {{id: a, decision: no}}\n  - {{id: b}}\n  - {{decision: allow, x: 1}}\nunknown: 1\n"
    assert [(code, line) for code, line, _ in refused(text)] == [
        ("invalid_choice", 3),
        ("missing_field", 4),
        ("missing_field", 5),
        ("unknown_field", 5),
        ("unknown_field", 6),
    ]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("rules: [", "yaml_syntax"),
        ("- a", "type"),
        ("rules: {}", "type"),
        ("rules: [1]", "type"),
        ("default_decision: perhaps", "invalid_choice"),
        ("default_decision: throttle", "invalid_choice"),
        ("version: 1.0", "type"),
        ("tenants: {'a*': {}}", "id_format"),
        ("tenants: {a: {default: deny}}", "unknown_field"),
        ("tenants: [a]", "type"),
        ("rules: [{id: a, decision: deny}, {id: a, decision: deny}]", "duplicate_key"),
        ("rules: &a [*a]", "alias_forbidden"),
        ("rules: [{id: a, decision: throttle}]", "missing_field"),
        ("rules: [{id: a, decision: allow, velocity: {max_requests: 1}}]", "missing_field"),
        ("rules: [{id: a, decision: allow, velocity: {max_requests: 0, window_sec: 1}}]", "number_range"),
        ("rules: [{id: a, decision: allow, velocity: {max_requests: 100001, window_sec: 1}}]", "number_range"),
        ("rules: [{id: a, decision: allow, velocity: {max_requests: 1, window_sec: 0}}]", "number_range"),
        ("rules: [{id: a, decision: allow, velocity: {max_requests: 1, window_sec: 604801}}]", "number_range"),
    ],
)
def test_what_is_no_policy_is_refused(text: str, code: str) -> None:
    assert code in [found for found, _, _ in refused(text)]


# --- the schema ---


@pytest.mark.parametrize(
    ("schema", "table"),
    [
        (policy_schema.POLICY, policy_document.POLICY),
        (policy_schema.RULE, policy_document.RULE),
        (policy_schema.MATCH, policy_document.MATCH),
        (policy_schema.CONSTRAINTS, policy_document.CONSTRAINTS),
        (policy_schema.BUDGETS, policy_document.BUDGETS),
        (policy_schema.VELOCITY, policy_document.VELOCITY),
        (policy_schema.REMEDIATION, policy_document.REMEDIATION),
        (policy_schema.TENANT_RULES, policy_document.TENANT_RULES),
        (policy_schema.OVERRIDE, policy_override.OVERRIDE),
        (policy_schema.OVERRIDE_RULE, policy_override.OVERRIDE_RULE),
    ],
)
def test_the_schema_and_the_reader_know_the_same_keys(schema: dict[str, Any], table: policy_document.Table) -> None:
    assert set(schema["properties"]) == set(table)
    assert set(schema.get("required", [])) == {key for key, entry in table.items() if entry.required}
    assert schema["additionalProperties"] is False


# --- the lint ---


def linted(*rules: str) -> list[tuple[str, int | None]]:
    text = HEAD + "".join(f"  - {{{rule}}}\n" for rule in rules)
    return [(one.code, one.line) for one in lint(read_policy(text.encode()))]


@pytest.mark.parametrize(
    ("first", "second", "code"),
    [
        ("match: {topics: [a]}, decision: deny", "match: {topics: [a]}, decision: deny", "duplicate_rule"),
        ("match: {topics: [a]}, decision: deny", "match: {topics: [a]}, decision: allow", "shadowed_rule"),
        ("decision: deny", "match: {topics: [a]}, decision: allow", "unreachable_rule"),
        ('match: {topics: ["a.*"]}, decision: deny', "match: {topics: [a.b]}, decision: allow", "shadowed_rule"),
        ('match: {topics: ["a.*"]}, decision: deny', 'match: {topics: ["a.b.*"]}, decision: allow', "shadowed_rule"),
        ("match: {risk_tags: [a, b]}, decision: deny", "match: {risk_tags: [a]}, decision: allow", "shadowed_rule"),
        ("match: {requires: [a]}, decision: deny", "match: {requires: [a, b]}, decision: allow", "shadowed_rule"),
        ("match: {labels: {a: b}}, decision: deny", "match: {labels: {a: b, c: d}}, decision: allow", "shadowed_rule"),
        ("match: {input: input.x}, decision: deny", "match: {input: input.x}, decision: deny", "duplicate_rule"),
    ],
)
def test_a_rule_that_never_decides_is_found(first: str, second: str, code: str) -> None:
    assert linted(f"id: a, {first}", f"id: b, {second}") == [(code, 4)]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("match: {topics: [a]}, decision: deny", "match: {topics: [b]}, decision: deny"),
        ("match: {topics: [a.b]}, decision: deny", 'match: {topics: ["a.*"]}, decision: allow'),
        ('match: {topics: ["a.?"]}, decision: deny', 'match: {topics: ["a.*"]}, decision: allow'),
        ("match: {risk_tags: [a]}, decision: deny", "match: {risk_tags: [a, b]}, decision: allow"),
        ("match: {requires: [a, b]}, decision: deny", "match: {requires: [a]}, decision: allow"),
        ("match: {labels: {a: b}}, decision: deny", "match: {topics: [a]}, decision: allow"),
        ("match: {secrets_present: true}, decision: deny", "decision: allow"),
        # Not judged, an expression matches for a denial and not for a permission.
        ("match: {input: input.x}, decision: allow", "match: {input: input.x}, decision: deny"),
    ],
)
def test_a_rule_that_may_decide_is_left_alone(first: str, second: str) -> None:
    assert linted(f"id: a, {first}", f"id: b, {second}") == []


def test_the_lint_tells_of_an_empty_policy() -> None:
    assert [one.code for one in lint(read_policy(b"rules: []"))] == ["empty_policy"]


# --- the catalogue ---

CASES = """\
cases:
  - name: reading runs
    request: {topic: job.sre.logs}
    expect: {decision: allow, rule_id: read, budgets: {max_retries: 1}}
  - name: nothing else does
    request: {topic: job.x, tenant: acme, labels: {a: b}, input: {deep: [1]}}
    expect: {decision: deny}
"""
RULES = f"""{HEAD}
  - id: read
    match: {{topics: [job.sre.logs]}}
    decision: allow
    constraints: {{budgets: {{max_retries: 1}}}}
"""


def test_a_catalogue_passes_or_says_what_came_instead() -> None:
    cases = load_cases(CASES.encode())
    assert [one.wrong for one in run_cases(read_policy(RULES.encode()), cases)] == [(), ()]
    loose = run_cases(read_policy(b"default_decision: allow"), cases)
    assert [one.passed for one in loose] == [False, False]
    assert loose[0].wrong == ("expected rule read, got none", "expected max_retries 1, got None")
    assert loose[1].wrong == ("expected deny, got allow by no rule",)
    assert loose[1].case.line == 5


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("{}", "missing_field"),
        ("cases: {}", "type"),
        ("cases: [1]", "type"),
        ("cases: [{name: a, request: {}, expect: {decision: deny}}]", "missing_field"),
        ("cases: [{name: a, request: {topic: x}, expect: {decision: no}}]", "invalid_choice"),
        ("cases: [{name: a, request: {topics: x}, expect: {decision: deny}}]", "unknown_field"),
        ("cases: [{request: {topic: x}, expect: {decision: deny}}]", "missing_field"),
    ],
)
def test_what_is_no_catalogue_is_refused(text: str, code: str) -> None:
    with pytest.raises(Unprocessable) as refusal:
        load_cases(text.encode())
    assert code in [one.code for one in refusal.value.problems]


def test_a_case_can_ask_all_that_a_rule_can_see() -> None:
    seen = {"topic", "tenant", "workflow_id", "capability", "risk_tags", "requires", "actor_id", "actor_type"}
    assert set(policy_cases.REQUEST) == seen | {"labels", "input"}
