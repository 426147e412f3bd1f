"""Which topics a worker takes jobs of: those its option `-Q` names or matches, and for which it has a function.

A pattern is written as for files in a shell (`*`, `?`, `[ab]`, case counts) and held against the whole topic; `*`
crosses dots, so that `job.sre.*` covers `job.sre.db.backup`, and `*` alone covers every topic. It is followed for as
long as the worker lives: a topic that a newly saved workflow names is consumed within two seconds (in a solo pool: once
the running job has ended). Patterns belong to `-Q`; neither `-X` nor `celery control add_consumer` knows them.

`dlq.job.sre.*` covers the queues of dead letters of these topics, for which `@dead_letter` has registered a function;
a pattern that does not begin with `dlq.` covers none of them.

A topic without a function here is left to others, whether named or matched: its messages stay where they are. A
function registered later counts, but in a prefork pool only one registered before the pool's processes were started.
What is consumed is Celery's own list of queues, which outlives the loss of the broker and which the lease tells.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from typing import Any

from celery import bootsteps
from celery.concurrency.prefork import TaskPool

from cordum.domain.ids import is_topic
from cordum.domain.pools import NO_POOLS
from cordum.domain.routing import dead_letter_queue, direct_queue
from cordum.errors import Unavailable
from cordum.execution import process
from cordum.execution.handlers import covers, dead_letters
from cordum.execution.lease import Standing

__all__ = ["Asked", "RegisteredTopics", "TopicQueues", "consumed_topics"]

_log = logging.getLogger(__name__)

READ_EVERY_SEC = 1.0
FOLLOW_EVERY_SEC = 0.5
MANY_TOPICS = 100
_MOST_NAMED = 20
_LETTERS = dead_letter_queue("")


@dataclass(frozen=True, slots=True)
class Asked:
    """What `-Q` asks for, as far as it is topics; other queues are Celery's affair."""

    topics: frozenset[str]
    patterns: tuple[str, ...]

    @classmethod
    def of(cls, queues: Iterable[str]) -> Asked:
        names = list(queues)
        return cls(frozenset(filter(_is_ours, names)), tuple(name for name in names if any(c in name for c in "*?[")))

    def wanted(self, registered: Iterable[str]) -> set[str]:
        """The topics named, and those of the registered ones that a pattern matches."""
        topics = list(filter(is_topic, registered))
        letters = [dead_letter_queue(topic) for topic in topics]
        about_letters = [pattern for pattern in self.patterns if pattern.startswith(_LETTERS)]
        matched = {name for name in topics if any(fnmatchcase(name, pattern) for pattern in self.patterns)}
        matched |= {name for name in letters if any(fnmatchcase(name, pattern) for pattern in about_letters)}
        return {*self.topics, *matched}


class RegisteredTopics:
    """The topics that workflows name, read again and again in a thread: Redis may hesitate, the event loop may not."""

    def __init__(self, read: Callable[[], Collection[str]], every_sec: float) -> None:
        self.latest: Collection[str] = ()
        self._read = read
        self._every_sec = every_sec
        self._away = False
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._keep_reading, name="cordum-topics", daemon=True)

    def start(self) -> None:
        """Returns with a first reading, unless Redis is away."""
        self._look()
        self._thread.start()

    def stop(self) -> None:
        self._over.set()

    def _keep_reading(self) -> None:
        while not self._over.wait(self._every_sec):
            self._look()

    def _look(self) -> None:
        try:
            self.latest = self._read()
        except Unavailable as error:
            if not self._away:
                _log.warning("topics cannot be read, those known are kept: %s", error.detail)
            self._away = True
        except Exception:
            # A thread that ends would leave the patterns as they are for ever.
            _log.exception("topics cannot be read, those known are kept")
        else:
            self._away = False


class TopicQueues(bootsteps.StartStopStep):
    """Gives Celery the queues to consume, at the start and while the worker lives.

    All but the reading of topics happens in the event loop, the only place where a consumer may be changed.
    """

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, consumer: Any, **options: Any) -> None:
        super().__init__(consumer, **options)
        queues = consumer.app.amqp.queues
        self._asked = Asked.of(queues.consume_from)
        # Before kombu declares them: a pattern is no queue, and a topic becomes one when there is a function for it.
        queues.deselect([*self._asked.topics, *self._asked.patterns])
        # A pool's process has the functions that there were when it was forked.
        prefork = isinstance(consumer.pool, TaskPool)
        self._at_fork = frozenset(consumer.app.tasks) if prefork else None
        self._letters_at_fork = dead_letters.names() if prefork else None
        self._registered: RegisteredTopics | None = None
        self._timer: Any = None
        self._taken_up: set[str] = set()
        self._warned: set[tuple[str, str]] = set()

        consumer.cordum_standing = Standing(draining=False, pools=NO_POOLS, routes=())
        consumer.cordum_stir = _nothing  # until jobs are taken in batches
        consumer.cordum_together = dict
        consumer.cordum_follow = partial(self._follow, consumer)
        consumer.cordum_takes_jobs = bool(self._asked.topics or self._asked.patterns)

    def include_if(self, consumer: Any) -> bool:
        return bool(consumer.cordum_takes_jobs)

    def start(self, consumer: Any) -> None:
        # Comes again after every loss of the broker, which ends the consumer's timers; the thread goes on.
        if self._asked.patterns and self._registered is None:
            self._registered = RegisteredTopics(process.engine().topics, READ_EVERY_SEC)
            self._registered.start()
        consumer.add_task_queue(direct_queue(process.incarnation()))
        self._follow(consumer)
        self._timer = consumer.timer.call_repeatedly(FOLLOW_EVERY_SEC, self._follow, (consumer,))

    def stop(self, consumer: Any) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def shutdown(self, consumer: Any) -> None:
        if self._registered is not None:
            self._registered.stop()

    def _follow(self, consumer: Any) -> None:
        if consumer.cordum_standing.draining:
            self._let_go(consumer, consumed_topics(consumer), "drained: takes no new jobs; what runs may finish")
            return
        asked = self._asked.wanted(self._registered.latest if self._registered else ())
        wanted = {topic for topic in asked if self._is_open(consumer, topic)}
        self._warn_once("its pools are closed to this worker: %s", asked - wanted)
        closed = [topic for topic in consumed_topics(consumer) if not self._is_open(consumer, topic)]
        self._let_go(consumer, closed, "its pools are closed to this worker")
        able = {topic for topic in wanted if self._has_function(consumer, topic)}
        # Also what somebody had added by remote control.
        self._leave(consumer, {topic for topic in consumed_topics(consumer) if not self._has_function(consumer, topic)})
        self._tell_of(consumer, wanted - able)
        # What was taken up once and is not consumed any more was cancelled by remote control, and stays so.
        self._take_up(consumer, sorted(able - self._taken_up))

    def _let_go(self, consumer: Any, topics: Iterable[str], why: str) -> None:
        """Not for good: what an operator has changed may be changed back, and then all this is taken up again."""
        for topic in topics:
            consumer.cancel_task_queue(topic)
            self._taken_up.discard(topic)
            _log.warning("%s is not consumed any more: %s", topic, why)

    def _is_open(self, consumer: Any, topic: str) -> bool:
        """Whether a pool of this topic is open to this worker."""
        said = consumer.controller.cordum
        return bool(consumer.cordum_standing.pools.may_serve(topic, said.pools, said.capabilities))

    def _has_function(self, consumer: Any, topic: str) -> bool:
        if topic.startswith(_LETTERS):
            return _handed_over(topic, dead_letters.names() if self._letters_at_fork is None else self._letters_at_fork)
        return topic in consumer.app.tasks and (self._at_fork is None or topic in self._at_fork)

    def _take_up(self, consumer: Any, topics: list[str]) -> None:
        if any(topic not in consumer.strategies and not topic.startswith(_LETTERS) for topic in topics):
            consumer.update_strategies()
        for topic in topics:
            # First: when the broker breaks off in the middle, Celery has the queue on its list and goes on by itself.
            self._taken_up.add(topic)
            consumer.add_task_queue(topic)
        if topics and len(self._taken_up) > MANY_TOPICS >= len(self._taken_up) - len(topics):
            _log.warning(
                "this worker consumes %d topics; over %d each look for a message gets slow: share them between workers",
                len(self._taken_up),
                MANY_TOPICS,
            )

    def _leave(self, consumer: Any, topics: set[str]) -> None:
        for topic in topics:
            consumer.cancel_task_queue(topic)
        self._tell_of(consumer, topics)

    def _tell_of(self, consumer: Any, topics: set[str]) -> None:
        """One line for each reason, naming the topics not told of before."""
        late = {topic for topic in topics if topic in consumer.app.tasks or _handed_over(topic, dead_letters.names())}
        self._warn_once(
            "no function here for %s; name the module that has it with -I, or leave it to other workers", topics - late
        )
        self._warn_once(
            "%s, registered after the pool's processes were started; register it when its module is imported and "
            "restart this worker",
            late,
        )

    def _warn_once(self, reason: str, topics: set[str]) -> None:
        fresh = {topic for topic in topics if (reason, topic) not in self._warned}
        self._warned |= {(reason, topic) for topic in fresh}
        if fresh:
            _log.warning("not consumed: " + reason, _list_of(fresh))


def _handed_over(queue: str, names: Iterable[str]) -> bool:
    """Whether there is a function among these for the dead letters of a queue."""
    return queue.startswith(_LETTERS) and any(covers(name, queue.removeprefix(_LETTERS)) for name in names)


def consumed_topics(consumer: Any) -> tuple[str, ...]:
    """The topics that this worker takes jobs of now; a worker that is leaving takes none. For any thread."""
    if consumer.blueprint.state in (bootsteps.CLOSE, bootsteps.TERMINATE):
        return ()
    return tuple(name for name in list(consumer.app.amqp.queues.consume_from) if is_topic(name))


def _is_ours(name: str) -> bool:
    """A topic, or the queue of a topic's dead letters."""
    return is_topic(name.removeprefix(_LETTERS))


def _list_of(topics: set[str]) -> str:
    shown = sorted(topics)
    more = len(shown) - _MOST_NAMED
    return ", ".join(shown[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _nothing() -> None:
    pass
