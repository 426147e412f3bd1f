"""Random definitions of all kinds, valid by construction, in the forms that `language` understands."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from tests.proof.language import DENIED_TOPIC

INPUT = {"flag": True, "no": False, "n": 2, "items": [1, 2, 3], "one": ["a"], "none": [], "text": "x"}
CHILD = "child"
_LISTS = ["input.items", "input.items", "input.one", "input.none", "input.nothing", "input.text"]
_GATES = ["true", "false", "input.flag", "input.no", "length(input.items) > 0", "input.n == 3", "input.text < 2"]
_VALUES = ["${input.n}", "${input.nothing}", "fixed", "${run.nothing}"]
_INSIDE = ["${item}", "${index}", "${loop.index}", "${loop.previous_output.n}"]


class _Maker:
    """Draws one definition; steps come into being in order, and wait only for those before them."""

    def __init__(self, draw: st.DrawFn, *, child: bool, people: bool) -> None:
        self.draw = draw
        self.child = child
        self.people = people
        self.steps: dict[str, dict[str, Any]] = {}
        self.switches: list[str] = []
        self.written = 0

    def pick(self, *choices: Any) -> Any:
        return self.draw(st.sampled_from([one for one in choices if self.people or one not in ("approval", "signal")]))

    def chance(self, one_in: int) -> bool:
        return self.draw(st.integers(1, one_in)) == one_in

    def name(self) -> str:
        return f"s{len(self.steps)}"

    def make(self) -> dict[str, Any]:
        tops: list[str] = []
        for _ in range(self.draw(st.integers(1, 3 if self.child else 6))):
            tops.append(self.top(tops))
        self.handlers(tops)
        policy = self.pick("fail_fast", "fail_fast", "continue_independent")
        return {
            "on_failure": policy,
            "steps": {name: self.steps[name] for name in self.draw(st.permutations(list(self.steps)))},
        }

    def top(self, earlier: list[str]) -> str:
        """A step that nobody owns."""
        kinds = ["worker"] * 3 + [
            "parallel",
            "loop",
            "switch",
            "fan",
            "signal",
            "delay",
            "approval",
            "storage",
            "notify",
            "condition",
            "transform",
        ]
        name = self.step(self.pick(*kinds, *([] if self.child else ["subworkflow"])), earlier, depth=0)
        step = self.steps[name]
        if earlier:
            step["depends_on"] = self.draw(st.lists(st.sampled_from(earlier), unique=True, max_size=2))
        for switch in self.switches:
            if self.chance(2) and switch != name and step.get("type") != "switch":
                cases = self.steps[switch]["input"]["cases"]
                cases.append({"when": self.pick(1, 2, 3), "next": name})
                step["depends_on"] = list(dict.fromkeys([*step.get("depends_on", []), switch]))
        self.switches = [switch for switch in self.switches if len(self.steps[switch]["input"]["cases"]) < 3]
        if step.get("type") == "switch":
            self.switches.append(name)
        if self.chance(4) and step.get("type") not in ("condition", "switch", "loop"):
            step["condition"] = self.pick(
                *_GATES, *(f"steps.{one}.output.n == 1" for one in step.get("depends_on", []))
            )
        return name

    def step(self, kind: str, earlier: list[str], depth: int) -> str:
        name = self.name()
        step: dict[str, Any] = {} if kind == "worker" else {"type": kind}
        self.steps[name] = step
        values = [*_VALUES, *(f"${{steps.{one}.output.n}}" for one in earlier), *(_INSIDE if depth else [])]
        if kind == "fan":
            inner = ["worker", "worker", "transform", "approval", "delay", "signal", "parallel", "loop"]
            inner_kind = self.pick(*inner, *([] if self.child else ["subworkflow"]))
            del self.steps[name]
            name = self.step(inner_kind, earlier, depth + 1)
            self.steps[name]["for_each"] = self.pick(*_LISTS)
            if self.chance(3):
                self.steps[name]["max_parallel"] = self.pick(1, 2)
            return name
        match kind:
            case "parallel":
                self.group(step, earlier, depth)
            case "loop":
                self.loop(step, earlier, depth)
            case _:
                self.unit(kind, step, name, values)
        if kind in ("worker", "transform", "approval", "parallel") and self.chance(6):
            step["output_path"] = f"out.{name}"
        return name

    def unit(self, kind: str, step: dict[str, Any], name: str, values: list[str]) -> None:
        """What a step of a kind without children needs."""
        match kind:
            case "worker":
                step["topic"] = DENIED_TOPIC if self.chance(12) else "job.t"
                if self.chance(2):
                    step["retry"] = {"max_retries": self.pick(1, 2), "initial_backoff_sec": 1}
                if self.chance(3):
                    step["input"] = {"v": self.pick(*values)}
            case "transform":
                step["input"] = {"n": self.pick(*values), "k": 1}
            case "condition":
                step["condition"] = self.pick(*_GATES)
            case "switch":
                step["condition"] = "input.n"
                step["input"] = {"cases": []}
            case "notify":
                step["input"] = {"message": self.pick(*values)}
            case "storage":
                self.written += 1
                key = f"k{self.written}"
                operation = self.pick("write", "write", "read", "delete")
                step["input"] = {"operation": operation, "key": key} | (
                    {"value": self.pick(*values)} if operation == "write" else {}
                )
            case "delay":
                step["delay_sec"] = self.pick(1, 5, 60)
            case "signal":
                step["name"] = name
            case "subworkflow":
                step["workflow_id"] = CHILD
                if self.chance(2):
                    step["input_mapping"] = {"n": self.pick(*values), "items": [1], "flag": True}

    def group(self, step: dict[str, Any], earlier: list[str], depth: int) -> None:
        members: list[str] = []
        for _ in range(self.draw(st.integers(1, 3))):
            kinds = ["worker"] * 3 + ["transform", "approval", "delay", "condition"]
            nested = ["parallel", "loop", "fan"] if depth < 2 else []
            member = self.step(
                self.pick(*kinds, *nested), [*earlier, *members] if depth == 0 else earlier, depth + (depth > 0)
            )
            if members and self.chance(4):
                self.steps[member]["depends_on"] = [self.pick(*members)]
            if self.chance(4) and self.steps[member].get("type", "worker") in ("worker", "transform"):
                self.steps[member]["condition"] = self.pick(*_GATES)
            if self.chance(3):
                self.handler_of(member, depth)
            members.append(member)
        step["steps"] = members
        step["strategy"] = self.pick("all", "all", "any", "n_of_m")
        if step["strategy"] == "n_of_m":
            step["required"] = self.draw(st.integers(1, len(members)))
        if self.chance(3):
            step["max_parallel"] = self.pick(1, 2)

    def loop(self, step: dict[str, Any], earlier: list[str], depth: int) -> None:
        nested = ["parallel", "fan"] if depth < 2 else []
        body = self.step(self.pick("worker", "worker", "transform", "approval", "storage", *nested), earlier, depth + 1)
        if self.chance(3):
            self.handler_of(body, depth + 1)
        if (
            self.chance(5)
            and self.steps[body].get("type", "worker") in ("worker", "transform")
            and "for_each" not in self.steps[body]
        ):
            self.steps[body]["condition"] = self.pick("loop.index == 1", "loop.index < 1")
        step["body_step"] = body
        step["max_iterations"] = self.pick(1, 2, 3)
        if self.chance(3):
            step["while"] = self.pick("loop.index < 2", "input.flag", "input.no", "loop.index < 'x'")
        elif self.chance(3):
            step["until"] = self.pick("loop.previous_output.n == 1", "input.no", "input.flag")

    def handler_of(self, user: str, depth: int) -> None:
        """A handler of its own, which may have one, too."""
        handler = self.step(self.pick("worker", "worker", "transform", *(["parallel"] if depth < 2 else [])), [], depth)
        self.steps[user]["on_error"] = handler
        if self.chance(5):
            self.handler_of(handler, 2)

    def handlers(self, tops: list[str]) -> None:
        """Handlers of steps that nobody owns; some have one together."""
        shared: str | None = None
        for top in tops:
            if self.chance(4):
                self.handler_of(top, 0)
            elif self.chance(5):
                shared = shared or self.step("worker", [], 0)
                self.steps[top]["on_error"] = shared


@st.composite
def definitions(draw: st.DrawFn, *, child: bool = False, people: bool = True) -> dict[str, Any]:
    """`child`: small ones that call no other workflow. `people`: some steps wait for them, or for signals."""
    definition = _Maker(draw, child=child, people=people).make()
    for step in definition["steps"].values():
        if step.get("type") == "switch" and not step["input"]["cases"]:
            del step["input"]
            step |= {"type": "condition"}
    return definition
