"""Workers and queues as operators see and handle them: who there is, what waits where, drain, pause, resume.

They serve all tenants: what is done with them is told in the audit of the admin's tenant.
"""

from __future__ import annotations

from typing import Any

from cordum.domain.audit import Act
from cordum.domain.ids import is_topic
from cordum.engine.core import Core
from cordum.engine.dead_letters import DeadLetters
from cordum.engine.operations import required_reason
from cordum.engine.values import Caller
from cordum.engine.views import rfc3339
from cordum.errors import NotFound
from cordum.store.figures import TopicFigures
from cordum.store.queues import Pause
from cordum.store.workers import Drained, Registered


class Fleet:
    def __init__(self, core: Core, letters: DeadLetters) -> None:
        self._core = core
        self._store = core.store
        self._letters = letters

    # -- workers -------------------------------------------------------------------------------------------------

    def workers(self) -> list[dict[str, Any]]:
        """Those whose lease holds, by their id."""
        return sorted((_worker_view(one) for one in self._alive()), key=lambda shown: str(shown["id"]))

    def worker(self, worker_id: str) -> dict[str, Any]:
        """By its id, or by the name it was started with when only one has it."""
        return _worker_view(self._find(worker_id)[0])

    def drain(
        self, caller: Caller, worker_id: str, reason: str, *, draining: bool = True, dry_run: bool = False
    ) -> dict[str, Any]:
        """Let what runs there finish and nothing new begin; `draining` False: let it take jobs again."""
        act = self._act(caller, reason)
        found = self._find(worker_id)
        if dry_run:
            return {"dry_run": True, "changes": _changed(found, draining=draining), **_worker_view(found[0])}
        for one in found:
            self._store.workers.drain(one.incarnation, act, draining=draining)
        return self.worker(worker_id)

    def drain_pool(
        self, caller: Caller, pool: str, reason: str, *, draining: bool = True, dry_run: bool = False
    ) -> dict[str, Any]:
        """The same for all workers that say they belong to a pool, also for those that start later.

        A worker of several pools takes nothing new when all of them are drained.
        """
        act, store = self._act(caller, reason), self._store.workers
        if not self._members(pool):
            raise NotFound(f"no living worker says it belongs to a pool {pool}")
        if not dry_run:
            store.drain_pool(pool, act, draining=draining)
        drained = {*store.drained_pools(), pool} if draining else store.drained_pools().keys() - {pool}
        stay = {one.incarnation: drained >= set(one.info["pools"]) for one in self._members(pool)}
        if dry_run:
            changed = [name for one in self._members(pool) for name in _changed([one], draining=stay[one.incarnation])]
            return {"dry_run": True, "changes": changed, **self._pool_view(pool, draining=draining)}
        for incarnation, still in stay.items():
            store.drain(incarnation, act, draining=still, told=False)
        return self._pool_view(pool, draining=draining)

    def _pool_view(self, pool: str, *, draining: bool) -> dict[str, Any]:
        shown = [_worker_view(one) for one in self._members(pool)]
        return {"pool": pool, "draining": draining, "drained": all(one["status"] == "drained" for one in shown)} | {
            "active": sum(one["active"] for one in shown),
            "workers": [{key: one[key] for key in ("id", "status", "active")} for one in shown],
        }

    def _members(self, pool: str) -> list[Registered]:
        return [one for one in self._alive() if pool in one.info.get("pools", ())]

    def _act(self, caller: Caller, reason: str) -> Act:
        return Act(caller.person, self._core.settings.admin_tenant, required_reason(reason))

    def _alive(self) -> list[Registered]:
        now = self._core.decider_now()[1]
        return [one for one in self._store.workers.census() if one.lease_until >= now]

    def _find(self, worker_id: str) -> list[Registered]:
        found = [one for one in self._alive() if worker_id in (one.incarnation, _id_of(one), _nodename(one))]
        if not found:
            raise NotFound(f"there is no living worker {worker_id}")
        return found

    # -- queues --------------------------------------------------------------------------------------------------

    def queues(self) -> list[dict[str, Any]]:
        """Every topic that a definition names, a worker takes jobs of, or that is paused; then those of dead letters.

        Nobody counts the consumers of `dlq.<topic>`: what lies there need not be taken by anybody.
        """
        figures, workers, paused = self._store.figures.read(), self._alive(), self._store.queues.paused()
        topics = sorted({*figures.topics, *paused, *(t for one in workers for t in one.info.get("topics", ()))})
        aside = self._store.queues.aside(list(paused))
        return [
            self._queue_view(
                topic,
                figures.topics.get(topic, _NOTHING),
                figures.now,
                [one for one in workers if topic in one.info.get("topics", ())],
                paused.get(topic),
                aside.get(topic, 0),
            )
            for topic in topics
        ] + [_NO_TOPIC | one for one in self._letters.queues(figures.now)]

    def queue(self, topic: str) -> dict[str, Any]:
        found = next((one for one in self.queues() if one["name"] == topic), None)
        if found is None:
            raise NotFound(f"there is no queue {topic}")
        return found

    def pause(self, caller: Caller, topic: str, reason: str, *, dry_run: bool = False) -> dict[str, Any]:
        """Let nothing of a topic begin; what runs may finish. A topic that nobody has named yet may be paused, too."""
        act = self._act(caller, reason)
        self._check_topic(topic)
        if not dry_run:
            self._store.queues.pause(topic, act)
        return self._told(topic, dry_run, paused=True)

    def resume(self, caller: Caller, topic: str, reason: str, *, dry_run: bool = False) -> dict[str, Any]:
        """Let a paused topic go on; what may be sent is on its way when this returns."""
        act = self._act(caller, reason)
        self._check_topic(topic)
        if not dry_run:
            self._store.queues.resume(topic, act)
        return self._told(topic, dry_run, paused=False)

    def _check_topic(self, topic: str) -> None:
        if not is_topic(topic):
            raise NotFound(f"there is no queue {topic}")

    def _told(self, topic: str, dry_run: bool, *, paused: bool) -> dict[str, Any]:
        """The queue as it is; of a dry run, with what would change."""
        unnamed = {"name": topic, "depth": 0} | _NO_TOPIC
        shown = next((one for one in self.queues() if one["name"] == topic), unnamed)
        if not dry_run:
            return shown
        return {"dry_run": True, "changes": [topic] if bool(shown["paused"]) is not paused else [], **shown}

    def _queue_view(
        self,
        topic: str,
        figures: TopicFigures,
        now: int,
        consumers: list[Registered],
        paused: Pause | None,
        aside: int,
    ) -> dict[str, Any]:
        queued = figures.queued + aside
        ready_since = self._store.queues.oldest_ready(topic) if figures.ready else None
        since = min((at for at in (figures.oldest_at, ready_since) if at is not None), default=None)
        return {
            "name": topic,
            "depth": figures.ready + queued,
            "ready": figures.ready,
            "queued": queued,
            "running": max(figures.unfinished - queued, 0),
            "oldest_age_sec": None if since is None else max(now - since, 0) / 1000,
            "consumers": len(consumers),
            "slots": sum(int(one.info.get("slots", 0)) for one in consumers),
            "paused": None
            if paused is None
            else {"at": rfc3339(paused.at), "by": paused.by, "reason": paused.reason or None},
        }


_NO_TOPIC = {"ready": 0, "queued": 0, "running": 0, "slots": None, "paused": None}
_NOTHING = TopicFigures(ready=0, queued=0, unfinished=0, oldest_at=None)


def _nodename(one: Registered) -> str:
    return f"{one.info['name']}@{one.info['host']}"


def _id_of(one: Registered) -> str:
    """The incarnation in a form that a path can hold."""
    return one.incarnation.replace("/", ".")


def _worker_view(one: Registered) -> dict[str, Any]:
    info, slots = one.info, int(one.info.get("slots", 0))
    pools, topics = list(info.get("pools", ())), list(info.get("topics", ()))
    return {
        "id": _id_of(one),
        "worker_id": _id_of(one),
        "name": _nodename(one),
        "incarnation": one.incarnation,
        "host": info.get("host"),
        "pid": info.get("pid"),
        "version": info.get("version"),
        "status": _status(one, topics),
        "pools": pools,
        "pool": pools[0] if pools else None,
        "topics": topics,
        "labels": dict(info.get("labels", {})),
        "capabilities": list(info.get("capabilities", ())),
        "slots": slots,
        "active": one.active,
        "active_jobs": one.active,
        "max_parallel_jobs": slots,
        "load": round(one.active / slots, 3) if slots else None,
        "draining": _drain_view(one.draining),
        "registered_at": rfc3339(one.registered_at),
        "started_at": rfc3339(info.get("started_at_ms")),
        "lease_until": rfc3339(one.lease_until),
    }


def _changed(found: list[Registered], *, draining: bool) -> list[str]:
    """Ids of those that are not so yet."""
    return [_id_of(one) for one in found if (one.draining is not None) is not draining]


def _status(one: Registered, topics: list[str]) -> str:
    """`drained`: it takes nothing, and holds nothing any more; only then may it be ended without a loss."""
    if one.draining is None:
        return "ready"
    return "draining" if topics or one.active else "drained"


def _drain_view(drained: Drained | None) -> dict[str, Any] | None:
    return None if drained is None else {"at": rfc3339(drained.at), "by": drained.by}
