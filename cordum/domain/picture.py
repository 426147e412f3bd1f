"""A workflow, or one run of it, as a graph: plain data, or Mermaid's text for documents and chats."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from cordum.domain.workflow import Group, Loop, SignalWait, Step, SubworkflowCall, Switch, Workflow

# Mermaid's brackets by kind; all others are boxes.
_SHAPES = {
    "condition": ('{"', '"}'),
    "switch": ('{"', '"}'),
    "approval": ('{{"', '"}}'),
    "delay": ('(["', '"])'),
    "signal": ('(["', '"])'),
    "subworkflow": ('[["', '"]]'),
}
_COLOURS = {
    "succeeded": "fill:#d3f2d8,stroke:#2a7a3b",
    "failed": "fill:#f8d4d4,stroke:#a32626",
    "denied": "fill:#f8d4d4,stroke:#a32626",
    "timed_out": "fill:#f8d4d4,stroke:#a32626",
    "cancelled": "fill:#ead9f0,stroke:#6d3b80",
    "running": "fill:#d5e8f8,stroke:#2b6698",
    "queued": "fill:#d5e8f8,stroke:#2b6698",
    "waiting": "fill:#fbeecb,stroke:#95701a",
    "retrying": "fill:#fbeecb,stroke:#95701a",
    "skipped": "fill:#eeeeee,stroke:#888888,stroke-dasharray:4",
}


def graph(workflow: Workflow, statuses: Mapping[str, str] | None = None) -> dict[str, Any]:
    """{id, nodes, edges}: nodes {id, type, name, detail, owner, for_each, status?}, edges {from, to, kind, label?}.

    Kinds of edges: `depends_on` (from the dependency), `on_error` (to the handler), `branch` (of a switch). What a
    group or a loop owns names it as `owner`. `detail` is what is most worth knowing of a step, such as its topic.
    """
    nodes = [_node(workflow, step, statuses) for step in workflow.steps.values()]
    edges = [edge for step in workflow.steps.values() for edge in _edges(step)]
    return {"id": workflow.id, "nodes": nodes, "edges": edges}


def _node(workflow: Workflow, step: Step, statuses: Mapping[str, str] | None) -> dict[str, Any]:
    node: dict[str, Any] = {
        "id": step.id,
        "type": step.kind,
        "name": step.name,
        "detail": _detail(step),
        "owner": workflow.owner.get(step.id),
        "for_each": step.for_each.text if step.for_each else None,
    }
    return node if statuses is None else {**node, "status": statuses.get(step.id)}


def _detail(step: Step) -> str | None:
    match step.own:
        case Group(strategy=strategy, required=required):
            return f"{strategy} ({required})" if required else str(strategy)
        case Loop(max_iterations=most):
            return f"at most {most} times"
        case SubworkflowCall(workflow_id=called):
            return called
        case SignalWait(name=name):
            return name
    return step.topic


def _edges(step: Step) -> Iterator[dict[str, Any]]:
    branches = dict(_branches(step.own)) if isinstance(step.own, Switch) else {}
    for target, label in branches.items():
        yield {"from": step.id, "to": target, "kind": "branch", "label": label}
    for needed in step.depends_on:
        yield {"from": needed, "to": step.id, "kind": "depends_on"}
    if step.on_error is not None:
        yield {"from": step.id, "to": step.on_error, "kind": "on_error"}


def _branches(switch: Switch) -> Iterator[tuple[str, str]]:
    """(target, values that lead to it)."""
    values: dict[str, list[str]] = {}
    for case in switch.cases:
        values.setdefault(case.target, []).append(str(case.value))
    if switch.default is not None:
        values.setdefault(switch.default, []).append("default")
    for target, leading in values.items():
        yield target, ", ".join(leading)


# -- Mermaid -----------------------------------------------------------------------------------------------------


def mermaid(drawn: Mapping[str, Any]) -> str:
    """A graph as a flowchart. Names never carry markup: what Mermaid could take for some becomes an entity."""
    return "\n".join(_Chart(drawn).lines()) + "\n"


class _Chart:
    def __init__(self, drawn: Mapping[str, Any]) -> None:
        self._nodes: list[Mapping[str, Any]] = drawn["nodes"]
        self._edges: list[Mapping[str, Any]] = drawn["edges"]
        self._names = {node["id"]: f"s{number}" for number, node in enumerate(self._nodes)}
        self._members: dict[str | None, list[Mapping[str, Any]]] = {}
        for node in self._nodes:
            self._members.setdefault(node["owner"], []).append(node)

    def lines(self) -> Iterator[str]:
        yield "flowchart TD"
        for node in self._members.get(None, ()):
            yield from self._node(node, 1)
        yield from self._arrows()
        yield from self._colours()

    def _node(self, node: Mapping[str, Any], depth: int) -> Iterator[str]:
        indent, name, label = "  " * depth, self._names[node["id"]], _label(node)
        members = self._members.get(node["id"])
        if members is None:
            before, after = _SHAPES.get(node["type"], ('["', '"]'))
            yield f"{indent}{name}{before}{label}{after}"
            return
        yield f'{indent}subgraph {name}["{label}"]'
        for member in members:
            yield from self._node(member, depth + 1)
        yield f"{indent}end"

    def _arrows(self) -> Iterator[str]:
        branches = {(edge["from"], edge["to"]) for edge in self._edges if edge["kind"] == "branch"}
        for edge in self._edges:
            ends = (edge["from"], edge["to"])
            if edge["kind"] == "depends_on" and ends in branches:
                continue
            arrow = {"branch": f'-->|"{_escaped(edge.get("label", ""))}"|', "on_error": "-.->|on_error|"}
            yield f"  {self._names[ends[0]]} {arrow.get(edge['kind'], '-->')} {self._names[ends[1]]}"

    def _colours(self) -> Iterator[str]:
        for status, style in _COLOURS.items():
            mine = [self._names[node["id"]] for node in self._nodes if node.get("status") == status]
            if mine:
                yield f"  classDef {status} {style}"
                yield f"  class {','.join(mine)} {status}"


def _label(node: Mapping[str, Any]) -> str:
    lines = [node["name"] or node["id"]]
    lines += [node["id"]] if node["name"] not in (None, node["id"]) else []
    lines.append(", ".join(part for part in (node["type"], node["detail"]) if part))
    lines += [f"for each of {node['for_each']}"] if node["for_each"] else []
    return "<br/>".join(_escaped(line) for line in lines)


def _escaped(text: str) -> str:
    """Letters, digits and a few signs as they are, all else as Mermaid's numeric entities; cut to a readable length."""
    short = text if len(text) <= 80 else text[:79] + "…"
    return "".join(char if char.isalnum() or char in " ._-,:()/" else f"#{ord(char)};" for char in short)
