"""How attempts begin and what follows when they end: decision and dispatch, retries, losses, time-outs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace

from cordum.domain.decision_point import UNAVAILABLE, DecisionPoint, Undecided
from cordum.domain.instances import Instance
from cordum.domain.plan import ApprovalRequest, Job
from cordum.domain.policy import NO_CONSTRAINTS, Constraints, Decision, PolicyRequest, Verdict
from cordum.domain.policy_override import stricter
from cordum.domain.quotas import Quota, QuotaKind, pool_quota
from cordum.domain.retry import backoff_ms, chance_of
from cordum.domain.routing import PREFERRED_POOL, PREFERRED_WORKER, Route, priority_number
from cordum.domain.run import WORKER_LEFT, Failure, OutcomeClass, StepState
from cordum.domain.schemas import violations
from cordum.domain.states import RunStatus, StepStatus
from cordum.domain.turn import Turn, with_past
from cordum.domain.workflow import JSON, Gate, Step
from cordum.errors import ExpressionError

_REASON = {
    OutcomeClass.RETRYABLE: (StepStatus.FAILED, "max_retries_exceeded"),
    OutcomeClass.TIMEOUT: (StepStatus.TIMED_OUT, "timeout"),
    OutcomeClass.QUEUE_TIMEOUT: (StepStatus.TIMED_OUT, "queue_timeout"),
}


# -- beginning ---------------------------------------------------------------------------------------------------


def dispatch(turn: Turn, instance: Instance) -> None:
    """Begin the next attempt: put its input together, let the policy decide, then send it, ask a person, or deny it.

    While the run is paused nothing happens; the step stays as it is.
    """
    if turn.status is RunStatus.PAUSED:
        return
    attempt = turn.steps[instance.ref].attempt + 1
    try:
        payload = checked_input(turn, instance)
        own = _own_quotas(turn, instance)
    except Refusal as refused:
        turn.end(instance.ref, StepStatus.FAILED, refused.failure, leaf=True, attempt=attempt, refused=True)
        return
    if (unserved := _unserved(turn, instance.step)) is not None:
        turn.end(instance.ref, StepStatus.FAILED, unserved, leaf=True, attempt=attempt, payload=(payload,))
        return
    decided = _decide(turn, instance, turn.policy, payload, attempt)
    if decided is None:
        turn.hold_for_policy()
        return
    decision, request = decided
    if decision.verdict is Verdict.REQUIRE_APPROVAL:
        _send_if_approved(turn, instance, payload, decision, request, own, attempt)
    elif decision.verdict.runs:
        _send(turn, instance, payload, decision, own, attempt)
    else:
        # Whatever is not one of the decisions that let a job run holds it back.
        failure = Failure("safety_denied", decision.reason or f"denied by policy rule {decision.rule_id}")
        turn.end(instance.ref, StepStatus.DENIED, failure, leaf=True, attempt=attempt, payload=(payload,))


def _unserved(turn: Turn, step: Step) -> Failure | None:
    """Why no worker will ever be eligible for a step's jobs, as far as the pools say."""
    pools, topic = turn.limits.pools, step.topic or ""
    if pools is None:
        return None
    serving = pools.pools_of(topic)
    if serving is None:
        return Failure("unknown_topic", f"no pool serves {topic}: name one in pools.yaml, or by POST /topics")
    wanted = step.route_labels.get(PREFERRED_POOL)
    if wanted is not None and wanted not in [pool.name for pool in serving]:
        names = ", ".join(pool.name for pool in serving)
        return Failure("no_pool_mapping", f"{topic} is served by {names}, not by the preferred pool {wanted}")
    return None


class Refusal(Exception):
    """What a step was to be given cannot be put together, or is not what the step takes."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


def checked_input(turn: Turn, instance: Instance) -> JSON:
    """The step's own input, or the run's when it has none, as its schema wants it. Raises Refusal."""
    step = instance.step
    try:
        payload = rendered_input(turn, instance)
    except ExpressionError as error:
        raise Refusal(Failure("expression_error", error.detail)) from None
    if step.input_schema is not None and (wrong := violations(step.input_schema, payload)):
        raise Refusal(Failure("schema_validation_failed", f"the input is not what the step takes: {wrong[0]}"))
    return payload


def rendered_input(turn: Turn, instance: Instance) -> JSON:
    """The step's own input, or the run's when it has none; a handler's with `error` added (CONTRACT.md 3.13)."""
    step, edited = instance.step, turn.steps[instance.ref].edited
    if edited is not None:
        given: JSON = json.loads(edited)
        return given
    payload = turn.run.input if step.input is None else step.input.render(turn.scope(instance))
    error = _error_for_handler(turn, instance)
    if error is None:
        return payload
    return {**(payload if isinstance(payload, dict) else {}), "error": error}


def handled_by(turn: Turn, instance: Instance) -> list[str]:
    """The instances that name this one as their handler."""
    if not instance.head or instance.step.id not in turn.workflow.handled_by:
        return []
    users = (turn.instances.sibling(instance, user) for user in turn.workflow.handled_by.get(instance.step.id, ()))
    return [user for user in users if user is not None and user in turn.steps]


def _error_for_handler(turn: Turn, instance: Instance) -> dict[str, JSON] | None:
    """The first failure among the steps that name this one as their handler."""
    failed = [user for user in handled_by(turn, instance) if turn.steps[user].status.unsuccessful]
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


def _decide(
    turn: Turn, instance: Instance, policy: DecisionPoint | None, payload: JSON, attempt: int
) -> tuple[Decision, str] | None:
    """The stricter of what the policy and the workflow's own rules say, and the hash of what was asked about.

    Both go onto the timeline before the job exists. None: nothing can be said now.
    """
    step, run = instance.step, turn.run
    assert step.topic is not None
    request = step_request(step, run.tenant, run.workflow_id, run.created_by, run.labels, payload)
    try:
        decision = stricter(policy.decide(request), turn.workflow.policy_override, request) if policy else None
    except Undecided:
        return None
    state = turn.steps[instance.ref]
    # What people have been asked about waits for them, however open its tenant fails.
    if decision is None or (decision.fail_open and state.status is StepStatus.WAITING):
        return None
    turn.decided = True
    shown = decision.document()
    asked = request_hash(step, payload, decision.constraints)
    said = {**shown, "topic": step.topic, "epoch": decision.epoch, "job_hash": asked}
    turn.event("step.decision", instance.ref, attempt=attempt, data=said)
    turn.steps[instance.ref] = state.but(decision=shown, topic=step.topic)
    return decision, asked


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


_LONGEST_KEY = 256


def _own_quotas(turn: Turn, instance: Instance) -> tuple[Quota, ...]:
    """What the step itself asks to be limited by. Raises Refusal."""
    concurrency = instance.step.concurrency
    if concurrency is None:
        return ()
    try:
        key = concurrency.key.render(turn.scope(instance))
    except ExpressionError as error:
        raise Refusal(Failure("expression_error", error.detail)) from None
    if not isinstance(key, str) or not 0 < len(key) <= _LONGEST_KEY:
        raise Refusal(Failure("expression_error", f"a concurrency key is a text of 1 to {_LONGEST_KEY} characters"))
    return (Quota(QuotaKind.KEY, key, concurrency.limit, turn.run.tenant),)


def _pool_quotas(turn: Turn, step: Step) -> tuple[Quota, ...]:
    """What its pool allows, if there is only one that may run it."""
    if turn.limits.pools is None:
        return ()
    pool = turn.limits.pools.only_pool(step.topic or "", step.route_labels.get(PREFERRED_POOL))
    return () if pool is None or pool.max_parallel is None else (pool_quota(pool.name, pool.max_parallel),)


def _quotas(turn: Turn, instance: Instance, decision: Decision, own: tuple[Quota, ...]) -> tuple[Quota, ...]:
    """All that an attempt needs a place in. A retry counts anew in a rule's window, a lost attempt's successor not."""
    found = (*own, *_pool_quotas(turn, instance.step), *decision.quotas)
    if not found:
        return ()
    state = turn.steps[instance.ref]
    if state.outcome is OutcomeClass.LOST:
        return tuple(quota for quota in found if quota.kind is not QuotaKind.VELOCITY)
    token = f"{turn.run.id}:{instance.ref}/{turn.run.generation}.{state.retries}"
    return tuple(replace(quota, token=token) if quota.kind is QuotaKind.VELOCITY else quota for quota in found)


def _send(
    turn: Turn, instance: Instance, payload: JSON, decision: Decision, own: tuple[Quota, ...], attempt: int
) -> None:
    step = instance.step
    assert step.topic is not None
    state = turn.steps[instance.ref]
    quotas = _quotas(turn, instance, decision, own)
    since = turn.now if state.ready_at is None else state.ready_at
    patience = turn.limits.of_queue(step)
    route = Route.of(step.topic, step.route_labels)
    turn.send(
        Job(
            step=instance.ref,
            attempt=attempt,
            topic=step.topic,
            priority=priority_number(step.priority),
            timeout_ms=_least(turn.limits.of_attempt(step), decision.constraints.max_runtime_ms),
            retries_left=max(_least(step.retry.max_retries, decision.constraints.max_retries) - state.retries, 0),
            input=payload,
            own_input=payload is not turn.run.input,
            shape=shape_of(step),
            quotas=quotas,
            since=since,
            rule_id=decision.rule_id,
            policy_digest=decision.digest,
            route=route,
            worker=step.worker_id or step.route_labels.get(PREFERRED_WORKER),
        )
    )
    turn.admit(
        instance.ref,
        state.but(
            status=StepStatus.READY,
            attempt=attempt,
            priority=priority_number(step.priority),
            route=None if route is None else str(route),
            direct=None,
            epoch=decision.epoch,
            quotas=quotas,
            ready_at=since,
            queue_deadline=None if patience is None else turn.now + patience,
            worker=None,
            started_at=None,
            deadline=None,
            outcome=None,
            retry_at=None,
        ),
    )


def _send_if_approved(
    turn: Turn,
    instance: Instance,
    payload: JSON,
    decision: Decision,
    request: str,
    own: tuple[Quota, ...],
    attempt: int,
) -> None:
    """An approval covers this very request under this very policy; anything else asks again."""
    if turn.steps[instance.ref].approved_request == f"{request} {decision.digest}":
        _send(turn, instance, payload, decision, own, attempt)
        return
    ask_people(turn, instance, "policy", request, payload, decision, attempt)


def ask_people(
    turn: Turn, instance: Instance, gate: str, request: str, payload: JSON, decision: Decision | None, attempt: int
) -> None:
    """Open an approval and wait. `gate` says what the answer opens: the approval step itself, or a dispatch."""
    step = instance.step
    topic = step.topic or "sys.approval.gate"
    rules = step.own if isinstance(step.own, Gate) else Gate()
    turn.ask(
        ApprovalRequest(
            step=instance.ref,
            attempt=attempt,
            gate=gate,
            topic=topic,
            request_hash=request,
            policy_digest=decision.digest if decision else "",
            rule_id=decision.rule_id if decision else None,
            reason=decision.reason if decision else None,
            request=payload,
            approvers=rules.approvers,
            quorum=rules.quorum,
        )
    )
    deadline = turn.now + step.timeout_ms if gate == "step" and step.timeout_ms is not None else None
    state = turn.steps[instance.ref]
    turn.move(
        instance.ref,
        StepStatus.WAITING,
        "approval.requested",
        {
            "topic": topic,
            "reason": decision.reason if decision else None,
            "rule_id": decision.rule_id if decision else None,
            "policy_snapshot": decision.digest if decision else None,
            "request_hash": request,
        },
        attempt=attempt,
        approval=turn.job_id(instance.ref, attempt),
        ready_at=turn.now if state.ready_at is None else state.ready_at,
        deadline=deadline,
        due=None if rules.remind_ms is None else turn.now + rules.remind_ms,
        expires_at=None if rules.expires_ms is None else turn.now + rules.expires_ms,
        escalated=False,
        outcome=None,
        retry_at=None,
        worker=None,
    )


def _decide_again(turn: Turn, instance: Instance) -> None:
    """The policy has changed since people were asked about a job: it may go, or be denied, or they are asked anew."""
    state = turn.steps[instance.ref]
    asked_under = (state.decision or {}).get("policy_snapshot")
    now = UNAVAILABLE if turn.policy is None else turn.policy.digest
    if turn.status is RunStatus.PAUSED or now in (asked_under, UNAVAILABLE):
        return
    turn.steps[instance.ref] = state.but(attempt=state.attempt - 1)
    with turn.closing_as("superseded"):
        dispatch(turn, instance)
    if turn.steps[instance.ref].attempt < state.attempt:  # nothing could be said
        turn.steps[instance.ref] = state


def _limit_again(turn: Turn, instance: Instance, state: StepState) -> None:
    """The policy has changed while a job waits for room in what it limits: it is decided again, its patience stays."""
    if turn.status is RunStatus.PAUSED or state.epoch == _epoch_now(turn):
        return
    turn.take_back(instance.ref)
    dispatch(turn, instance)
    after = turn.steps[instance.ref]
    if after.status is StepStatus.READY:
        turn.steps[instance.ref] = after.but(queue_deadline=state.queue_deadline)
        turn.event("step.ready", instance.ref, attempt=after.attempt, data={"reason": "policy_changed"})


def request_hash(step: Step, payload: JSON, constraints: Constraints = NO_CONSTRAINTS) -> str:
    """SHA-256 over what would be done."""
    return hash_of(request_text(step, payload, constraints))


def request_text(step: Step, payload: JSON, constraints: Constraints = NO_CONSTRAINTS) -> str:
    """What would be done: topic, input, meta and constraints, as canonical JSON."""
    before, after = request_frame(step, constraints)
    return f"{before}{canonical(payload)}{after}"


def request_frame(step: Step, constraints: Constraints) -> tuple[str, str]:
    """What stands around the input in the text of a request."""
    meta = {
        "risk_tags": sorted(step.meta.risk_tags),
        "requires": sorted(step.meta.requires),
        "capability": step.meta.capability,
        "actor": [step.meta.actor_id, step.meta.actor_type],
        "labels": dict(step.meta.labels),
    }
    return f"[{canonical(step.topic)},", f",{canonical(meta)},{canonical(constraints.document())}]"


def hash_of(request: str) -> str:
    return "sha256:" + hashlib.sha256(request.encode()).hexdigest()


# json.dumps would make one for each call.
canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode


def shape_of(step: Step) -> JSON:
    """What the worker's result is held against before it is recorded; None: it is taken as it is."""
    if step.result_path is None and step.output_schema is None:
        return None
    return {"path": list(step.result_path or ()), "schema": step.output_schema}


# -- ending ------------------------------------------------------------------------------------------------------


def settle_attempts(turn: Turn) -> None:
    """Say what follows for every attempt that has ended, run out of time, or is due for its retry."""
    for instance in turn.all():
        step, state = instance.step, turn.steps[instance.ref]
        if state.status is StepStatus.SETTLING:
            _settle(turn, instance, state)
        elif state.status is StepStatus.WAITING and instance.is_job:
            _decide_again(turn, instance)
        elif state.status is StepStatus.RETRYING and _due(state.retry_at, turn.now):
            dispatch(turn, instance)
        elif state.status in (StepStatus.READY, StepStatus.QUEUED) and _waited_long_enough(turn, state):
            limit = (turn.limits.of_queue(step) or 0) / 1000
            _retry_or_end(turn, instance, OutcomeClass.QUEUE_TIMEOUT, f"not started within {limit:g} s")
        elif state.status is StepStatus.READY and state.quotas:
            _limit_again(turn, instance, state)
        elif state.status is StepStatus.READY and state.epoch != _epoch_now(turn):
            turn.take_back(instance.ref)  # decided by a policy that does not hold any more
        elif state.status is StepStatus.RUNNING and instance.is_job and _due(state.deadline, turn.now):
            allowed = Constraints.of(state.decision).max_runtime_ms
            limit = _least(turn.limits.of_attempt(step), allowed) / 1000
            _retry_or_end(turn, instance, OutcomeClass.TIMEOUT, f"still running after {limit:g} s")


def _epoch_now(turn: Turn) -> int:
    return 0 if turn.policy is None else turn.policy.epoch


def _waited_long_enough(turn: Turn, state: StepState) -> bool:
    """Whether nobody has taken the job in time; the time in which its run is paused does not count."""
    return turn.status is not RunStatus.PAUSED and _due(state.queue_deadline, turn.now)


def _least(own: int, allowed: int | None) -> int:
    """What the definition says, within what the policy allows."""
    return own if allowed is None else min(own, allowed)


def _due(at: int | None, now: int) -> bool:
    return at is not None and at <= now


def _settle(turn: Turn, instance: Instance, state: StepState) -> None:
    failure = state.failure or Failure("unknown", "the attempt ended without a word")
    match state.outcome:
        case OutcomeClass.LOST:
            _after_loss(turn, instance, state)
        case OutcomeClass.REJECTED:
            turn.end(instance.ref, StepStatus.DENIED, failure, leaf=True)
        case OutcomeClass.FATAL:
            turn.end(instance.ref, StepStatus.FAILED, failure, leaf=True)
        case OutcomeClass.TIMEOUT:
            _retry_or_end(turn, instance, OutcomeClass.TIMEOUT, failure.message)
        case _:
            _retry_or_end(turn, instance, OutcomeClass.RETRYABLE, failure.message)


def _after_loss(turn: Turn, instance: Instance, state: StepState) -> None:
    """A dead worker costs neither a retry nor time; a job that kills worker after worker is poison.

    A worker that shut down in order was not killed by its job, however often it happens to a long one.
    """
    left = state.failure is not None and state.failure.code == WORKER_LEFT
    losses = state.losses + (0 if left else 1)
    if losses >= turn.limits.max_losses:
        failure = Failure("poison", f"{losses} workers died while they ran this job")
        turn.end(instance.ref, StepStatus.FAILED, failure, leaf=True)
        return
    lost = state.failure or Failure("worker_lost", "its worker died")
    turn.steps[instance.ref] = state.but(losses=losses, past=with_past(state, lost, turn.now))
    dispatch(turn, instance)
    if (
        turn.steps[instance.ref].status is StepStatus.SETTLING
    ):  # held for want of a policy: count the loss when it goes on
        turn.steps[instance.ref] = state


def _retry_or_end(turn: Turn, instance: Instance, outcome: OutcomeClass, message: str) -> None:
    step, state = instance.step, turn.steps[instance.ref]
    status, code = _REASON[outcome]
    known = state.failure if state.status is StepStatus.SETTLING else None
    failure = Failure(code, message, known.kind if known else None, known.traceback if known else None)
    most = _least(step.retry.max_retries, Constraints.of(state.decision).max_retries)
    if state.retries >= most:
        turn.end(instance.ref, status, failure, leaf=True)
        return
    retries = state.retries + 1
    wanted = state.retry_after_ms if known else None
    chance = chance_of(turn.job_id(instance.ref)) if turn.limits.jitter else 0.0
    delay = wanted if wanted is not None else backoff_ms(step.retry, retries, chance)
    turn.move(
        instance.ref,
        StepStatus.RETRYING,
        "step.retrying",
        {"error": failure.document(), "retry": retries, "of": most, "backoff_ms": delay},
        retries=retries,
        failure=failure,
        past=with_past(state, failure, turn.now),
        retry_at=(state.completed_at if known and state.completed_at else turn.now) + delay,
        deadline=None,
        queue_deadline=None,
        outcome=None,
    )
