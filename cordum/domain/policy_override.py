"""A workflow's own rules (`policy_override`): they make the policy's decisions stricter and never looser.

Both are asked, and the stricter answer counts, with the tighter of all limits. So an override that says `allow` takes
an exception from its own rules, not from the policy's: there is nothing in it that could loosen anything.
"""

from __future__ import annotations

from dataclasses import replace

from cordum.domain.definition import fields
from cordum.domain.definition.places import (
    Field,
    Place,
    Refused,
    Table,
    expected,
    read_fields,
    refuse_unknown_keys,
    take,
)
from cordum.domain.definition.problems import shown
from cordum.domain.policy import NO_CONSTRAINTS, Constraints, Decision, Policy, PolicyRequest, Rule, Verdict
from cordum.domain.policy_document import BUDGETS, MATCH
from cordum.domain.policy_match import Match

__all__ = [
    "OVERRIDE",
    "OVERRIDE_RULE",
    "read_override",
    "stricter",
]

# From the loosest to the strictest. A throttled job runs, too, at its rate; the rate stays whatever an override adds.
_STRICTNESS = (
    Verdict.ALLOW,
    Verdict.ALLOW_WITH_CONSTRAINTS,
    Verdict.THROTTLE,
    Verdict.REQUIRE_APPROVAL,
    Verdict.DENY,
)
_DECISIONS = fields.one_of("allow", "allow_with_constraints", "require_approval", "deny")

# What is shared between runs (velocity, jobs at one time) is for the policy to say.
_BUDGETS: Table = {name: entry for name, entry in BUDGETS.items() if name != "max_concurrent_jobs"}
_CONSTRAINTS: Table = {"budgets": Field("budgets", fields.mapping("budgets", _BUDGETS, Constraints))}


def _constraints(place: Place) -> Constraints:
    if not isinstance(place.value, dict):
        raise expected("a mapping", place)
    refuse_unknown_keys(place, "constraints", _CONSTRAINTS)
    found: Constraints = read_fields(place, _CONSTRAINTS).get("budgets", NO_CONSTRAINTS)
    return found


def _verdict(place: Place) -> Verdict:
    return Verdict(_DECISIONS(place))


OVERRIDE_RULE: Table = {
    "id": Field("id", fields.text, required=True),
    "decision": Field("verdict", _verdict, required=True),
    "reason": Field("reason", fields.text),
    "match": Field("match", fields.mapping("match", MATCH, Match)),
    "constraints": Field("constraints", _constraints),
}


def _rules(place: Place) -> tuple[Rule, ...]:
    if not isinstance(place.value, list):
        raise expected("a list of rules", place)
    rules: dict[str, Rule] = {}
    for item in place.items():
        rule = take(_rule, item)
        if rule is not None and rule.id in rules:
            item.refuse("duplicate_key", f"there is a rule {shown(rule.id)} already")
        elif rule is not None:
            rules[rule.id] = rule
    return tuple(rules.values())


def _rule(item: Place) -> Rule | None:
    if not isinstance(item.value, dict):
        raise Refused("type", "a rule is a mapping")
    refuse_unknown_keys(item, "a rule of an override", OVERRIDE_RULE)
    values = read_fields(item, OVERRIDE_RULE)
    if not {"id", "verdict"} <= values.keys():
        return None
    rule = Rule(**values)
    if rule.verdict is Verdict.ALLOW_WITH_CONSTRAINTS and "constraints" not in item.value:
        item.refuse_absence("constraints")
    return rule


OVERRIDE: Table = {"rules": Field("rules", _rules, required=True)}


def read_override(place: Place) -> Policy | None:
    """The rules of a definition's `policy_override`; where none of them matches there is nothing to add."""
    if not isinstance(place.value, dict):
        raise expected("a mapping", place)
    refuse_unknown_keys(place, "policy_override", OVERRIDE)
    rules = read_fields(place, OVERRIDE).get("rules")
    return None if rules is None else Policy(rules, Verdict.ALLOW, b"")


def stricter(decision: Decision, override: Policy | None, request: PolicyRequest) -> Decision:
    """The policy's decision, as strict as the override wants it."""
    own = override.decide(request) if override is not None else None
    if own is None or own.rule_id is None:
        return decision
    constraints = decision.constraints.within(own.constraints)
    if _STRICTNESS.index(own.verdict) > _STRICTNESS.index(decision.verdict):
        said = own.reason or decision.reason
        return replace(decision, verdict=own.verdict, reason=said, constraints=constraints, override=own.rule_id)
    tightened = constraints != decision.constraints
    return replace(decision, constraints=constraints, override=own.rule_id if tightened else None)
