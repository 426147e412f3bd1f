"""What is allowed in a policy and probably not meant: rules that can never decide anything.

Only what is certain is said: a rule is covered when every request that it could match is matched by one rule before it.
Rules that are covered by several others together are not found.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase

from cordum.domain.policy import Policy, Rule
from cordum.domain.policy_match import MATCH_ANY, Match, is_glob
from cordum.errors import Problem


def lint(policy: Policy) -> list[Problem]:
    """In file order. Codes: `duplicate_rule`, `unreachable_rule`, `shadowed_rule`, `empty_policy`."""
    found: list[Problem] = []
    if not policy.rules:
        found.append(Problem("/rules", "empty_policy", f"there are no rules: everything is {policy.default.value}"))
    for number, rule in enumerate(policy.rules):
        found += _never_decides(policy.rules, number, rule)
    return sorted(found, key=lambda problem: problem.line or 0)


def _never_decides(rules: Sequence[Rule], number: int, rule: Rule) -> Iterator[Problem]:
    before = next((earlier for earlier in rules[:number] if _covers(earlier, rule)), None)
    if before is None:
        return
    place, at = f"/rules/{number}", f"{before.id!r} on line {before.line}"
    if before.match == rule.match and before.verdict is rule.verdict:
        code, said = "duplicate_rule", f"rule {rule.id!r} says the same as {at}"
    elif before.match == MATCH_ANY:
        code, said = "unreachable_rule", f"rule {rule.id!r} is never reached: {at} matches everything"
    else:
        code, said = "shadowed_rule", f"rule {rule.id!r} never decides: whatever it matches, {at} matches first"
    yield Problem(place, code, said, rule.line)


def _covers(earlier: Rule, later: Rule) -> bool:
    wide, narrow = earlier.match, later.match
    # What cannot be judged is a match for one kind of rule and none for the other.
    if (wide.input or wide.label_threshold) and earlier.verdict.runs is not later.verdict.runs:
        return False
    return (
        all(_patterns_cover(getattr(wide, name), getattr(narrow, name)) for name in ("topics", "tenants", "workflows"))
        and all(
            _any_of(getattr(wide, name), getattr(narrow, name))
            for name in ("capabilities", "risk_tags", "actor_ids", "actor_types")
        )
        and set(wide.requires) <= set(narrow.requires)
        and wide.labels.items() <= narrow.labels.items()
        and _same_or_unset(wide, narrow)
    )


def _any_of(wide: tuple[str, ...], narrow: tuple[str, ...]) -> bool:
    return not wide or (bool(narrow) and set(narrow) <= set(wide))


def _same_or_unset(wide: Match, narrow: Match) -> bool:
    return (
        wide.label_threshold.items() <= narrow.label_threshold.items()
        and wide.secrets_present in (None, narrow.secrets_present)
        and (wide.input is None or wide.input == narrow.input)
    )


def _patterns_cover(wide: tuple[str, ...], narrow: tuple[str, ...]) -> bool:
    if not wide:
        return True
    return bool(narrow) and all(any(_covers_pattern(one, other) for one in wide) for other in narrow)


def _covers_pattern(wide: str, narrow: str) -> bool:
    """Whether all texts of one pattern are texts of the other; False where that is not plain to see."""
    if wide in (narrow, "*"):
        return True
    if not is_glob(narrow):
        return fnmatchcase(narrow, wide)
    # Taken as a text, a pattern whose only wildcard is `*` is matched by a wider one of the same kind.
    simple = not any(char in wide + narrow for char in "?[]")
    return simple and fnmatchcase(narrow, wide)
