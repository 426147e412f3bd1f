"""Decisions: values in, values out."""

from __future__ import annotations

from typing import Any

import pytest

from cordum.domain.policy import NO_CONSTRAINTS, Constraints, Policy, PolicyRequest, Verdict
from cordum.domain.policy_document import read_policy


def policy(rules: str, more: str = "") -> Policy:
    return read_policy(f"version: '1'\n{more}\nrules:\n{rules}".encode())


def one(match: str, decision: str = "allow", more: str = "") -> Policy:
    return policy(f"  - {{id: it, match: {match}, decision: {decision}{more}}}")


def asked(**given: Any) -> PolicyRequest:
    return PolicyRequest(**{"topic": "job.sre.logs", "tenant": "acme", "workflow_id": "triage", **given})


# (match, requests that meet it, requests that do not)
FIELDS: list[tuple[str, list[dict[str, Any]], list[dict[str, Any]]]] = [
    ("{topics: [job.sre.logs]}", [{}], [{"topic": "job.sre.log"}, {"topic": "job.sre.logs.x"}]),
    ('{topics: ["job.sre.*"]}', [{}, {"topic": "job.sre.a.b"}], [{"topic": "job.sre"}, {"topic": "xjob.sre.a"}]),
    ('{topics: ["job.?.x", job.y]}', [{"topic": "job.a.x"}, {"topic": "job.y"}], [{"topic": "job.aa.x"}]),
    ('{tenants: ["ac*"]}', [{}, {"tenant": "ac"}], [{"tenant": "Acme"}, {"tenant": "bacme"}]),
    ("{workflows: [triage]}", [{}], [{"workflow_id": ""}, {"workflow_id": "triage2"}]),
    ("{capabilities: [read, write]}", [{"capability": "write"}], [{"capability": None}, {"capability": "wri"}]),
    ("{risk_tags: [prod, pii]}", [{"risk_tags": ("x", "pii")}], [{}, {"risk_tags": ("x",)}]),
    ("{requires: [gpu, net]}", [{"requires": ("net", "x", "gpu")}], [{}, {"requires": ("gpu",)}]),
    ("{actor_ids: [ann]}", [{"actor_id": "ann"}], [{}, {"actor_id": "bob"}]),
    ("{actor_types: [service]}", [{"actor_type": "service"}], [{}, {"actor_type": "human"}]),
    (
        "{labels: {env: prod, a: b}}",
        [{"labels": {"env": "prod", "a": "b", "c": "d"}}],
        [{}, {"labels": {"env": "prod"}}],
    ),
    (
        "{label_threshold: {amount: 100}}",
        [{"labels": {"amount": "100"}}, {"labels": {"amount": "1e3"[:1] + "000"}}],
        [{}, {"labels": {"amount": "99.9"}}],
    ),
    (
        "{label_threshold: {n: {gt: 1, lte: 2}}}",
        [{"labels": {"n": "2"}}],
        [{"labels": {"n": "1"}}, {"labels": {"n": "2.1"}}],
    ),
    ("{label_threshold: {n: {lt: 0}}}", [{"labels": {"n": "-0.5"}}], [{"labels": {"n": "0"}}]),
    ("{secrets_present: true}", [{"input": {"db": {"password": "x"}}}], [{}, {"input": {"password": ""}}]),
    ("{secrets_present: false}", [{"input": [1]}], [{"input": ["${secret:DB}"]}]),
    ('{input: "input.amount > 10"}', [{"input": {"amount": 11}}], [{"input": {"amount": 10}}]),
    ("{input: \"${labels.env == 'prod' && tenant == 'acme'}\"}", [{"labels": {"env": "prod"}}], [{}]),
    (
        "{topics: [job.sre.logs], tenants: [acme], risk_tags: [x]}",
        [{"risk_tags": ("x",)}],
        [{}, {"risk_tags": ("x",), "tenant": "b"}],
    ),
]


@pytest.mark.parametrize(("match", "meets", "fails"), FIELDS, ids=[match for match, _, _ in FIELDS])
def test_each_condition_holds_where_it_should_and_nowhere_else(
    match: str, meets: list[dict[str, Any]], fails: list[dict[str, Any]]
) -> None:
    rule = one(match)
    assert [rule.decide(asked(**given)).rule_id for given in meets] == ["it"] * len(meets)
    assert [rule.decide(asked(**given)).rule_id for given in fails] == [None] * len(fails)


def test_without_a_match_a_rule_is_about_everything() -> None:
    assert policy("  - {id: it, decision: allow}").decide(asked()).verdict is Verdict.ALLOW


def test_the_first_match_in_file_order_decides() -> None:
    rules = policy(
        '  - {id: a, match: {topics: ["job.x"]}, decision: deny}\n'
        '  - {id: b, match: {topics: ["job.*"]}, decision: require_approval, reason: ask}\n'
        '  - {id: c, match: {topics: ["job.sre.logs"]}, decision: allow}\n'
    )
    decided = rules.decide(asked())
    assert (decided.verdict, decided.rule_id, decided.reason) == (Verdict.REQUIRE_APPROVAL, "b", "ask")
    assert decided.digest == rules.digest


def test_where_no_rule_matches_it_is_denied() -> None:
    decided = one("{topics: [job.other]}").decide(asked())
    assert (decided.verdict, decided.rule_id) == (Verdict.DENY, None)
    assert read_policy(b"{}").decide(asked()).verdict is Verdict.DENY


@pytest.mark.parametrize("word", ["", "ALLOW", "maybe", "approve", None, True])
def test_any_other_word_is_a_denial(word: object) -> None:
    assert Verdict(word) is Verdict.DENY


def test_only_three_decisions_let_a_job_run() -> None:
    runs = [verdict for verdict in Verdict if verdict.runs]
    assert runs == [Verdict.ALLOW, Verdict.ALLOW_WITH_CONSTRAINTS, Verdict.THROTTLE]


@pytest.mark.parametrize(
    ("match", "given"),
    [
        ("{label_threshold: {amount: 100}}", {"labels": {"amount": "a lot"}}),
        ("{label_threshold: {amount: 100}}", {"labels": {"amount": "nan"}}),
        ("{label_threshold: {amount: 100}}", {"labels": {"amount": ""}}),
        ('{input: "input.amount > 10"}', {"input": {"amount": "eleven"}}),
        ('{input: "input.a / input.b > 1"}', {"input": {"a": 1, "b": 0}}),
    ],
)
def test_what_cannot_be_judged_counts_against_the_job(match: str, given: dict[str, Any]) -> None:
    more = "\ndefault_decision: "
    for decision in ("deny", "require_approval"):
        held = policy(f"  - {{id: it, match: {match}, decision: {decision}}}", f"{more}allow")
        assert held.decide(asked(**given)).rule_id == "it"
    for decision in (
        "allow",
        "allow_with_constraints, constraints: {budgets: {max_retries: 0}}",
        "throttle, velocity: {max_requests: 1, window_sec: 1}",
    ):
        let = policy(f"  - {{id: it, match: {match}, decision: {decision}}}", f"{more}deny")
        assert let.decide(asked(**given)).verdict is Verdict.DENY


def test_a_tenant_has_its_own_default_and_limits() -> None:
    rules = policy(
        "  - {id: it, match: {risk_tags: [x]}, decision: allow, "
        "constraints: {budgets: {max_retries: 5, max_runtime_ms: 10}}}",
        "tenants: {acme: {default_decision: allow, constraints: {budgets: {max_retries: 2, max_result_bytes: 7}}}}",
    )
    matched = rules.decide(asked(risk_tags=("x",)))
    assert matched.constraints == Constraints(max_runtime_ms=10, max_retries=2, max_result_bytes=7)
    other = rules.decide(asked())
    assert (other.verdict, other.rule_id, other.constraints.max_retries) == (Verdict.ALLOW, None, 2)
    assert rules.decide(asked(tenant="b")).verdict is Verdict.DENY
    assert rules.decide(asked(tenant="b", risk_tags=("x",))).constraints.max_retries == 5


LIMITED = """
tenants: {acme: {default_decision: allow, constraints: {budgets: {max_concurrent_jobs: 9}}}}
rules:
  - id: it
    match: {risk_tags: [x]}
    decision: allow
    constraints: {budgets: {max_concurrent_jobs: 2}}
    velocity: {max_requests: 3, window_sec: 1.5, key: KEY}
"""


def test_a_rules_limits_and_its_tenants_are_counted_apart() -> None:
    rules = read_policy(LIMITED.replace("KEY", "tenant").encode())
    tenant, rule, rate = rules.decide(asked(tenant="acme", risk_tags=("x",))).quotas
    assert (tenant.kind, tenant.name, tenant.most, tenant.scope) == ("tenant", "acme", 9, "acme")
    assert (rule.kind, rule.name, rule.most, rule.scope) == ("rule", "it", 2, "acme")
    assert (rate.kind, rate.name, rate.most, rate.window_ms) == ("velocity", "it", 3, 1500)
    assert rules.decide(asked(tenant="acme")).quotas == (tenant,)
    assert [one.kind for one in rules.decide(asked(tenant="b", risk_tags=("x",))).quotas] == ["rule", "velocity"]
    assert len({one.id for one in (tenant, rule, rate)}) == 3


@pytest.mark.parametrize(
    ("key", "apart"),
    [
        ("tenant", {"tenant"}),
        ("topic", {"topic"}),
        ("workflow", {"tenant", "workflow_id"}),
        ("actor", {"tenant", "actor_id"}),
    ],
)
def test_a_rate_is_counted_by_its_key(key: str, apart: set[str]) -> None:
    rules = read_policy(LIMITED.replace("KEY", key).encode())

    def counted(**given: Any) -> str:
        return rules.decide(asked(risk_tags=("x",), **given)).quotas[-1].id

    given = {"tenant": "b", "topic": "job.b", "workflow_id": "b", "actor_id": "b"}
    assert {name for name, value in given.items() if counted(**{name: value}) != counted()} == apart


def test_a_start_is_counted_only_where_a_rule_is_about_starts() -> None:
    rate = "velocity: {max_requests: 3, window_sec: 1}"
    rules = policy(f"  - {{id: it, match: {{topics: [workflow.start]}}, decision: throttle, {rate}}}")
    decided = rules.decide_start(asked(topic="workflow.start"))
    assert decided is not None
    assert [(one.kind, one.most) for one in decided.quotas] == [("velocity", 3)]


def test_a_decision_shows_what_it_holds_and_nothing_else() -> None:
    bare = one("{topics: [job.sre.logs]}").decide(asked()).document()
    assert set(bare) == {"decision", "rule_id", "reason", "policy_snapshot"}
    full = one(
        "{}",
        "throttle",
        ", constraints: {budgets: {max_retries: 0}}, velocity: {max_requests: 3, window_sec: 1.5, key: actor},"
        " remediations: [{id: r, title: Ask first, add_labels: {a: b}}]",
    )
    shown = full.decide(asked(actor_id="ann")).document()
    assert shown["constraints"] == {"budgets": {"max_retries": 0}}
    assert shown["velocity"] == {"max_requests": 3, "window_sec": 1.5, "key": "actor", "counted": "ann"}
    assert shown["remediations"] == [{"id": "r", "title": "Ask first", "add_labels": {"a": "b"}}]


def test_constraints_are_read_back_from_a_decision() -> None:
    kept = Constraints(max_retries=0, max_runtime_ms=5)
    assert Constraints.of({"constraints": kept.document()}) == kept
    for other in (None, {}, {"constraints": None}, {"constraints": {"budgets": [1]}}, {"constraints": {"x": 1}}):
        assert Constraints.of(other) == NO_CONSTRAINTS  # type: ignore[arg-type]
    assert Constraints.of({"constraints": {"budgets": {"max_retries": 1, "of_a_newer_version": 2}}}).max_retries == 1


def test_a_report_names_the_first_field_that_did_not_hold() -> None:
    rules = policy(
        '  - {id: a, match: {topics: ["job.sre.*"], tenants: [b], risk_tags: [x]}, decision: deny}\n'
        '  - {id: b, match: {input: "input > 1"}, decision: allow}\n'
        "  - {id: c, decision: allow}\n"
    )
    reports = list(rules.reports(asked(input="text")))
    assert [(one.rule.id, one.matched, one.failed, one.unjudged) for one in reports] == [
        ("a", False, "tenants", ()),
        ("b", False, "input", ("input",)),
        ("c", True, None, ()),
    ]
    assert [one.rule.line for one in reports] == [4, 5, 6]


def test_more_topics_than_are_kept_are_still_decided_right() -> None:
    rules = policy('  - {id: even, match: {topics: ["job.*0"]}, decision: allow}')
    for number in range(5000):
        assert rules.decide(asked(topic=f"job.{number}")).verdict.runs is (number % 10 == 0)


@pytest.mark.parametrize(
    "value",
    [
        {"password": "x"},
        {"a": [{"API_KEY": "x"}]},
        {"dbPassword": "x"},
        {"client-secret": "x"},
        "-----BEGIN RSA PRIVATE KEY-----",
        "see ${secret:DB}",
        "AKIAABCDEFGHIJKLMNOP",
        "postgres://user:pw@host/db",
        list(range(10_001)),
        ["x" * 200_000, "y" * 100_000],
    ],
)
def test_inputs_that_seem_to_hold_secrets(value: Any) -> None:
    assert asked(input=value).secrets_present


@pytest.mark.parametrize(
    "value",
    [None, 1, "", {"password": None}, {"token": ""}, {"keys": [1]}, "https://host:80/a@b", {"secretary": "ann"}],
)
def test_inputs_that_do_not(value: Any) -> None:
    assert not asked(input=value).secrets_present
