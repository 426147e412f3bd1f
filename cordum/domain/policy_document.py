"""Reading a policy file (CONTRACT.md section 10) into rules. What is not understood is refused, never skipped:
a rule whose condition were ignored would match more than its author meant.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from cordum.domain.definition import fields, parse_document
from cordum.domain.definition.evaluated import expression
from cordum.domain.definition.places import (
    DEFAULT_LIMITS,
    Field,
    Place,
    Reading,
    Refused,
    Table,
    accepts,
    expected,
    read_fields,
    refuse_unknown_keys,
    take,
)
from cordum.domain.definition.problems import Problems, ReadingStopped, shown
from cordum.domain.expressions import Expression
from cordum.domain.ids import TENANT
from cordum.domain.policy import (
    LONGEST_WINDOW_SEC,
    MOST_REQUESTS,
    NO_CONSTRAINTS,
    Constraints,
    Policy,
    Remediation,
    Rule,
    TenantRules,
    Velocity,
    Verdict,
)
from cordum.domain.policy_match import SCOPE_NAMES, Bounds, Match
from cordum.errors import DefinitionInvalid, Problem, Unprocessable

_MOST = 2**53


# --- match ---


def _texts(place: Place) -> tuple[str, ...]:
    found = fields.texts(place)
    if not place.value:
        raise Refused("number_range", "an empty list matches nothing; leave the key out to match everything")
    return found


def _labels(place: Place) -> dict[str, str]:
    found = fields.text_mapping(place)
    if not place.value:
        raise Refused("number_range", "an empty mapping says nothing; leave the key out")
    return found


def _flag(place: Place) -> bool:
    if not isinstance(place.value, bool):
        raise expected("true or false", place)
    return place.value


_bound = fields.number(-_MOST, _MOST)
_BOUNDS: Table = {name: Field(name, _bound) for name in ("gte", "gt", "lte", "lt")}
_bounds_record = fields.mapping("a threshold", _BOUNDS, Bounds)


def _bounds(place: Place) -> Bounds:
    """A number is the least that matches."""
    if isinstance(place.value, dict):
        if not place.value:
            raise Refused("missing_field", "give at least one of gte, gt, lte, lt")
        return _bounds_record(place)
    return Bounds(gte=_bound(place))


def _thresholds(place: Place) -> dict[str, Bounds]:
    if not isinstance(place.value, dict) or not place.value:
        raise expected("a mapping of labels to numbers", place)
    found = {str(member.path[-1]): take(_bounds, member) for member in place.members()}
    return {label: bounds for label, bounds in found.items() if bounds is not None}


def _condition(place: Place) -> Expression:
    """An expression over what a rule can see; a name that is not there would be null and match nothing, silently."""
    found = expression(place)
    for root in sorted({path[0] for path in found.references()} - SCOPE_NAMES):
        hint = place.reading.problems.did_you_mean(root, SCOPE_NAMES)
        place.refuse("unknown_field", f"a rule's expression cannot see {shown(root)}{hint}")
    return found


MATCH: Table = {
    "topics": Field("topics", _texts),
    "tenants": Field("tenants", _texts),
    "workflows": Field("workflows", _texts),
    "capabilities": Field("capabilities", _texts),
    "risk_tags": Field("risk_tags", _texts),
    "requires": Field("requires", _texts),
    "actor_ids": Field("actor_ids", _texts),
    "actor_types": Field("actor_types", _texts),
    "labels": Field("labels", _labels),
    "label_threshold": Field("label_threshold", _thresholds),
    "secrets_present": Field("secrets_present", _flag),
    "input": Field("input", _condition),
}

# --- what a rule says ---

BUDGETS: Table = {
    "max_runtime_ms": Field("max_runtime_ms", fields.integer(1, _MOST)),
    "max_retries": Field("max_retries", fields.integer(0, _MOST)),
    "max_result_bytes": Field("max_result_bytes", fields.integer(1, _MOST)),
    "max_concurrent_jobs": Field("max_concurrent_jobs", fields.integer(1, _MOST)),
}
_budgets = fields.mapping("budgets", BUDGETS, Constraints)

CONSTRAINTS: Table = {"budgets": Field("budgets", _budgets)}


def _constraints(place: Place) -> Constraints:
    if not isinstance(place.value, dict):
        raise expected("a mapping", place)
    refuse_unknown_keys(place, "constraints", CONSTRAINTS)
    found: Constraints = read_fields(place, CONSTRAINTS).get("budgets", NO_CONSTRAINTS)
    return found


_window_sec = fields.number(0.001, LONGEST_WINDOW_SEC)


@accepts(_window_sec.schema)
def _window(place: Place) -> int:
    return max(round(_window_sec(place) * 1000), 1)


VELOCITY: Table = {
    "max_requests": Field("max_requests", fields.integer(1, MOST_REQUESTS), required=True),
    "window_sec": Field("window_ms", _window, required=True),
    "key": Field("key", fields.one_of("tenant", "topic", "workflow", "actor")),
}


def _velocity(place: Place) -> Velocity | None:
    if not isinstance(place.value, dict):
        raise expected("a mapping", place)
    refuse_unknown_keys(place, "velocity", VELOCITY)
    values = read_fields(place, VELOCITY)
    return Velocity(**values) if {"max_requests", "window_ms"} <= values.keys() else None


REMEDIATION: Table = {
    "id": Field("id", fields.text, required=True),
    "title": Field("title", fields.text),
    "summary": Field("summary", fields.text),
    "replacement_topic": Field("replacement_topic", fields.topic),
    "replacement_capability": Field("replacement_capability", fields.text),
    "add_labels": Field("add_labels", fields.text_mapping),
    "remove_labels": Field("remove_labels", fields.texts),
}


def _remediations(place: Place) -> tuple[Remediation, ...]:
    found = [take(_remediation, item) for item in _list(place, "a list of remediations")]
    return tuple(one for one in found if one is not None)


def _remediation(place: Place) -> Remediation | None:
    if not isinstance(place.value, dict):
        raise expected("a mapping", place)
    refuse_unknown_keys(place, "a remediation", REMEDIATION)
    values = read_fields(place, REMEDIATION)
    return Remediation(**values) if "id" in values else None


RULE: Table = {
    "id": Field("id", fields.text, required=True),
    "decision": Field("verdict", fields.choice(Verdict), required=True),
    "reason": Field("reason", fields.text),
    "match": Field("match", fields.mapping("match", MATCH, Match)),
    "constraints": Field("constraints", _constraints),
    "velocity": Field("velocity", _velocity),
    "remediations": Field("remediations", _remediations),
}


def _rules(place: Place) -> tuple[Rule, ...]:
    rules: dict[str, Rule] = {}
    for item in _list(place, "a list of rules"):
        rule = _rule(item)
        if rule is not None and rule.id in rules:
            item.refuse("duplicate_key", f"there is a rule {shown(rule.id)} already, on line {rules[rule.id].line}")
        elif rule is not None:
            rules[rule.id] = rule
    return tuple(rules.values())


def _rule(item: Place) -> Rule | None:
    if not isinstance(item.value, dict):
        item.refuse("type", "a rule is a mapping")
        return None
    refuse_unknown_keys(item, "a rule", RULE)
    values = read_fields(item, RULE)
    if not {"id", "verdict"} <= values.keys():
        return None
    position = item.reading.document.position(item.path)
    rule = Rule(**values, line=position.line if position else None)
    if rule.verdict is Verdict.ALLOW_WITH_CONSTRAINTS and "constraints" not in item.value:
        item.refuse_absence("constraints")
    if rule.verdict is Verdict.THROTTLE and "velocity" not in item.value:
        item.refuse_absence("velocity")
    return rule


def _list(place: Place, what: str) -> list[Place]:
    if not isinstance(place.value, list):
        raise expected(what, place)
    return list(place.items())


# --- the whole ---

_DEFAULTS = fields.one_of("allow", "deny", "require_approval")


def _default(place: Place) -> Verdict:
    return Verdict(_DEFAULTS(place))


_FAIL_MODES = fields.one_of("closed", "open")


def _fail_open(place: Place) -> bool:
    return bool(_FAIL_MODES(place) == "open")


TENANT_RULES: Table = {
    "default_decision": Field("default", _default),
    "constraints": Field("constraints", _constraints),
    "fail_mode": Field("fail_open", _fail_open),
}


def _tenant_rules(place: Place) -> TenantRules:
    if not isinstance(place.value, dict):
        raise expected("a mapping", place)
    refuse_unknown_keys(place, "a tenant's rules", TENANT_RULES)
    return TenantRules(**read_fields(place, TENANT_RULES))


def _tenants(place: Place) -> dict[str, TenantRules]:
    if not isinstance(place.value, dict):
        raise expected("a mapping of tenants", place)
    found: dict[str, TenantRules] = {}
    for member in place.members():
        name = str(member.path[-1])
        if not TENANT.match(name):
            member.refuse_key("id_format", f"{shown(name)} is no tenant: patterns belong into match.tenants")
        if (rules := take(_tenant_rules, member)) is not None:
            found[name] = rules
    return found


POLICY: Table = {
    "version": Field("version", fields.free_label),
    "default_decision": Field("default", _default),
    "tenants": Field("tenants", _tenants),
    "rules": Field("rules", _rules),
}


def read_policy(source: bytes, epoch: int = 0) -> Policy:
    """The policy that a YAML text defines; Unprocessable (`policy_invalid`) with every problem in it."""
    _, values = read_document(source, POLICY, "a policy")
    return Policy(
        rules=values.get("rules", ()),
        default=values.get("default", Verdict.DENY),
        source=source,
        epoch=epoch,
        tenants=values.get("tenants", {}),
    )


def read_document(source: bytes, table: Table, what: str) -> tuple[Reading, dict[str, Any]]:
    """What a YAML mapping says by a table of fields. Raises Unprocessable with everything that is wrong."""
    try:
        document = parse_document(source, "yaml")
    except DefinitionInvalid as error:
        raise _invalid(error.problems) from None
    problems = Problems()
    reading = Reading(document, problems, DEFAULT_LIMITS)
    values: dict[str, Any] = {}
    with suppress(ReadingStopped):
        values = _read(Place(document.value, (), reading), table, what)
    if problems:
        raise _invalid(problems.in_order_of_place())
    return reading, values


def _read(root: Place, table: Table, what: str) -> dict[str, Any]:
    if not isinstance(root.value, dict):
        root.refuse("type", f"{what} is a mapping")
        return {}
    refuse_unknown_keys(root, what, table)
    return read_fields(root, table)


def _invalid(problems: tuple[Problem, ...]) -> Unprocessable:
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return Unprocessable(f"the policy is not valid: {problems[0]}{more}", code="policy_invalid", problems=problems)
