"""What people do in a scenario, carried out on the engine and answered in the API's terms: a status and a code.

An operation is one entry in a table; one that this version of cordum does not have is refused by name, never skipped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from cordum.domain.workflow import JSON
from cordum.engine import Caller, Engine
from cordum.errors import CordumError
from cordum.testing.history import History
from cordum.testing.scenario import Action, Scenario

TENANT = "default"
SUBMITTER = "alice"
APPROVER = "bob"


# What an action calls, and which of its keys it passes on behind the caller and the run.
_OPERATIONS: Mapping[str, tuple[Callable[..., object], tuple[str, ...]]] = {
    "pause": (Engine.pause_run, ("reason",)),
    "resume": (Engine.resume_run, ("reason",)),
    "retry": (Engine.retry_run, ("reason",)),
    "signal": (Engine.signal_run, ("name", "payload", "correlation")),
    "skip": (Engine.skip_step, ("step", "reason")),
    "complete": (Engine.complete_step, ("step", "reason", "output")),
}


class NotAvailable(Exception):
    """A scenario asks for something that this version of cordum cannot do."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the API would say; `run_id` after a start."""

    status: int
    code: str = ""
    detail: str = ""
    run_id: str | None = None

    def __str__(self) -> str:
        return " ".join(part for part in (str(self.status), self.code, self.detail and f"({self.detail})") if part)


class People:
    """Alice, who starts runs, and Bob, who decides; `started` are the runs that starts have answered with, by id."""

    def __init__(self, engine: Engine, scenario: Scenario, history: History) -> None:
        self._engine = engine
        self._scenario = scenario
        self._history = history
        self.started: list[str] = []
        self.rerun: str | None = None  # the run that the last rerun made
        self._operations: Mapping[str, Callable[[Action], list[Answer]]] = {
            "start": self._start,
            "approve": self._approve,
            "reject": self._reject,
            "cancel_run": self._cancel,
            "rerun": self._rerun,
            **dict.fromkeys(_OPERATIONS, self._operator),
        }

    @property
    def run(self) -> tuple[str, str] | None:
        """(tenant, run id) of the run that the scenario is about: the first that was started."""
        return self._history.runs[0] if self._history.runs else None

    def do(self, action: Action) -> list[str]:
        """Carry an action out; the answer is what was wrong with its outcome."""
        operation = self._operations.get(action.do)
        if operation is None:
            raise NotAvailable(f"this version of cordum has no operation {action.do!r}")
        return [problem for answer in operation(action) if (problem := _surprise(action, answer))]

    def start_run(self) -> list[str]:
        """The start that happens by itself when no action starts anything."""
        answer = self._start_once(TENANT, SUBMITTER, None, self._scenario.input, None)
        return [] if answer.status < 400 else [f"the run did not start: {answer}"]

    # -- operations ----------------------------------------------------------------------------------------------

    def _start(self, action: Action) -> list[Answer]:
        wanted = action.options
        arguments = (
            str(wanted.get("tenant", TENANT)),
            action.person or SUBMITTER,
            wanted.get("workflow_id"),
            wanted.get("input", self._scenario.input),
            wanted.get("idempotency_key"),
        )
        count = int(str(wanted.get("concurrent", 1)))
        with ThreadPoolExecutor(max_workers=count) as pool:
            answers = [asked.result() for asked in [pool.submit(self._start_once, *arguments) for _ in range(count)]]
        if not wanted.get("expect_same_run"):
            return answers
        return [_same_run(answer, self.started[0] if self.started else None) for answer in answers]

    def _start_once(self, tenant: str, person: str, workflow_id: JSON, input_: JSON, key: JSON) -> Answer:
        workflow = str(workflow_id or self._scenario.workflow.get("id"))
        assert isinstance(input_, dict)

        def start() -> str:
            started = self._engine.start_run(
                Caller(tenant, person), workflow, input_, idempotency_key=None if key is None else str(key)
            )
            return str(started.run["id"])

        try:
            run_id = start()
        except CordumError as error:
            return _refusal(error)
        if run_id not in self.started:
            self.started.append(run_id)
        self._history.follow(tenant, run_id)
        return Answer(200, run_id=run_id)

    def _approve(self, action: Action) -> list[Answer]:
        reason = action.options.get("reason")
        return [
            self._decided(
                action,
                lambda caller, job_id: self._engine.approve(caller, job_id, None if reason is None else str(reason)),
            )
        ]

    def _reject(self, action: Action) -> list[Answer]:
        reason = str(action.options.get("reason", "rejected in a scenario"))
        return [self._decided(action, lambda caller, job_id: self._engine.reject(caller, job_id, reason))]

    def _decided(self, action: Action, decide: Callable[[Caller, str], object]) -> Answer:
        tenant, run_id = self._the_run()
        step = str(action.options["step"])
        job_id = self._engine.run(tenant, run_id)["steps"].get(step, {}).get("job_id") or f"{run_id}:{step}@1"
        return _answer(200, lambda: decide(Caller(tenant, action.person or APPROVER), job_id))

    def _cancel(self, action: Action) -> list[Answer]:
        tenant, run_id = self._the_run()
        reason = str(action.options.get("reason", "cancelled in a scenario"))
        caller = Caller(tenant, action.person or SUBMITTER)
        undo = bool(action.options.get("compensate"))
        return [_answer(204, lambda: self._engine.cancel_run(caller, run_id, reason, compensate=undo))]

    def _operator(self, action: Action) -> list[Answer]:
        """What an operator does to a run, as one call of the engine."""
        carry_out, arguments = _OPERATIONS[action.do]
        tenant, run_id = self._the_run()
        caller = Caller(tenant, action.person or SUBMITTER)
        given = {"reason": f"{action.do} in a scenario", "payload": {}, **action.options}
        return [
            _answer(
                200, lambda: carry_out(self._engine, caller, run_id, **{name: given.get(name) for name in arguments})
            )
        ]

    def _rerun(self, action: Action) -> list[Answer]:
        tenant, run_id = self._the_run()
        caller = Caller(tenant, action.person or SUBMITTER)
        reason = str(action.options.get("reason", "rerun in a scenario"))

        def again() -> None:
            from_step = str(action.options["from_step"])
            self.rerun = str(self._engine.rerun(caller, run_id, from_step, reason).run["id"])
            self._history.follow(tenant, self.rerun)

        return [_answer(200, again)]

    def _the_run(self) -> tuple[str, str]:
        if self.run is None:
            raise NotAvailable("no run has been started that this could be done to")
        return self.run


def _answer(status: int, ask: Callable[[], object]) -> Answer:
    try:
        ask()
    except CordumError as error:
        return _refusal(error)
    return Answer(status)


def _refusal(error: CordumError) -> Answer:
    return Answer(error.status, error.code, error.detail)


def _same_run(answer: Answer, first: str | None) -> Answer:
    if answer.status >= 400 or answer.run_id == first:
        return answer
    return Answer(500, "another_run", f"{answer.run_id}, not {first}")


def _surprise(action: Action, answer: Answer) -> str | None:
    """What is wrong with an answer, seen from what the action expects."""
    said = f"{action.do}: the answer was {answer}"
    if action.expect_error is not None:
        status, _, code = action.expect_error.partition(" ")
        right = str(answer.status) == status and code in ("", answer.code)
        return None if right else f"{said}, not the error {action.expect_error}"
    if action.expect_status not in (None, "any"):
        return None if str(answer.status) == action.expect_status else f"{said}, not {action.expect_status}"
    return said if action.expect_status is None and answer.status >= 400 else None
