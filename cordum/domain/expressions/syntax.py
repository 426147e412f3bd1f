"""The syntax tree: immutable values, each with its place in the text; and the paths it reads. Evaluates nothing.

Chains of one precedence are one node with many operands, so that the depth of a tree is the nesting its author wrote.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Span:
    """Offsets into the text: the first character, and the one behind the last."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Constant(Span):
    value: bool | int | float | str | None


@dataclass(frozen=True, slots=True)
class Name(Span):
    """A root of the scope, or the parameter of the nearest `x -> …` of that name."""

    name: str


@dataclass(frozen=True, slots=True)
class Access(Span):
    """`base.key[index]…`: one key after the other."""

    base: Node
    keys: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class ListOf(Span):
    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class ObjectOf(Span):
    keys: tuple[str, ...]
    values: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Not(Span):
    operand: Node


@dataclass(frozen=True, slots=True)
class Negate(Span):
    operand: Node


@dataclass(frozen=True, slots=True)
class ShortCircuit(Span):
    """`??`, `||` or `&&` over two or more operands; the operand that decides is the value."""

    operator: str
    operands: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Arithmetic(Span):
    """`first op operand op operand …`, from left to right."""

    first: Node
    rest: tuple[tuple[str, Node], ...]


@dataclass(frozen=True, slots=True)
class Test(Span):
    """A comparison, or one of `in contains startsWith endsWith`."""

    operator: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Conditional(Span):
    test: Node
    then: Node
    otherwise: Node


@dataclass(frozen=True, slots=True)
class Call(Span):
    function: str
    arguments: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Each(Span):
    """`any`, `all`, `filter` or `map` of `items` with `parameter -> body`."""

    function: str
    items: Node
    parameter: str
    body: Node


Operation: TypeAlias = Not | Negate | Arithmetic | Test
"""A node that takes the values of all its operands."""

Node: TypeAlias = Constant | Name | Access | ListOf | ObjectOf | Operation | ShortCircuit | Conditional | Call | Each


def references(node: Node, bound: frozenset[str] = frozenset()) -> Iterator[tuple[str, ...]]:
    """The paths that `node` reads from the scope, each as far as it is known without evaluating."""
    match node:
        case Name(name=name):
            if name not in bound:
                yield (name,)
        case Access(base=Name(name=name), keys=keys):
            if name not in bound:
                yield (name, *_static(keys))
            for key in keys:
                yield from references(key, bound)
        case Each():
            yield from references(node.items, bound)
            yield from references(node.body, bound | {node.parameter})
        case _:
            for child in _children(node):
                yield from references(child, bound)


def _static(keys: tuple[Node, ...]) -> Iterator[str]:
    for key in keys:
        if not (isinstance(key, Constant) and isinstance(key.value, str)):
            return
        yield key.value


def _children(node: Node) -> tuple[Node, ...]:
    match node:
        case Constant() | Name():
            return ()
        case Access():
            return (node.base, *node.keys)
        case ListOf():
            return node.items
        case ObjectOf():
            return node.values
        case Not() | Negate():
            return (node.operand,)
        case ShortCircuit():
            return node.operands
        case Arithmetic():
            return (node.first, *(operand for _, operand in node.rest))
        case Test():
            return (node.left, node.right)
        case Conditional():
            return (node.test, node.then, node.otherwise)
        case Call():
            return node.arguments
        case Each():
            return (node.items, node.body)
