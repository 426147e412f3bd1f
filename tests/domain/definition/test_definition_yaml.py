"""YAML: the scalars of version 1.2, and everything that is refused before an object is made."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cordum.domain.definition import Limits, parse_document
from cordum.errors import DefinitionInvalid, Problem


def problems(text: str | bytes) -> tuple[Problem, ...]:
    data = text.encode() if isinstance(text, str) else text
    with pytest.raises(DefinitionInvalid) as refused:
        parse_document(data, "yaml")
    return refused.value.problems


def places(text: str | bytes) -> list[tuple[str, str, int | None, int | None]]:
    return [(problem.code, problem.path, problem.line, problem.column) for problem in problems(text)]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("no", "no"),
        ("on", "on"),
        ("Yes", "Yes"),
        ("1:30", "1:30"),
        ("2020-01-01", "2020-01-01"),
        ("2020-01-01T00:00:00Z", "2020-01-01T00:00:00Z"),
        ("1_000", "1_000"),
        ("0b1", "0b1"),
        ("<<", "<<"),
        ("=", "="),
        ('"1"', "1"),
        ("'true'", "true"),
        ("017", 17),
        ("0o17", 15),
        ("0x1F", 31),
        ("-7", -7),
        ("+7", 7),
        ("9007199254740993", 9007199254740993),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("1.", 1.0),
        ("true", True),
        ("FALSE", False),
        ("~", None),
        ("Null", None),
        ("", None),
    ],
)
def test_scalars_are_those_of_yaml_1_2(written: str, meant: object) -> None:
    value = parse_document(f"- {written}\n".encode(), "yaml").value
    assert value == [meant]
    assert type(value[0]) is type(meant)


def test_values_know_their_places() -> None:
    document = parse_document(b"a:\n  - 1\n  - b: two\nc: {d: 'e'}\n", "yaml")
    assert document.value == {"a": [1, {"b": "two"}], "c": {"d": "e"}}
    assert document.position(["a"]) == (1, 1)
    assert document.position(["a", 1, "b"]) == (3, 8)
    assert document.key_position(["a", 1, "b"]) == (3, 5)
    assert document.position(["c", "d"]) == (4, 8)
    assert document.position(["c", "x"]) is None


def test_a_byte_order_mark_is_no_text() -> None:
    assert parse_document(b"\xef\xbb\xbfa: 1\n", "yaml").value == {"a": 1}


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ("", 1, 1),
        ("# only a comment\n", 1, 1),
        ("a:\n\tb: 1", 2, 1),
        ("a: b: c", 1, 5),
        ("a: [1, 2", 2, 1),
        ("a: 1\n---\nb: 2\n", 2, 1),
        ("a: \x07", 1, 4),
        ('a: "\\ud800"', 1, 7),
        (b"a: 1\nb: \xff", 2, 4),
        ("a: 1".encode("utf-16"), 1, 1),
    ],
)
def test_what_is_no_yaml_document_is_refused_with_its_place(text: str | bytes, line: int, column: int) -> None:
    (problem,) = problems(text)
    assert (problem.code, problem.line, problem.column) == ("yaml_syntax", line, column)


@pytest.mark.parametrize(
    "text",
    [
        "a: !!python/object/apply:os.system [ls]",
        "a: !!binary aGk=",
        "a: !!set {b, c}",
        "a: !!str 1",
        "a: ! b",
        "a: !mine {b: 1}",
        "!!map {a: 1}",
        "!!str a: 1",
        "%TAG ! tag:example.com,2000:\n---\na: 1",
    ],
)
def test_tags_are_refused(text: str) -> None:
    assert "tag_forbidden" in {problem.code for problem in problems(text)}


def test_anchors_and_aliases_are_refused_where_they_stand() -> None:
    assert places("a: &x [1]\nb: *x\n") == [("alias_forbidden", "/a", 1, 4), ("alias_forbidden", "/b", 2, 4)]


def test_a_recursive_alias_is_refused() -> None:
    assert {problem.code for problem in problems("&a [*a]")} == {"alias_forbidden"}


def test_an_alias_bomb_is_refused() -> None:
    levels = ["a0: &a0 [x, x]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    assert {problem.code for problem in problems("\n".join(levels))} == {"alias_forbidden"}


def test_merge_keys_have_no_meaning() -> None:
    assert parse_document(b"<<: {a: 1}\n", "yaml").value == {"<<": {"a": 1}}


def test_a_duplicate_key_is_refused_at_its_second_place() -> None:
    (problem,) = problems("a:\n  b: 1\n  c: 2\n  b: 3\n")
    assert (problem.code, problem.path, problem.line, problem.column) == ("duplicate_key", "/a/b", 4, 3)
    assert "line 2" in problem.message


def test_all_problems_that_leave_the_rest_readable_are_reported_together() -> None:
    assert places("a: 1\na: 2\nb: .nan\n3: c\nd: !x e\n") == [
        ("duplicate_key", "/a", 2, 1),
        ("type", "/b", 3, 4),
        ("type", "", 4, 1),
        ("tag_forbidden", "/d", 5, 4),
    ]


@pytest.mark.parametrize("key", ["1", "1.5", "true", "null", "~", ".inf", "? [a]", "? {a: 1}"])
def test_keys_that_are_no_strings_are_refused(key: str) -> None:
    assert [problem.code for problem in problems(f"{key}: x" if key[0] != "?" else f"{key}\n: x")] == ["type"]


@pytest.mark.parametrize("number", [".nan", ".NaN", ".inf", "-.INF"])
def test_numbers_that_json_lacks_are_refused_with_a_hint(number: str) -> None:
    (problem,) = problems(f"a: {number}")
    assert (problem.code, problem.line, problem.column) == ("type", 1, 4)
    assert "quote it" in problem.message


@pytest.mark.parametrize("number", ["1e999", "-1e999", "1" * 5000, "0." + "1" * 5000, "0x" + "f" * 900])
def test_numbers_too_large_to_carry_are_refused(number: str) -> None:
    assert [problem.code for problem in problems(f"a: {number}")] == ["number_range"]


@pytest.mark.parametrize("text", ["[" * 100_000, "- " * 100_000, "{a: " * 50_000, "[" * 65 + "]" * 65])
def test_deep_nesting_is_refused_at_the_first_level_too_many(text: str) -> None:
    (problem,) = problems(text)
    assert (problem.code, problem.line) == ("too_deep", 1)


def test_the_last_level_allowed_is_read() -> None:
    assert parse_document(b"[" * 64 + b"]" * 64, "yaml").value != []


def test_a_large_definition_is_refused_unread() -> None:
    (problem,) = problems(b"\xff" * (256 * 1024 + 1))
    assert problem.code == "limit_exceeded"


def test_the_limit_of_size_can_be_set() -> None:
    assert parse_document(b"a: 1234", "yaml", limits=Limits(max_bytes=7)).value == {"a": 1234}
    with pytest.raises(DefinitionInvalid):
        parse_document(b"a: 12345", "yaml", limits=Limits(max_bytes=7))


def test_an_answer_lists_a_bounded_number_of_problems() -> None:
    assert len(problems("a: 1\n" * 20_000)) == 100


def test_what_a_message_repeats_is_short_and_harmless() -> None:
    (problem,) = problems('"\\e[31m\\u202e' + "x" * 500 + '": 1\n' + '"\\e[31m\\u202e' + "x" * 500 + '": 2\n')
    assert len(problem.message) < 120
    assert len(problem.path) < 120
    assert (problem.message + problem.path).isprintable()


_YAML_PIECES = st.sampled_from(
    [
        *"abc:-?!&*|>%@`'\"#{}[], \n\t~.019eE+<=\\",
        "\n  ",
        "- ",
        ": ",
        "---\n",
        "...\n",
        "a: ",
        "é",
        "\ud7ff",
        "\0",
        "!!str ",
    ]
)


@given(st.lists(_YAML_PIECES, max_size=40).map("".join))
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(DefinitionInvalid):
        parse_document(text.encode(), "yaml")
