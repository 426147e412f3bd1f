"""What a run of a definition must come to: a small interpreter of definitions as plain mappings.

It knows the text of CONTRACT.md and nothing of cordum, whose planner is judged by it. A `Run` stands still until it is
told what has happened (`happen`): a job has ended, people have decided, a signal has come, a time is over. Then it
draws every conclusion. Whoever drives it tells it these things in the order in which they happened: where an end
depends on that order, nothing is left to chance.

Understood are the expressions that `language_definitions` writes, and the definitions that it makes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

FAILED = ("failed", "denied", "timed_out")
OVER = (*FAILED, "succeeded", "cancelled", "skipped")
JOBS = ("worker", "llm", "http", "container", "script", "input")
WAITING = ("approval", "delay", "signal")
DENIED_TOPIC = "job.no"
MAX_LOSSES = 3


class Wrong(Exception):
    """An expression that cannot be evaluated."""


@dataclass(eq=False)
class Node:
    """A step, or one of the copies that fan-outs and loops make of it. `layers`: what is left of fan, loop, group."""

    ref: str
    step: dict[str, Any]
    id: str
    frame: Frame
    layers: tuple[str, ...]
    owner: Node | None
    head: bool
    status: str = "pending"
    attempt: int = 0
    retries: int = 0
    losses: int = 0
    output: Any = None
    error: tuple[str, str] | None = None  # code and message
    reason: str | None = None  # of a skip
    number: int = 0  # which failure of the run it was
    frames: list[Frame] = field(default_factory=list)
    items: list[Any] | None = None
    counted: int = 0
    given: Any = None  # input of its child run
    child: Run | None = None
    sent: bool = False  # its job has left: not one that these very conclusions have decided on

    @property
    def over(self) -> bool:
        return self.status in OVER

    @property
    def layer(self) -> str:
        return self.layers[0]

    @property
    def kind(self) -> str:
        return str(self.step.get("type", "worker"))

    @property
    def leaf(self) -> bool:
        return self.layer == "unit" and self.kind != "subworkflow"


@dataclass(eq=False)
class Frame:
    """One round of a fan-out or loop (or the whole run): the steps that exist in it, and what they see."""

    above: Frame | None
    path: tuple[int, ...]
    names: Mapping[str, Any]
    nodes: dict[str, Node] = field(default_factory=dict)
    main: Node | None = None  # the child itself

    def look_up(self, name: str) -> Any:
        frame: Frame | None = self
        while frame is not None:
            if name in frame.names:
                return frame.names[name]
            frame = frame.above
        return None

    def node(self, step: str) -> Node | None:
        frame: Frame | None = self
        while frame is not None:
            if step in frame.nodes:
                return frame.nodes[step]
            frame = frame.above
        return None


class Run:
    """One run of `definition`. `workflows`: the other definitions by id. `depth`: not needed, nothing nests deep."""

    def __init__(self, definition: dict[str, Any], given: Any, workflows: Mapping[str, dict[str, Any]]) -> None:
        self.steps: dict[str, dict[str, Any]] = definition["steps"]
        self.definition, self.given, self.workflows = definition, given, workflows
        self.status, self.error, self.output = "running", None, None
        self.context: dict[str, Any] = {}
        self.dead: dict[str, tuple[str, str]] = {}  # job -> status, code
        self.nodes: list[Node] = []
        self._order = {step: number for number, step in enumerate(self.steps)}
        self._failures = 0
        self._open: set[Node] = set()
        self._users: dict[str, list[str]] = {}
        for name, step in self.steps.items():
            self._users.setdefault(step.get("on_error", ""), []).append(name)
        self._switches: dict[str, list[str]] = {}
        for name, step in self.steps.items():
            for target in _targets(step):
                self._switches.setdefault(target, []).append(name)
        inner = {deep for step in self.steps.values() for deep in self._multiplied(step)}
        self._root = Frame(None, (), {})
        self._fill(self._root, [name for name in self.steps if name not in inner], None)
        self._conclude()

    # -- what exists ---------------------------------------------------------------------------------------------

    def _layers(self, step: dict[str, Any]) -> tuple[str, ...]:
        kind = step.get("type")
        own = ("loop",) if kind == "loop" else ("group",) if kind == "parallel" else ("unit",)
        return (("fan",) if "for_each" in step else ()) + own

    def _owned(self, step: dict[str, Any]) -> list[str]:
        return list(step["steps"]) if step.get("type") == "parallel" else []

    def _closure(self, names: list[str]) -> list[str]:
        """Steps, what groups among them own, and all their handlers: those that live in one round together."""
        found: list[str] = []
        for name in names:
            step = self.steps[name]
            inner = self._owned(step) if "for_each" not in step else []
            handler = [step["on_error"]] if "on_error" in step else []
            found += [one for one in (name, *self._closure([*inner, *handler])) if one not in found]
        return found

    def _multiplied(self, step: dict[str, Any]) -> list[str]:
        if step.get("type") == "loop":
            return self._closure([step["body_step"]])
        return self._closure(self._owned(step)) if "for_each" in step else []

    def _fill(self, frame: Frame, names: list[str], owner: Node | None) -> None:
        for name in sorted(names, key=self._order.__getitem__):
            ref = name + "".join(f"[{index}]" for index in frame.path)
            step = self.steps[name]
            frame.nodes[name] = Node(ref, step, name, frame, self._layers(step), None, head=True)
            self.nodes.append(frame.nodes[name])
        for node in [node for node in frame.nodes.values() if node.layers == ("group",)]:
            for member in self._owned(node.step):
                if member in frame.nodes:
                    frame.nodes[member].owner = node
        if frame.main is not None and frame.main.layers == ("group",):
            for member in self._owned(frame.main.step):
                frame.nodes[member].owner = frame.main

    def _add_round(self, host: Node, **names: Any) -> None:
        index = len(host.frames)
        frame = Frame(host.frame, (*_path(host.ref), index), names)
        host.frames.append(frame)
        if host.layer == "fan":
            step, layers, head = host.step, host.layers[1:], False
            beside = self._closure(self._owned(step)) if layers == ("group",) else []
            name = host.id
        else:
            name = host.step["body_step"]
            step = self.steps[name]
            layers, head = self._layers(step), True
            beside = [one for one in self._closure([name]) if one != name]
        frame.main = Node(f"{host.ref}[{index}]", step, name, frame, layers, host, head)
        self.nodes.append(frame.main)
        self._fill(frame, beside, frame.main)
        self.nodes.sort(key=self._place)

    def _place(self, node: Node) -> tuple[bool, int, tuple[int, ...]]:
        """Order: what exists from the beginning, then what came into being; each in the definition's order."""
        path = _path(node.ref)
        return bool(path), self._order[node.ref.partition("[")[0]], path

    def find(self, ref: str) -> Node:
        return next(node for node in self.nodes if node.ref == ref)

    def _handler(self, node: Node) -> Node | None:
        return node.frame.node(node.step["on_error"]) if node.head and "on_error" in node.step else None

    def _users_of(self, node: Node) -> list[Node]:
        if not node.head:
            return []
        mine = node.frame.main
        near = [
            node.frame.nodes.get(user) or (mine if mine and mine.id == user else None)
            for user in self._users.get(node.id, [])
        ]
        return [user for user in near if user is not None]

    # -- what happens --------------------------------------------------------------------------------------------

    def happen(self, events: list[tuple[str, str, Any]]) -> None:
        """(what, ref, more) at one moment; `ref` of a step in a child run is `step/ref`.

        what: `ok` (output), `retry`, `fatal`, `timeout`, `lost`, `reject`, `again` (a back-off is over), `look`.
        """
        if self.status != "running":
            return
        for what, ref, more in events:
            parent, slash, inner = ref.partition("/")
            node = self.find(parent)
            if slash:
                if node.child is not None:
                    node.child.happen([(what, inner, more)])
            elif not node.over:
                self._tell(node, what, more)
        self._conclude()

    def _tell(self, node: Node, what: str, more: Any) -> None:
        retries = node.step.get("retry", {}).get("max_retries", 0)
        if what == "ok":
            self._succeed(node, more)
        elif what == "fatal":
            self._fail(node, "failed", "fatal", more)
        elif what == "reject":
            self._fail(node, "denied", "approval_rejected", more)
        elif what == "again":
            self._dispatch(node)
        elif what == "lost":
            node.losses += 1
            if node.losses >= MAX_LOSSES:
                self._fail(node, "failed", "poison", "")
            else:
                self._dispatch(node)
        elif node.retries < retries:
            node.retries += 1
            node.status = "retrying"
        elif what == "timeout":
            self._fail(node, "timed_out", "timeout", more)
        else:
            self._fail(node, "failed", "max_retries_exceeded", more)

    def _dispatch(self, node: Node) -> None:
        node.attempt += 1
        if node.step.get("topic") == DENIED_TOPIC:
            self._fail(node, "denied", "safety_denied", "never")
        else:
            node.status, node.sent = "running", False

    def _succeed(self, node: Node, output: Any) -> None:
        node.status, node.output = "succeeded", output
        if node.head and "output_path" in node.step:
            self._write(node.step["output_path"], output)

    def _fail(self, node: Node, status: str, code: str, message: str) -> None:
        self._failures += 1
        node.status, node.error, node.number = status, (code, message), self._failures
        if node.leaf:
            self.dead[f"{node.ref}@{node.attempt}"] = (status, code)

    def _write(self, key: str, value: Any, *, delete: bool = False) -> None:
        *above, last = key.split(".")
        place = self.context
        for name in above:
            if not isinstance(place.get(name), dict):
                place[name] = {}
            place = place[name]
        if delete:
            place.pop(last, None)
        else:
            place[last] = value

    # -- what follows --------------------------------------------------------------------------------------------

    def _conclude(self) -> None:
        """To the end of what follows; child runs are started after that, and may end at once."""
        self._conclude_here()
        while sum(self._start_child(node) for node in self.nodes):  # all of them
            self._conclude_here()

    def _start_child(self, node: Node) -> bool:
        """Whether a child run was started that is over already."""
        if node.status != "running" or node.kind != "subworkflow" or node.layer != "unit" or node.child is not None:
            return False
        node.child = Run(self.workflows[node.step["workflow_id"]], node.given, self.workflows)
        return node.child.status != "running"

    def _conclude_here(self) -> None:
        while self.status == "running":
            before = self._picture()
            for node in self.nodes[::-1]:
                self._settle(node)
            self._end_if_over()
            if self.status == "running":
                self._open = {node for node in self.nodes if node.status == "running"}
                for node in list(self.nodes):
                    if node.status == "pending":
                        self._consider(node)
            if before == self._picture():
                break
        for node in self.nodes:
            node.sent = True

    def _picture(self) -> list[Any]:
        return [(node.ref, node.status, node.attempt, node.counted, len(node.frames)) for node in self.nodes]

    def standing(self, node: Node) -> str:
        """open, good (its dependants may run), bad, or absent (does not count)."""
        if node.status == "succeeded":
            return "good"
        if node.status == "skipped":
            return "good" if node.reason == "condition_false" else "absent"
        if node.status == "cancelled":
            return "bad"
        if node.status not in FAILED:
            return "open"
        handler = self._handler(node)
        while handler is not None:
            if handler.status == "succeeded":
                return "good"
            if not handler.over:
                return "open"
            handler = self._handler(handler) if handler.status in FAILED else None
        return "bad"

    def _settle(self, node: Node) -> None:
        if node.status != "running":
            return
        if node.layer == "group":
            self._settle_group(node)
        elif node.layer == "fan":
            self._settle_fan(node)
        elif node.layer == "loop":
            self._settle_loop(node)
        elif node.child is not None and node.child.status != "running":
            child = node.child
            if child.status == "succeeded":
                self._succeed(node, child.output)
            else:
                assert child.error is not None
                self._fail(node, child.status, child.error[0], child.error[1])

    def _members(self, group: Node) -> list[Node]:
        return [found for member in group.step["steps"] if (found := group.frame.nodes.get(member)) is not None]

    def _settle_group(self, group: Node) -> None:
        members = self._members(group)
        good = [m for m in members if self.standing(m) == "good" and m.status != "skipped"]
        open_ = [m for m in members if self.standing(m) == "open"]
        bad = [m for m in members if self.standing(m) == "bad"]
        counted = len(good) + len(open_) + len(bad)
        strategy = group.step.get("strategy", "all")
        needed = {"all": counted, "any": min(1, counted)}.get(strategy, group.step.get("required", 0) if counted else 0)
        if len(good) >= needed and not (strategy == "all" and open_):
            self._close(group)
            self._succeed(group, {m.id: m.output for m in good})
        elif len(good) + len(open_) < needed:
            failed = [m for m in bad if m.status in FAILED]
            self._close(group)
            if failed:
                self._follow(group, max(failed, key=lambda m: m.number))
            else:
                self._fail(group, "failed", "group_unreachable", "")

    def _follow(self, owner: Node, child: Node) -> None:
        assert child.error is not None
        self._fail(owner, child.status, *child.error)

    def _ready_to_count(self, frame: Frame) -> bool:
        assert frame.main is not None
        return self.standing(frame.main) in ("good", "absent") and all(n.over for n in self._within(frame))

    def _settle_fan(self, fan: Node) -> None:
        assert fan.items is not None
        mains = [frame.main for frame in fan.frames if frame.main is not None]
        bad = [main for main in mains if self.standing(main) == "bad"]
        if bad:
            self._close(fan)
            self._follow(fan, min(bad, key=lambda main: main.number))
            return
        fan.counted = sum(self._ready_to_count(frame) for frame in fan.frames)
        limit = fan.step.get("max_parallel", 128)
        while len(fan.frames) < len(fan.items):
            mains = [frame.main for frame in fan.frames if frame.main is not None]
            if sum(self._holds_a_place(main) for main in mains) >= limit:
                break
            self._add_round(fan, item=fan.items[len(fan.frames)], index=len(fan.frames))
        if fan.counted == len(fan.items):
            self._succeed(fan, [frame.main.output for frame in fan.frames if frame.main])

    def _settle_loop(self, loop: Node) -> None:
        if loop.frames:
            last = loop.frames[-1]
            assert last.main is not None
            if self.standing(last.main) == "bad":
                self._close(loop)
                self._follow(loop, last.main)
                return
            if not self._ready_to_count(last):
                return
        done = len(loop.frames)
        loop.counted = done
        previous = loop.frames[-1].main.output if loop.frames and loop.frames[-1].main else None
        names = {"loop": {"index": done, "iteration": done + 1, "previous_output": previous}}
        frame = Frame(loop.frame, loop.frame.path, names)
        stops = [loop.step[key] for key in ("while", "until") if key in loop.step]
        try:
            over = "while" in loop.step and not self._evaluate(loop.step["while"], frame)
            over = over or ("until" in loop.step and bool(self._evaluate(loop.step["until"], frame)))
        except Wrong:
            self._fail(loop, "failed", "expression_error", "")
            return
        at_most = loop.step.get("max_iterations", 100)
        if over or (done >= at_most and not stops):
            self._succeed(loop, {"iterations": done, "last_output": previous})
        elif done >= at_most:
            self._fail(loop, "failed", "fatal", "")
        else:
            self._add_round(loop, **names)

    def _within(self, frame: Frame) -> Iterator[Node]:
        """Everything of a round, however deep."""
        for node in ([frame.main] if frame.main else []) + list(frame.nodes.values()):
            yield node
            for deeper in node.frames:
                yield from self._within(deeper)

    def _close(self, owner: Node) -> None:
        """Nobody asks any more for what is inside: cancelled, and handlers that nobody has needed are skipped."""
        if owner.layer == "group":
            inside = [deep for member in self._members(owner) for deep in self._deep(member)]
            if owner.frame.main is owner:
                beside = (
                    set()
                    if not owner.head
                    else set(self._closure([owner.step["on_error"]] if "on_error" in owner.step else []))
                )
                inside = [n for n in self._within(owner.frame) if n is not owner and n.id not in beside]
        else:
            inside = [node for frame in owner.frames for node in self._within(frame)]
        handlers = [n for n in inside if n.head and n.owner is None and n.id in self._users]
        for handler in handlers:
            if handler.status == "pending":
                self._skip(handler, "handler_not_needed")
            elif handler.reason != "handler_not_needed":
                continue
            for member in list(self._deep(handler))[1:]:
                if not member.over:
                    self._skip(member, "upstream_skipped")
        for node in inside:
            self._cancel(node)

    def _deep(self, node: Node) -> Iterator[Node]:
        yield node
        for frame in node.frames:
            yield from self._within(frame)
        if node.layer == "group":
            for member in self._members(node):
                yield from self._deep(member)

    def _cancel(self, node: Node) -> None:
        if not node.over:
            node.status = "cancelled"
            if node.child is not None:
                node.child.end("cancelled", None)

    def _skip(self, node: Node, reason: str) -> None:
        node.status, node.reason = "skipped", reason

    # -- beginning -----------------------------------------------------------------------------------------------

    def _consider(self, node: Node) -> None:
        owner = node.owner
        if owner is not None and owner.over:
            self._skip(node, "upstream_skipped" if owner.status == "skipped" else "upstream_failed")
            return
        if owner is not None and owner not in self._open:  # one that has just begun: its members in their own order
            return
        if not self._has_room(node):
            return
        if not node.head:
            self._begin(node)
            return
        users = self._users_of(node)
        if node.id in self._users and not any(user.status in FAILED for user in users):
            if all(user.over for user in users):
                self._skip(node, "handler_not_needed")
            return
        reason = self._why_not(node, users)
        if reason == "open":
            return
        if reason is not None:
            self._skip(node, reason)
            return
        try:
            gate = node.step.get("condition") if node.kind not in ("condition", "switch", "loop") else None
            if gate is not None and not self._evaluate(gate, node.frame):
                self._skip(node, "condition_false")
                return
        except Wrong:
            node.attempt += 1
            self._fail(node, "failed", "expression_error", "")
            return
        self._begin(node)

    def _busy(self, node: Node) -> bool:
        """Whether it takes a place: on its way or an open child run, or something in it is."""
        if node.status not in ("running", "retrying"):
            return False
        if node.layer == "unit":
            return True
        inside = self._members(node) if node.layer == "group" else [f.main for f in node.frames if f.main is not None]
        return any(self._busy(one) for one in inside)

    def _holds_a_place(self, main: Node) -> bool:
        """In its fan-out: until it is over, unless all that can happen in it is waited for."""
        if main.status == "pending" or self._busy(main):
            return True
        return main.status == "running" and not any(node.status == "waiting" for node in list(self._deep(main))[1:])

    def _has_room(self, node: Node) -> bool:
        """Whether its owner has a place for it, and all around that."""
        owner = node.owner
        if owner is None:
            return True
        if "max_parallel" in owner.step and owner.layer in ("group", "fan") and not self._busy(node):
            beside = [f.main for f in owner.frames if f.main is not None] if owner.layer == "fan" else None
            others = self._members(owner) if beside is None else beside
            if owner.step["max_parallel"] <= sum(self._busy(one) for one in others):
                return False
        return self._has_room(owner)

    def _why_not(self, node: Node, users: list[Node]) -> str | None:
        names = [*node.step.get("depends_on", []), *self._switches.get(node.id, [])]
        needed = [found for name in names if (found := node.frame.node(name)) is not None and found not in users]
        seen = {self.standing(one) for one in needed}
        if "open" in seen:
            return "open"
        if "bad" in seen:
            return "upstream_failed"
        if seen == {"absent"}:
            return "upstream_skipped"
        switches = [found for name in self._switches.get(node.id, []) if (found := node.frame.node(name))]
        decided = [switch for switch in switches if switch.status != "skipped"]
        taken = [switch.output["target_step"] for switch in decided if switch.status == "succeeded"]
        return "branch_not_taken" if decided and node.id not in taken else None

    def _begin(self, node: Node) -> None:
        try:
            self._enter(node)
        except Wrong:
            self._fail(node, "failed", "expression_error", "")

    def _enter(self, node: Node) -> None:
        step, frame = node.step, node.frame
        if node.layer == "fan":
            node.attempt += 1
            items = self._evaluate(step["for_each"], frame)
            if items is not None and not isinstance(items, list):
                raise Wrong
            node.items, node.status = items or [], "running"
            self._settle(node)
            return
        if node.layer == "unit" and node.kind in JOBS:
            self._render(step.get("input"), frame, attempt_of=node)
            self._dispatch(node)
            return
        node.attempt += 1
        if node.layer in ("loop", "group"):
            node.status = "running"
            if node.layer == "loop":
                self._settle(node)
        elif node.kind in WAITING:
            node.status = "waiting"
        elif node.kind == "subworkflow":
            node.given = self._render(step["input_mapping"], frame) if "input_mapping" in step else self.given
            node.status = "running"
        elif node.kind == "condition":
            self._succeed(node, bool(self._evaluate(step["condition"], frame)))
        elif node.kind == "transform":
            self._succeed(node, self._render(step.get("input", {}), frame) | self._error_for(node))
        elif node.kind == "notify":
            self._succeed(node, {"level": "INFO", **self._render(step["input"], frame)})
        elif node.kind == "storage":
            self._store(node)
        elif node.kind == "switch":
            self._switch(node)

    def _error_for(self, handler: Node) -> dict[str, Any]:
        """What a handler's input has besides its own; messages are not told, they are prose."""
        failed = [user for user in self._users_of(handler) if user.status in FAILED and user.error]
        if not failed:
            return {}
        first = min(failed, key=lambda user: user.number)
        assert first.error is not None
        shown = {"step_id": first.ref, "status": first.status, "code": first.error[0], "attempt": first.attempt}
        return {"error": shown}

    def _store(self, node: Node) -> None:
        given = self._render(node.step["input"], node.frame)
        output = {"operation": given["operation"], "key": given["key"]}
        if given["operation"] == "write":
            self._write(given["key"], given["value"])
            output["value"] = given["value"]
        elif given["operation"] == "delete":
            self._write(given["key"], None, delete=True)
        else:
            if given["key"] not in self.context:
                self._fail(node, "failed", "fatal", "")
                return
            output["value"] = self.context[given["key"]]
        self._succeed(node, output)

    def _switch(self, node: Node) -> None:
        value = self._evaluate(node.step["condition"], node.frame)
        for case in node.step["input"]["cases"]:
            if case["when"] == value and isinstance(case["when"], bool) == isinstance(value, bool):
                self._succeed(node, {"matched_case": value, "matched_value": value, "target_step": case["next"]})
                return
        default = node.step["input"].get("default")
        if default is None:
            self._fail(node, "failed", "fatal", "")
        else:
            self._succeed(node, {"matched_case": "default", "matched_value": value, "target_step": default})

    # -- the end -------------------------------------------------------------------------------------------------

    def _end_if_over(self) -> None:
        bad = [n for n in self.nodes if n.status in FAILED and n.owner is None and n.id not in self._users]
        first = min((n for n in bad if self.standing(n) == "bad"), key=lambda n: n.number, default=None)
        if first is not None and self.definition.get("on_failure") != "continue_independent":
            self.end(first.status, first.error)
        elif all(node.over for node in self.nodes):
            self.end(first.status if first else "succeeded", first.error if first else None)

    def end(self, status: str, error: tuple[str, str] | None) -> None:
        """What was never begun is skipped, all else that is open is cancelled."""
        if self.status != "running":
            return
        reason = "run_cancelled" if status == "cancelled" else "upstream_failed"
        for node in self.nodes:
            decided_only = node.status == "running" and node.layer == "unit" and node.kind in JOBS and not node.sent
            if node.status == "pending" or (decided_only and node.attempt == 1):
                self._skip(node, reason)
            self._cancel(node)
        self.status, self.error = status, error
        if status == "succeeded":
            self.output = self._final_output()

    def _final_output(self) -> dict[str, Any]:
        needed = {name for step in self.steps.values() for name in step.get("depends_on", [])}
        owned = {name for step in self.steps.values() for name in (*step.get("steps", []), step.get("body_step"))}
        sinks = [name for name in self.steps if name not in needed | owned and name not in self._users]
        return {name: self._root.nodes[name].output for name in sinks if self._root.nodes[name].status == "succeeded"}

    # -- expressions ---------------------------------------------------------------------------------------------

    def _evaluate(self, text: str, frame: Frame) -> Any:
        """`path`, `path == literal`, `path < literal`, `length(path) > literal`, `true`, `false`."""
        match = re.fullmatch(r"(length\()?([\w.']+)\)?(?: (==|!=|<|>) (.+))?", text)
        assert match is not None, text
        counted, path, operator, right_text = match.groups()
        left = self._path(path, frame)
        if counted:
            left = 0 if left is None else len(left)
        if operator is None:
            return left
        right = _literal(right_text)
        if operator in ("==", "!="):
            same = left == right and isinstance(left, bool) == isinstance(right, bool)
            return same if operator == "==" else not same
        if not all(isinstance(one, int) and not isinstance(one, bool) for one in (left, right)):
            raise Wrong
        return left < right if operator == "<" else left > right

    def _path(self, path: str, frame: Frame) -> Any:
        if path in ("true", "false") or path.isdigit():
            return _literal(path)
        root, *rest = path.split(".")
        if root == "steps":
            node = frame.node(rest[0])
            found: Any = None if node is None else {"output": node.output, "status": node.status}
            rest = rest[1:]
        else:
            found = {"input": self.given, "ctx": self.context}.get(root, frame.look_up(root))
        for name in rest:
            found = found.get(name) if isinstance(found, dict) else None
        return found

    def _render(self, template: Any, frame: Frame, attempt_of: Node | None = None) -> Any:
        try:
            if isinstance(template, dict):
                return {key: self._render(value, frame) for key, value in template.items()}
            if isinstance(template, str) and template.startswith("${"):
                return self._evaluate(template[2:-1], frame)
        except Wrong:
            if attempt_of is not None:
                attempt_of.attempt += 1
            raise
        return template


def _literal(text: str) -> Any:
    if text.startswith("'"):
        return text[1:-1]
    return {"true": True, "false": False, "null": None}[text] if not text.isdigit() else int(text)


def _targets(step: dict[str, Any]) -> list[str]:
    if step.get("type") != "switch":
        return []
    given = step["input"]
    return [case["next"] for case in given["cases"]] + ([given["default"]] if "default" in given else [])


def _path(ref: str) -> tuple[int, ...]:
    return tuple(int(index) for index in re.findall(r"\[(\d+)\]", ref))
