"""YAML for people who write definitions: YAML 1.2's core scalars, one document, no anchors, aliases or tags.

Works on the parser's events, so that an alias bomb or a thousand levels are refused before any object is made; no
constructor of PyYAML ever runs.
"""

from __future__ import annotations

import math
import re
from typing import Any

import yaml

from cordum.domain.definition.document import Position, TreeBuilder
from cordum.domain.definition.json_reader import MAX_NUMBER_CHARS
from cordum.domain.definition.problems import shown
from cordum.domain.workflow import JSON

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

# Looked for first, because the parser would name the place of such a character in bytes only.
_FORBIDDEN_CHARACTER = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_CONSTANTS: dict[str, JSON] = (
    dict.fromkeys(("", "~", "null", "Null", "NULL"))
    | dict.fromkeys(("true", "True", "TRUE"), True)
    | dict.fromkeys(("false", "False", "FALSE"), False)
)
_DECIMAL_INTEGER = re.compile(r"[-+]?[0-9]+")
_OTHER_INTEGER = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NUMBERS = (_DECIMAL_INTEGER, _OTHER_INTEGER, _FLOAT)
_NUMBER_STARTS = frozenset("+-.0123456789")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")


def read_yaml_text(text: str, tree: TreeBuilder) -> None:
    """Read `text` into `tree`. Raises ReadingStopped when it is no YAML."""
    forbidden = _FORBIDDEN_CHARACTER.search(text)
    if forbidden:
        before = text[: forbidden.start()]
        at = Position(before.count("\n") + 1, len(before) - before.rfind("\n"))
        tree.stop("yaml_syntax", f"the character U+{ord(forbidden.group()):04X} is not allowed", at)
    reader = _Reader(tree)
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            reader.take(event)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        words = ", ".join(part for part in (error.context, error.problem) if part)
        tree.stop("yaml_syntax", words, _position(mark) if mark else Position(1, 1))
    except yaml.YAMLError:
        tree.stop("yaml_syntax", "the text cannot be read", Position(1, 1))
    if not reader.documents:
        tree.stop("yaml_syntax", "the document is empty", Position(1, 1))


class _Reader:
    def __init__(self, tree: TreeBuilder) -> None:
        self._tree = tree
        self.documents = 0

    def take(self, event: yaml.Event) -> None:
        at = _position(event.start_mark)
        if isinstance(event, yaml.ScalarEvent):
            self._check_properties(event, at)
            self._scalar(event, at)
        elif isinstance(event, yaml.DocumentStartEvent):
            self._document(event, at)
        elif isinstance(event, yaml.AliasEvent):
            self._tree.stop("alias_forbidden", "aliases are not allowed: write the value out", at)
        elif isinstance(event, yaml.CollectionStartEvent):
            self._check_properties(event, at)
            self._collection(event, at)
        elif isinstance(event, yaml.CollectionEndEvent):
            self._tree.close()

    def _document(self, event: yaml.DocumentStartEvent, at: Position) -> None:
        self.documents += 1
        if self.documents > 1:
            self._tree.stop("yaml_syntax", "a second document begins here: a file holds one definition", at)
        if event.tags:
            self._tree.refuse("tag_forbidden", "%TAG directives are not allowed", at)

    def _check_properties(self, event: yaml.ScalarEvent | yaml.CollectionStartEvent, at: Position) -> None:
        if event.anchor is not None:
            self._tree.refuse("alias_forbidden", f"anchors are not allowed: remove &{shown(event.anchor)[1:-1]}", at)
        if event.tag is not None:
            self._tree.refuse("tag_forbidden", f"tags are not allowed: remove {shown(event.tag)}", at)

    def _collection(self, event: yaml.CollectionStartEvent, at: Position) -> None:
        if self._tree.wants_key:
            self._tree.stop("type", "a key must be a string", at)
        if isinstance(event, yaml.MappingStartEvent):
            self._tree.open_mapping(at)
        else:
            self._tree.open_list(at)

    def _scalar(self, event: yaml.ScalarEvent, at: Position) -> None:
        plain = event.implicit[0]
        if self._tree.wants_key:
            if plain and _looks_like_no_string(event.value):
                self._tree.refuse("type", f"a key must be a string: quote it, {shown(event.value)}", at)
            self._tree.key(event.value, at)
        else:
            self._tree.scalar(self._plain(event.value, at) if plain else event.value, at)

    def _plain(self, text: str, at: Position) -> JSON:
        if text in _CONSTANTS:
            return _CONSTANTS[text]
        if _NOT_FINITE.fullmatch(text):
            self._tree.refuse("type", f"{text} is not a JSON value; quote it if it is text", at)
            return 0
        if not _looks_like_number(text):
            return text
        number = _number(text) if len(text) <= MAX_NUMBER_CHARS else None
        if number is None:
            self._tree.refuse("number_range", "the number is too large; quote it if it is text", at)
        return number


def _position(mark: Any) -> Position:
    return Position(mark.line + 1, mark.column + 1)


def _looks_like_number(text: str) -> bool:
    return text[:1] in _NUMBER_STARTS and any(pattern.fullmatch(text) for pattern in _NUMBERS)


def _looks_like_no_string(text: str) -> bool:
    return text in _CONSTANTS or _NOT_FINITE.fullmatch(text) is not None or _looks_like_number(text)


def _number(text: str) -> int | float | None:
    """The number `text` stands for, or None when JSON could not carry it."""
    if _DECIMAL_INTEGER.fullmatch(text):
        return int(text)
    if _OTHER_INTEGER.fullmatch(text):
        number = int(text, 0)
        return number if len(str(number)) <= MAX_NUMBER_CHARS else None
    decimal = float(text)
    return decimal if math.isfinite(decimal) else None
