"""Readers of what is evaluated at run time: expressions and templates, and the steps they name."""

from __future__ import annotations

from collections.abc import Iterator

from cordum.domain.definition.fields import text
from cordum.domain.definition.places import Place, Refused, accepts, expected, take
from cordum.domain.definition.problems import shown
from cordum.domain.expressions import Expression, ExpressionSyntaxError, Template


@accepts({"type": ["string", "boolean"]})
def expression(place: Place) -> Expression:
    """An expression, bare or as one `${…}`. YAML has made booleans of the expressions `true` and `false`."""
    source = str(place.value).lower() if isinstance(place.value, bool) else text(place)
    try:
        parsed = Expression.parse(source)
    except ExpressionSyntaxError as error:
        raise Refused(error.code, str(error)) from None
    _report_unknown_steps(place, parsed)
    return parsed


@accepts({"type": ["object", "string"]})
def template(place: Place) -> Template | None:
    """A mapping whose strings may hold `${…}`, or one such string."""
    if not isinstance(place.value, dict | str):
        raise expected("a mapping, or a string with an expression", place)
    return any_template(place)


@accepts({"type": "string"})
def text_template(place: Place) -> Template | None:
    """A string that may hold `${…}`."""
    text(place)
    return any_template(place)


@accepts({})
def any_template(place: Place) -> Template | None:
    """Any value; the strings in it may hold `${…}`."""
    try:
        whole = Template.compile(place.value)
    except ExpressionSyntaxError:
        whole = None
    if whole is None or any(_unknown_steps(place, whole)):
        for leaf in _strings(place):
            take(_compiled, leaf)
    return whole


def _compiled(leaf: Place) -> None:
    """Look at one string on its own, so that each mistake is reported at its own place."""
    try:
        compiled = Template.compile(leaf.value)
    except ExpressionSyntaxError as error:
        raise Refused(error.code, str(error)) from None
    _report_unknown_steps(leaf, compiled)


def _strings(place: Place) -> Iterator[Place]:
    if isinstance(place.value, str):
        yield place
    for inner in (*place.members(), *place.items()):
        yield from _strings(inner)


def _unknown_steps(place: Place, evaluated: Expression | Template) -> Iterator[tuple[str, ...]]:
    """The paths `steps.<id>…` whose id no step has."""
    for path in sorted(evaluated.references()):
        if path[0] == "steps" and len(path) > 1 and path[1] not in place.reading.steps:
            yield path


def _report_unknown_steps(place: Place, evaluated: Expression | Template) -> None:
    for path in _unknown_steps(place, evaluated):
        hint = _dotted_id(place, path) or place.reading.problems.did_you_mean(path[1], place.reading.steps)
        place.refuse("unknown_step", f"the expression names a step {shown(path[1])} that does not exist{hint}")


def _dotted_id(place: Place, path: tuple[str, ...]) -> str:
    """A hint for ids with dots, whose parts an expression takes for keys."""
    names = (".".join(path[1:end]) for end in range(len(path), 2, -1))
    name = next((name for name in names if name in place.reading.steps), None)
    return f'; write steps["{name}"]' if name else ""
