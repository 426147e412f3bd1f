"""Reading a policy file (CONTRACT.md section 10) into rules. What is not understood is refused, never skipped:
a rule whose condition were ignored would match more than its author meant."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from cordum.domain.definition import fields, parse_document
from cordum.domain.definition.places import (
    DEFAULT_LIMITS,
    Field,
    Place,
    Reading,
    Refused,
    Table,
    expected,
    read_fields,
    refuse_unknown_keys,
)
from cordum.domain.definition.problems import Problems, ReadingStopped
from cordum.domain.policy import Policy, Rule, Verdict
from cordum.errors import DefinitionInvalid, Unprocessable

_LATER_IN_MATCH = frozenset({"requires", "actor_ids", "actor_types", "label_threshold", "input", "secrets_present"})
_LATER_IN_RULE = frozenset({"velocity", "constraints", "remediations"})
_LATER_IN_POLICY = frozenset({"fail_mode", "tenants"})


def _texts(place: Place) -> tuple[str, ...]:
    if not isinstance(place.value, list) or not all(isinstance(item, str) for item in place.value):
        raise expected("a list of strings", place)
    if not place.value:
        raise Refused("number_range", "an empty list matches nothing; leave the key out to match everything")
    return tuple(str(item) for item in place.value)


_MATCH: Table = {
    "topics": Field("topics", _texts),
    "tenants": Field("tenants", _texts),
    "workflows": Field("workflows", _texts),
    "risk_tags": Field("risk_tags", _texts),
    "capabilities": Field("capabilities", _texts),
    "labels": Field("labels", fields.text_mapping),
}


def _match(place: Place) -> dict[str, Any]:
    if not isinstance(place.value, dict):
        raise expected("a mapping", place)
    refuse_unknown_keys(place, "match", _MATCH, _LATER_IN_MATCH)
    return read_fields(place, _MATCH)


_RULE: Table = {
    "id": Field("id", fields.text, required=True),
    "decision": Field("verdict", fields.choice(Verdict), required=True),
    "reason": Field("reason", fields.text),
    "match": Field("match", _match),
}


def _rules(place: Place) -> tuple[Rule, ...]:
    if not isinstance(place.value, list):
        raise expected("a list of rules", place)
    rules: list[Rule] = []
    for item in place.items():
        if not isinstance(item.value, dict):
            item.refuse("type", "a rule is a mapping")
            continue
        refuse_unknown_keys(item, "a rule", _RULE, _LATER_IN_RULE)
        values = read_fields(item, _RULE)
        if {"id", "verdict"} <= values.keys():
            if any(rule.id == values["id"] for rule in rules):
                item.refuse("duplicate_key", f"there is a rule {values['id']!r} already")
            rules.append(Rule(**{**values.pop("match", {}), **values}))
    return tuple(rules)


_POLICY: Table = {
    "version": Field("version", fields.free_label),
    "default_decision": Field("default", fields.choice(Verdict)),
    "rules": Field("rules", _rules),
}


def load_policy(source: bytes, epoch: int = 0) -> Policy:
    """The policy that a YAML text defines; Unprocessable (`policy_invalid`) with every problem in it."""
    problems = Problems()
    try:
        document = parse_document(source, "yaml")
    except DefinitionInvalid as error:
        raise Unprocessable("the policy cannot be read", code="policy_invalid", problems=error.problems) from None
    values: dict[str, Any] = {}
    with suppress(ReadingStopped):
        values = _read(Place(document.value, (), Reading(document, problems, DEFAULT_LIMITS)))
    if problems:
        found = problems.in_order_of_place()
        raise Unprocessable(f"the policy is not valid: {found[0]}", code="policy_invalid", problems=found)
    return Policy(
        rules=values.get("rules", ()), default=values.get("default", Verdict.DENY), source=source, epoch=epoch
    )


def _read(root: Place) -> dict[str, Any]:
    if not isinstance(root.value, dict):
        root.refuse("type", "a policy is a mapping")
        return {}
    refuse_unknown_keys(root, "a policy", _POLICY, _LATER_IN_POLICY)
    return read_fields(root, _POLICY)
