"""Which instances of its steps a run may have: the steps of the definition, and the children of fan-outs and loops.

An instance is named by its *ref*: the id of a step, and an index in brackets for each fan-out or loop around it. The
children of a fan-out and of a loop carry its own id (`scan[2]`), what lies inside such a child carries the child's
index: of `group` with for_each the child is `group[1]`, and its member `a` is `a[1]`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from functools import lru_cache
from typing import NamedTuple

from cordum.domain.workflow import Group, Loop, Step

_INDEX = re.compile(r"\[(\d+)\]")


class Role(Enum):
    UNIT = auto()  # does something itself
    GROUP = auto()
    FAN = auto()  # has a child for each item
    LOOP = auto()  # has a child for each iteration


@dataclass(frozen=True, slots=True)
class Instance:
    """`step` is what it does (of a loop's child: the body). `path` are the indexes of its ref.

    `host` is the instance that owns it, starts it and counts it. `context` is the instance it exists within: the host,
    or for a handler that of the step it handles; None for what exists from the beginning of the run. `head`: the
    step's gate, dependencies, handler and output_path are this instance's; false for the child of a fan-out, whose
    parent has them.
    """

    ref: str
    step: Step
    role: Role
    path: tuple[int, ...]
    host: str | None
    context: str | None
    head: bool

    @property
    def leaf(self) -> bool:
        """Whether its failure is a dead letter: not of groups and parents."""
        return self.role is Role.UNIT and self.step.kind != "subworkflow"

    @property
    def is_job(self) -> bool:
        return self.role is Role.UNIT and self.step.topic is not None


class _Layer(NamedTuple):
    role: Role
    step: Step
    head: bool


class _Place(NamedTuple):
    """Where the main instances of a step are: the id they carry, and how many indexes."""

    root: str
    depth: int


def is_child(ref: str) -> bool:
    """Whether the ref has an index: such instances come and go while the run goes on."""
    return ref.endswith("]")


def parent_of(ref: str) -> str | None:
    """`fan` for `fan[3]`; None without an index."""
    return ref[: ref.rindex("[")] if is_child(ref) else None


class Instances:
    """All instances of one definition."""

    def __init__(self, steps: Mapping[str, Step]) -> None:
        self._steps = steps
        self._numbers = {step: number for number, step in enumerate(steps)}
        self._owner = {child: step for step in steps.values() for child in step.owned}
        self._user: dict[str, str] = {}
        for step in steps.values():
            if step.on_error is not None:
                self._user.setdefault(step.on_error, step.id)
        self._places = {step: self._place(step) for step in steps}
        self._layers = {step: tuple(self._layers_of(steps[step])) for step in steps}
        self._known = {step: self._describe(step) for step in steps if self._places[step] == (step, 0)}
        self._born = self._births()
        self._cached = lru_cache(maxsize=4096)(self._describe)

    @property
    def initial(self) -> Mapping[str, Instance]:
        """What exists from the beginning of a run, in the order of the definition."""
        return self._known

    def __getitem__(self, ref: str) -> Instance:
        found = self._known.get(ref)
        return self._cached(ref) if found is None else found

    def get(self, ref: str) -> Instance | None:
        """None for what is not the ref of any instance."""
        root = ref.partition("[")[0]
        path = tuple(int(index) for index in _INDEX.findall(ref))
        if root not in self._places or self._places[root].root != root or _ref(root, path) != ref:
            return None
        layer = len(path) - self._places[root].depth
        return self[ref] if 0 <= layer < len(self._layers[root]) else None

    def sibling(self, near: Instance, step: str) -> str | None:
        """The main instance of a step, seen from another one: in the same context. None: it is deeper inside."""
        root, depth = self._places[step]
        if not depth:
            return root
        return None if depth > len(near.path) else _ref(root, near.path[:depth])

    def members(self, group: Instance) -> tuple[str, ...]:
        """What a group owns."""
        return tuple(_ref(self._places[step].root, group.path) for step in group.step.owned)

    def born_with(self, instance: Instance) -> Iterator[str]:
        """What comes into being together with an instance that has an index: its members, and handlers beside it."""
        root = instance.ref.partition("[")[0]
        for step in self._born.get((root, len(instance.path)), ()):
            yield _ref(step, instance.path)

    def order(self, ref: str) -> tuple[int, tuple[int, ...]]:
        """The order of the definition, then of the indexes."""
        return self._numbers[ref.partition("[")[0]], self[ref].path

    # -- making --------------------------------------------------------------------------------------------------

    def _place(self, step: str) -> _Place:
        owner = self._owner.get(step)
        if owner is not None and isinstance(owner.own, Loop):
            root, depth = self._place(owner.id)
            return _Place(root, depth + (owner.for_each is not None) + 1)
        if owner is not None:
            return _Place(step, self._place(owner.id).depth + (owner.for_each is not None))
        user = self._user.get(step)
        return _Place(step, 0 if user is None else self._place(user).depth)

    def _layers_of(self, step: Step) -> Iterator[_Layer]:
        head = True
        if step.for_each is not None:
            yield _Layer(Role.FAN, step, head)
            head = False
        if isinstance(step.own, Loop):
            yield _Layer(Role.LOOP, step, head)
            yield from self._layers_of(self._steps[step.own.body])
        else:
            yield _Layer(Role.GROUP if isinstance(step.own, Group) else Role.UNIT, step, head)

    def _describe(self, ref: str) -> Instance:
        root, path = ref.partition("[")[0], tuple(int(index) for index in _INDEX.findall(ref))
        layer = len(path) - self._places[root].depth
        role, step, head = self._layers[root][layer]
        host, context = (parent_of(ref), parent_of(ref)) if layer else self._around(root, path)
        return Instance(ref, step, role, path, host, context, head)

    def _around(self, step: str, path: tuple[int, ...]) -> tuple[str | None, str | None]:
        """Host and context of a step's outermost instance."""
        owner = self._owner.get(step)
        if owner is not None:
            host = _ref(self._places[owner.id].root, path)
            return host, host if path else None
        user = self._user.get(step)
        if user is None or not path:
            return None, None
        return None, self._describe(_ref(self._places[user].root, path)).context

    def _births(self) -> Mapping[tuple[str, int], list[str]]:
        """(id, indexes) of an instance -> the steps that are born with it."""
        born: dict[tuple[str, int], list[str]] = {}
        for step, (root, depth) in self._places.items():
            if depth and root == step:
                born.setdefault(self._birth(step), []).append(step)
        return born

    def _birth(self, step: str) -> tuple[str, int]:
        owner = self._owner.get(step)
        if owner is not None:
            return self._places[owner.id].root, self._places[step].depth
        user = self._user[step]
        place = self._places[user]
        return place if place.root != user else self._birth(user)


def _ref(root: str, path: tuple[int, ...]) -> str:
    return root + "".join(f"[{index}]" for index in path) if path else root
