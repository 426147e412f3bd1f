"""What must hold between steps: no step waits for itself, and nobody has two owners."""

from __future__ import annotations

import pytest

from cordum.domain.definition import Document, Limits, build_workflow, load_workflow
from cordum.domain.workflow import JSON
from cordum.errors import DefinitionInvalid, Problem


def workflow(steps: str) -> bytes:
    return f"id: wf\nsteps: {{{steps}}}".encode()


def problems(steps: str) -> tuple[Problem, ...]:
    with pytest.raises(DefinitionInvalid) as refused:
        load_workflow(workflow(steps), "yaml")
    return refused.value.problems


def group(*members: str) -> str:
    return f"{{type: parallel, steps: [{', '.join(members)}]}}"


def fan(*members: str) -> str:
    """A group once per item."""
    return f"{{type: parallel, for_each: input.x, steps: [{', '.join(members)}]}}"


def loop(body: str, more: str = "") -> str:
    return f"{{type: loop, body_step: {body}{more}}}"


@pytest.mark.parametrize(
    ("steps", "code", "path", "cycle"),
    [
        ("a: {depends_on: [a]}", "dag_cycle", "a/depends_on", "a -> a"),
        (
            "a: {depends_on: [c]}, b: {depends_on: [a]}, c: {depends_on: [b]}, d: {depends_on: [c]}",
            "dag_cycle",
            "a/depends_on",
            "a -> c -> b -> a",
        ),
        (f"p: {group('c')}, c: {{depends_on: [p]}}", "dag_cycle", "p", "p -> c -> p"),
        (f"p: {group('p')}", "dag_cycle", "p", "p -> p"),
        (f"p: {group('q')}, q: {group('p')}", "dag_cycle", "p", "p -> q -> p"),
        ("p: {type: parallel, steps: [c], depends_on: [c]}, c: {}", "dag_cycle", "p/depends_on", "p -> c -> p"),
        (
            "p: {type: parallel, steps: [c], depends_on: [x]}, c: {}, x: {depends_on: [c]}",
            "dag_cycle",
            "p/depends_on",
            "p -> x -> c -> p",
        ),
        (f"p: {group('c')}, c: {{depends_on: [x]}}, x: {{depends_on: [p]}}", "dag_cycle", "p", "p -> c -> x -> p"),
        (f"l: {loop('l')}", "dag_cycle", "l", "l -> l"),
        (f"l: {loop('m')}, m: {loop('l')}", "dag_cycle", "l", "l -> m -> l"),
        (f"l: {loop('p')}, p: {group('l')}", "dag_cycle", "l", "l -> p -> l"),
        (f"l: {loop('c')}, c: {{depends_on: [l]}}", "dag_cycle", "l", "l -> c -> l"),
        (
            f"l: {loop('c', ', depends_on: [x]')}, c: {{}}, x: {{depends_on: [c]}}",
            "dag_cycle",
            "l/depends_on",
            "l -> x -> c -> l",
        ),
        ("a: {on_error: a}", "handler_cycle", "a/on_error", "a -> a"),
        ("a: {on_error: b}, b: {on_error: c}, c: {on_error: a}", "handler_cycle", "a/on_error", "a -> b -> c -> a"),
        ("a: {on_error: h, depends_on: [h]}, h: {}", "unreachable", "a/on_error", "a -> h -> a"),
        (
            "a: {on_error: h}, b: {depends_on: [a]}, h: {depends_on: [b]}",
            "unreachable",
            "a/on_error",
            "a -> h -> b -> a",
        ),
        (f"p: {group('c')}, c: {{on_error: h}}, h: {{depends_on: [p]}}", "unreachable", "p", "p -> c -> h -> p"),
        (
            "p: {type: parallel, steps: [c], on_error: h}, c: {depends_on: [h]}, h: {}",
            "unreachable",
            "p/on_error",
            "p -> c -> h -> p",
        ),
        (
            "x: {on_error: hb}, y: {depends_on: [x], on_error: ha}, ha: {}, hb: {depends_on: [ha]}",
            "unreachable",
            "x/on_error",
            "x -> hb -> ha -> y -> x",
        ),
    ],
)
def test_steps_that_would_wait_for_themselves_are_refused(steps: str, code: str, path: str, cycle: str) -> None:
    (problem,) = problems(steps)
    assert (problem.code, problem.path) == (code, f"/steps/{path}")
    assert problem.message.endswith(f": {cycle}")
    assert problem.line == 2


def test_every_cycle_is_reported_once() -> None:
    found = problems("a: {depends_on: [b]}, b: {depends_on: [a]}, c: {depends_on: [c]}, x: {on_error: x}")
    assert [(problem.code, problem.path) for problem in found] == [
        ("dag_cycle", "/steps/a/depends_on"),
        ("dag_cycle", "/steps/c/depends_on"),
        ("handler_cycle", "/steps/x/on_error"),
    ]


def test_a_long_cycle_is_told_in_short() -> None:
    found = problems(", ".join(f"s{n}: {{depends_on: [s{(n + 1) % 1000}]}}" for n in range(1000)))
    assert len(found) == 1
    assert len(found[0].message) < 200


@pytest.mark.parametrize(
    ("steps", "word"),
    [
        (f"p: {group('c')}, q: {group('c')}, c: {{}}", "p"),
        (f"p: {group('c')}, c: {{}}, x: {{on_error: c}}", "handler"),
        (f"p: {group('c')}, l: {loop('c')}, c: {{}}", "p"),
        (f"l: {loop('c')}, m: {loop('c')}, c: {{}}", "l"),
        (f"l: {loop('c')}, c: {{}}, x: {{on_error: c}}", "handler"),
    ],
)
def test_a_step_with_two_owners_is_refused(steps: str, word: str) -> None:
    (problem,) = problems(steps)
    assert problem.code == "duplicate_owner"
    assert word in problem.message


@pytest.mark.parametrize(
    "steps",
    [
        "a: {}, b: {depends_on: [a]}, c: {depends_on: [a]}, d: {depends_on: [b, c]}",
        "a: {on_error: h}, h: {depends_on: [a]}",
        "a: {on_error: h}, b: {on_error: h}, h: {on_error: g}, g: {}",
        "a: {on_error: h}, h: {}, after: {depends_on: [a, h]}",
        "a: {on_error: h}, b: {depends_on: [a], on_error: h}, c: {depends_on: [b], on_error: h}, h: {}",
        f"a: {{on_error: h}}, b: {{depends_on: [a], on_error: h}}, h: {group('c', 'd')}, c: {{}}, d: {{}}",
        f"a: {{on_error: p}}, p: {group('c')}, c: {{}}",
        f"p: {group('q', 'a')}, q: {group('b', 'c')}, a: {{}}, b: {{}}, c: {{depends_on: [b]}}",
        "x: {}, p: {type: parallel, steps: [c], depends_on: [x]}, c: {depends_on: [x], on_error: h}, h: {}",
    ],
)
def test_what_cannot_hang_is_accepted(steps: str) -> None:
    assert load_workflow(workflow(steps), "yaml").steps


# --- steps that exist several times in a run ---


@pytest.mark.parametrize(
    ("steps", "path", "instead"),
    [
        (f"p: {fan('c')}, c: {{}}, x: {{depends_on: [c]}}", "x/depends_on", "p"),
        (f"l: {loop('c')}, c: {{}}, x: {{depends_on: [c]}}", "x/depends_on", "l"),
        (f"l: {loop('p')}, p: {group('c')}, c: {{}}, x: {{depends_on: [c]}}", "x/depends_on", "l"),
        (f"o: {fan('l')}, l: {loop('c')}, c: {{}}, x: {{depends_on: [c]}}", "x/depends_on", "o"),
        (f"o: {fan('l', 'x')}, l: {loop('c')}, c: {{}}, x: {{depends_on: [c]}}", "x/depends_on", "l"),
        (f"l: {loop('c')}, c: {{}}, m: {loop('d')}, d: {{depends_on: [c]}}", "d/depends_on", "l"),
        (f"l: {loop('c')}, c: {{on_error: h}}, h: {{}}, x: {{depends_on: [h]}}", "x/depends_on", "l"),
        (f"l: {loop('c')}, c: {{on_error: h}}, h: {group('d')}, d: {{}}, x: {{depends_on: [d]}}", "x/depends_on", "l"),
    ],
)
def test_nobody_outside_may_wait_for_a_step_that_exists_several_times(steps: str, path: str, instead: str) -> None:
    (problem,) = problems(steps)
    assert (problem.code, problem.path) == ("unreachable", f"/steps/{path}")
    assert f'depend on "{instead}" instead' in problem.message


@pytest.mark.parametrize(
    "steps",
    [
        f"p: {fan('c', 'd')}, c: {{}}, d: {{depends_on: [c]}}",
        f"x: {{}}, p: {fan('c')}, c: {{depends_on: [x]}}",
        f"l: {loop('p')}, p: {group('c', 'd')}, c: {{}}, d: {{depends_on: [c]}}",
        f"p: {group('c')}, c: {{for_each: input.x}}, x: {{depends_on: [c]}}",
        f"p: {group('c')}, c: {{}}, x: {{depends_on: [c]}}",
        f"l: {loop('c')}, c: {{on_error: h}}, h: {{on_error: g}}, g: {{}}, x: {{depends_on: [l]}}",
        f"l: {loop('p')}, p: {group('c', 'd')}, c: {{on_error: h}}, d: {{on_error: h}}, h: {{}}",
        f"l: {loop('c')}, c: {{}}, x: {{depends_on: [l], input: {{v: '${{steps.c.output}}'}}}}",
    ],
)
def test_waiting_within_a_round_or_for_what_is_around_it_is_accepted(steps: str) -> None:
    assert load_workflow(workflow(steps), "yaml").steps


@pytest.mark.parametrize(
    ("steps", "path"),
    [
        (f"l: {loop('c')}, c: {{on_error: h}}, x: {{on_error: h}}, h: {{}}", "x/on_error"),
        (f"l: {loop('c')}, c: {{on_error: h}}, m: {fan('d')}, d: {{on_error: h}}, h: {{}}", "d/on_error"),
        (f"x: {{on_error: h}}, l: {loop('c')}, c: {{on_error: h}}, h: {{}}", "c/on_error"),
    ],
)
def test_a_handler_belongs_to_one_kind_of_round(steps: str, path: str) -> None:
    (problem,) = problems(steps)
    assert (problem.code, problem.path) == ("duplicate_owner", f"/steps/{path}")
    assert "a handler of its own" in problem.message


def test_a_switch_leads_to_steps_of_its_own_round_only() -> None:
    switch = "{type: switch, condition: '1', input: {cases: {x: t}}}"
    (problem,) = problems(f"l: {loop('s')}, s: {switch}, t: {{}}")
    assert (problem.code, problem.path) == ("unreachable", "/steps/s/input")
    inside = f"l: {loop('p')}, p: {group('s', 't')}, s: {switch}, t: {{depends_on: [s]}}"
    assert load_workflow(workflow(inside), "yaml").steps


def test_a_chain_of_a_thousand_steps_is_accepted() -> None:
    steps: JSON = {f"s{n}": {"depends_on": [f"s{n - 1}"]} if n else {} for n in range(1000)}
    assert len(build_workflow(Document({"id": "wf", "steps": steps})).steps) == 1000


def test_dependencies_and_members_have_a_limit() -> None:
    document = Document({"id": "wf", "steps": {"a": {}, "b": {"depends_on": ["a"]}, "c": {"depends_on": ["a", "b"]}}})
    assert build_workflow(document, limits=Limits(max_links=3))
    with pytest.raises(DefinitionInvalid) as refused:
        build_workflow(document, limits=Limits(max_links=2))
    assert [problem.code for problem in refused.value.problems] == ["limit_exceeded"]
