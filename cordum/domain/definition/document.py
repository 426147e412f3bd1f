"""A document as plain JSON values, and where in the text each of them stands.

`TreeBuilder` is what both readers write into: it puts the values together, remembers their places, and refuses
duplicate keys and too deep nesting while the text is being read, before anything large exists.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, NoReturn, TypeAlias

from cordum.domain.definition.problems import Problems, printable, shown
from cordum.domain.workflow import JSON
from cordum.errors import Problem

MAX_DEPTH = 64

Path: TypeAlias = tuple[str | int, ...]


class Position(NamedTuple):
    """Both count from 1; columns count characters."""

    line: int
    column: int


@dataclass(slots=True)
class Node:
    """The place of one value, of the key in front of it, and of what it contains."""

    at: Position
    key_at: Position | None = None
    members: dict[str, Node] | None = None
    items: list[Node] | None = None

    def child(self, segment: str | int) -> Node | None:
        if isinstance(segment, str):
            return self.members.get(segment) if self.members else None
        return self.items[segment] if self.items and segment < len(self.items) else None


@dataclass(frozen=True, slots=True)
class Document:
    """`value` as read; `root` holds the places and is absent for a value that was never text."""

    value: JSON
    root: Node | None = None

    def position(self, path: Sequence[str | int]) -> Position | None:
        """Where a person looks for `path`: a scalar at its value, a mapping or list at the key in front of it."""
        node = self.root
        for segment in path:
            node = node.child(segment) if node else None
        if node is None:
            return None
        compound = node.members is not None or node.items is not None
        return node.key_at if compound and node.key_at else node.at

    def key_position(self, path: Sequence[str | int]) -> Position | None:
        """Where the key that `path` ends in stands."""
        node = self.root
        for segment in path:
            node = node.child(segment) if node else None
        return (node.key_at or node.at) if node else None


def pointer(path: Sequence[str | int]) -> str:
    """`path` as a JSON pointer. Segments are cut and cleaned the way messages are."""
    return "".join("/" + printable(str(segment)).replace("~", "~0").replace("/", "~1") for segment in path)


@dataclass(slots=True)
class _Open:
    """A container that is still being read."""

    value: dict[str, JSON] | list[JSON]
    node: Node
    segment: str | int
    key: str | None = None
    key_at: Position | None = None

    def next_segment(self) -> str | int | None:
        return len(self.value) if isinstance(self.value, list) else self.key


class TreeBuilder:
    """Puts a document together from the outside in. Problems that do not stop the reading are collected."""

    def __init__(self, problems: Problems, max_depth: int = MAX_DEPTH) -> None:
        self.problems = problems
        self._max_depth = max_depth
        self._open: list[_Open] = []
        self._result: Document | None = None

    @property
    def inside(self) -> bool:
        """Whether a container is open."""
        return bool(self._open)

    @property
    def in_mapping(self) -> bool:
        return isinstance(self._open[-1].value, dict)

    @property
    def wants_key(self) -> bool:
        return self.inside and self.in_mapping and self._open[-1].key is None

    @property
    def empty(self) -> bool:
        """Whether the innermost container has no entry yet."""
        return not self._open[-1].value

    def document(self) -> Document:
        """What was read; the reader has closed all it opened."""
        if self._result is None:
            raise ValueError("nothing was read")
        return self._result

    def key(self, name: str, at: Position) -> None:
        """The next value belongs to `name`."""
        top = self._open[-1]
        first = top.node.child(name)
        top.key, top.key_at = name, at
        if first is not None and first.key_at is not None:
            self.refuse("duplicate_key", f"{shown(name)} is given twice, first on line {first.key_at.line}", at)

    def open_mapping(self, at: Position) -> None:
        self._begin({}, Node(at, members={}))

    def open_list(self, at: Position) -> None:
        self._begin([], Node(at, items=[]))

    def scalar(self, value: JSON, at: Position) -> None:
        self._place(value, Node(at))

    def close(self) -> None:
        """The innermost container is complete."""
        self._open.pop()

    def refuse(self, code: str, message: str, at: Position) -> None:
        self.problems.add(self._problem(code, message, at))

    def stop(self, code: str, message: str, at: Position) -> NoReturn:
        self.problems.stop(self._problem(code, message, at))

    def _begin(self, value: dict[str, JSON] | list[JSON], node: Node) -> None:
        if len(self._open) >= self._max_depth:
            self.stop("too_deep", f"nested deeper than {self._max_depth} levels", node.at)
        segment = self._open[-1].next_segment() if self._open else None
        self._place(value, node)
        self._open.append(_Open(value, node, "" if segment is None else segment))

    def _place(self, value: JSON, node: Node) -> None:
        if not self._open:
            self._result = Document(value, node)
            return
        top = self._open[-1]
        if isinstance(top.value, list):
            top.value.append(value)
            if top.node.items is not None:
                top.node.items.append(node)
        elif top.key is not None:
            top.value[top.key] = value
            node.key_at, top.key_at = top.key_at, None
            if top.node.members is not None:
                top.node.members[top.key] = node
            top.key = None

    def _problem(self, code: str, message: str, at: Position) -> Problem:
        return Problem(pointer(self._path()), code, message, at.line, at.column)

    def _path(self) -> Path:
        """The path of the value that would come next."""
        path = [frame.segment for frame in self._open[1:]]
        if self._open and (next_segment := self._open[-1].next_segment()) is not None:
            path.append(next_segment)
        return tuple(path)
