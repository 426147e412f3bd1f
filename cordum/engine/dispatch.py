"""Who gets a job that not every worker may have: the registry as it was a moment ago, and the choice among it.

What is chosen here is tried by the script that commits it, which alone knows how many jobs a worker has: a worker that
has filled up or died since is passed over. So a registry that is somewhat old costs balance and breaks no promise.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from cordum.domain.plan import Job, Plan, Target
from cordum.domain.pools import NO_POOLS, PoolMap
from cordum.domain.routing import Candidate, Route, eligible, least_loaded
from cordum.store import Store
from cordum.store.workers import Registered

# So many the script may look at: the work it does must not grow with the number of workers.
MOST_TARGETS = 8
_AGE_SEC = 0.25


class Dispatch:
    def __init__(self, store: Store, pools: Callable[[], PoolMap | None]) -> None:
        self._store = store
        self._pools = pools
        self._workers: dict[str, Candidate] = {}
        self._age_sec = _AGE_SEC
        self._read_at = -_AGE_SEC
        self._turn = 0

    def placed(self, plan: Plan) -> Plan:
        """The plan with the workers named that each of its jobs may go to at once."""
        if not any(job.route or job.worker for job in plan.jobs):
            return plan
        return replace(plan, jobs=tuple(self._place(job) for job in plan.jobs))

    def _place(self, job: Job) -> Job:
        if job.route is None and job.worker is None:
            return job
        found = self.choose(job.topic, job.route, job.worker)
        if job.route is None:
            # Anybody of the topic may have it: the preferred worker, or whoever is first at the shared queue.
            found = [one for one in found if job.worker in (one.id, one.name)]
        if found:
            # Until the registry is read again, this very process is the one that gives it most jobs.
            self._workers[found[0].id] = replace(found[0], active=found[0].active + 1)
        return replace(job, targets=tuple(Target(one.id, one.most) for one in found[:MOST_TARGETS]))

    def choose(self, topic: str, route: Route | None, preferred: str | None = None) -> list[Candidate]:
        """The workers that may have such a job and have room, the best first."""
        self._turn += 1
        pools = self._pools() or NO_POOLS
        workers = list(self.workers().values())
        return least_loaded(workers, topic, route, pools=pools, preferred=preferred, turn=self._turn)

    def release(self, route_text: str, cause: str) -> None:
        """Send what waits on a route to workers that have room now."""
        route = Route.parse(route_text)
        found = self.choose(route.topic, route)
        self._store.jobs.release_route(route_text, [Target(one.id, one.most) for one in found[:MOST_TARGETS]], cause)

    def routes_of(self, worker: Candidate) -> list[str]:
        """Those of the routes on which jobs wait that this worker may serve."""
        pools = self._pools() or NO_POOLS
        routes = ((text, Route.parse(text)) for text in self._store.jobs.routes())
        return [text for text, route in routes if eligible(worker, route.topic, route, pools)]

    def has_eligible(self, route_text: str) -> bool:
        """Whether some living worker may serve a route, busy or not."""
        route, pools = Route.parse(route_text), self._pools() or NO_POOLS
        return any(eligible(worker, route.topic, route, pools) for worker in self.workers().values())

    def workers(self) -> dict[str, Candidate]:
        """Living workers by incarnation."""
        if time.monotonic() - self._read_at >= self._age_sec:
            now = self._store.policies.current(-1).now
            census = self._store.workers.census()
            self._workers = {one.incarnation: candidate_of(one) for one in census if one.lease_until >= now}
            self._read_at = time.monotonic()
        return self._workers


def candidate_of(one: Registered) -> Candidate:
    info = one.info
    return Candidate(
        id=one.incarnation,
        name=f"{info.get('name')}@{info.get('host')}",
        slots=int(info.get("slots", 0)),
        active=one.active + one.reserved,
        # One that is drained may not have heard of it yet.
        topics=frozenset() if one.draining else frozenset(info.get("topics", ())),
        pools=tuple(info.get("pools", ())),
        labels=dict(info.get("labels", {})),
        capabilities=tuple(info.get("capabilities", ())),
    )
