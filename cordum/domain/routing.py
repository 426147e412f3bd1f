"""Which queue a job goes to: its topic's own, or that of one worker which is chosen for it.

A topic's queue is shared by all workers that take jobs of it, and those are only workers that its pools are open to
(`domain.pools`; each worker sees to that itself). A job that asks for more (labels, a pool of several) never lies where
a worker could take it that is not eligible: it goes to the least busy eligible one's direct queue, or waits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cordum.domain.pools import NO_POOLS, Pool, PoolMap
from cordum.domain.workflow import Priority

# Celery's Redis transport keeps one list per priority step; 0 is served first.
_NUMBER = {Priority.CRITICAL: 0, Priority.INTERACTIVE: 3, Priority.BATCH: 6}
PRIORITIES = tuple(sorted(_NUMBER.values()))

PREFERRED_POOL, PREFERRED_WORKER = "preferred_pool", "preferred_worker_id"
"""The route labels that name no label of a worker."""

_DIRECT = "cordum.direct."
_BUSY_PERCENT = 90


def priority_number(priority: Priority) -> int:
    return _NUMBER[priority]


def dead_letter_queue(topic: str) -> str:
    """The Celery queue, and the name of the task, for dead letters of a topic's jobs."""
    return f"dlq.{topic}"


def queue_list(topic: str, priority: int) -> str:
    """The Redis list that kombu reads for a queue and priority (kombu.transport.redis, `Channel._q_for_pri`)."""
    return f"{topic}\x06\x16{priority}" if priority else topic


def direct_queue(incarnation: str) -> str:
    """The queue that one worker takes jobs of and nobody else."""
    return _DIRECT + incarnation.replace("/", ".")


def is_direct(queue: object) -> bool:
    return isinstance(queue, str) and queue.startswith(_DIRECT)


@dataclass(frozen=True, slots=True)
class Route:
    """What a job asks of its worker, beside a function for its topic. Its text names it, and can be read back."""

    topic: str
    pool: str | None = None
    labels: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        wanted = [*self.labels, *([(PREFERRED_POOL, self.pool)] if self.pool else [])]
        return f"{self.topic}?" + "&".join(f"{name}={value}" for name, value in sorted(wanted))

    @classmethod
    def parse(cls, text: str) -> Route:
        topic, _, rest = text.partition("?")
        wanted = dict(part.split("=", 1) for part in rest.split("&"))
        return cls(topic, wanted.pop(PREFERRED_POOL, None), tuple(sorted(wanted.items())))

    @classmethod
    def of(cls, topic: str, labels: Mapping[str, str]) -> Route | None:
        """The route of a step with these labels; None: any worker of the topic will do."""
        placement = {name: value for name, value in labels.items() if name not in (PREFERRED_POOL, PREFERRED_WORKER)}
        pool = labels.get(PREFERRED_POOL)
        return cls(topic, pool, tuple(sorted(placement.items()))) if placement or pool else None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A living worker. `active`: jobs it holds or that are on their way to it alone."""

    id: str
    slots: int
    active: int = 0
    topics: frozenset[str] = frozenset()
    pools: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    capabilities: tuple[str, ...] = ()
    name: str = ""

    @property
    def most(self) -> int:
        """How many jobs it may have and still be given another: nine of ten slots, or all but none of a few."""
        return self.slots if self.slots < 10 else -(-self.slots * _BUSY_PERCENT // 100)

    @property
    def overloaded(self) -> bool:
        return self.active >= self.most

    @property
    def load(self) -> float:
        return self.active / self.slots if self.slots else 1.0


def eligible(worker: Candidate, topic: str, route: Route | None, pools: PoolMap) -> bool:
    """Whether a worker may run a job: it takes its topic, has its labels, and is of the pool that is asked for."""
    return _is_able(worker, topic, route, _serving(topic, route, pools))


def _serving(topic: str, route: Route | None, pools: PoolMap) -> tuple[Pool, ...] | None:
    """The pools of which a worker has to be one; None: any will do."""
    serving = pools.pools_of(topic)
    if route is None or route.pool is None:
        return serving
    # One that nobody has described takes whoever says that it belongs to it.
    wanted = pools.pools.get(route.pool, Pool(route.pool))
    return (wanted,) if serving is None or wanted in serving else ()


def _is_able(worker: Candidate, topic: str, route: Route | None, serving: tuple[Pool, ...] | None) -> bool:
    if topic not in worker.topics:
        return False
    if route is not None and any(worker.labels.get(name) != value for name, value in route.labels):
        return False
    return serving is None or any(pool.fits(worker.pools, worker.capabilities) for pool in serving)


def least_loaded(
    workers: Sequence[Candidate],
    topic: str,
    route: Route | None = None,
    *,
    pools: PoolMap = NO_POOLS,
    preferred: str | None = None,
    turn: int = 0,
) -> list[Candidate]:
    """The eligible workers that have room: the preferred one (by id or name) first, then the least busy ones.

    Equally busy ones come in turn: another first for each `turn`.
    """
    serving = _serving(topic, route, pools)
    able = [worker for worker in workers if not worker.overloaded and _is_able(worker, topic, route, serving)]
    if not able:
        return []
    first = turn % len(able)
    ranked = sorted(able[first:] + able[:first], key=lambda worker: worker.load)
    return sorted(ranked, key=lambda worker: preferred is None or preferred not in (worker.id, worker.name))
