"""How attempts begin and what follows when they end: decision and dispatch, retries, losses, time-outs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace

from cordum.domain.plan import ApprovalRequest, Job
from cordum.domain.policy import NO_CONSTRAINTS, Constraints, Decision, Policy, PolicyRequest, Verdict
from cordum.domain.retry import backoff_ms, chance_of
from cordum.domain.routing import priority_number
from cordum.domain.run import WORKER_LEFT, Failure, OutcomeClass, StepState
from cordum.domain.states import StepStatus
from cordum.domain.turn import Turn
from cordum.domain.workflow import JSON, Step
from cordum.errors import ExpressionError

_REASON = {
    OutcomeClass.RETRYABLE: (StepStatus.FAILED, "max_retries_exceeded"),
    OutcomeClass.TIMEOUT: (StepStatus.TIMED_OUT, "timeout"),
    OutcomeClass.QUEUE_TIMEOUT: (StepStatus.TIMED_OUT, "queue_timeout"),
}


# -- beginning ---------------------------------------------------------------------------------------------------


def dispatch(turn: Turn, step: Step) -> None:
    """Begin the next attempt: put its input together, let the policy decide, then send it, ask a person, or deny it."""
    attempt = turn.steps[step.id].attempt + 1
    try:
        payload = rendered_input(turn, step)
    except ExpressionError as error:
        turn.end(step.id, StepStatus.FAILED, Failure("expression_error", error.detail), leaf=True, attempt=attempt)
        return
    if turn.policy is None:
        turn.hold_for_policy()
        return
    decision = _decide(turn, step, turn.policy, payload, attempt)
    if decision.verdict is Verdict.REQUIRE_APPROVAL:
        _send_if_approved(turn, step, payload, decision, attempt)
    elif decision.verdict.runs:
        _send(turn, step, payload, decision, attempt)
    else:
        # Whatever is not one of the decisions that let a job run holds it back.
        failure = Failure("safety_denied", decision.reason or f"denied by policy rule {decision.rule_id}")
        turn.end(step.id, StepStatus.DENIED, failure, leaf=True, attempt=attempt)


def rendered_input(turn: Turn, step: Step) -> JSON:
    """The step's own input, or the run's when it has none; a handler's with `error` added (CONTRACT.md 3.13)."""
    payload = turn.run.input if step.input is None else step.input.render(turn.scope())
    error = _error_for_handler(turn, step)
    if error is None:
        return payload
    return {**(payload if isinstance(payload, dict) else {}), "error": error}


def _error_for_handler(turn: Turn, step: Step) -> dict[str, JSON] | None:
    """The first failure among the steps that name this one as their handler."""
    failed = [user for user in turn.workflow.handled_by.get(step.id, ()) if turn.steps[user].status.unsuccessful]
    if not failed:
        return None
    first = min(failed, key=lambda user: turn.steps[user].failure_number or 0)
    state = turn.steps[first]
    failure = state.failure or Failure("unknown", "")
    return {
        "step_id": first,
        "status": state.status.value,
        "code": failure.code,
        "message": failure.message,
        "attempt": state.attempt,
    }


def _decide(turn: Turn, step: Step, policy: Policy, payload: JSON, attempt: int) -> Decision:
    assert step.topic is not None
    run = turn.run
    decision = policy.decide(step_request(step, run.tenant, run.workflow_id, run.created_by, run.labels, payload))
    turn.event("step.decision", step.id, attempt=attempt, data={**decision.document(), "topic": step.topic})
    turn.steps[step.id] = replace(turn.steps[step.id], decision=decision.document(), topic=step.topic)
    return decision


def step_request(
    step: Step, tenant: str, workflow_id: str, submitter: str, labels: Mapping[str, str], payload: JSON
) -> PolicyRequest:
    """What the policy is asked about a step; who acts is the submitter where the step does not say."""
    meta = step.meta
    return PolicyRequest(
        topic=step.topic or "",
        tenant=tenant,
        workflow_id=workflow_id,
        risk_tags=meta.risk_tags,
        requires=meta.requires,
        capability=meta.capability,
        actor_id=meta.actor_id or submitter,
        actor_type=meta.actor_type,
        labels={**labels, **meta.labels},
        input=payload,
    )


def _send(turn: Turn, step: Step, payload: JSON, decision: Decision, attempt: int) -> None:
    assert step.topic is not None
    state = turn.steps[step.id]
    patience = turn.limits.of_queue(step)
    turn.send(
        Job(
            step=step.id,
            attempt=attempt,
            topic=step.topic,
            priority=priority_number(step.priority),
            timeout_ms=_least(turn.limits.of_attempt(step), decision.constraints.max_runtime_ms),
            retries_left=max(_least(step.retry.max_retries, decision.constraints.max_retries) - state.retries, 0),
            input=payload,
            own_input=payload is not turn.run.input,
        )
    )
    turn.admit(
        step.id,
        replace(
            state,
            status=StepStatus.READY,
            attempt=attempt,
            priority=priority_number(step.priority),
            epoch=decision.epoch,
            ready_at=turn.now if state.ready_at is None else state.ready_at,
            queue_deadline=None if patience is None else turn.now + patience,
            worker=None,
            started_at=None,
            deadline=None,
            outcome=None,
            retry_at=None,
        ),
    )


def _send_if_approved(turn: Turn, step: Step, payload: JSON, decision: Decision, attempt: int) -> None:
    """An approval covers this very request under this very policy; anything else asks again."""
    assert step.topic is not None
    request = request_hash(step, payload, decision.constraints)
    if turn.steps[step.id].approved_request == f"{request} {decision.digest}":
        _send(turn, step, payload, decision, attempt)
        return
    ask_people(turn, step, "policy", request, payload, decision, attempt)


def ask_people(
    turn: Turn, step: Step, gate: str, request: str, payload: JSON, decision: Decision | None, attempt: int
) -> None:
    """Open an approval and wait. `gate` says what the answer opens: the approval step itself, or a dispatch."""
    topic = step.topic or "sys.approval.gate"
    turn.ask(
        ApprovalRequest(
            step=step.id,
            attempt=attempt,
            gate=gate,
            topic=topic,
            request_hash=request,
            policy_digest=decision.digest if decision else "",
            rule_id=decision.rule_id if decision else None,
            reason=decision.reason if decision else None,
            request=payload,
        )
    )
    deadline = turn.now + step.timeout_ms if gate == "step" and step.timeout_ms is not None else None
    state = turn.steps[step.id]
    turn.move(
        step.id,
        StepStatus.WAITING,
        "approval.requested",
        {"topic": topic, "reason": decision.reason if decision else None},
        attempt=attempt,
        approval=turn.job_id(step.id, attempt),
        ready_at=turn.now if state.ready_at is None else state.ready_at,
        deadline=deadline,
        outcome=None,
        retry_at=None,
        worker=None,
    )


def request_hash(step: Step, payload: JSON, constraints: Constraints = NO_CONSTRAINTS) -> str:
    """SHA-256 over what would be done: topic, input, meta and constraints, as canonical JSON."""
    meta = {
        "risk_tags": sorted(step.meta.risk_tags),
        "requires": sorted(step.meta.requires),
        "capability": step.meta.capability,
        "actor": [step.meta.actor_id, step.meta.actor_type],
        "labels": dict(step.meta.labels),
    }
    request = [step.topic, payload, meta, constraints.document()]
    text = json.dumps(request, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


# -- ending ------------------------------------------------------------------------------------------------------


def settle_attempts(turn: Turn) -> None:
    """Say what follows for every attempt that has ended, run out of time, or is due for its retry."""
    for step in turn.workflow.steps.values():
        state = turn.steps[step.id]
        if state.status is StepStatus.SETTLING:
            _settle(turn, step, state)
        elif state.status is StepStatus.RETRYING and _due(state.retry_at, turn.now):
            dispatch(turn, step)
        elif state.status in (StepStatus.READY, StepStatus.QUEUED) and _due(state.queue_deadline, turn.now):
            limit = (turn.limits.of_queue(step) or 0) / 1000
            _retry_or_end(turn, step, OutcomeClass.QUEUE_TIMEOUT, f"not started within {limit:g} s")
        elif state.status is StepStatus.RUNNING and step.group is None and _due(state.deadline, turn.now):
            allowed = Constraints.of(state.decision).max_runtime_ms
            limit = _least(turn.limits.of_attempt(step), allowed) / 1000
            _retry_or_end(turn, step, OutcomeClass.TIMEOUT, f"still running after {limit:g} s")


def _least(own: int, allowed: int | None) -> int:
    """What the definition says, within what the policy allows."""
    return own if allowed is None else min(own, allowed)


def _due(at: int | None, now: int) -> bool:
    return at is not None and at <= now


def _settle(turn: Turn, step: Step, state: StepState) -> None:
    failure = state.failure or Failure("unknown", "the attempt ended without a word")
    match state.outcome:
        case OutcomeClass.LOST:
            _after_loss(turn, step, state)
        case OutcomeClass.REJECTED:
            turn.end(step.id, StepStatus.DENIED, failure, leaf=True)
        case OutcomeClass.FATAL:
            turn.end(step.id, StepStatus.FAILED, failure, leaf=True)
        case OutcomeClass.TIMEOUT:
            _retry_or_end(turn, step, OutcomeClass.TIMEOUT, failure.message)
        case _:
            _retry_or_end(turn, step, OutcomeClass.RETRYABLE, failure.message)


def _after_loss(turn: Turn, step: Step, state: StepState) -> None:
    """A dead worker costs neither a retry nor time; a job that kills worker after worker is poison.

    A worker that shut down in order was not killed by its job, however often it happens to a long one.
    """
    left = state.failure is not None and state.failure.code == WORKER_LEFT
    losses = state.losses + (0 if left else 1)
    if losses >= turn.limits.max_losses:
        failure = Failure("poison", f"{losses} workers died while they ran this job")
        turn.end(step.id, StepStatus.FAILED, failure, leaf=True)
        return
    turn.steps[step.id] = replace(state, losses=losses)
    dispatch(turn, step)
    if turn.steps[step.id].status is StepStatus.SETTLING:  # held for want of a policy: count the loss when it goes on
        turn.steps[step.id] = state


def _retry_or_end(turn: Turn, step: Step, outcome: OutcomeClass, message: str) -> None:
    state = turn.steps[step.id]
    status, code = _REASON[outcome]
    known = state.failure if state.status is StepStatus.SETTLING else None
    failure = Failure(code, message, known.kind if known else None, known.traceback if known else None)
    most = _least(step.retry.max_retries, Constraints.of(state.decision).max_retries)
    if state.retries >= most:
        turn.end(step.id, status, failure, leaf=True)
        return
    retries = state.retries + 1
    wanted = state.retry_after_ms if known else None
    chance = chance_of(turn.job_id(step.id)) if turn.limits.jitter else 0.0
    delay = wanted if wanted is not None else backoff_ms(step.retry, retries, chance)
    turn.move(
        step.id,
        StepStatus.RETRYING,
        "step.retrying",
        {"error": failure.document(), "retry": retries, "of": most, "backoff_ms": delay},
        retries=retries,
        failure=failure,
        retry_at=(state.completed_at if known and state.completed_at else turn.now) + delay,
        deadline=None,
        queue_deadline=None,
        outcome=None,
    )
