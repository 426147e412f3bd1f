"""What operators do with a run: pause, resume, signal, retry, rerun, skip and complete by hand (CONTRACT.md 3.7, 3.8).

Each is one commit of one plan, so it happens whole or not at all, and doing it twice is doing it once. What cannot be
done is refused with a code that says what to do instead, and changes nothing.
"""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import Any

from cordum.domain.plan import Handling, Plan
from cordum.domain.planner import plan, plan_by_hand, plan_pause, plan_resume, plan_retry
from cordum.domain.rerun import Base, base_of
from cordum.domain.run import RunState, Signal
from cordum.domain.schemas import violations
from cordum.domain.states import RunStatus
from cordum.domain.workflow import JSON
from cordum.engine.core import Core
from cordum.engine.looks import Look
from cordum.engine.previews import Preview, preview
from cordum.engine.starting import Start
from cordum.engine.values import Caller
from cordum.errors import InvalidInput, NotFound, StateConflict, Unprocessable
from cordum.store.runs import SignalReply


class Operations:
    def __init__(self, core: Core) -> None:
        self._core = core

    def pause(self, caller: Caller, run_id: str, reason: str, *, dry_run: bool = False) -> Preview | None:
        self._refuse_ended(self._core.look_as(caller.tenant, run_id))

        def decide(look: Look) -> Plan:
            self._refuse_ended(look)
            return plan_pause(*look.of(self._core.limits), actor=caller.person, reason=reason)

        return self._core.act(run_id, decide, dry_run=dry_run)

    def resume(self, caller: Caller, run_id: str, reason: str, *, dry_run: bool = False) -> Preview | None:
        self._refuse_ended(self._core.look_as(caller.tenant, run_id))

        def decide(look: Look) -> Plan:
            self._refuse_ended(look)
            return plan_resume(*look.of(self._core.limits), actor=caller.person, reason=reason)

        return self._core.act(run_id, decide, dry_run=dry_run)

    def signal(
        self,
        caller: Caller,
        run_id: str,
        name: str,
        payload: JSON,
        correlation: str | None,
        token: str | None,
        *,
        dry_run: bool = False,
    ) -> Preview | None:
        """`token`: a repeated delivery with the same one is the same signal."""
        if dry_run:
            return self._preview_signal(caller, run_id, Signal(0, name, payload, correlation), token)
        self._core.check_tenant(caller.tenant, run_id)
        signal: dict[str, Any] = {"name": name, "payload": payload}
        if correlation is not None:
            signal["correlation"] = correlation
        reply = self._core.store.runs.signal(caller.tenant, run_id, token or uuid.uuid4().hex, signal, caller.person)
        if reply is SignalReply.ENDED:
            self._refuse_ended(self._core.look_as(caller.tenant, run_id))
        self._core.advance(run_id)
        return None

    def _preview_signal(self, caller: Caller, run_id: str, signal: Signal, token: str | None) -> Preview:
        """What follows in the run as soon as it has heard it."""
        look = self._core.look_as(caller.tenant, run_id)
        if token is not None and self._core.store.runs.heard(run_id, token):
            return preview(look.run, Plan())
        self._refuse_ended(look)
        run = replace(look.run, inbox=(*look.run.inbox, signal))
        heard = replace(look, snapshot=replace(look.snapshot, run=run))
        told = preview(look.run, plan(*heard.of(self._core.limits)))
        return {**told, "events": ["signal.received", *told["events"]]}

    def retry(self, caller: Caller, run_id: str, reason: str, *, dry_run: bool = False) -> Preview | None:
        """Let a failed run go on. One that goes on already, because somebody was quicker, is left alone."""
        self._core.look_as(caller.tenant, run_id)

        def decide(look: Look) -> Plan:
            run = look.run
            _refuse_compensated(run)
            if not run.status.retryable and (run.status.terminal or run.generation == 1):
                raise StateConflict(not_retryable(run), code="run_not_retryable")
            archived = self._core.store.runs.children(run_id) if look.workflow.has_children else {}
            return plan_retry(*look.of(self._core.limits), archived=archived, handling=Handling(caller.person, reason))

        return self._core.act(run_id, decide, dry_run=dry_run)

    def rerun(self, caller: Caller, run_id: str, from_step: str | None, reason: str) -> str:
        """Start a new run that takes over what lies before `from_step` (None: nothing); its id."""
        created, _ = self._core.create(self._rerun(caller, run_id, from_step, reason))
        return created.run_id

    def preview_rerun(self, caller: Caller, run_id: str, from_step: str | None, reason: str) -> Preview:
        return self._core.preview_start(self._rerun(caller, run_id, from_step, reason))

    def _rerun(self, caller: Caller, run_id: str, from_step: str | None, reason: str) -> Start:
        look = self._core.look_as(caller.tenant, run_id)
        run, workflow = look.run, look.workflow
        if not run.status.terminal:
            raise StateConflict(f"the run is {run.status.value}: cancel it, or wait for its end", code="run_active")
        if run.compensates is not None:
            message = f"the run undoes {run.compensates}: retry it, or rerun that one"
            raise StateConflict(message, code="run_is_compensation")
        start = Start(
            tenant=caller.tenant,
            person=caller.person,
            workflow=workflow,
            version=(run.workflow_version, run.digest),
            input=run.input,
            labels=run.labels,
            rerun_of=run.id,
            reason=reason,
            definition=run.definition,
        )
        return start if from_step is None else start.after(self._base(look, from_step))

    def _base(self, look: Look, from_step: str) -> Base:
        if from_step not in look.workflow.steps:
            raise Unprocessable(f"there is no step {from_step} to run again from", code="unknown_step")
        if from_step not in look.workflow.instances.initial:
            owner = look.workflow.owner[from_step]
            raise Unprocessable(f"{from_step} runs inside {owner}: run again from {owner}", code="invalid_choice")
        base = base_of(look.workflow, look.run, from_step)
        if look.run.compensation is not None and base.undone:
            names = ", ".join(base.undone)
            message = f"{names} cannot be taken over: undone by {look.run.compensation}; rerun from there, or the whole"
            raise StateConflict(message, code="run_compensated")
        if base.unsatisfied:
            names = ", ".join(base.unsatisfied)
            raise StateConflict(
                f"{names} must have succeeded before {from_step} can run: run again from there",
                code="rerun_not_possible",
            )
        return base

    def by_hand(
        self,
        caller: Caller,
        run_id: str,
        step: str,
        reason: str,
        output: JSON = None,
        *,
        skip: bool,
        dry_run: bool = False,
    ) -> Preview | None:
        """Skip a step, or end it as succeeded."""
        look = self._core.look_as(caller.tenant, run_id)
        if step not in look.run.steps and look.workflow.instances.get(step) is None:
            raise NotFound(f"the run has no step {step}")
        self._check_output(look, step, output, skip=skip)

        def decide(look: Look) -> Plan:
            self._refuse_ended(look)
            state = look.run.steps.get(step)
            if state is None or state.status.terminal:
                said = "not there (any more)" if state is None else state.status.value
                raise StateConflict(
                    f"{step} is {said}: only a step that has not ended can be ended by hand; retry the run, or rerun "
                    f"it from {step}",
                    code="step_terminal",
                )
            return plan_by_hand(
                *look.of(self._core.limits), step=step, output=output, skip=skip, actor=caller.person, reason=reason
            )

        return self._core.act(run_id, decide, dry_run=dry_run)

    def _check_output(self, look: Look, step: str, output: JSON, *, skip: bool) -> None:
        schema = look.workflow.instances[step].step.output_schema
        if not skip and schema is not None and (wrong := violations(schema, output)):
            raise Unprocessable(f"the output is not what {step} promises: {wrong[0]}", code="schema_validation_failed")

    # -- shared --------------------------------------------------------------------------------------------------

    def _refuse_ended(self, look: Look) -> None:
        if look.run.status.terminal:
            raise StateConflict(
                f"the run has ended ({look.run.status.value}): rerun it, or start a new one", code="run_terminal"
            )


def _refuse_compensated(run: RunState) -> None:
    if run.compensation is not None:
        message = f"what the run had done is undone by {run.compensation}: start a new run, or rerun this one"
        raise StateConflict(message, code="run_compensated")


def not_retryable(run: RunState) -> str:
    """Why a run cannot be retried, and what to do instead."""
    if run.status is RunStatus.CANCELLED:
        return "the run was cancelled: start a new one, or rerun it from a step"
    if run.status is RunStatus.SUCCEEDED:
        return "the run has succeeded, there is nothing to retry: rerun it from a step"
    end = "wait for its end" if run.status is not RunStatus.PAUSED else "resume it"
    return f"the run is {run.status.value}, only one that has failed can be retried: {end}, or cancel it and rerun it"


def required_reason(reason: str | None) -> str:
    """Every action of an operator says why."""
    if reason is None or not reason.strip():
        raise InvalidInput("a reason is required: say why", code="reason_required")
    return reason
