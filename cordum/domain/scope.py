"""What expressions and templates of one instance can see (CONTRACT.md section 4): looked up when it is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from cordum.domain.instances import Instance, Role
from cordum.domain.workflow import JSON

if TYPE_CHECKING:
    from cordum.domain.turn import Turn

_NAMES = ("input", "ctx", "steps", "run", "item", "index", "loop")


class Scope(Mapping[str, Any]):
    """`item` and `index` are those of the innermost fan-out around the instance, `loop` of the innermost loop."""

    def __init__(self, turn: Turn, instance: Instance | None, **more: Any) -> None:
        self._turn = turn
        self._instance = instance
        self._more = more

    def __getitem__(self, name: str) -> Any:
        if name in self._more:
            return self._more[name]
        run = self._turn.run
        match name:
            case "input":
                return run.input
            case "ctx":
                return self._turn.context
            case "steps":
                return _Steps(self._turn, self._instance)
            case "run":
                return {
                    "id": run.id,
                    "workflow_id": run.workflow_id,
                    "tenant": run.tenant,
                    "labels": dict(run.labels),
                }
            case "item" | "index" | "loop":
                return self._around(name)
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys((*_NAMES, *self._more)))

    def __len__(self) -> int:
        return len(set(_NAMES) | self._more.keys())

    def _around(self, name: str) -> Any:
        for holder, index in _surroundings(self._turn, self._instance):
            if holder.role is Role.FAN and name != "loop":
                return index if name == "index" else self._turn.item(holder.ref, index)
            if holder.role is Role.LOOP and name == "loop":
                return loop_scope(self._turn, holder.ref, index)
        raise KeyError(name)


def loop_scope(turn: Turn, loop: str, index: int) -> dict[str, JSON]:
    """`loop` as the iteration with this index (from 0) sees it."""
    previous = turn.output_of(f"{loop}[{index - 1}]") if index else None
    return {"index": index, "iteration": index + 1, "previous_output": previous}


def _surroundings(turn: Turn, instance: Instance | None) -> Iterator[tuple[Instance, int]]:
    """The fan-outs and loops around an instance, the innermost first, each with the index that leads to it."""
    while instance is not None and instance.context is not None:
        around = turn.instances[instance.context]
        if len(around.path) < len(instance.path):
            yield around, instance.path[len(around.path)]
        instance = around


class _Steps(Mapping[str, Any]):
    """`steps.<id>.{output,status,error,attempts}`, made only for the steps that an expression asks for."""

    def __init__(self, turn: Turn, instance: Instance | None) -> None:
        self._turn = turn
        self._instance = instance

    def __getitem__(self, step: str) -> Mapping[str, Any]:
        ref = self._ref(step)
        if ref is None or ref not in self._turn.steps:
            raise KeyError(step)
        state = self._turn.steps[ref]
        return {
            "output": self._turn.output_of(ref),
            "status": state.status.public.value,
            "error": state.failure.document() if state.failure and state.status.unsuccessful else None,
            "attempts": state.attempt,
        }

    def _ref(self, step: str) -> str | None:
        if step not in self._turn.workflow.steps:
            return None
        if self._instance is None:
            return step
        return self._turn.instances.sibling(self._instance, step)

    def __iter__(self) -> Iterator[str]:
        return (step for step in self._turn.workflow.steps if self._ref(step) in self._turn.steps)

    def __len__(self) -> int:
        return sum(1 for _ in self)
