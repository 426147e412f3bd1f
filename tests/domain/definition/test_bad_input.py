"""The YAML and Expressions rows of the table of bad input: each gets the refusal that is promised, and cheaply."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import yaml

from cordum.bench import language
from cordum.domain.definition import Document, build_workflow, load_workflow
from cordum.domain.expressions import Expression, Template
from cordum.errors import DefinitionInvalid, ExpressionError, Problem


def refused(data: bytes) -> DefinitionInvalid:
    with pytest.raises(DefinitionInvalid) as found:
        load_workflow(data, "yaml", default_id="w")
    return found.value


def steps(text: str) -> bytes:
    return f"id: w\nsteps:\n  a: {{{text}}}\n  b: {{}}\n".encode()


def twins(one: str, other: str) -> bytes:
    return f"id: w\nsteps:\n  {one}: {{}}\n  {other}: {{}}\n".encode()


BOMB = "a: &a [x, x]\n" + "".join(f"{'bcdefghij'[n]}: &{'bcdefghij'[n]} [*{'abcdefghi'[n]}]\n" for n in range(9))

YAML_ROWS: list[tuple[str, bytes, int, str]] = [
    ("not YAML", b"a: [1", 400, "yaml_syntax"),
    ("tab indent", b"steps:\n\ta: {}\n", 400, "yaml_syntax"),
    ("two documents", b"id: w\n---\nid: v\n", 400, "yaml_syntax"),
    ("empty", b"", 400, "yaml_syntax"),
    ("not UTF-8", b"id: \xff\n", 400, "yaml_syntax"),
    ("NUL", b"id: a\x00b\n", 400, "yaml_syntax"),
    ("python tag", b"a: !!python/object/apply:os.system [id]", 400, "tag_forbidden"),
    ("binary tag", b"a: !!binary aGk=", 400, "tag_forbidden"),
    ("set tag", b"a: !!set {x}", 400, "tag_forbidden"),
    ("own tag", b"a: !secret x", 400, "tag_forbidden"),
    ("tag directive", b"%TAG ! tag:x,2000:\n---\na: 1", 400, "tag_forbidden"),
    ("alias bomb", BOMB.encode(), 400, "alias_forbidden"),
    ("recursive alias", b"a: &a [*a]", 400, "alias_forbidden"),
    ("anchor alone", b"a: &a x", 400, "alias_forbidden"),
    ("merge key", b"a: &a {x: 1}\nb: {<<: *a}", 400, "alias_forbidden"),
    ("3,000 levels of lists", b"[" * 3000, 400, "too_deep"),
    ("3,000 levels of mappings", b"{a: " * 3000, 400, "too_deep"),
    ("3,000 levels by indent", b"".join(b" " * n + b"a:\n" for n in range(200)), 400, "too_deep"),
    (
        "1 MB of keys",
        b"".join(b"key%06d: text text text text text text text text\n" % n for n in range(20_000)),
        422,
        "limit_exceeded",
    ),
    ("duplicate keys", b"id: w\nid: v\nsteps: {}", 422, "duplicate_key"),
    ("duplicate step", b"id: w\nsteps: {a: {}, a: {}}", 422, "duplicate_key"),
    ("duplicate step in a list", b"id: w\nsteps: [{id: a}, {id: a}]", 422, "duplicate_key"),
    ("nan", steps("input: {x: .nan}"), 422, "type"),
    ("infinity", steps("input: {x: -.inf}"), 422, "type"),
    ("a key that is a number", steps("input: {1: x}"), 422, "type"),
    ("a key that is null", steps("input: {~: x}"), 422, "type"),
    ("a key that is a list", steps("input: {[a]: x}"), 422, "type"),
    ("true for a name", steps("name: true"), 422, "type"),
    ("5,000 digits", steps(f"input: {{x: {'9' * 5000}}}"), 422, "number_range"),
    ("1e999", steps("input: {x: 1e999}"), 422, "number_range"),
    ("cycle", b"id: w\nsteps: {a: {depends_on: [b]}, b: {depends_on: [a]}}", 422, "dag_cycle"),
    ("needs itself", b"id: w\nsteps: {a: {depends_on: [a]}}", 422, "dag_cycle"),
    ("unknown need", steps("depends_on: [ghost]"), 422, "unknown_step"),
    ("unreachable", b"id: w\nsteps: {a: {on_error: h, depends_on: [h]}, h: {}}", 422, "unreachable"),
    ("1,001 steps", b"id: w\nsteps:\n" + b"".join(b"  s%d: {}\n" % n for n in range(1001)), 422, "limit_exceeded"),
    *(
        (f"id with {bad!a}", twins("good", f'"a{bad}b"'), 422, "id_format")
        for bad in (":", "{", "}", "/", "\\n", "../", "\\0", "\\u202e", "é", "e\\u0301", " ", "[0]", "@")
    ),
    ("an empty id", twins("good", '""'), 422, "id_format"),
    ("an id that is a path", twins("good", "../x"), 422, "id_format"),
    ("twins of one name", twins('"é"', '"e\\u0301"'), 422, "id_format"),
    ("unknown field", steps("retires: {max_retries: 1}"), 422, "unknown_field"),
]


@pytest.mark.parametrize(("data", "status", "code"), [row[1:] for row in YAML_ROWS], ids=[row[0] for row in YAML_ROWS])
def test_bad_yaml_gets_the_promised_refusal(data: bytes, status: int, code: str) -> None:
    refusal = refused(data)
    assert (refusal.status, refusal.problems[0].code) == (status, code)
    for problem in refusal.problems:
        assert len(problem.message) < 300
        assert problem.message.isprintable()
        assert problem.path.isprintable()


@pytest.mark.parametrize(
    "row", ["not YAML", "tab indent", "two documents", "python tag", "recursive alias", "duplicate keys"]
)
def test_a_refusal_names_line_and_column(row: str) -> None:
    data = next(found[1] for found in YAML_ROWS if found[0] == row)
    problem = refused(data).problems[0]
    assert problem.line is not None
    assert problem.column is not None


def only(data: bytes) -> Problem:
    (problem,) = refused(data).problems
    return problem


def test_a_refusal_says_how_to_mend_it() -> None:
    assert "quote it" in only(steps("name: true")).message
    assert "quote it" in only(steps("input: {x: .nan}")).message
    assert 'did you mean "retry"' in only(steps("retri: {max_retries: 1}")).message
    assert "a -> b -> a" in only(b"id: w\nsteps: {a: {depends_on: [b]}, b: {depends_on: [a]}}").message


def test_words_that_old_yaml_takes_for_something_else_are_text() -> None:
    workflow = load_workflow(steps("input: {a: no, b: 1:30, c: 2020-01-01, d: 017, e: yes, f: off, g: 0x1F}"), "yaml")
    template = workflow.steps["a"].input
    assert template is not None
    assert template.render({}) == {"a": "no", "b": "1:30", "c": "2020-01-01", "d": 17, "e": "yes", "f": "off", "g": 31}


# -- what it costs -----------------------------------------------------------------------------------------------


@contextmanager
def counted() -> Iterator[Counter[str]]:
    """Counts calls of Python functions: a measure of work that no other program on the machine can change."""
    calls: Counter[str] = Counter()

    def listen(_frame: Any, event: str, _argument: Any) -> None:
        calls["calls"] += event == "call"

    before = sys.getprofile()
    sys.setprofile(listen)
    try:
        yield calls
    finally:
        sys.setprofile(before)


def test_a_monstrous_document_is_refused_for_less_than_a_tenth_of_parsing_it() -> None:
    for data in (language.flat(1 << 20), language.nested(3000)):
        with counted() as refusing:
            language._refuse(data)
        with counted() as parsing:
            language._parse(data)
        assert refusing["calls"] * 10 < parsing["calls"]


def test_a_document_that_is_too_large_never_reaches_the_parser(monkeypatch: pytest.MonkeyPatch) -> None:
    def parse(*_: Any, **__: Any) -> None:
        raise AssertionError("parsed")

    monkeypatch.setattr(yaml, "parse", parse)
    assert refused(b"a: 1\n" * 60_000).problems[0].code == "limit_exceeded"
    with pytest.raises(AssertionError):
        load_workflow(b"a: 1", "yaml")


# -- expressions -------------------------------------------------------------------------------------------------

_ROOTS = ["input", "ctx", "steps", "item", "run", "''", "[]", "{}", "1", "true", "null"]
_ESCAPES = [
    "ROOT.__class__()",
    "ROOT.__class__.__mro__[1].__subclasses__()",
    "ROOT.__init__.__globals__['os'].system('id')",
    "ROOT.__reduce_ex__(2)",
    "ROOT.constructor.constructor('return process')()",
    "getattr(ROOT, '__class__')",
    "type(ROOT)",
    "vars(ROOT)",
    "[x for x in ROOT]",
    "(x for x in ROOT).gi_frame.f_back",
    "(lambda: ROOT)()",
    "f'{ROOT.__class__}'",
]
EXPRESSION_ROWS = [escape.replace("ROOT", root) for root in _ROOTS for escape in _ESCAPES]
EXPRESSION_ROWS += [
    "'{0.__globals__}'.format(input)",
    "'%s' % input.__class__()",
    "(x := 1)",
    "9**9**9",
    "1<<10**9",
    "input matches '(a+)+$'",
    "__import__('os')",
    "import os",
    "eval('1')",
    "exec('1')",
    "open('/etc/passwd')",
    "(" * 10_000 + "1" + ")" * 10_000,
    "-" * 3000 + "1",
    "!" * 3000 + "1",
    "[" * 3000,
    "a" * 5000,
    "x" + ".a" * 2047 + "(",
]


@pytest.mark.parametrize("text", EXPRESSION_ROWS, ids=lambda text: text[:60])
def test_a_way_out_of_the_language_is_refused_when_the_definition_is_read(text: str) -> None:
    workflow: Any = {"id": "w", "steps": {"a": {"condition": text}, "b": {"input": {"x": "${" + text + "}"}}}}
    with pytest.raises(DefinitionInvalid) as found:
        build_workflow(Document(workflow))
    assert {problem.code for problem in found.value.problems} <= {"expr_syntax", "limit_exceeded"}
    assert found.value.status == 422


def test_there_are_at_least_a_hundred_ways_out_tried() -> None:
    assert len({*EXPRESSION_ROWS}) >= 100


@pytest.mark.parametrize(
    "text", ["input.__class__", "steps.a.__dict__", "input['__globals__'].os", "run.__init__", "''.upper"]
)
def test_attributes_are_keys_that_are_not_there(text: str) -> None:
    assert Expression.parse(text).evaluate({"input": {}, "steps": {"a": {}}, "run": {"id": "r"}}) is None


@pytest.mark.parametrize(
    "text",
    ["1 / 0", "1 < 'a'", "input.a + 1", "length(1)", "parse_json('{')", "int('x')", "1e308 * 10", "map(1, x -> x)"],
)
def test_what_goes_wrong_at_run_time_is_an_error_of_the_step(text: str) -> None:
    with pytest.raises(ExpressionError) as found:
        Expression.parse(text).evaluate({"input": {"a": "text"}})
    assert found.value.code == "expression_error"


@pytest.mark.parametrize(
    "text",
    [
        "join(map(input.many, x -> input.long), input.long)",
        "map(input.many, x -> map(input.many, y -> map(input.many, z -> 1)))",
        "split(join(map(input.many, x -> input.long), ''), '')",
    ],
)
def test_what_would_take_all_time_or_memory_is_given_up(text: str) -> None:
    scope: Any = {"input": {"many": list(range(1000)), "long": "x" * 100_000}}
    with pytest.raises(ExpressionError, match=r"takes more than|makes more than"):
        Expression.parse(text).evaluate(scope)


def test_what_a_worker_says_is_never_read_as_a_template() -> None:
    scope: Any = {"steps": {"a": {"output": {"x": "${1 + 1}", "y": "$${z}", "${k}": 1}}}}
    assert Template.compile("${steps.a.output}").render(scope) == scope["steps"]["a"]["output"]
    assert Template.compile("got ${steps.a.output.x}").render(scope) == "got ${1 + 1}"
