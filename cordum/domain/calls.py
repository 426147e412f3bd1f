"""Which workflow runs which: no definition may end up running itself, however many others lie between."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeAlias

from cordum.domain.workflow import SubworkflowCall, Workflow

MAX_DEPTH = 10

Node: TypeAlias = tuple[str, int | None]
"""A workflow by id and version; None stands for whatever is the latest."""

Load: TypeAlias = Callable[[str, int | None], Workflow | None]


class Finding(NamedTuple):
    """Something about the call that a step makes. `fatal`: the definition cannot be saved."""

    step: str
    code: str
    message: str
    fatal: bool = True


class _Cycle(Exception):
    def __init__(self, chain: tuple[str, ...]) -> None:
        super().__init__(" -> ".join(chain))


def check_calls(workflow: Workflow, next_version: int, load: Load) -> Iterator[Finding]:
    """What is wrong with the calls of a workflow that is about to become `next_version` of its id."""
    search = _Search({(workflow.id, None), (workflow.id, next_version)}, load)
    for step, call in workflow.calls.items():
        try:
            depth = 1 + search.below(_node(call), (workflow.id, call.workflow_id))
        except _Cycle as cycle:
            yield Finding(step, "subworkflow_cycle", f"the workflow would run itself: {cycle}")
            continue
        if load(call.workflow_id, call.version) is None:
            yield Finding(step, "workflow_not_stored", f"there is no workflow {_shown(call)} yet", fatal=False)
        elif depth > MAX_DEPTH:
            message = f"runs workflows {depth} levels deep, {MAX_DEPTH} are allowed"
            yield Finding(step, "limit_exceeded", message)


class _Search:
    """How deep calls go, each stored definition looked at once."""

    def __init__(self, origin: set[Node], load: Load) -> None:
        self._origin = origin
        self._load = load
        self._depths: dict[Node, int] = {}

    def below(self, node: Node, chain: tuple[str, ...]) -> int:
        """The longest chain of calls that begins at `node`; `chain` is how we got there."""
        if node in self._origin:
            raise _Cycle(chain)
        if node not in self._depths:
            self._depths[node] = 0  # a cycle that is stored already is not this definition's
            workflow = self._load(*node)
            calls = workflow.calls.values() if workflow else ()
            depths = [1 + self.below(_node(call), (*chain, call.workflow_id)) for call in calls]
            self._depths[node] = max(depths, default=0)
        return self._depths[node]


def _node(call: SubworkflowCall) -> Node:
    return call.workflow_id, call.version


def _shown(call: SubworkflowCall) -> str:
    return call.workflow_id if call.version is None else f"{call.workflow_id} in version {call.version}"
