"""Where what is open has to lie, so that somebody looks after it."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from cordum.domain.ids import JobId
from cordum.domain.instances import Role, parent_of
from cordum.domain.plan import Plan
from cordum.domain.planner import plan
from cordum.domain.policy import Policy
from cordum.domain.policy_document import read_policy
from cordum.domain.routing import PRIORITIES, queue_list
from cordum.domain.run import RunState
from cordum.domain.states import StepStatus
from cordum.domain.turn import POLICY_RETRY_MS
from tests.proof.explorer.evidence import Law, demand
from tests.proof.explorer.moment import CELL, Mark, Moment
from tests.proof.explorer.seen import run_at

_SENT = frozenset({StepStatus.READY, StepStatus.QUEUED, StepStatus.RUNNING})


def found_again(moment: Moment, run_id: str, law: Law) -> int:
    """Demand that each step of an open run has its place, and that the run is looked at when there is reason to."""
    due = run_id in moment.pairs("wakeups")
    for step, mark in moment.marks(run_id).items():
        job_id = str(JobId(run_id, step, mark.attempt))
        place = _place_of(moment, law, run_id, step, mark, job_id, due)
        demand("P7", place, f"{job_id} is {mark.status}, and nobody will ever look after it")
    for topic in moment.pairs("paused"):
        for priority in PRIORITIES:
            queue = queue_list(topic, priority)
            demand("P7", not moment.raw(queue), f"{topic} is paused, and a worker finds a message of it")
    if due:
        return 0
    left = _left_to_do(moment, run_id, law)
    demand("P7", left is None, f"{run_id} is not marked due, and {left}")
    return 1


def _place_of(moment: Moment, law: Law, run_id: str, step: str, mark: Mark, job_id: str, due: bool) -> bool:
    instance = law.instance(moment, run_id, step)
    topic = instance.step.topic
    match mark.status:
        case "ready" if job_id in moment.pairs("waiting"):
            return any(job_id in line for line in moment.everything_of("waiters").values())
        case "ready":
            place = moment.fact(run_id, step, "route") or topic
            turns, lists = moment.pairs("turns", place), moment.everything_of("ready")
            listed = any(job_id in jobs and f"cordum:{CELL}:ready:{name}" in turns for name, jobs in lists.items())
            # One whose turn came under a newer policy waits for a look at its run.
            return due or (listed and job_id in moment.pairs("parked", place))
        case "queued":
            queue = moment.fact(run_id, step, "direct") or law.queue(moment, run_id, step)
            return job_id in moment.pairs("sent", queue) and job_id in moment.value("window", topic)
        case "running" if instance.is_job:
            return moment.fact(run_id, step, "worker") in moment.leases
        case "running" if instance.step.kind == "subworkflow" and instance.role is Role.UNIT:
            return due or moment.fact(run_id, step, "child_run") in moment.run_ids
        case "settling":
            return due
        case "waiting" if instance.step.kind not in ("delay", "signal"):
            record = moment.approvals(run_id)[moment.fact(run_id, step, "approval")]
            return record["state"] == "pending" and job_id in moment.pairs("approvals", "default", "open")
    return True


@lru_cache(50_000)
def _left_to_do(moment: Moment, run_id: str, law: Law) -> str | None:
    """What a coordinator would do, or be woken for too late, if somebody called it."""
    workflow, known = law.workflow(moment, run_id), run_at(moment, run_id, law)
    run = _without_what_may_wait(moment, known)
    policy = _policy(moment.policy.get("source", ""), int(moment.policy.get("epoch", "0")))
    timer = moment.pairs("timers").get(run_id)
    if timer is not None and int(timer) <= moment.now:
        return None
    decided = plan(workflow, run, policy, moment.now, law.limits)
    if decided.wake_at is not None and (timer is None or int(timer) > decided.wake_at):
        return f"its timer is {timer}, it has to be looked at by {decided.wake_at}"
    # A new policy is noticed by those who wait for one, a moment later.
    if not decided.empty and timer is not None and int(timer) <= moment.now + POLICY_RETRY_MS:
        decided = plan(workflow, run, None, moment.now, law.limits)
    return _found(decided)


def _found(decided: Plan) -> str | None:
    runs = [*(spawn.run_id for spawn in decided.spawns), *decided.reopened]
    if decided.empty and not runs:
        return None
    return f"a look at it would find {[event.type for event in decided.events]}, and begin the runs {runs}"


def _without_what_may_wait(moment: Moment, run: RunState) -> RunState:
    """The run as it was before those results of fan-outs' children for which nobody needs to look.

    There are such results only while fewer have come than the planner has asked for, and only if enough are still on
    their way to make up for them.
    """
    waiting = {ref: parent_of(ref) for ref in run.steps if _may_wait(moment, run, parent_of(ref))}
    steps = {
        ref: replace(state, status=StepStatus.RUNNING, deadline=None)
        if ref in waiting and state.status is StepStatus.SUCCEEDED
        else replace(state, quotas=())
        if state.status is StepStatus.READY and not _waits_for_a_place(moment, run, ref)
        else state
        for ref, state in run.steps.items()
    }
    return replace(run, steps=steps)


def _waits_for_a_place(moment: Moment, run: RunState, ref: str) -> bool:
    """Only such a job is decided again before its claim when the policy changes."""
    return str(JobId(run.id, ref, run.steps[ref].attempt)) in moment.pairs("waiting")


def _may_wait(moment: Moment, run: RunState, fan: str | None) -> bool:
    if fan is None or fan not in run.steps or run.steps[fan].status is not StepStatus.RUNNING:
        return False
    wake_after, results = moment.fact(run.id, fan, "wake_after"), run.recorded.get(fan, 0)
    if not wake_after or results >= int(wake_after):
        return False
    out = sum(parent_of(ref) == fan and state.status in _SENT for ref, state in run.steps.items())
    return results + out >= int(wake_after)


@lru_cache(100)
def _policy(source: str, epoch: int) -> Policy | None:
    return read_policy(source.encode(), epoch) if source else None
