"""Steps that wait for people.

The gate is a job record with topic `sys.approval.gate`; its answer comes back as a result.
"""

from __future__ import annotations

from cordum.domain.attempts import Refusal, ask_people, checked_input, request_hash
from cordum.domain.instances import Instance
from cordum.domain.run import Failure
from cordum.domain.states import StepStatus
from cordum.domain.steps.ending import fail
from cordum.domain.turn import Turn
from cordum.domain.workflow import Gate, OnExpire


def ready(turn: Turn, instance: Instance) -> None:
    attempt = turn.steps[instance.ref].attempt + 1
    try:
        payload = checked_input(turn, instance) if instance.step.input is not None else {}
    except Refusal as refused:
        fail(turn, instance, refused.failure.code, refused.failure.message)
        return
    ask_people(turn, instance, "step", request_hash(instance.step, payload), payload, None, attempt)


def settle(turn: Turn, instance: Instance) -> None:
    """Nobody has answered: remind them, hand it to others, or end it."""
    state, rules = turn.steps[instance.ref], instance.step.own
    if state.status is not StepStatus.WAITING:
        return
    rules = rules if isinstance(rules, Gate) else Gate()
    if state.deadline is not None and state.deadline <= turn.now:
        failure = Failure("timeout", f"nobody decided within {(instance.step.timeout_ms or 0) / 1000:g} s")
        turn.end(instance.ref, StepStatus.TIMED_OUT, failure, leaf=True)
    elif state.expires_at is not None and state.expires_at <= turn.now:
        _expire(turn, instance, rules)
    elif state.due is not None and state.due <= turn.now and rules.remind_ms:
        turn.event("approval.reminded", instance.ref, attempt=state.attempt)
        missed = (turn.now - state.due) // rules.remind_ms
        turn.steps[instance.ref] = state.but(due=state.due + (missed + 1) * rules.remind_ms)


def _expire(turn: Turn, instance: Instance, rules: Gate) -> None:
    state = turn.steps[instance.ref]
    if rules.on_expire is OnExpire.ESCALATE and not state.escalated:
        assert state.approval is not None
        assert rules.expires_ms is not None
        turn.hand_on(state.approval, rules.escalate_to)
        said = {"to": list(rules.escalate_to)}
        turn.event("approval.escalated", instance.ref, attempt=state.attempt, data=said)
        turn.steps[instance.ref] = state.but(escalated=True, expires_at=turn.now + rules.expires_ms)
        return
    turn.event("approval.expired", instance.ref, attempt=state.attempt)
    after = "nor did those it was handed to" if state.escalated else "and it is not waited for any longer"
    failure = Failure("approval_expired", f"nobody decided within {(rules.expires_ms or 0) / 1000:g} s, {after}")
    with turn.closing_as("expired"):
        turn.end(instance.ref, StepStatus.DENIED, failure, leaf=True)
