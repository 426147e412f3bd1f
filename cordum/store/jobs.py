"""What happens to one attempt between its dispatch and its end: claimed, watched, recorded, lost, sent again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

from redis.exceptions import ResponseError

from cordum.domain.ids import JobId
from cordum.domain.instances import parent_of
from cordum.domain.plan import Event, Target
from cordum.domain.routing import PRIORITIES, Route, direct_queue, is_direct, queue_list
from cordum.domain.run import WORKER_LEFT, WORKER_LOST, Failure, OutcomeClass
from cordum.domain.workflow import JSON
from cordum.store import codec, keys
from cordum.store.codec import own_json
from cordum.store.commit import attempt_event_text, event_text
from cordum.store.connection import Call, Connection
from cordum.store.envelope import MESSAGE_FORM, coordinator_message, job_message
from cordum.store.scripts import Argument, Form

_MOST_LOST = 500  # of one queue in one sweep
_MOST_KEPT = 1000
_MOST_RECORDED = 32  # by one call of the script, which nobody else's call can come into

_Key = TypeVar("_Key")
_Made = TypeVar("_Made")


class ClaimReply(StrEnum):
    CLAIMED = "CLAIMED"
    STALE = "STALE"
    NO_LEASE = "NO_LEASE"
    POLICY_CHANGED = "POLICY_CHANGED"
    PAUSED = "PAUSED"


class RecordReply(StrEnum):
    ADVANCE = "ADVANCE"
    RECORDED = "RECORDED"
    STALE = "STALE"
    FAILED = "FAILED"  # never a reply to who asked: its error is raised, or stands in its place


class GiveBackReply(StrEnum):
    GIVEN_BACK = "GIVEN_BACK"
    HELD = "HELD"
    STALE = "STALE"


class LossReply(StrEnum):
    ADVANCE = "ADVANCE"
    ALIVE = "ALIVE"
    STALE = "STALE"


class Claimed(NamedTuple):
    """The reply to a claim.

    Everything but the word is empty unless it is CLAIMED. `input`, `labels`, `shape` (empty: none) and `decision` (the
    policy's, empty where none was made) are JSON texts.
    """

    word: ClaimReply
    tenant: str = ""
    workflow_id: str = ""
    labels: str = "{}"
    input: str = "null"
    timeout_ms: int = 0
    retries_left: int = 0
    shape: str = ""
    decision: str = ""


class Recording(NamedTuple):
    """How an attempt ended, by whose claim; `output` is JSON text, empty unless it succeeded."""

    job: JobId
    topic: str
    nonce: str
    outcome: OutcomeClass
    output: str = ""
    failure: Failure | None = None
    retry_after_ms: int | None = None


class Delivered(NamedTuple):
    """A job's message as it was taken; `nonce` tells this delivery from every other one of the same job."""

    job: JobId
    topic: str
    priority: int
    nonce: str
    direct: bool = False  # it came from the worker's own queue


class Exchanged(NamedTuple):
    """The replies to an exchange, in the order of what was asked; an error stands where its reply would.

    `begun`: jobs that were taken and claimed, in the order in which they should be worked on. `taken`: queues and texts
    of messages that were not claimed with it, because they are no plain jobs or must not begin.
    """

    recorded: list[RecordReply | Exception]
    claimed: list[Claimed | Exception]
    begun: list[tuple[Delivered, Claimed]]
    taken: list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class LostMessage:
    """A message that was taken and never claimed; `sent_at` as Redis wrote it."""

    job: JobId
    topic: str
    priority: int
    sent_at: str


class Jobs:
    def __init__(self, connection: Connection, cell: keys.CellKeys, window: int) -> None:
        self._connection = connection
        self._cell = cell
        self._window = window
        self._topic_keys: dict[str, dict[str, str]] = {}
        self._claim_forms: dict[tuple[str, str, str], Form] = {}
        self._take_forms: dict[tuple[str, tuple[str, ...]], Form] = {}

    def claim(
        self, job: JobId, topic: str, priority: int, incarnation: str, nonce: str, *, direct: bool = False
    ) -> Claimed:
        """Begin an attempt. A second call with the same `nonce` is answered like the first.

        `direct`: the message came from the worker's own queue.
        """
        call = self._claim_call(job, topic, priority, incarnation, nonce, direct)
        return _claimed(self._connection.run_all([call])[0])

    def _claim_call(self, job: JobId, topic: str, priority: int, incarnation: str, nonce: str, direct: bool) -> Call:
        changed, paused = (
            attempt_event_text("step.ready", job, source="queued", target="pending", data=(("reason", reason),))
            for reason in ("policy_changed", "run_paused")
        )
        queue = direct_queue(incarnation) if direct else queue_list(topic, priority)
        form = self._claim_forms.get((topic, queue, incarnation)) or self._claim_form(topic, queue, incarnation)
        own = keys.RunKeys.of(job.run_id)
        arguments = form.filled(
            k_run=own.run,
            k_steps=own.steps,
            k_facts=own.facts,
            k_inputs=own.inputs,
            k_timeline=own.timeline,
            a_run_id=job.run_id,
            a_job_id=str(job),
            a_step=job.step,
            a_attempt=job.attempt,
            a_nonce=nonce,
            a_changed_event=changed,
            a_paused_event=paused,
            a_message=coordinator_message(),
        )
        return Call(form.script, arguments)

    def _claim_form(self, topic: str, queue: str, incarnation: str) -> Form:
        """What is the same for all claims of one queue by one worker."""
        form = self._connection.library["claim"].form(
            **{f"k_{name}": key for name, key in self._keys_of_topic(topic).items()},
            k_workers=self._cell.workers,
            k_sent=self._cell.sent(queue),
            k_held=self._cell.held(incarnation),
            k_timers=self._cell.timers,
            a_incarnation=incarnation,
            a_actor=own_json(incarnation),
            a_topic=topic,
            a_minimum=self._window,
        )
        return _kept(self._claim_forms, (topic, queue, incarnation), form)

    def record(
        self,
        job: JobId,
        topic: str,
        incarnation: str,
        nonce: str,
        outcome: OutcomeClass,
        output: str,
        failure: Failure | None,
        retry_after_ms: int | None,
    ) -> RecordReply:
        """Write down how an attempt ended; `output` is JSON text. Only the claim that began it may."""
        recording = Recording(job, topic, nonce, outcome, output, failure, retry_after_ms)
        (word,) = _recorded(1, self._connection.run_all([self._record_call([recording], incarnation)])[0])
        if isinstance(word, Exception):
            raise word
        return word

    def _record_call(self, recordings: Sequence[Recording], incarnation: str) -> Call:
        script, cell = self._connection.library["record_result"], self._cell
        fixed: dict[str, Argument] = {
            "k_clock": cell.clock,
            "k_held": cell.held(incarnation),
            "k_windows": cell.windows,
            "k_policy": cell.policy,
            "k_wakeups": cell.wakeups,
            "k_coordinator": cell.coordinator,
            "k_stats": cell.stats,
            "a_actor": own_json(incarnation),
            "a_minimum": self._window,
            "a_message": coordinator_message(),
            "a_templates": cell.template(""),
        }
        return Call(script, script.arrange_each(fixed, [self._record_row(one) for one in recordings]))

    def _record_row(self, recording: Recording) -> tuple[tuple[str, ...], tuple[Argument, ...]]:
        job, topic, nonce, outcome, output, failure, retry_after_ms = recording
        own, step, keys_of = keys.RunKeys.of(job.run_id), job.step, self._keys_of_topic(topic)
        return (
            (
                *(own.run, own.steps, own.facts, own.inputs, own.outputs_of(step), own.prepared),
                *(own.children, own.timeline, keys_of["window"], keys_of["turns"], keys_of["parked"]),
            ),
            (
                *(job.run_id, str(job), step, job.attempt, nonce, topic, outcome.value, output),
                *(codec.failure_text(failure), "" if retry_after_ms is None else retry_after_ms, parent_of(step) or ""),
            ),
        )

    def exchange(
        self,
        incarnation: str,
        recordings: Sequence[Recording],
        deliveries: Sequence[Delivered],
        topics: Sequence[str],
        want: int,
        routes: Sequence[str] = (),
        turn: int = 0,
    ) -> Exchanged:
        """What a worker has to say and to ask, in one round trip: record, claim, take and claim up to `want` new jobs.

        `topics` are queues; the worker's own among them gets first what waits on `routes`. `turn` counts the answers
        that the worker has had: until it knows one it asks for the same turn, and is given what that has claimed.
        """
        several = [recordings[first : first + _MOST_RECORDED] for first in range(0, len(recordings), _MOST_RECORDED)]
        calls = [self._record_call(some, incarnation) for some in several]
        calls += [
            self._claim_call(one.job, one.topic, one.priority, incarnation, one.nonce, one.direct) for one in deliveries
        ]
        first, last = len(several), len(several) + len(deliveries)
        takes = bool(topics) and want > 0
        if takes and turn < 1:
            raise ValueError("who takes jobs says in which of its turns")
        if routes and takes:
            calls.append(self._take_routed_call(incarnation, routes, want))
        if takes:
            calls.append(self._take_call(incarnation, tuple(topics), want, turn))
        # What a record sends is taken by who made it, before one who waits for a message is woken.
        replies = self._connection.run_each(calls, undivided=bool(recordings) and takes)
        return Exchanged(
            [word for some, reply in zip(several, replies, strict=False) for word in _recorded(len(some), reply)],
            [reply if isinstance(reply, Exception) else _claimed(reply) for reply in replies[first:last]],
            *(_taken(topics, replies[-1], _nonce(incarnation, turn)) if takes else ([], [])),
        )

    def _take_routed_call(self, incarnation: str, routes: Sequence[str], want: int) -> Call:
        cell, queue = self._cell, direct_queue(incarnation)
        topics = [Route.parse(route).topic for route in routes]
        keys_of = ((cell.turns(r), cell.parked(r), cell.window(t)) for r, t in zip(routes, topics, strict=True))
        return self._connection.call(
            "take_routed",
            {
                "clock": cell.clock,
                "workers": cell.workers,
                "windows": cell.windows,
                "list": queue,
                "sent": cell.sent(queue),
                **self._looking(),
            },
            [key for three in keys_of for key in three],
            topics,
            incarnation=incarnation,
            want=want,
            cause=own_json({"reason": "worker_free", "worker": incarnation}),
            message=coordinator_message(),
        )

    def _take_call(self, incarnation: str, topics: tuple[str, ...], want: int, turn: int) -> Call:
        form = self._take_forms.get((incarnation, topics)) or self._take_form(incarnation, topics)
        return Call(form.script, form.filled(a_want=want, a_turn=turn, a_nonce=_nonce(incarnation, turn)))

    def _take_form(self, incarnation: str, topics: tuple[str, ...]) -> Form:
        """What is the same for all turns of a worker that listens to these queues, in this order."""
        cell = self._cell
        form = self._connection.library["take_jobs"].form(
            [key for row in (_lists_of(topics), map(cell.sent, _lists_of(topics))) for key in row],
            # What came to this worker alone says itself which topic it is of; that is left to the single claim.
            ["" if is_direct(topic) else topic for topic in topics],
            k_clock=cell.clock,
            k_policy=cell.policy,
            k_workers=cell.workers,
            k_worker=cell.worker(incarnation),
            k_held=cell.held(incarnation),
            k_timers=cell.timers,
            a_lists=len(topics),
            a_incarnation=incarnation,
            a_actor=own_json(incarnation),
            a_envelope=MESSAGE_FORM,
            **_run_key_arguments(),
        )
        return _kept(self._take_forms, (incarnation, topics), form)

    def lose(
        self, job: JobId, topic: str, incarnation: str, reason: str, *, child_died: bool = False, left: bool = False
    ) -> LossReply:
        """End an attempt whose worker is gone.

        While its lease holds only the worker itself may say so (`child_died`). `left`: it shut down in order.
        """
        failure = Failure(WORKER_LEFT if left else WORKER_LOST, reason)
        event = Event("step.worker_lost", job.step, job.attempt, actor=incarnation, data={"reason": reason})
        reply = self._connection.run(
            "lose_attempt",
            {
                **self._shared(job, topic),
                "workers": self._cell.workers,
                "held": self._cell.held(incarnation),
            },
            run_id=job.run_id,
            job_id=str(job),
            step=job.step,
            attempt=job.attempt,
            incarnation=incarnation,
            topic=topic,
            failure=codec.failure_text(failure),
            event=event_text(job.run_id, event),
            child_died="1" if child_died else "0",
            minimum=self._window,
            message=coordinator_message(),
        )
        return LossReply(reply[0])

    def _shared(self, job: JobId, topic: str) -> dict[str, str]:
        """Keys of the scripts that settle a job and pass its place on."""
        own = keys.RunKeys.of(job.run_id)
        return {
            **self._keys_of_topic(topic),
            "run": own.run,
            "steps": own.steps,
            "facts": own.facts,
            "timeline": own.timeline,
        }

    def _looking(self) -> dict[str, str]:
        """Keys by which a script has a run looked at."""
        return {"policy": self._cell.policy, "wakeups": self._cell.wakeups, "coordinator": self._cell.coordinator}

    def _keys_of_topic(self, topic: str) -> dict[str, str]:
        """Those that are the same for all its jobs; made once, because they are asked for twice a job."""
        return self._topic_keys.get(topic) or _kept(self._topic_keys, topic, self._make_topic_keys(topic))

    def _make_topic_keys(self, topic: str) -> dict[str, str]:
        return {
            "clock": self._cell.clock,
            "parked": self._cell.parked(topic),
            "windows": self._cell.windows,
            "window": self._cell.window(topic),
            "turns": self._cell.turns(topic),
            "policy": self._cell.policy,
            "wakeups": self._cell.wakeups,
            "coordinator": self._cell.coordinator,
            "stats": self._cell.stats,
        }

    def still_running(self, job: JobId, incarnation: str, note: Event | None = None) -> bool:
        """Whether the attempt is still this worker's; a note goes onto the timeline with the answer."""
        own = keys.RunKeys.of(job.run_id)
        reply = self._connection.run(
            "still_running",
            {"steps": own.steps, "facts": own.facts, "timeline": own.timeline, "clock": self._cell.clock},
            step=job.step,
            attempt=job.attempt,
            incarnation=incarnation,
            event="" if note is None else event_text(job.run_id, note),
        )
        return bool(reply[0] == "RUNNING")

    def once(self, job: JobId, name: str) -> bool:
        """True for the first attempt of this step that asks for this name; it may ask again when it heard no answer."""
        own = keys.RunKeys.of(job.run_id)
        reply = self._connection.run(
            "once", {"once": own.once, "steps": own.steps}, step=job.step, attempt=job.attempt, name=name
        )
        return bool(reply[0] == "FIRST")

    # -- routes --------------------------------------------------------------------------------------------------

    def routes(self) -> list[str]:
        """What jobs ask of their workers that wait, or waited lately."""
        found: Any = self._connection.read(lambda client: client.smembers(self._cell.routes))
        return sorted(found)

    def release_route(self, route: str, targets: Sequence[Target], cause: str) -> None:
        """Send what waits on a route to these workers, the best first, as far as they have room."""
        cell, topic = self._cell, Route.parse(route).topic
        shown: list[JSON] = []
        more: list[str] = []
        for number, target in enumerate(targets):
            queue, first = direct_queue(target.worker), 11 + 3 * number
            more += [cell.held(target.worker), queue, cell.sent(queue)]
            places = {"held": first, "list": first + 1, "sent": first + 2}
            shown.append({"worker": target.worker, "most": target.most, **places})
        self._connection.run(
            "release_route",
            {
                "clock": cell.clock,
                "workers": cell.workers,
                "windows": cell.windows,
                "routes": cell.routes,
                "turns": cell.turns(route),
                "parked": cell.parked(route),
                "window": cell.window(topic),
                **self._looking(),
            },
            more,
            route=route,
            topic=topic,
            targets=own_json(shown),
            cause=own_json({"reason": cause}),
            message=coordinator_message(),
        )

    def give_back(
        self, job: JobId, topic: str, priority: int, incarnation: str, sent_at: str, hold_ms: int, reason: str
    ) -> GiveBackReply:
        """Take a job from a worker's own queue for another: it was not claimed in `hold_ms`; 0: its worker is gone."""
        queue = direct_queue(incarnation)
        data: dict[str, JSON] = {"reason": reason, "worker": incarnation}
        event = Event("step.ready", job.step, job.attempt, source="queued", target="pending", data=data)
        shared = self._shared(job, topic)
        del shared["stats"]
        reply = self._connection.run(
            "give_back",
            {**shared, "workers": self._cell.workers, "sent": self._cell.sent(queue), "list": queue},
            run_id=job.run_id,
            job_id=str(job),
            step=job.step,
            attempt=job.attempt,
            incarnation=incarnation,
            topic=topic,
            sent_at=sent_at,
            hold_ms=hold_ms,
            event=event_text(job.run_id, event),
            minimum=self._window,
            text=job_message(str(job), topic, priority),
            message=coordinator_message(),
        )
        return GiveBackReply(reply[0])

    # -- messages ------------------------------------------------------------------------------------------------

    def topics(self) -> list[str]:
        """Every topic that a stored definition names."""
        found: Any = self._connection.read(lambda client: client.smembers(self._cell.topics))
        return sorted(found)

    def release(self, *topics: str) -> None:
        """Give free places of these topics to their ready jobs."""
        self._connection.run_all([self._release_call(topic) for topic in topics])

    def _release_call(self, topic: str) -> Call:
        return self._connection.call(
            "release_topic",
            {
                "clock": self._cell.clock,
                "parked": self._cell.parked(topic),
                "windows": self._cell.windows,
                "window": self._cell.window(topic),
                "turns": self._cell.turns(topic),
                "policy": self._cell.policy,
                "wakeups": self._cell.wakeups,
                "coordinator": self._cell.coordinator,
            },
            topic=topic,
            minimum=self._window,
            message=coordinator_message(),
        )

    def lost(self, topics: Sequence[str], grace_ms: int) -> list[LostMessage]:
        """Of all queues of these topics, the messages that were taken from their list and never claimed."""
        queues = [(topic, priority) for topic in topics for priority in PRIORITIES]
        calls = [self._unclaimed_call(topic, priority, grace_ms) for topic, priority in queues]
        return [
            LostMessage(job, topic, priority, sent_at)
            for (topic, priority), reply in zip(queues, self._connection.run_all(calls), strict=True)
            for job, sent_at in _unclaimed(reply)
        ]

    def unclaimed(self, topic: str, priority: int, grace_ms: int) -> list[tuple[JobId, str]]:
        """The same of one queue: the jobs, and when their message was sent (as Redis wrote it)."""
        return _unclaimed(self._connection.run_all([self._unclaimed_call(topic, priority, grace_ms)])[0])

    def _unclaimed_call(self, topic: str, priority: int, grace_ms: int) -> Call:
        queue = queue_list(topic, priority)
        return self._connection.call(
            "find_unclaimed",
            {
                "list": queue,
                "sent": self._cell.sent(queue),
                "suspects": self._cell.suspects(queue),
                "clock": self._cell.clock,
                "paused": self._cell.paused,
            },
            topic=topic,
            grace_ms=grace_ms,
            limit=_MOST_LOST,
        )

    def resend(self, job: JobId, topic: str, priority: int, sent_at: str) -> bool:
        """Send the message of an unclaimed job again; False when it has been claimed or taken back meanwhile."""
        own = keys.RunKeys.of(job.run_id)
        queue = queue_list(topic, priority)
        event = Event("step.redispatched", job.step, job.attempt, data={"reason": "message_lost"})
        reply = self._connection.run(
            "resend_message",
            {
                "list": queue,
                "sent": self._cell.sent(queue),
                "suspects": self._cell.suspects(queue),
                "timeline": own.timeline,
                "clock": self._cell.clock,
                "stats": self._cell.stats,
                "paused": self._cell.paused,
            },
            job_id=str(job),
            sent_at=sent_at,
            topic=topic,
            event=event_text(job.run_id, event),
            message=job_message(str(job), topic, priority),
        )
        return bool(reply[0] == "RESENT")


def _kept(known: dict[_Key, _Made], key: _Key, made: _Made) -> _Made:
    """`made`, and known from now on."""
    if len(known) >= _MOST_KEPT:
        known.clear()
    known[key] = made
    return made


@lru_cache(maxsize=256)
def _lists_of(topics: tuple[str, ...]) -> list[str]:
    """All lists of their queues, those of the highest priority first; a worker asks for the same few rows of topics."""
    return [queue_list(topic, priority) for priority in PRIORITIES for topic in topics]


def _claimed(reply: list[Any]) -> Claimed:
    if reply[0] != ClaimReply.CLAIMED.value:
        return Claimed(ClaimReply(reply[0]))
    word = ClaimReply.CLAIMED
    return Claimed(word, reply[1], reply[2], reply[3], reply[4], int(reply[5]), int(reply[6]), *reply[7:9])


def _recorded(count: int, reply: list[Any] | Exception) -> list[RecordReply | Exception]:
    """What became of so many results; the errors of some stand behind the words for all."""
    if isinstance(reply, Exception):
        return [reply] * count
    words, faults = [RecordReply(word) for word in reply[:count]], iter(reply[count:])
    return [ResponseError(next(faults)) if word is RecordReply.FAILED else word for word in words]


def _nonce(incarnation: str, turn: int) -> str:
    """Tells what a worker claims in one of its turns from every other claim."""
    return f"{incarnation}#{turn}"


def _run_key_arguments() -> dict[str, str]:
    """How a script that learns of a run puts its keys together."""
    parts = keys.RunKeys.of("@")
    pairs = {name: getattr(parts, name).split("@") for name in ("run", "steps", "facts", "inputs", "timeline")}
    return {"a_run_before": pairs["run"][0], **{f"a_{name}_after": after for name, (_, after) in pairs.items()}}


def _taken(
    topics: Sequence[str], reply: list[Any] | Exception, nonce: str
) -> tuple[list[tuple[Delivered, Claimed]], list[tuple[str, str]]]:
    if isinstance(reply, Exception):
        raise reply
    begun, others = reply[1:] or ([], [])  # a turn that was overtaken has nothing
    return (
        [
            (Delivered(JobId(run_id, step, int(attempt)), topic, int(priority), nonce), _claimed(granted))
            for topic, priority, run_id, step, attempt, granted in begun
        ],
        [(topics[(int(number) - 1) % len(topics)], text) for number, text in others],
    )


def _unclaimed(reply: list[Any]) -> list[tuple[JobId, str]]:
    flat = reply[1]
    parsed = ((JobId.parse(job_id), sent_at) for job_id, sent_at in zip(flat[::2], flat[1::2], strict=True))
    return [(job, sent_at) for job, sent_at in parsed if job is not None]
