"""What cordum promises, each as a pure function over one move, or over a moment and what the actors noted.

A function raises Broken, or returns how often the promise was put to the test: a refusal that had to come, a dispatch
that had to wait. Numbers are those of the list of promises. P2 to P6, P8 and P11 can be seen whole in this way; P7 (as:
nothing is forgotten), P10, P13, P14 and S10 (the audit) as far as a single move shows them.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cordum.domain.audit import AUDITED, first_link, next_link, read_record
from cordum.domain.ids import JobId
from cordum.domain.instances import Instances, Role, is_child, parent_of
from cordum.domain.states import TRANSITIONS, RunStatus, StepStatus
from cordum.domain.times import milliseconds
from cordum.store.approvals import question
from tests.proof.explorer import quotas
from tests.proof.explorer.evidence import PLANNERS, Change, Law, Move, Notes, demand, job_of, noted
from tests.proof.explorer.keeping import found_again
from tests.proof.explorer.moment import CELL, Mark, Moment
from tests.proof.explorer.opening import TENANT

_ENDED = frozenset(status.value for status in StepStatus if status.terminal)
_RUN_ENDED = frozenset(status.value for status in RunStatus if status.terminal)
_BAD = frozenset(status.value for status in RunStatus if status.retryable)
_BUSY = frozenset({"ready", "queued", "running", "settling", "retrying"})


# -- P1: what is accepted is kept --------------------------------------------------------------------------------


def p1_definitions_stay(move: Move, law: Law) -> int:
    """The definition of an open run is stored, as the run is pinned to it, and its workflow is not deleted."""
    tested = 0
    for run_id in move.after.run_ids:
        fields = move.after.fields(run_id)
        if fields["status"] not in _RUN_ENDED:
            stored = move.after.definition(fields["workflow_id"])
            demand("P1", f"document:{fields['digest']}" in stored, f"{run_id} is open, its definition is gone")
            demand("P1", "latest" in stored, f"{run_id} is open, {fields['workflow_id']} was deleted")
            tested += move.call.name == "delete_workflow"
    return tested


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


def p2_a_signal_counts_once(move: Move, law: Law) -> int:
    """What was answered SENT is there once for its token; an ended run takes none; one step at most has each."""
    for run_id in move.after.run_ids:
        tokens = sum(name.startswith("signal:") for name in move.after.of_run(run_id, "once"))
        sent = int(move.after.fields(run_id).get("signals_sent", "0"))
        told = sum(event["type"] == "signal.received" for event in move.after.events(run_id))
        demand("P2", tokens == sent == told, f"{run_id}: {tokens} signals, {sent} were stored and {told} told")
        _taken_by_one_step(move, run_id, law)
    if move.call.name != "send_signal":
        return 0
    run_id = move.arg("run_id")
    known = f"signal:{move.arg('token')}" in move.before.of_run(run_id, "once")
    ended = move.before.fields(run_id)["status"] in _RUN_ENDED
    expected = "ENDED" if ended and not known else "SENT"
    demand("P2", move.word == expected, f"{move.call} was answered {move.word}, not {expected}")
    before, after = move.before.of_run(run_id, "inbox"), move.after.of_run(run_id, "inbox")
    new = 0 if known or ended else 1
    demand("P2", before.items() <= after.items() and len(after) - len(before) == new, f"{move.call}: {before}, {after}")
    return known + ended


def _taken_by_one_step(move: Move, run_id: str, law: Law) -> None:
    """A signal leaves the inbox for the step that succeeds with it."""
    before, after = move.before.of_run(run_id, "inbox"), move.after.of_run(run_id, "inbox")
    gone = before.keys() - after.keys()
    by_hand = {e.get("step_id") for e in _new_events(move, run_id) if e["type"] == "step.completed_by_hand"}
    took = [
        change.step
        for change in move.changes
        if change.run_id == run_id and change.after.status == "succeeded" and change.step not in by_hand
        if law.instance(move.after, run_id, change.step).step.kind == "signal"
        if law.instance(move.after, run_id, change.step).role is Role.UNIT
    ]
    demand("P2", len(gone) == len(took), f"{took} have succeeded, the signals {sorted(gone)} were taken")


def _new_events(move: Move, run_id: str) -> Sequence[Mapping[str, Any]]:
    return move.after.events(run_id)[len(move.before.events(run_id)) :]


def p2_a_delivery_is_one_signal(moment: Moment, notes: Notes, law: Law) -> int:
    """A key that was answered stands for what it said first; another signal with it is refused."""
    told: dict[str, set[str]] = {}
    answers = list(noted(notes, "delivered"))
    for _, key, payload in answers:
        told.setdefault(key, set()).add(payload)
    for key, payloads in told.items():
        demand("P2", len(payloads) == 1, f"the delivery {key} was taken for {sorted(payloads)}")
    return len(answers) - len(told)


def p2_a_delivery_does_it_once(move: Move, law: Law) -> int:
    """What a delivery does, its repetition does not do again."""
    known = move.call.name == "deliver_signal" and bool(move.before.raw(move.call.keys[3]))
    demand("P2", not known or move.before is move.after, f"{move.call} was made before, and was carried out once more")
    return known


def p7_who_waits_is_found(move: Move, law: Law) -> int:
    """Whoever waits for a signal by its correlation is listed, or has it; nothing is kept while somebody is listed."""
    waiting = move.after.everything_of("signals_waiting")
    listed = {tuple(member.split(" ")) for members in waiting.values() for member in members}
    for about, members in waiting.items():
        kept = move.after.everything_of("signals_kept").get(about)
        demand("P7", not (members and kept), f"a signal is kept, and {sorted(members)} wait for it")
    for run_id in move.after.run_ids:
        for step, mark in move.after.marks(run_id).items():
            waits = mark.status == "waiting" and bool(move.after.fact(run_id, step, "awaits"))
            known = (run_id, step) in listed
            if waits:
                found = known or bool(move.after.of_run(run_id, "inbox"))
                demand("P7", found, f"{step} of {run_id} waits, and no signal will find it")
            else:
                demand("P7", not known, f"{step} of {run_id} is {mark}, and listed as waiting")
    return len(listed)


def p14_so_many_are_kept(move: Move, law: Law) -> int:
    """Here everybody who sends allows for the same number of signals that are kept."""
    most = move.arg("most") if move.call.name == "deliver_signal" else None
    kept = len(move.after.pairs("signals_kept", "default"))
    demand("P14", most is None or kept <= int(most), f"{kept} signals are kept, {most} may be")
    return kept


def p2_one_run_for_a_tick(move: Move, law: Law) -> int:
    """A tick has one run at most, never before its time, and none while its schedule is paused."""
    if move.call.name != "create_run" or move.word != "CREATED":
        return 0
    new = set(move.after.run_ids) - set(move.before.run_ids)
    known = [_tick(move.before, run_id) for run_id in move.before.run_ids]
    tested = 0
    for schedule, tick in (_tick(move.after, run_id) for run_id in new):
        if schedule:
            demand("P2", (schedule, tick) not in known, f"{schedule} has two runs for {tick}")
            early = (milliseconds(tick) or 0) > move.after.now
            demand("P2", not early, f"{schedule} has a run for {tick}, and it is {move.after.now}")
            paused = move.before.pairs("schedule", "default", schedule).get("paused") == "1"
            demand("P2", not paused, f"{schedule} is paused, and has a run for {tick}")
            tested += 1
    return tested


def _tick(moment: Moment, run_id: str) -> tuple[str, str]:
    labels = json.loads(moment.fields(run_id)["labels"])
    return labels.get("schedule", ""), labels.get("scheduled_for", "")


def p2_a_paused_schedule_stays_so(moment: Moment, notes: Notes, law: Law) -> int:
    """Nobody resumes one here: what was told to be paused is."""
    told = list(noted(notes, "schedule_paused"))
    for _, schedule in told:
        paused = moment.pairs("schedule", "default", schedule).get("paused") == "1"
        demand("P2", paused, f"{schedule} was told to be paused, and goes on")
    return len(told)


# -- P3: states --------------------------------------------------------------------------------------------------


def p3_only_legal_moves(move: Move, law: Law) -> int:
    """Only rows of the table of transitions, each by its script; what has ended stays so, unless it is retried."""
    for change in move.changes:
        legal = _legal(move, change, law)
        demand("P3", legal, f"{change.step} went {change.before} -> {change.after} by {move.call}")
    for run_id in move.before.run_ids:
        before, after = move.before.fields(run_id), move.after.fields(run_id)
        same = before["status"] == after["status"] or before["status"] not in _RUN_ENDED
        kept = same or _reopened(move, run_id)
        demand("P3", kept, f"{run_id} went {before['status']} -> {after['status']} by {move.call}")
        further = int(after["generation"]) - int(before["generation"])
        demand("P3", further == _reopened(move, run_id), f"{run_id} is {further} generations further by {move.call}")
    late = move.mark is not None and move.mark.status in _ENDED
    return late + sum(change.after.status in _ENDED for change in move.changes)


def p3_one_ending(move: Move, law: Law) -> int:
    """A step or run that has ended has exactly one event that says so, one that has not has none.

    Since the run was last reopened, that is; what ended before, and was not tried again, has told it then.
    """
    for run_id in move.after.run_ids:
        now, earlier = _endings_told(move.after.events(run_id))
        marks = {**move.after.put_away(run_id), **move.after.marks(run_id)}
        for step, mark in marks.items():
            ended = mark.status in _ENDED
            kept = ended and now[step] == 0 and earlier[step] > 0
            demand("P3", kept or now[step] == ended, f"{step} of {run_id} is {mark}, it has ended {now[step]} times")
        over = move.after.fields(run_id)["status"] in _RUN_ENDED
        demand("P3", now[None] == over, f"{run_id} has ended {now[None]} times")
        left = [step for step, mark in move.after.marks(run_id).items() if mark.status not in _ENDED]
        demand("P3", not over or not left, f"{run_id} has ended, and {left} have not")
    return 0


def _endings_told(events: Sequence[Mapping[str, Any]]) -> tuple[Counter[Any], Counter[Any]]:
    """How often each step, and the run (None), was said to have ended: in this generation, and in those before."""
    now, earlier = Counter[Any](), Counter[Any]()
    for event in events:
        if event["type"] == "run.reopened":
            earlier += now
            now = Counter()
        now[event.get("step_id")] += event.get("to") in _ENDED | _RUN_ENDED
    return now, earlier


def p3_children_come_and_go(move: Move, law: Law) -> int:
    """Only children of fan-outs and loops come into being; they leave when they have ended, and are kept."""
    tested = 0
    for run_id in move.before.run_ids:
        before, after = move.before.marks(run_id), move.after.marks(run_id)
        initial = law.workflow(move.after, run_id).instances.initial
        unborn = not after and "compensates" in move.after.fields(run_id)
        demand("P3", unborn or initial.keys() <= after.keys(), f"{run_id} has lost some of {list(initial)}")
        demand("P3", all(is_child(ref) for ref in after.keys() - initial.keys()), f"{run_id} has {list(after)}")
        put_away = move.after.put_away(run_id)
        for ref in before.keys() - after.keys():
            ended = ref in put_away and put_away[ref].status in _ENDED
            demand("P3", ended, f"{ref} of {run_id} was {before[ref]}, is gone, and kept as {put_away.get(ref)}")
            tested += 1
        back = move.before.put_away(run_id).keys() - put_away.keys()
        demand("P3", not back or _reopened(move, run_id), f"{back} of {run_id} were brought back by {move.call}")
        demand("P3", not put_away.keys() & after.keys(), f"of {run_id} both open and put away: {put_away.keys()}")
    return tested


def p13_removed_whole(move: Move, law: Law) -> int:
    """A run goes only when it has ended and nobody needs it, and then all of it goes, but for handled dead letters."""
    gone = [run_id for run_id in move.before.run_ids if run_id not in move.after.run_ids]
    for run_id in gone:
        fields = move.before.fields(run_id)
        demand("P13", fields["status"] in _RUN_ENDED, f"{run_id} was {fields['status']} and is gone")
        left = [key for key in move.after.entries if f"{{{run_id}}}" in key and ":dead_letter:" not in key]
        demand("P13", not left, f"{run_id} is gone, and has left {left}")
        for key, entry in move.after.entries.items():
            listed = key.startswith(f"cordum:{CELL}:") and entry.kind in ("zset", "set") and run_id in entry.value
            demand("P13", not listed or key.endswith(":orphans"), f"{run_id} is gone, and listed in {key}")
        above = fields.get("parent_run") or fields.get("compensates")
        demand("P13", above not in move.after.run_ids, f"{run_id} is gone, {above} needs it")
    for key in move.after.entries:
        run_id, _, job_id = key.partition("{")[2].partition("}:dead_letter:")
        letter = dict(zip(move.after.raw(key)[::2], move.after.raw(key)[1::2], strict=True)) if job_id else {}
        waits = letter.get("state") == "open" and "rescued" not in letter
        demand("P13", not waits or run_id in move.after.run_ids, f"{run_id} is gone, {job_id} waits for somebody")
    return len(gone) or (move.word in ("NOT_FOUND", "CONFLICT") and move.call.name == "remove_run")


def p3_undone_once(move: Move, law: Law) -> int:
    """A run that came to a bad end, and had done what can be undone, has from that move on one run that undoes it."""
    tested = 0
    for run_id in move.after.run_ids:
        fields, events = move.after.fields(run_id), move.after.events(run_id)
        undoing = [one for one in move.after.run_ids if move.after.fields(one).get("compensates") == run_id]
        bad = fields["status"] in _BAD or fields.get("undo") == "1"
        marks = {**move.after.put_away(run_id), **move.after.marks(run_id)}
        owed = bad and any(_can_be_undone(move.after, law, run_id, ref, mark) for ref, mark in marks.items())
        demand("P3", len(undoing) == owed, f"{run_id} is {fields['status']}, {undoing} undo it, {marks}")
        demand("P3", [fields["compensation"]] == undoing if owed else "compensation" not in fields, f"{fields}")
        told = Counter(event["type"] for event in events)
        demand("P3", told["compensation.started"] == owed, f"{run_id} has told of {told}")
        over = sum(_endings_told(move.after.events(one))[when][None] for one in undoing for when in (0, 1))
        demand("P3", told["compensation.finished"] == over, f"{undoing} have ended {over} times, {run_id} told {told}")
        tested += owed
    return tested


def _can_be_undone(moment: Moment, law: Law, run_id: str, ref: str, mark: Mark) -> bool:
    instance = law.instance(moment, run_id, ref)
    return mark.status == "succeeded" and instance.step.compensate is not None and instance.role is not Role.FAN


def _reopened(move: Move, run_id: str) -> bool:
    """Whether this move is an operator's retry of a run that has failed."""
    if move.call.name != "apply_plan" or run_id not in move.before.run_ids:
        return False
    before = RunStatus(move.before.fields(run_id)["status"])
    return before.retryable and any(event["type"] == "run.reopened" for event in _new_events(move, run_id))


def _legal(move: Move, change: Change, law: Law) -> bool:
    edge = (change.before.status, change.after.status)
    further = change.after.attempt - change.before.attempt
    if move.call.name in PLANNERS:
        if edge == ("ready", "pending"):
            return further == -1 and move.after.fields(change.run_id)["status"] == "paused"
        if change.before.status in _ENDED:
            step = law.instance(move.after, change.run_id, change.step).step.id
            handler = step in law.workflow(move.after, change.run_id).handled_by
            again = handler or change.before.status != "succeeded"
            return again and _reopened(move, change.run_id) and edge in _TRIED_AGAIN and further in (0, 1)
        return edge in _PLANNED and further in (0, 1)
    if move.job is not None and (change.run_id, change.step) == (move.job.run_id, move.job.step):
        sent_back = change.after.status == "pending"
        fits = change.before.attempt == move.job.attempt == change.after.attempt + sent_back
        return edge in _BY_SCRIPT.get(move.call.name, ()) and fits
    if move.call.name == "record_result" and edge in _STRAIGHT:
        return further == 1
    if move.call.name == "take_jobs":
        return edge in _BY_SCRIPT["take_jobs"] and further == 0
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
_ROWS = (_BY_SCRIPT["apply_plan"] | _BY_SCRIPT["release"]) - {("ready", "pending")}
_PLANNED = _closure({(source, target) for source, target in _ROWS if source not in _ENDED})
_TRIED_AGAIN = _closure(_ROWS) - _PLANNED
_STRAIGHT = {("pending", "ready"), ("pending", "queued")}  # of the steps that wait for the one whose result it is


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


def p4_a_turn_is_answered_once(move: Move, law: Law) -> int:
    """A turn is told what it has claimed, however often it is asked for; one that was overtaken does nothing."""
    if move.call.name != "take_jobs":
        return 0
    turn, last = int(move.arg("turn")), int(_turn_of(move))
    demand("P4", turn > last or move.before is move.after, f"{move.call}, turn {turn} after {last}, has changed things")
    began = {str(JobId(c.run_id, c.step, c.after.attempt)) for c in move.changes if c.after.status == "running"}
    own = began if turn > last else _claimed_by(move) if turn == last else set()
    demand("P4", told_to_begin(move) == own, f"turn {turn} after {last} was told {told_to_begin(move)}, has {own}")
    return turn <= last


def _turn_of(move: Move) -> str:
    """The last turn in which this worker has taken something."""
    return move.before.pairs("worker", move.arg("incarnation")).get("turn", "0")


def _claimed_by(move: Move) -> set[str]:
    """What this worker holds by a claim of this turn."""
    held = ((job_id, job_of(job_id)) for job_id in move.before.held.get(move.arg("incarnation"), ()))
    claims = ((job_id, move.before.fact(job.run_id, job.step, "claim")) for job_id, job in held)
    return {job_id for job_id, claim in claims if claim == move.arg("nonce")}


def told_to_begin(move: Move) -> set[str]:
    """The jobs that the answer to a turn names as the worker's own."""
    begun = move.reply[1] if move.word == "TAKEN" else []
    return {str(JobId(run_id, step, int(attempt))) for _, _, run_id, step, attempt, _ in begun}


def p4_messages_are_not_piled_up(move: Move, law: Law) -> int:
    """A message is sent again only when it is gone; what is claimed or taken back is not waited for any more."""
    for queue, listed in move.after.everything_of("sent").items():
        for job_id in listed[::2]:
            job = job_of(job_id)
            mark = move.after.marks(job.run_id).get(job.step)
            demand("P4", mark == Mark("queued", job.attempt), f"{queue} waits for {job_id}, which is {mark}")
    if move.call.name != "resend_message":
        return 0
    queue = move.call.keys[0]
    lies_there = any(json.loads(m)["headers"]["id"] == move.arg("job_id") for m in move.before.raw(queue))
    again = move.word == "RESENT"
    demand("P4", not (again and lies_there), f"{move.arg('job_id')} lies in its list and was sent again")
    return 1


def p4_nothing_begins_while_paused(move: Move, law: Law) -> int:
    """In a paused run nothing is sent or claimed; what was decided and not sent is taken back."""
    tested = 0
    for run_id in move.after.run_ids:
        paused = move.after.fields(run_id)["status"] == "paused"
        before = run_id in move.before.run_ids and move.before.fields(run_id)["status"] == "paused"
        if not paused:
            continue
        ready = [step for step, mark in move.after.marks(run_id).items() if mark.status == "ready"]
        demand("P4", not ready, f"{run_id} is paused, and {ready} are about to be sent")
        for change in move.changes:
            if change.run_id == run_id and before:
                begun = change.after.status in ("ready", "queued", "running")
                demand("P4", not begun, f"{run_id} is paused, and {change.step} is {change.after} by {move.call}")
                tested += 1
        tested += move.word == "PAUSED"
    return tested


# -- P5: results -------------------------------------------------------------------------------------------------


def p5_one_result_counts(move: Move, law: Law) -> int:
    """A result is written by the claim that began the running attempt, once, and stays as it was written."""
    for run_id in move.before.run_ids:
        for part in ("outputs", "child_outputs"):
            before, after = move.before.of_run(run_id, part), move.after.of_run(run_id, part)
            for step, output in before.items():
                kept = after.get(step) == output or _succeeded_anew(move, run_id, step)
                demand("P5", kept, f"the output of {step} in {run_id} went {output} -> {after.get(step)}")
    if move.call.name != "record_result":
        return 0
    nonce = move.arg("nonce")
    own = move.attempt_runs and move.fact("claim") == nonce
    written = not own and (move.fact("recorded") == nonce or _put_away_with(move, nonce))
    needed = "RECORDED" if own and _nobody_needs_to_look(move) else "ADVANCE"
    expected = needed if own else "RECORDED" if written else "STALE"
    # Whether nobody needs to look after a step that others wait for, or that others follow, is P7's to say.
    straight = own and (bool(move.fact("next")) or _children_follow(move))
    fits = move.word == expected or (straight and move.word in ("RECORDED", "ADVANCE"))
    demand("P5", fits, f"{move.call} of {nonce} was answered {move.word}, not {expected}")
    demand("P5", own or _untouched(move), f"{move.call} of {nonce} was {move.word} and changed the run")
    return not own


def _children_follow(move: Move) -> bool:
    """Whether it is the child of a fan-out in which children begin as others succeed."""
    assert move.job is not None
    fan = parent_of(move.job.step)
    return fan is not None and bool(move.before.fact(move.job.run_id, fan, "ahead"))


def _put_away_with(move: Move, nonce: str) -> bool:
    """Whether the step is a child that was put away as it recorded this result."""
    assert move.job is not None
    state = move.before.of_run(move.job.run_id, "children").get(move.job.step)
    return state is not None and json.loads(state).get("recorded") == nonce


def _succeeded_anew(move: Move, run_id: str, step: str) -> bool:
    """A step that an operator's retry has put back ends a second time."""
    return int(move.after.fields(run_id)["generation"]) > 1 and any(
        change.run_id == run_id and change.step == step and change.after.status == "succeeded"
        for change in move.changes
        if change.before.status != "succeeded" or change.after.attempt > change.before.attempt
    )


def _nobody_needs_to_look(move: Move) -> bool:
    """A success of a fan-out's child, while fewer results have come than the planner has asked for."""
    assert move.job is not None
    fan = parent_of(move.job.step)
    if fan is None or move.arg("outcome") != "success":
        return False
    results, wake_after = (move.before.fact(move.job.run_id, fan, name) for name in ("results", "wake_after"))
    return bool(wake_after) and int(results or 0) + 1 < int(wake_after)


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
        mark = move.after.marks(job.run_id).get(job.step)
        demand("P6", count == 1, f"{job_id} is held by {count} workers")
        demand("P6", mark == Mark("running", job.attempt), f"{job_id} is held, and is {mark}")
    for run_id in move.after.run_ids:
        for step, mark in move.after.marks(run_id).items():
            if mark.status == "running" and law.is_job(move.after, run_id, step):
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
        case "take_jobs":
            began = [change for change in move.changes if change.after.status == "running"]
            demand("P6", alive or not began, f"{worker} has no lease and began {began}")
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
        by_hand = {e.get("step_id") for e in moment.events(run_id) if e["type"] == "step.completed_by_hand"}
        for step, mark in {**moment.put_away(run_id), **moment.marks(run_id)}.items():
            if mark.status == "succeeded" and step not in by_hand and law.is_job(moment, run_id, step):
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
        tested += _groups_keep_their_limit(move.after, run_id, law)
        told = Counter[str]()
        for event in move.after.events(run_id):
            if event["type"] == "run.reopened":
                told.clear()
            if event["type"] == "step.ready" and "data" not in event:
                told[event["step_id"]] += 1
        for step, count in told.items():
            demand("P8", count <= 1, f"the turn of {step} came {count} times")
    return tested


def _needs_are_met(moment: Moment, change: Change, law: Law) -> int:
    marks = moment.marks(change.run_id)
    instances = law.workflow(moment, change.run_id).instances
    instance = instances[change.step]
    tested = 0
    for name in instance.step.depends_on if instance.head else ():
        needed = instances.sibling(instance, name)
        if needed is None or needed not in marks:
            continue
        tested += 1
        status = marks[needed].status
        rescued = instances[needed].step.on_error is not None
        failed = status in ("failed", "denied", "timed_out", "cancelled") and not rescued
        demand("P8", status in _ENDED and not failed, f"{change.step} has begun, {needed} is {status}")
    users = [
        instances.sibling(instance, user)
        for user in law.workflow(moment, change.run_id).handled_by.get(instance.step.id, ())
    ]
    if instance.head and users:
        known = {**moment.put_away(change.run_id), **marks}
        failed = [user for user in users if user in known and known[user].status in ("failed", "denied", "timed_out")]
        demand("P8", failed, f"the handler {change.step} has begun, and none of {users} has failed")
        tested += 1
    host = instance.host
    demand("P8", host is None or marks[host].status == "running", f"{change.step} has begun without {host}")
    return tested


def _groups_keep_their_limit(moment: Moment, run_id: str, law: Law) -> int:
    """Of groups and fan-outs: no more children at work than their max_parallel says."""
    tested = 0
    marks, instances = moment.marks(run_id), law.workflow(moment, run_id).instances
    for ref in marks:
        host = instances[ref]
        group = host.step.group
        limit = host.step.max_parallel if host.role is Role.FAN else group.max_parallel if group else None
        if limit is not None:
            busy = [child for child in marks if instances[child].host == ref and _is_busy(marks, instances, child)]
            demand("P8", len(busy) <= limit, f"{busy} run at once in {ref}")
            tested += len(busy) == limit
    return tested


def _is_busy(marks: Mapping[str, Mark], instances: Instances, ref: str) -> bool:
    """A group, fan-out or loop fills a place while something in it does."""
    if instances[ref].role is Role.UNIT or marks[ref].status not in _BUSY:
        return marks[ref].status in _BUSY
    return any(_is_busy(marks, instances, child) for child in marks if instances[child].host == ref)


def p8_no_workflow_runs_itself(move: Move, law: Law) -> int:
    """However many others lie between; of two definitions that would close a circle, one is refused."""
    if move.call.name != "save_workflow":
        return 0
    for workflow_id in move.after.value("workflows", "default"):
        chain = _circle(move.after, law, workflow_id, ())
        demand("P8", chain is None, f"{workflow_id} would run itself: {chain}")
    return move.word == "STALE"


def _circle(moment: Moment, law: Law, workflow_id: str, above: tuple[str, ...]) -> tuple[str, ...] | None:
    """A way down from the latest version of a workflow that leads to one above it."""
    stored = moment.definition(workflow_id)
    if workflow_id in above:
        return (*above, workflow_id)
    if "latest" not in stored:
        return None
    calls = law.definition(moment, workflow_id, stored[f"version:{stored['latest']}"]).calls
    found = (_circle(moment, law, call.workflow_id, (*above, workflow_id)) for call in calls.values())
    return next((chain for chain in found if chain is not None), None)


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
    for run_id in move.after.run_ids:
        for event in _new_events(move, run_id):
            if event["type"] == "step.decision":
                decided = str(event["data"]["epoch"])
                demand("P10", decided == epoch, f"{event['step_id']} was decided by {decided}, the policy is {epoch}")
    if move.call.name == "claim" and move.word == "CLAIMED" and not move.attempt_runs:
        decided = move.fact("epoch")
        demand("P10", decided == epoch, f"{move.call} begins by policy {decided}, the policy is {epoch}")
    for change in move.changes if move.call.name == "take_jobs" else ():
        decided = move.before.fact(change.run_id, change.step, "epoch")
        demand("P10", decided == epoch, f"{change.step} begins by policy {decided}, the policy is {epoch}")
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
    _as_seen_and_by_enough(move, record)
    demand("P11", may or move.word != "RESOLVED", f"{move.call} by {move.arg('person')}, {record.get('state')}")
    demand("P11", not mine or move.word == "ALREADY", f"{move.call} repeats an answer and was told {move.word}")
    return not may


def _as_seen_and_by_enough(move: Move, record: Mapping[str, str]) -> None:
    """Only what the person has seen is answered; a quorum is of distinct people, and each counts once."""
    if move.word not in ("RESOLVED", "COUNTED"):
        return
    assert move.job is not None
    now = move.after.approvals(move.job.run_id)[move.arg("job_id")]
    demand("P11", question(record) == move.arg("seen"), f"{move.arg('seen')} was answered, asked was {record}")
    voters = now["voters"].splitlines()
    demand("P11", len(set(voters)) == int(now["votes"]), f"{now['votes']} votes of {voters}")
    if move.arg("decision") == "approved":
        enough = int(now["quorum"]) <= max(len(set(voters)), 1)
        demand("P11", enough == (move.word == "RESOLVED"), f"{move.word} with the votes of {voters}")


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


# -- S10: the audit ------------------------------------------------------------------------------------------------

_BY_ITSELF = AUDITED
_OF_WORKERS = {"step.started", "step.succeeded", "step.progress", "step.worker_lost", "result.ignored"}


def s10_the_audit_tells_all(move: Move, law: Law) -> int:
    """What a timeline tells that is to be audited is in the audit, in its order; its numbers have no gap."""
    records = move.after.value("audit", TENANT)
    found = [read_record(text.encode()) for text in records]
    numbers = [one and one.number for one in found]
    counted = int(move.after.pairs("audit").get(TENANT, "0"))
    demand("S10", numbers == list(range(1, counted + 1)), f"{counted} records were counted, they are {numbers}")
    told: dict[str, list[Any]] = {}
    for one in found:
        if one is not None:
            told.setdefault(one.subject, []).append(dict(one.event))
    for run_id in move.after.run_ids:
        wanted = [dict(event) for event in move.after.events(run_id) if _is_audited(event)]
        there = told.get(f"run:{run_id}", [])
        demand("S10", there == wanted, f"{run_id}: its timeline tells {wanted}, the audit {there}")
    return len(records) > len(move.before.value("audit", TENANT))


def _is_audited(event: Mapping[str, Any]) -> bool:
    return event["type"] in _BY_ITSELF or ("actor" in event and event["type"] not in _OF_WORKERS)


def s10_one_chain(move: Move, law: Law) -> int:
    """Each seal fits to the one before it and to its record; whoever seals has sealed on its end."""
    seals, records = move.after.value("seals", TENANT), move.after.value("audit", TENANT)
    demand("S10", len(seals) <= len(records), f"there are {len(seals)} seals of {len(records)} records")
    link = first_link(CELL, TENANT)
    for number, (seal, record) in enumerate(zip(seals, records, strict=False), 1):
        link = next_link(number, link, record.encode())
        demand("S10", seal == link, f"seal {number} is {seal}, it has to be {link}")
    before = move.before.value("seals", TENANT)
    demand("S10", seals[: len(before)] == before, f"{move.call} has changed what was sealed")
    return move.call.name == "seal"


# -- P13: dead letters -------------------------------------------------------------------------------------------


def p13_dead_letters_are_where_they_belong(move: Move, law: Law) -> int:
    """A dead letter that nobody has dealt with is listed as open, under its group, once; another is not. What was done
    with it stays so, and is done once.
    """
    listed = Counter(move.after.value("dead_letters", "default", "open")[::2])
    groups = {entry.partition("|")[0] for entry in listed}
    demand("P13", groups == set(move.after.pairs("dead_letters", "default", "groups")), f"groups of {listed}")
    handled = move.after.pairs("dead_letters", "default", "handled")
    tested = 0
    for run_id in move.after.run_ids:
        before, after = move.before.dead_letters(run_id), move.after.dead_letters(run_id)
        for job_id, letter in after.items():
            is_open = letter["state"] == "open"
            demand("P13", listed[letter["entry"]] == is_open, f"{job_id} is {letter['state']}, open are {listed}")
            demand("P13", (job_id in handled) is not is_open, f"{job_id} is {letter['state']}, handled are {handled}")
            was = before.get(job_id, {}).get("state", "open")
            demand("P13", was in ("open", letter["state"]), f"{job_id} went {was} -> {letter['state']} by {move.call}")
            tested += not is_open
        replayed = [one for one in _new_events(move, run_id) if one["type"] == "dead_letter.replayed"]
        further = len(replayed) == len({one["job_id"] for one in replayed}) and (
            not replayed or _reopened(move, run_id)
        )
        demand("P13", further, f"{replayed} of {run_id} were told by {move.call}")
    return tested


def p13_a_bulk_retry_counts_each_letter_once(move: Move, law: Law) -> int:
    """What has come of each letter up to its position is counted once; the position does not pass the end."""
    before, after = move.before.pairs("bulk_retry", "bulk"), move.after.pairs("bulk_retry", "bulk")
    if not after:
        return 0
    total, position = int(after["total"]), int(after["position"])
    letters = move.after.value("bulk_retry", "bulk", "letters")
    counted = sum(int(after.get(name, "0")) for name in ("retried", "skipped", "refused"))
    demand("P13", len(letters) == total, f"{total} letters were to be tried again, there are {letters}")
    demand("P13", position <= total and counted == position, f"{counted} are counted at {position} of {total}")
    was = before.get("state", "running")
    demand("P13", was in ("running", after["state"]), f"a bulk retry went {was} -> {after['state']} by {move.call}")
    goes_on = "bulk" in move.after.value("bulk_retries")
    demand("P13", goes_on is (after["state"] == "running"), f"a bulk retry is {after['state']}, listed: {goes_on}")
    if move.call.name == "record_of_bulk_retry" and move.word == "RECORDED" and move.arg("result") == "retried":
        job_id = letters[int(move.arg("position"))]
        letter = move.after.dead_letters(job_of(job_id).run_id)[job_id]
        demand("P13", letter.get("bulk") == "bulk", f"{job_id} is counted as retried, and was {letter}")
    return 1


def p13_handed_over_once(moment: Moment, notes: Notes, law: Law) -> int:
    """One delivery of its message gets a dead letter; it is the one that the letter names."""
    handed = Counter(job_id for _, job_id in noted(notes, "was_handed"))
    for job_id, count in handed.items():
        letter = moment.dead_letters(job_of(job_id).run_id)[job_id]
        demand("P13", count == 1, f"{job_id} was handed over {count} times")
        demand("P13", bool(letter.get("taken_by")), f"{job_id} was handed over, and does not say so")
    return len(handed)


# -- P14: bounds -------------------------------------------------------------------------------------------------


def p14_bounded(move: Move, law: Law) -> int:
    """One call waits for the coordinators at most, and a topic has no more unfinished messages than its window."""
    waiting = len(move.after.raw("cordum.coordinator"))
    demand("P14", waiting <= 1, f"{waiting} calls wait for the coordinators")
    for topic, jobs in move.after.everything_of("window").items():
        for job_id in jobs:
            job = job_of(job_id)
            mark = move.after.marks(job.run_id).get(job.step)
            unfinished = mark in (Mark("queued", job.attempt), Mark("running", job.attempt))
            demand("P14", unfinished, f"{job_id} has a place in the window of {topic}, and is {mark}")
    return waiting


def p14_limits_hold(move: Move, law: Law) -> int:
    """What limits the jobs of many runs together is never exceeded, never leaks, and nobody waits for what is free."""
    return quotas.judge(move)


# -- the list ------------------------------------------------------------------------------------------------------

OVER_MOVES: Mapping[str, Callable[[Move, Law], int]] = {
    "p1_definitions_stay": p1_definitions_stay,
    "p2_a_signal_counts_once": p2_a_signal_counts_once,
    "p2_a_delivery_does_it_once": p2_a_delivery_does_it_once,
    "p14_so_many_are_kept": p14_so_many_are_kept,
    "p7_who_waits_is_found": p7_who_waits_is_found,
    "p2_one_run_for_a_tick": p2_one_run_for_a_tick,
    "p3_only_legal_moves": p3_only_legal_moves,
    "p3_one_ending": p3_one_ending,
    "p3_children_come_and_go": p3_children_come_and_go,
    "p3_undone_once": p3_undone_once,
    "p4_sent_and_claimed_once": p4_sent_and_claimed_once,
    "p4_a_turn_is_answered_once": p4_a_turn_is_answered_once,
    "p4_messages_are_not_piled_up": p4_messages_are_not_piled_up,
    "p4_nothing_begins_while_paused": p4_nothing_begins_while_paused,
    "p5_one_result_counts": p5_one_result_counts,
    "p6_one_holder": p6_one_holder,
    "p6_leases_are_respected": p6_leases_are_respected,
    "p6_only_the_running_attempt_acts": p6_only_the_running_attempt_acts,
    "p7_nothing_is_forgotten": p7_nothing_is_forgotten,
    "p8_in_order": p8_in_order,
    "p8_no_workflow_runs_itself": p8_no_workflow_runs_itself,
    "p10_policy_first": p10_policy_first,
    "p11_one_decision": p11_one_decision,
    "p11_approved_is_what_is_sent": p11_approved_is_what_is_sent,
    "p13_removed_whole": p13_removed_whole,
    "p13_dead_letters_are_where_they_belong": p13_dead_letters_are_where_they_belong,
    "p13_a_bulk_retry_counts_each_letter_once": p13_a_bulk_retry_counts_each_letter_once,
    "p14_bounded": p14_bounded,
    "p14_limits_hold": p14_limits_hold,
    "s10_the_audit_tells_all": s10_the_audit_tells_all,
    "s10_one_chain": s10_one_chain,
}
OVER_NOTES: Mapping[str, Callable[[Moment, Notes, Law], int]] = {
    "p2_a_delivery_is_one_signal": p2_a_delivery_is_one_signal,
    "p2_a_paused_schedule_stays_so": p2_a_paused_schedule_stays_so,
    "p13_handed_over_once": p13_handed_over_once,
    "p2_one_run_for_a_key": p2_one_run_for_a_key,
    "p6_executed_once_an_attempt": p6_executed_once_an_attempt,
    "p6_a_name_is_handed_out_once": p6_a_name_is_handed_out_once,
    "p11_people_are_told_one_answer": p11_people_are_told_one_answer,
}
NUMBERS = ("P1", "P2", "P3", "P4", "P5", "P6", "P7", "P8", "P10", "P11", "P13", "P14", "S10")
