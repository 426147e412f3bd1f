"""The planner by itself: a run as a value, every plan applied to it, child runs beside it; no Redis, no worker.

A snapshot shows the planner no more than a real look would bring (`wants`), so that what is forgotten there is missed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from cordum.domain.context import fold
from cordum.domain.definition import load_workflow
from cordum.domain.limits import Limits
from cordum.domain.plan import Plan, Spawn
from cordum.domain.planner import plan
from cordum.domain.policy_document import read_policy
from cordum.domain.run import ChildRun, Failure, OutcomeClass, Parent, Pin, RunState, StepState
from cordum.domain.states import RunStatus, StepStatus
from cordum.domain.wants import wants
from tests.proof.language import DENIED_TOPIC

_RULE = f"{{id: no, match: {{topics: [{DENIED_TOPIC}]}}, decision: deny, reason: never}}"
POLICY = read_policy(f"{{version: '1', default_decision: allow, rules: [{_RULE}]}}".encode(), epoch=1)
LIMITS = Limits(jitter=False)
START = 1_000_000
MOST_LOOKS = 200
_AT_WORK = (StepStatus.READY, StepStatus.QUEUED, StepStatus.RUNNING, StepStatus.SETTLING)
_OUTCOMES = {
    "retry": OutcomeClass.RETRYABLE,
    "fatal": OutcomeClass.FATAL,
    "timeout": OutcomeClass.TIMEOUT,
    "lost": OutcomeClass.LOST,
    "reject": OutcomeClass.REJECTED,
}


class Play:
    """One run and its child runs. `now` is the clock in milliseconds."""

    def __init__(
        self,
        definition: Mapping[str, Any],
        given: Any,
        workflows: Mapping[str, Mapping[str, Any]],
        parent: Parent | None = None,
        run_id: str = "r",
    ) -> None:
        self.workflow = load_workflow(json.dumps(definition).encode(), "json", default_id="w")
        self.workflows = workflows
        self.children: dict[str, Play] = {}
        self.archived: dict[str, StepState] = {}
        self.child_outputs: dict[str, Any] = {}
        self.items: dict[tuple[str, int], list[Any]] = {}
        self.output: Any = None
        self.error: Mapping[str, Any] | None = None
        self.dead: dict[str, tuple[str, str]] = {}
        self.dispatched: list[str] = []
        self.now = START
        steps = {step: StepState() for step in self.workflow.instances.initial}
        self.run = RunState(
            run_id,
            "t",
            self.workflow.id,
            "d",
            1,
            "alice",
            START,
            given,
            steps,
            parent=parent,
            depth=0 if parent is None else 1,
        )
        self.look()

    # -- planning ------------------------------------------------------------------------------------------------

    def look(self) -> None:
        """Plan and apply until nothing more follows here and in the child runs."""
        for _ in range(MOST_LOOKS):
            decided = plan(self.workflow, self._snapshot(), POLICY, self.now, LIMITS)
            self._apply(decided)
            if not decided.again and not self._look_below():
                break
        else:
            raise AssertionError("looking at the run does not come to an end")
        again = plan(self.workflow, self._snapshot(), POLICY, self.now, LIMITS)
        assert again.empty and not again.again, f"an applied plan left something to do: {again}"

    def _look_below(self) -> bool:
        """Let child runs look; whether one has ended that a step waits for."""
        news = False
        for child in self.children.values():
            before = child.run.status
            assert child.run.parent is not None
            state = self.run.steps.get(child.run.parent.step)
            wanted = state is not None and state.status is StepStatus.RUNNING and not self.run.status.terminal
            child.now = self.now
            if not before.terminal:
                child.run = replace(child.run, parent=replace(child.run.parent, wanted=wanted))
                child.look()
            news = news or (wanted and child.run.status.terminal)
        return news

    def _snapshot(self) -> RunState:
        wanted = wants(self.workflow, self.run)
        outputs = {ref: value for ref, value in self.child_outputs.items() if ref in wanted.outputs}
        return replace(
            self.run,
            outputs={**self.run.outputs, **outputs},
            items={block: self.items[block] for block in wanted.items if block in self.items},
            children={ref: self._child(run_id) for ref, run_id in wanted.children},
            pins={pin: Pin(1, "d") for pin in wanted.pins if pin[0] in self.workflows},
        )

    def _child(self, run_id: str) -> ChildRun | None:
        child = self.children.get(run_id)
        if child is None:
            return None
        document = {"output": child.output, "status": child.run.status.value}
        return ChildRun(child.run.status, 1, document, child.error)

    def _apply(self, decided: Plan) -> None:
        steps = dict(self.run.steps)
        for change in decided.changes:
            assert steps.get(change.step) == change.before
            steps[change.step] = change.after
        for ref in decided.archived:
            self.archived[ref] = steps.pop(ref)
            assert self.archived[ref].status.terminal, f"{ref} is put away before it is over"
        for job in decided.jobs:
            steps[job.step] = replace(steps[job.step], status=StepStatus.QUEUED)
            self.dispatched.append(f"{job.step}@{job.attempt}")
        for letter in decided.dead_letters:
            assert self.workflow.instances[letter.step].leaf, f"{letter.step} is no leaf"
            job = f"{letter.step}@{letter.attempt}"
            assert job not in self.dead, f"{job} is dead twice"
            self.dead[job] = (letter.status.value, letter.reason_code)
        self.child_outputs |= {ref: value for ref, value in decided.outputs.items() if ref.endswith("]")}
        outputs = {ref: value for ref, value in decided.outputs.items() if not ref.endswith("]")}
        self.items |= decided.items
        self.run = replace(
            self.run,
            steps=steps,
            outputs={**self.run.outputs, **outputs},
            writes={**self.run.writes, **decided.writes},
            status=decided.run.status if decided.run else self.run.status,
        )
        if decided.run is not None and decided.run.status.terminal:
            self.output, self.error = decided.run.output, decided.run.error
        for spawn in decided.spawns:
            self._spawn(spawn)

    def _spawn(self, spawn: Spawn) -> None:
        if spawn.run_id not in self.children:
            parent = Parent(self.run.id, spawn.step)
            self.children[spawn.run_id] = Play(
                self.workflows[spawn.workflow_id], spawn.input, self.workflows, parent, spawn.run_id
            )

    # -- what can happen -----------------------------------------------------------------------------------------

    def possible(self) -> list[tuple[str, str, int]]:
        """(kind, ref, attempt): `job`, `approval`, `signal`, and `time` for each delay and back-off."""
        found: list[tuple[str, str, int]] = []
        if self.run.status.terminal:
            return found
        for ref, state in self.run.steps.items():
            kind = self.workflow.instances[ref].step.kind
            if state.status is StepStatus.QUEUED:
                found.append(("job", ref, state.attempt))
            elif state.status is StepStatus.RETRYING or (state.status is StepStatus.WAITING and kind == "delay"):
                found.append(("time", ref, state.attempt))
            elif state.status is StepStatus.WAITING:
                found.append((kind, ref, state.attempt))
            child = self.children.get(state.child_run or "")
            if child is not None:
                found += [(what, f"{ref}/{inner}", attempt) for what, inner, attempt in child.possible()]
        return found

    def happen(self, what: str, ref: str, more: Any) -> None:
        self._tell(what, ref, more)
        self.look()

    def _tell(self, what: str, ref: str, more: Any) -> None:
        parent, slash, inner = ref.partition("/")
        state = self.run.steps[parent]
        if slash:
            self.children[state.child_run or ""]._tell(what, inner, more)
        elif what == "ok":
            self._set(parent, status=StepStatus.SUCCEEDED, completed_at=self.now)
            if parent.endswith("]"):
                self.child_outputs[parent] = more
            else:
                self.run = replace(self.run, outputs={**self.run.outputs, parent: more})
        elif what == "again":
            self._set(parent, **({"retry_at": self.now} if state.status is StepStatus.RETRYING else {"due": self.now}))
        else:
            code = {"reject": "approval_rejected", "fatal": "fatal"}.get(what, "error")
            facts: dict[str, Any] = {"outcome": _OUTCOMES[what], "failure": Failure(code, more)}
            self._set(parent, status=StepStatus.SETTLING, completed_at=self.now, **facts)

    def _set(self, ref: str, **facts: Any) -> None:
        self.run = replace(self.run, steps={**self.run.steps, ref: replace(self.run.steps[ref], **facts)})

    # -- what is so ----------------------------------------------------------------------------------------------

    def statuses(self) -> dict[str, tuple[str, int]]:
        """Status (a job on its way is `running`) and attempts of everything there has been, child runs too."""
        found: dict[str, tuple[str, int]] = {}
        for ref, state in (*self.archived.items(), *self.run.steps.items()):
            attempts = 0 if state.status is StepStatus.SKIPPED else state.attempt  # decided and at once given up
            found[ref] = ("running" if state.status in _AT_WORK else state.status.value, attempts)
            child = self.children.get(state.child_run or "")
            if child is not None:
                found |= {f"{ref}/{inner}": facts for inner, facts in child.statuses().items()}
        return found

    def end(self) -> dict[str, Any]:
        """Everything about the end of the run."""
        assert self.run.status.terminal
        states = {**self.archived, **self.run.steps}
        assert all(state.status.terminal for state in states.values())
        outputs = {**self.run.outputs, **self.child_outputs}
        return {
            "status": self.run.status.value,
            "output": self.output if self.run.status is RunStatus.SUCCEEDED else None,
            "outputs": {ref: outputs.get(ref) for ref in states if states[ref].status is StepStatus.SUCCEEDED},
            "skips": {ref: state.skip_reason.value for ref, state in states.items() if state.skip_reason},
            "codes": {
                ref: state.failure.code for ref, state in states.items() if state.status.unsuccessful and state.failure
            },
            "dead": self.dead,
            "context": fold(self.run.writes),
            "children": {
                ref: child.end()
                for ref, state in states.items()
                if (child := self.children.get(state.child_run or "")) is not None
            },
        }
