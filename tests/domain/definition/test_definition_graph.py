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


def test_a_chain_of_a_thousand_steps_is_accepted() -> None:
    steps: JSON = {f"s{n}": {"depends_on": [f"s{n - 1}"]} if n else {} for n in range(1000)}
    assert len(build_workflow(Document({"id": "wf", "steps": steps})).steps) == 1000


def test_dependencies_and_members_have_a_limit() -> None:
    document = Document({"id": "wf", "steps": {"a": {}, "b": {"depends_on": ["a"]}, "c": {"depends_on": ["a", "b"]}}})
    assert build_workflow(document, limits=Limits(max_links=3))
    with pytest.raises(DefinitionInvalid) as refused:
        build_workflow(document, limits=Limits(max_links=2))
    assert [problem.code for problem in refused.value.problems] == ["limit_exceeded"]
