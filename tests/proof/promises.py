"""What cordum promises, each as a pure function over one move, or over a moment and what the actors noted.

A function raises Broken, or returns how often the promise was put to the test: a refusal that had to come, a dispatch
that had to wait. Numbers are those of the list of promises. P2 to P6, P8 and P11 can be seen whole in this way; P7 (as:
nothing is forgotten), P10 and P14 as far as a single move shows them.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from cordum.domain.ids import JobId
from cordum.domain.states import TRANSITIONS, RunStatus, StepStatus
from tests.proof.explorer.evidence import PLANNERS, Change, Law, Move, Notes, demand, job_of, noted
from tests.proof.explorer.keeping import found_again
from tests.proof.explorer.moment import Mark, Moment

_ENDED = frozenset(status.value for status in StepStatus if status.terminal)
_RUN_ENDED = frozenset(status.value for status in RunStatus if status.terminal)
_BUSY = frozenset({"ready", "queued", "running", "settling", "retrying"})


# -- P2: submitting ----------------------------------------------------------------------------------------------


def p2_one_run_for_a_key(moment: Moment, notes: Notes, law: Law) -> int:
    """One run for a key, whoever asks how often; another request with the same key is refused."""
    runs: dict[str, list[str]] = {}
    for run_id in moment.run_ids:
        key = json.loads(moment.of_run(run_id)["labels"]).get("key")
        if key is not None:
            runs.setdefault(key, []).append(run_id)
    answers: Counter[str] = Counter()
    for note in noted(notes, "started", "refused"):
        kind, key, body, answer = note
        answers[key] += 1
        made = runs.get(key, [])
        demand("P2", len(made) == 1, f"key {key} was answered, and has the runs {made}")
        same = json.loads(moment.of_run(made[0])["input"]) == json.loads(body)
        if kind == "started":
            demand("P2", answer == made[0] and same, f"{body} with key {key} was told {answer}, the run is {made[0]}")
        else:
            demand("P2", not same, f"the same request with key {key} was refused: {answer}")
    for key, made in runs.items():
        demand("P2", len(made) == 1, f"key {key} has made the runs {made}")
    return sum(count - 1 for count in answers.values())


# -- P3: states --------------------------------------------------------------------------------------------------


def p3_only_legal_moves(move: Move, law: Law) -> int:
    """Only rows of the table of transitions, each by its script; what has ended stays as it ended."""
    for change in move.changes:
        demand("P3", _legal(move, change), f"{change.step} went {change.before} -> {change.after} by {move.call}")
    for run_id in move.before.run_ids:
        before = move.before.of_run(run_id)["status"]
        after = move.after.of_run(run_id)["status"]
        demand("P3", before == after or before not in _RUN_ENDED, f"{run_id} went {before} -> {after}")
    late = move.mark is not None and move.mark.status in _ENDED
    return late + sum(change.after.status in _ENDED for change in move.changes)


def p3_one_ending(move: Move, law: Law) -> int:
    """A step or run that has ended has exactly one event that says so, one that has not has none."""
    for run_id in move.after.run_ids:
        told = Counter(
            event.get("step_id") for event in move.after.events(run_id) if event.get("to") in _ENDED | _RUN_ENDED
        )
        ended = {step for step, mark in move.after.marks(run_id).items() if mark.status in _ENDED}
        for step in law.steps:
            demand("P3", told[step] == (step in ended), f"{step} of {run_id} has ended {told[step]} times")
        over = move.after.of_run(run_id)["status"] in _RUN_ENDED
        demand("P3", told[None] == over, f"{run_id} has ended {told[None]} times")
        demand("P3", not over or ended == set(law.steps), f"{run_id} has ended, and not all of its steps have")
    return 0


def _legal(move: Move, change: Change) -> bool:
    edge = (change.before.status, change.after.status)
    if move.call.name in PLANNERS:
        return edge in _PLANNED and change.after.attempt - change.before.attempt in (0, 1)
    if move.job is not None and (change.run_id, change.step) == (move.job.run_id, move.job.step):
        sent_back = change.after.status == "pending"
        fits = change.before.attempt == move.job.attempt == change.after.attempt + sent_back
        return edge in _BY_SCRIPT.get(move.call.name, ()) and fits
    return edge == ("ready", "queued") and change.before.attempt == change.after.attempt


def _closure(edges: set[tuple[str, str]]) -> frozenset[tuple[str, str]]:
    """One commit may take a step several rows further."""
    found = set(edges)
    while more := {(a, d) for a, b in found for c, d in found if b == c} - found:
        found |= more
    return frozenset(found)


_BY_SCRIPT: dict[str, set[tuple[str, str]]] = {}
for _row in TRANSITIONS:
    _BY_SCRIPT.setdefault(_row.script, set()).add((_row.source.value, _row.target.value))
_PLANNED = _closure(_BY_SCRIPT["apply_plan"] | _BY_SCRIPT["release"])


# -- P4: dispatch and claim --------------------------------------------------------------------------------------


def p4_sent_and_claimed_once(move: Move, law: Law) -> int:
    """An attempt is sent once for each decision, and claimed once, by one delivery of its message."""
    for run_id in move.after.run_ids:
        sent, claimed, sent_back = Counter[Any](), Counter[Any](), Counter[Any]()
        for event in move.after.events(run_id):
            token = (event.get("step_id"), event.get("attempt"))
            sent[token] += event["type"] == "step.queued"
            claimed[token] += event["type"] == "step.started"
            sent_back[token] += event["type"] == "step.ready" and "data" in event
        for token, count in sent.items():
            demand("P4", count <= 1 + sent_back[token], f"{token} was sent {count} times")
        for token, count in claimed.items():
            demand("P4", count <= 1, f"{token} was claimed {count} times")
    if move.call.name != "claim":
        return 0
    own = move.attempt_runs and move.fact("claim") == move.arg("nonce")
    demand("P4", not own or move.word == "CLAIMED", f"{move.call} holds its claim and was answered {move.word}")
    fits = own or (move.job is not None and move.mark == Mark("queued", move.job.attempt))
    demand("P4", move.word != "CLAIMED" or fits, f"{move.call} was granted, the step was {move.mark}")
    return move.word == "STALE" or own


def p4_messages_are_not_piled_up(move: Move, law: Law) -> int:
    """A message is sent again only when it is gone; what is claimed or taken back is not waited for any more."""
    for queue, listed in move.after.everything_of("sent").items():
        for job_id in listed[::2]:
            job = job_of(job_id)
            mark = move.after.marks(job.run_id)[job.step]
            demand("P4", mark == Mark("queued", job.attempt), f"{queue} waits for {job_id}, which is {mark}")
    if move.call.name != "resend_message":
        return 0
    queue = move.call.keys[0]
    lies_there = any(json.loads(m)["headers"]["id"] == move.arg("job_id") for m in move.before.raw(queue))
    again = move.word == "RESENT"
    demand("P4", not (again and lies_there), f"{move.arg('job_id')} lies in its list and was sent again")
    return 1


# -- P5: results -------------------------------------------------------------------------------------------------


def p5_one_result_counts(move: Move, law: Law) -> int:
    """A result is written by the claim that began the running attempt, once, and stays as it was written."""
    for run_id in move.before.run_ids:
        before, after = move.before.of_run(run_id, "outputs"), move.after.of_run(run_id, "outputs")
        demand("P5", before.items() <= after.items(), f"outputs of {run_id} went {before} -> {after}")
    if move.call.name != "record_result":
        return 0
    nonce = move.arg("nonce")
    own = move.attempt_runs and move.fact("claim") == nonce
    written = not own and move.fact("recorded") == nonce
    expected = "ADVANCE" if own else "RECORDED" if written else "STALE"
    demand("P5", move.word == expected, f"{move.call} of {nonce} was answered {move.word}, not {expected}")
    demand("P5", own or _untouched(move), f"{move.call} of {nonce} was {move.word} and changed the run")
    return not own


def _untouched(move: Move) -> bool:
    assert move.job is not None
    parts = ("", "steps", "facts", "outputs")
    return all(move.before.of_run(move.job.run_id, p) == move.after.of_run(move.job.run_id, p) for p in parts)


# -- P6: leases and executions -----------------------------------------------------------------------------------


def p6_one_holder(move: Move, law: Law) -> int:
    """An attempt that runs is held by exactly the worker that claimed it, and nobody holds anything else."""
    holders = Counter(job_id for jobs in move.after.held.values() for job_id in jobs)
    for job_id, count in holders.items():
        job = job_of(job_id)
        mark = move.after.marks(job.run_id)[job.step]
        demand("P6", count == 1, f"{job_id} is held by {count} workers")
        demand("P6", mark == Mark("running", job.attempt), f"{job_id} is held, and is {mark}")
    for run_id in move.after.run_ids:
        for step, mark in move.after.marks(run_id).items():
            if mark.status == "running" and law.is_job(step):
                job_id = str(JobId(run_id, step, mark.attempt))
                worker = move.after.fact(run_id, step, "worker")
                demand("P6", job_id in move.after.held.get(worker, ()), f"{job_id} runs, {worker} does not hold it")
    return 0


def p6_leases_are_respected(move: Move, law: Law) -> int:
    """Work goes to workers whose lease holds, and is taken from workers whose lease is over or who give it up."""
    worker = move.call.named.get("incarnation", "")
    alive = move.before.lease_holds(worker)
    match move.call.name:
        case "claim":
            new = move.word == "CLAIMED" and not move.attempt_runs
            demand("P6", alive or not new, f"{worker} has no lease and was given {move.call}")
            return not alive
        case "lose_attempt":
            own = move.attempt_runs and move.fact("worker") == worker
            demand("P6", own or move.word != "ADVANCE", f"{move.call} was taken from {worker}, which has it not")
            gone = move.arg("child_died") == "1" or not alive
            demand("P6", gone or move.word != "ADVANCE", f"{move.call} was taken from {worker}, whose lease holds")
            return move.word != "ADVANCE"
        case "forget_worker":
            demand("P6", not alive or move.word != "FORGOTTEN", f"{worker} was forgotten, and its lease holds")
            return move.word != "FORGOTTEN"
    for name in move.before.leases:
        kept = name in move.after.leases
        demand("P6", kept, f"the lease of {name} was taken away by {move.call}")
    return 0


def p6_only_the_running_attempt_acts(move: Move, law: Law) -> int:
    """Notes, and names handed out once, are for the attempt that runs and the worker that has it."""
    match move.call.name:
        case "still_running":
            own = move.attempt_runs and move.fact("worker") == move.arg("incarnation")
            demand("P6", own == (move.word == "RUNNING"), f"{move.call} of {move.arg('incarnation')}: {move.word}")
            return not own
        case "once":
            assert move.job is not None
            holder = move.before.of_run(move.job.run_id, "once").get(f"{move.job.step}#{move.arg('name')}")
            first = move.attempt_runs and holder in (None, *move.call.args)
            demand("P6", first == (move.word == "FIRST"), f"{move.arg('name')} for {move.job}: {move.word}")
            return not first
    return 0


def p6_executed_once_an_attempt(moment: Moment, notes: Notes, law: Law) -> int:
    """User code ran at most once for an attempt, and did run for every success."""
    ran = Counter(job_id for _, job_id in noted(notes, "ran"))
    for job_id, count in ran.items():
        demand("P6", count == 1, f"{job_id} was executed {count} times")
    for run_id in moment.run_ids:
        for step, mark in moment.marks(run_id).items():
            if mark.status == "succeeded" and law.is_job(step):
                job_id = str(JobId(run_id, step, mark.attempt))
                demand("P6", job_id in ran, f"{job_id} has succeeded, and nobody executed it")
    return max(0, len(ran) - len({job_id.partition("@")[0] for job_id in ran}))


def p6_a_name_is_handed_out_once(moment: Moment, notes: Notes, law: Law) -> int:
    """Whatever the attempts of a step are told: one of them at most is the first to ask for a name."""
    first = Counter((step, name) for _, step, name in noted(notes, "first"))
    for (step, name), count in first.items():
        demand("P6", count == 1, f"{name} was handed out {count} times in {step}")
    return len(first)


# -- P7: nothing is forgotten ------------------------------------------------------------------------------------


def p7_nothing_is_forgotten(move: Move, law: Law) -> int:
    """Whatever is open is somewhere where somebody will find it: a list, a lease, a timer, a mark."""
    tested = 0
    for run_id in move.after.run_ids:
        if move.after.of_run(run_id)["status"] not in _RUN_ENDED:
            tested += found_again(move.after, run_id, law)
    return tested


# -- P8: order ---------------------------------------------------------------------------------------------------


def p8_in_order(move: Move, law: Law) -> int:
    """A step begins when all its needs have ended well, and not beside more others than its group allows."""
    tested = 0
    for change in move.changes:
        if change.before.status == "pending" and change.after.status in _BUSY | {"waiting"}:
            tested += _needs_are_met(move.after, change, law)
    for run_id in move.after.run_ids:
        tested += _groups_keep_their_limit(move.after.marks(run_id), law)
        told = Counter(e["step_id"] for e in move.after.events(run_id) if e["type"] == "step.ready" and "data" not in e)
        for step, count in told.items():
            demand("P8", count <= 1, f"the turn of {step} came {count} times")
    return tested


def _needs_are_met(moment: Moment, change: Change, law: Law) -> int:
    marks = moment.marks(change.run_id)
    step = law.steps[change.step]
    for needed in step.depends_on:
        status = marks[needed].status
        rescued = law.steps[needed].on_error is not None
        failed = status in ("failed", "denied", "timed_out", "cancelled") and not rescued
        demand("P8", status in _ENDED and not failed, f"{change.step} has begun, {needed} is {status}")
    owner = law.workflow.owner.get(change.step)
    demand("P8", owner is None or marks[owner].status == "running", f"{change.step} has begun without its group")
    return len(step.depends_on)


def _groups_keep_their_limit(marks: Mapping[str, Mark], law: Law) -> int:
    tested = 0
    for step in law.steps.values():
        if step.group is not None and step.group.max_parallel is not None:
            busy = [child for child in step.group.steps if marks[child].status in _BUSY]
            demand("P8", len(busy) <= step.group.max_parallel, f"{busy} run at once in {step.id}")
            tested += len(busy) == step.group.max_parallel
    return tested


# -- P10: policy -------------------------------------------------------------------------------------------------


def p10_policy_first(move: Move, law: Law) -> int:
    """Nothing is dispatched or claimed but by a decision of the policy of this moment, and it is told."""
    epoch = move.before.policy.get("epoch", "0")
    for change in move.sent_out:
        decided = move.after.fact(change.run_id, change.step, "epoch")
        demand("P10", decided == epoch != "0", f"{change.step} was sent by policy {decided}, the policy is {epoch}")
        told = [
            event["type"]
            for event in move.after.events(change.run_id)
            if event.get("step_id") == change.step and event.get("attempt") == change.after.attempt
        ]
        demand("P10", "step.decision" in told, f"{change.step} was sent, and no decision is told: {told}")
    if move.call.name == "claim" and move.word == "CLAIMED" and not move.attempt_runs:
        decided = move.fact("epoch")
        demand("P10", decided == epoch, f"{move.call} begins by policy {decided}, the policy is {epoch}")
    return len(move.sent_out) + (move.word == "POLICY_CHANGED")


# -- P11: approvals ----------------------------------------------------------------------------------------------


def p11_one_decision(move: Move, law: Law) -> int:
    """A question is answered once, by another person than asked, and the answer stays."""
    for run_id in move.before.run_ids:
        now = move.after.approvals(run_id)
        for job_id, record in move.before.approvals(run_id).items():
            asked_again = move.call.name == "apply_plan" and now[job_id]["state"] == "pending"
            decided = record["state"] != "pending" and not asked_again
            same = all(record.get(name) == now[job_id].get(name) for name in ("state", "decided_by", "decided_at"))
            demand("P11", same or not decided, f"the answer to {job_id} was changed: {record} -> {now[job_id]}")
    if move.call.name != "resolve_approval":
        return 0
    assert move.job is not None
    record = move.before.approvals(move.job.run_id).get(move.arg("job_id"), {})
    waiting = move.mark == Mark("waiting", move.job.attempt)
    may = record.get("state") == "pending" and waiting and record["submitted_by"] != move.arg("person")
    mine = (record.get("state"), record.get("decided_by")) == (move.arg("decision"), move.arg("person"))
    demand("P11", may or move.word != "RESOLVED", f"{move.call} by {move.arg('person')}, {record.get('state')}")
    demand("P11", not mine or move.word == "ALREADY", f"{move.call} repeats an answer and was told {move.word}")
    return not may


def p11_approved_is_what_is_sent(move: Move, law: Law) -> int:
    """What a rule wants approved is sent only for an approval of this request under this policy."""
    tested = 0
    for change in move.sent_out:
        decision, approval, approved_request = (
            move.after.fact(change.run_id, change.step, name) for name in ("decision", "approval", "approved_request")
        )
        if json.loads(decision)["decision"] != "require_approval":
            continue
        tested += 1
        record = move.after.approvals(change.run_id)[approval]
        covered = f"{record['request_hash']} {move.before.policy['digest']}"
        approved = record["state"] == "approved" and approved_request == covered
        demand("P11", approved, f"{change.step} was sent, its approval is {record}")
    return tested


def p11_people_are_told_one_answer(moment: Moment, notes: Notes, law: Law) -> int:
    """Nobody is told that it is approved where another is told that it is rejected."""
    told: dict[str, set[str]] = {}
    for _, job_id, decision in noted(notes, "decided"):
        told.setdefault(job_id, set()).add(decision)
    for job_id, decisions in told.items():
        job = job_of(job_id)
        record = moment.approvals(job.run_id)[job_id]
        asked = [e for e in moment.events(job.run_id) if e["type"] == "approval.requested" and e["job_id"] == job_id]
        if len(asked) > 1:  # under a new policy: what was answered before counts no more
            continue
        demand("P11", decisions == {record["state"]}, f"{job_id} is {record['state']}, people were told {decisions}")
    return len(list(noted(notes, "decided", "not_decided"))) - 1 if told else 0


# -- P14: bounds -------------------------------------------------------------------------------------------------


def p14_bounded(move: Move, law: Law) -> int:
    """One call waits for the coordinators at most, and a topic has no more unfinished messages than its window."""
    waiting = len(move.after.raw("cordum.coordinator"))
    demand("P14", waiting <= 1, f"{waiting} calls wait for the coordinators")
    for topic, jobs in move.after.everything_of("window").items():
        for job_id in jobs:
            job = job_of(job_id)
            mark = move.after.marks(job.run_id)[job.step]
            unfinished = mark in (Mark("queued", job.attempt), Mark("running", job.attempt))
            demand("P14", unfinished, f"{job_id} has a place in the window of {topic}, and is {mark}")
    return waiting


# -- the list ------------------------------------------------------------------------------------------------------

OVER_MOVES: Mapping[str, Callable[[Move, Law], int]] = {
    "p3_only_legal_moves": p3_only_legal_moves,
    "p3_one_ending": p3_one_ending,
    "p4_sent_and_claimed_once": p4_sent_and_claimed_once,
    "p4_messages_are_not_piled_up": p4_messages_are_not_piled_up,
    "p5_one_result_counts": p5_one_result_counts,
    "p6_one_holder": p6_one_holder,
    "p6_leases_are_respected": p6_leases_are_respected,
    "p6_only_the_running_attempt_acts": p6_only_the_running_attempt_acts,
    "p7_nothing_is_forgotten": p7_nothing_is_forgotten,
    "p8_in_order": p8_in_order,
    "p10_policy_first": p10_policy_first,
    "p11_one_decision": p11_one_decision,
    "p11_approved_is_what_is_sent": p11_approved_is_what_is_sent,
    "p14_bounded": p14_bounded,
}
OVER_NOTES: Mapping[str, Callable[[Moment, Notes, Law], int]] = {
    "p2_one_run_for_a_key": p2_one_run_for_a_key,
    "p6_executed_once_an_attempt": p6_executed_once_an_attempt,
    "p6_a_name_is_handed_out_once": p6_a_name_is_handed_out_once,
    "p11_people_are_told_one_answer": p11_people_are_told_one_answer,
}
NUMBERS = ("P2", "P3", "P4", "P5", "P6", "P7", "P8", "P10", "P11", "P14")
