"""A workflow's own rules make decisions stricter, never looser."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cordum.domain.definition import load_workflow
from cordum.domain.policy import Constraints, Decision, PolicyRequest, Verdict
from cordum.domain.policy_override import stricter
from cordum.errors import DefinitionInvalid

ASKED = PolicyRequest("job.t", "acme", "wf", risk_tags=("prod",))
# As the field knows it: what lets less through is stricter.
LOOSEST_FIRST = [
    Verdict.ALLOW,
    Verdict.ALLOW_WITH_CONSTRAINTS,
    Verdict.THROTTLE,
    Verdict.REQUIRE_APPROVAL,
    Verdict.DENY,
]


def override(rules: str) -> Any:
    found = load_workflow(f"id: wf\nsteps: {{}}\npolicy_override: {{rules: [{rules}]}}".encode(), "yaml")
    return found.policy_override


def decided(verdict: Verdict, **limits: int) -> Decision:
    return Decision(verdict, "rule", "because", "sha256:x", 3, Constraints(**limits))


@pytest.mark.parametrize(
    ("policy", "own"),
    list(product(LOOSEST_FIRST, [one for one in LOOSEST_FIRST if one is not Verdict.THROTTLE])),
)
def test_the_stricter_of_both_counts(policy: Verdict, own: Verdict) -> None:
    limits = ", constraints: {budgets: {max_retries: 9}}"
    both = stricter(decided(policy), override(f"{{id: own, decision: {own.value}, reason: mine{limits}}}"), ASKED)
    assert LOOSEST_FIRST.index(both.verdict) == max(LOOSEST_FIRST.index(policy), LOOSEST_FIRST.index(own))
    mine = LOOSEST_FIRST.index(own) > LOOSEST_FIRST.index(policy)
    assert both.reason == ("mine" if mine else "because")
    # Whose policy it was, and by which rule, is told as before.
    assert (both.digest, both.epoch, both.rule_id) == ("sha256:x", 3, "rule")


LIMITS = st.fixed_dictionaries(
    {}, optional={name: st.integers(1, 9) for name in ("max_retries", "max_runtime_ms", "max_result_bytes")}
)


@given(LIMITS, LIMITS)
def test_of_two_limits_the_tighter_holds(policy: dict[str, int], own: dict[str, int]) -> None:
    budgets = ", ".join(f"{name}: {most}" for name, most in own.items())
    rules = f"{{id: own, decision: allow, constraints: {{budgets: {{{budgets}}}}}}}"
    both = stricter(decided(Verdict.ALLOW, **policy), override(rules), ASKED)
    for name in ("max_retries", "max_runtime_ms", "max_result_bytes"):
        wanted = [one[name] for one in (policy, own) if name in one]
        assert getattr(both.constraints, name) == (min(wanted) if wanted else None)


def test_what_no_rule_matches_is_left_as_it_is() -> None:
    before = decided(Verdict.ALLOW, max_retries=2)
    assert stricter(before, override("{id: own, match: {topics: [job.u]}, decision: deny}"), ASKED) is before
    assert stricter(before, override(""), ASKED) is before
    assert stricter(before, None, ASKED) is before


def test_an_allow_takes_an_exception_from_its_own_rules_only() -> None:
    own = override("{id: a, match: {risk_tags: [prod]}, decision: allow}, {id: b, decision: deny}")
    assert stricter(decided(Verdict.ALLOW), own, ASKED).verdict is Verdict.ALLOW
    assert stricter(decided(Verdict.DENY), own, ASKED).verdict is Verdict.DENY
    assert stricter(decided(Verdict.ALLOW), own, PolicyRequest("job.t", "acme")).verdict is Verdict.DENY


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("{}", "/policy_override/rules"),
        ("{rules: [], default_decision: allow}", "/policy_override/default_decision"),
        ("{rules: {}}", "/policy_override/rules"),
        ("[]", "/policy_override"),
        ("{rules: [{decision: deny}]}", "/policy_override/rules/0/id"),
        ("{rules: [{id: a, decision: throttle}]}", "/policy_override/rules/0/decision"),
        ("{rules: [{id: a, decision: deny, velocity: {}}]}", "/policy_override/rules/0/velocity"),
        ("{rules: [{id: a, decision: allow_with_constraints}]}", "/policy_override/rules/0/constraints"),
        ("{rules: [{id: a, decision: deny}, {id: a, decision: deny}]}", "/policy_override/rules/1"),
        (
            "{rules: [{id: a, decision: deny, constraints: {budgets: {max_concurrent_jobs: 1}}}]}",
            "/policy_override/rules/0/constraints/budgets/max_concurrent_jobs",
        ),
    ],
)
def test_what_is_no_override_is_refused_with_its_place(text: str, path: str) -> None:
    with pytest.raises(DefinitionInvalid) as refused:
        load_workflow(f"id: wf\nsteps: {{}}\npolicy_override: {text}".encode(), "yaml")
    assert [(one.path, one.line) for one in refused.value.problems] == [(path, 3)]
