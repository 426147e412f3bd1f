"""The parts that actors play: what each kind of process does, in cordum's own words.

Workers are told the attempt they were handed a message of, and begin once that message was sent; what is in between
(Celery, and user code) makes no call that could be seen.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from typing import Any
from unittest.mock import patch

from cordum.domain.audit import Act
from cordum.domain.ids import JobId, child_run_id
from cordum.domain.policy_document import read_policy
from cordum.domain.pools import Pool
from cordum.domain.routing import queue_list
from cordum.domain.run import Failure, OutcomeClass
from cordum.domain.states import RunStatus
from cordum.engine.values import Caller, Outcome
from cordum.errors import CordumError, NotFound, TooManyRequests
from cordum.store import names
from cordum.store.jobs import ClaimReply, Delivered
from tests.proof.explorer.actors import Actor, Process
from tests.proof.explorer.moment import CELL, Moment
from tests.proof.explorer.opening import SETTINGS, START, TENANT, WORKFLOW, info_of

TOPIC = "job.t"
INTERACTIVE = 3
ENDED = frozenset(status.value for status in RunStatus if status.terminal)
SUCCESS, RETRYABLE, FATAL = OutcomeClass.SUCCESS, OutcomeClass.RETRYABLE, OutcomeClass.FATAL


# -- when ----------------------------------------------------------------------------------------------------------


def sent(job_id: str) -> Callable[[Moment], bool]:
    """The attempt's message has been on its list at some time."""
    job = _job(job_id)

    def holds(moment: Moment) -> bool:
        events = moment.events(job.run_id)
        return any(e["type"] == "step.queued" and e.get("job_id") == job_id for e in events)

    return holds


def due(run_id: str = "r1") -> Callable[[Moment], bool]:
    """The run is marked due, or its time has come."""

    def holds(moment: Moment) -> bool:
        timer = moment.pairs("timers").get(run_id)
        return run_id in moment.pairs("wakeups") or (timer is not None and int(timer) <= moment.now)

    return holds


def child_of(run_id: str, step: str, attempt: int = 1) -> str:
    """The id of the child run that this attempt of a step starts."""
    return child_run_id(run_id, hashlib.sha256(f"{run_id}:{step}@{attempt}".encode()).digest())


# -- coordinators --------------------------------------------------------------------------------------------------


def coordinator(name: str, times: int = 1, run_id: str = "r1", *, reads_apart: bool = False) -> Actor:
    """Looks, plans and commits, until nobody has moved the run in between."""
    return Actor(name, lambda process: _advanced(process, run_id), times, due(run_id), reads_apart)


def _advanced(process: Process, run_id: str) -> None:
    """What the definitions do not allow any more is left to the next look."""
    try:
        process.core.advance(run_id)
    except NotFound as gone:
        process.note("turned_down", gone.code)


def caller(name: str) -> Actor:
    """Rings for the coordinators."""
    return Actor(name, lambda process: process.coordinator.ring())


def called_coordinator(name: str, times: int = 1) -> Actor:
    """Is called, takes what is due, and advances it."""

    def act(process: Process) -> None:
        process.command("RPOP", "cordum.coordinator")
        process.core.advance_all(process.store.wakeups.take_due(64))

    return Actor(name, act, times, lambda moment: bool(moment.raw("cordum.coordinator")))


def freer(name: str, worker: str, times: int = 1) -> Actor:
    """Part of a sweep: takes its attempts from a worker whose lease is over, and forgets it."""

    def over(moment: Moment) -> bool:
        return worker in moment.leases and not moment.lease_holds(worker)

    return Actor(name, lambda process: process.jobs.free_worker(worker, "?") and None, times, over)


def sweeper(name: str, times: int = 1) -> Actor:
    """A whole sweep."""
    return Actor(name, lambda process: process.coordinator.sweep() and None, times)


def sealer(name: str, times: int = 1) -> Actor:
    """Part of a coordinator's call: links what the audit has gained to its chain."""

    def act(process: Process) -> None:
        with patch("cordum.engine.audit._PATIENCE_SEC", 60.0):
            process.audit.seal()

    return Actor(name, act, times, reads_apart=True)


def resender(name: str, times: int = 1) -> Actor:
    """Part of a sweep: looks for messages that were lost, and sends them again."""

    def act(process: Process) -> None:
        for job, sent_at in process.store.jobs.unclaimed(TOPIC, INTERACTIVE, SETTINGS.message_grace_ms):
            process.store.jobs.resend(job, TOPIC, INTERACTIVE, sent_at)

    return Actor(name, act, times)


# -- workers -------------------------------------------------------------------------------------------------------


def worker(
    name: str,
    job_id: str,
    outcome: OutcomeClass = SUCCESS,
    *,
    incarnation: str = "w1",
    after_ms: int | None = None,
    during: Callable[[Process], None] | None = None,
) -> Actor:
    """One delivery of a message: claims, runs user code, records how it ended. `during`: what its user code calls."""
    failure = None if outcome is SUCCESS else Failure("error", "broke")

    def act(process: Process) -> None:
        claim = process.jobs.claim(job_id, TOPIC, INTERACTIVE, incarnation, name)
        if claim.word is not ClaimReply.CLAIMED:
            return
        process.note("ran", job_id)
        if during is not None:
            during(process)
        process.jobs.record(job_id, TOPIC, incarnation, name, Outcome(outcome, {"by": name}, failure, after_ms))

    return Actor(name, act, 1, sent(job_id))


def turn(name: str, number: int, *, incarnation: str = "w1", want: int = 2, heard: bool = True) -> Actor:
    """A turn of the fast path: takes and claims, claims singly what came unclaimed, runs user code, and records.

    `heard` False: nobody waits for its answer any more.
    """
    queue = queue_list(TOPIC, INTERACTIVE)

    def act(process: Process) -> None:
        answer = process.jobs.exchange(incarnation, [], [], (TOPIC,), want, turn=number)
        if not heard:
            return
        begun = [delivered for delivered, _ in answer.begun]
        for _, text in answer.taken:
            job = _job(json.loads(text)["headers"]["id"])
            claim = process.store.jobs.claim(job, TOPIC, INTERACTIVE, incarnation, name)
            begun += [Delivered(job, TOPIC, INTERACTIVE, name)] if claim.word is ClaimReply.CLAIMED else []
        for one in begun:
            process.note("ran", str(one.job))
            process.jobs.record(str(one.job), TOPIC, incarnation, one.nonce, Outcome(SUCCESS, {"by": name}))

    return Actor(name, act, 1, lambda moment: bool(moment.raw(queue)))


def direct_worker(name: str, job_id: str, incarnation: str) -> Actor:
    """A worker that finds the message on its own queue."""

    def act(process: Process) -> None:
        claim = process.store.jobs.claim(_job(job_id), TOPIC, INTERACTIVE, incarnation, name, direct=True)
        if claim.word is ClaimReply.CLAIMED:
            process.note("ran", job_id)
            process.jobs.record(job_id, TOPIC, incarnation, name, Outcome(SUCCESS, {"by": name}))

    return Actor(name, act, 1, sent(job_id))


def returner(name: str, incarnation: str, times: int = 1) -> Actor:
    """Part of a sweep: takes what lies on a worker's own queue for others."""
    return Actor(name, lambda process: process.jobs.give_back(incarnation, "stale_worker") and None, times)


def reporter(name: str, job_id: str, incarnation: str = "w2") -> Actor:
    """Records a result for an attempt it never had."""

    def act(process: Process) -> None:
        process.jobs.record(job_id, TOPIC, incarnation, name, Outcome(SUCCESS, {"by": name}))

    return Actor(name, act, 1, sent(job_id))


def child_death(name: str, job_id: str, incarnation: str = "w2") -> Actor:
    """A worker's parent process says that the child is dead to which it had handed a delivery of this message."""
    return Actor(
        name, lambda process: process.jobs.lost(job_id, TOPIC, incarnation, "killed") and None, 1, sent(job_id)
    )


def watcher(name: str, job_id: str, incarnation: str) -> Actor:
    """Asks whether an attempt is still its worker's, and tells how far it is."""
    return Actor(name, lambda process: _watched(process, job_id, incarnation), 1, sent(job_id))


def _watched(process: Process, job_id: str, incarnation: str) -> None:
    process.jobs.progress(job_id, incarnation, 0.5, None)


def taker(name: str, job_id: str, *, dies: bool, incarnation: str = "w1") -> Actor:
    """Takes the oldest message of the topic from its list; either dies with it in hand, or goes on like a worker."""
    queue = queue_list(TOPIC, INTERACTIVE)
    following = worker(name, job_id, incarnation=incarnation)

    def act(process: Process) -> None:
        if process.command("RPOP", queue) is not None and not dies:
            following.act(process)

    return Actor(name, act, 1, lambda moment: bool(moment.raw(queue)))


def renewer(name: str, incarnation: str, times: int = 1) -> Actor:
    """The thread that holds a worker's lease."""
    info = info_of(incarnation)
    return Actor(
        name, lambda process: process.store.workers.renew(incarnation, info, SETTINGS.lease_ms) and None, times
    )


def leaver(name: str, incarnation: str) -> Actor:
    """A worker says goodbye."""
    return Actor(name, lambda process: process.jobs.leave(incarnation))


# -- people --------------------------------------------------------------------------------------------------------


def queue_pauser(name: str) -> Actor:
    return Actor(name, lambda process: process.store.queues.pause(TOPIC, Act(name, TENANT, "why")) and None)


def queue_resumer(name: str) -> Actor:
    """Comes when the queue is paused."""
    return Actor(
        name,
        lambda process: process.store.queues.resume(TOPIC, Act(name, TENANT, "why")) and None,
        1,
        lambda m: TOPIC in m.pairs("paused"),
    )


def canceller(name: str, run_id: str = "r1", *, undo: bool = False) -> Actor:
    def act(process: Process) -> None:
        process.runs.cancel(Caller(TENANT, name), run_id, None, compensate=undo)

    return Actor(name, act, 1, lambda moment: run_id in moment.run_ids)


def revoker(name: str, job_id: str) -> Actor:
    """Cancels one step."""
    return Actor(name, lambda process: process.jobs.cancel_step(job_id, name, "not needed"), 1, sent(job_id))


def pauser(name: str, run_id: str = "r1") -> Actor:
    return _operator(name, run_id, lambda process, who: process.operations.pause(who, run_id, "why"))


def resumer(name: str, run_id: str = "r1", times: int = 1) -> Actor:
    """Comes when the run is paused."""

    def paused(moment: Moment) -> bool:
        return run_id in moment.run_ids and moment.fields(run_id)["status"] == "paused"

    actor = _operator(name, run_id, lambda process, who: process.operations.resume(who, run_id, "why"))
    return replace(actor, when=paused, times=times)


def signaller(name: str, token: str, signal: str = "go", run_id: str = "r1", times: int = 1) -> Actor:
    """Sends a signal; a repeated call with the same token is the same signal."""

    def act(process: Process, who: Caller) -> None:
        process.operations.signal(who, run_id, signal, {"by": token}, None, token)

    return replace(_operator(name, run_id, act), times=times)


def correlator(name: str, key: str, payload: str = "said", most_kept: int = 10) -> Actor:
    """Sends the signal `go` about `it` to whoever waits, and notes the answer; its delivery is named by `key`."""

    def act(process: Process) -> None:
        try:
            with patch("cordum.engine.signals.MAX_KEPT", most_kept):
                process.signals.send(Caller(TENANT, name), "go", "it", payload, key)
        except CordumError as refused:
            process.note("turned_down", refused.code)
        else:
            process.note("delivered", key, payload)

    # Looking who waits and saying it are two calls, between which others come.
    return Actor(name, act, reads_apart=True)


def retrier(name: str, run_id: str = "r1", times: int = 1) -> Actor:
    """Comes when the run has failed."""

    def failed(moment: Moment) -> bool:
        return run_id in moment.run_ids and moment.fields(run_id)["status"] in ("failed", "denied", "timed_out")

    actor = _operator(name, run_id, lambda process, who: process.operations.retry(who, run_id, "again"))
    return replace(actor, when=failed, times=times)


def letter_retrier(name: str, job_id: str, edit: tuple[Any] | None = None) -> Actor:
    """Comes when there is the dead letter."""

    def act(process: Process, who: Caller) -> None:
        process.letters.retry(who, job_id, "again", edit)

    return replace(_operator(name, _job(job_id).run_id, act), when=_letter(job_id))


def discarder(name: str, job_id: str) -> Actor:
    def act(process: Process, who: Caller) -> None:
        process.letters.discard(who, job_id, "known")

    return replace(_operator(name, _job(job_id).run_id, act), when=_letter(job_id))


def _letter(job_id: str) -> Callable[[Moment], bool]:
    run_id = _job(job_id).run_id
    return lambda moment: bool(moment.of_run(run_id, f"dead_letter:{job_id}"))


def letter_taker(name: str, job_id: str) -> Actor:
    """One delivery of the message of a dead letter, to code that handles it."""

    def act(process: Process) -> None:
        if process.store.dead_letters.take(_job(job_id), TOPIC, name, name):
            process.note("was_handed", job_id)

    return Actor(name, act, 1, _letter(job_id))


def bulk_beginner(name: str, *job_ids: str, times: int = 1) -> Actor:
    """Begins the one bulk retry that there is here."""
    facts, again = {"filter": "{}", "left_out": "0"}, Act(name, TENANT, "again")

    def act(process: Process) -> None:
        process.store.bulk_retries.begin("bulk", 10.0, again, facts, job_ids)

    return Actor(name, act, times, _letter(job_ids[0]))


def bulk_carrier(name: str, times: int = 1) -> Actor:
    """A coordinator that carries bulk retries on."""
    return Actor(
        name, lambda process: process.bulk_retries.carry_on(), times, lambda moment: bool(moment.value("bulk_retries"))
    )


def bulk_stopper(name: str) -> Actor:
    def act(process: Process, who: Caller) -> None:
        process.bulk_retries.stop(who, "bulk", "enough")

    return replace(_operator(name, "r1", act), when=lambda moment: bool(moment.value("bulk_retry", "bulk")))


def skipper(name: str, step: str, run_id: str = "r1") -> Actor:
    def act(process: Process, who: Caller) -> None:
        process.operations.by_hand(who, run_id, step, "not needed", skip=True)

    return _operator(name, run_id, act)


def completer(name: str, step: str, run_id: str = "r1") -> Actor:
    def act(process: Process, who: Caller) -> None:
        process.operations.by_hand(who, run_id, step, "done", {"by": name}, skip=False)

    return _operator(name, run_id, act)


def remover(name: str, run_id: str = "r1", times: int = 1) -> Actor:
    """Deletes a run once it has ended."""

    def ended(moment: Moment) -> bool:
        return run_id in moment.run_ids and moment.fields(run_id)["status"] in ENDED

    actor = _operator(
        name, run_id, lambda process, who: process.retention.delete(run_id, Act(who.person, TENANT, "why")) and None
    )
    return replace(actor, when=ended, times=times)


def _operator(name: str, run_id: str, do: Callable[[Process, Caller], None]) -> Actor:
    """Somebody who may be told that it cannot be done."""

    def act(process: Process) -> None:
        try:
            do(process, Caller(TENANT, name))
        except CordumError as refused:
            process.note("turned_down", refused.code)

    return Actor(name, act, 1, lambda moment: run_id in moment.run_ids)


def saver(name: str, workflow_id: str, text: str) -> Actor:
    def act(process: Process) -> None:
        try:
            process.workflows.save(TENANT, text.encode(), "yaml", workflow_id)
        except CordumError as refused:
            process.note("turned_down", refused.code)

    return Actor(name, act, reads_apart=True)


def deleter(name: str, workflow_id: str = WORKFLOW) -> Actor:
    def act(process: Process) -> None:
        try:
            process.workflows.delete(TENANT, workflow_id)
        except CordumError as refused:
            process.note("turned_down", refused.code)

    return Actor(name, act)


def approver(name: str, job_id: str, decision: str = "approved", person: str | None = None) -> Actor:
    """Answers a question, and notes what it is told."""
    job = _job(job_id)

    def act(process: Process) -> None:
        who = Caller(TENANT, person or name)
        try:
            if decision == "approved":
                answer = process.approvals.approve(who, job_id, None)
            else:
                answer = process.approvals.reject(who, job_id, "no")
        except CordumError as refused:
            process.note("not_decided", job_id, refused.code)
        else:
            process.note("decided" if answer["state"] == decision else "counted", job_id, decision)

    return Actor(name, act, 1, lambda moment: job_id in moment.approvals(job.run_id))


def submitter(name: str, key: str | None, input_: dict[str, object], *, alike: bool = False) -> Actor:
    """Starts a run, and notes the answer when it used an idempotency key. `alike`: it has started such runs before."""
    body = json.dumps(input_)

    def act(process: Process) -> None:
        labels = {} if key is None else {"key": key}
        genuine = process.core._patterns.of
        with (
            patch("cordum.engine.core.new_run_id", lambda *_: f"{CELL}-{name}"),
            patch.object(process.core._patterns, "of", lambda *args, **_: genuine(*args, alone=False)),
        ):
            try:
                started = process.runs.start(
                    Caller(TENANT, "alice"), WORKFLOW, json.loads(body), key, labels, show=not alike
                )
            except NotFound:
                process.note("gone", key or "", body)
            except TooManyRequests as throttled:
                process.note("turned_down", throttled.code)
            except CordumError as refused:
                process.note("refused", key or "", body, refused.code)
            else:
                if key is not None:
                    process.note("started", key, body, started.id)

    return Actor(name, act)


# -- schedules -----------------------------------------------------------------------------------------------------

SCHEDULE = "s"


def maker(name: str, **wanted: Any) -> Actor:
    """Makes a schedule that ticks each minute."""

    def act(process: Process) -> None:
        try:
            asked = {"id": SCHEDULE, "workflow_id": WORKFLOW, "cron": "* * * * *", **wanted}
            process.schedules.create(Caller(TENANT, "alice"), asked)
        except CordumError as refused:
            process.note("turned_down", refused.code)

    return Actor(name, act)


def ticker(name: str) -> Actor:
    """Part of a sweep: carries a schedule out that is due."""

    def act(process: Process) -> None:
        counted = count()
        with patch("cordum.engine.core.new_run_id", lambda cell, now, _: f"{cell}-{name}-{now}-{next(counted)}"):
            process.schedules.carry_on(TENANT, SCHEDULE)

    return Actor(name, act, 1, _schedule_due)


def schedule_pauser(name: str) -> Actor:
    """Notes that it was told so."""

    def act(process: Process) -> None:
        try:
            process.schedules.pause(Caller(TENANT, name), SCHEDULE, "why")
        except CordumError as refused:
            process.note("turned_down", refused.code)
        else:
            process.note("schedule_paused", SCHEDULE)

    return Actor(name, act, 1, lambda moment: bool(moment.pairs("schedule", TENANT, SCHEDULE)))


def _schedule_due(moment: Moment) -> bool:
    due = moment.pairs("schedules").get(names.schedule_name(TENANT, SCHEDULE))
    return due is not None and int(due) <= moment.now


def publisher(name: str, policy: str) -> Actor:
    digest = read_policy(policy.encode()).digest

    def act(process: Process) -> None:
        process.store.policies.publish(digest, policy, name)

    return Actor(name, act)


def pool_changer(name: str, pool: Pool) -> Actor:
    """Says how many jobs a pool may run, without having looked whether others have."""
    document = json.dumps({"pools": {pool.name: pool.document()}})
    told = Act(name, TENANT).event("pools.published")
    return Actor(name, lambda process: process.store.pools.publish(document, told, TENANT, 0, [pool]) and None)


# -- time ----------------------------------------------------------------------------------------------------------


def time(*moves_ms: int) -> Actor:
    """Time passes, in steps of so many milliseconds."""

    def act(process: Process) -> None:
        now = START
        for move in moves_ms:
            now += move
            process.command("SET", process.store.keys.clock, str(now))

    return Actor("time", act)


def _job(job_id: str) -> JobId:
    job = JobId.parse(job_id)
    assert job is not None, job_id
    return job
