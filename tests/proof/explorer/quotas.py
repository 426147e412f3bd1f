"""What limits the jobs of many runs together, judged by the steps themselves, not by what the scripts have counted."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from cordum.domain.ids import JobId
from cordum.domain.quotas import Quota, QuotaKind
from cordum.store import codec
from tests.proof.explorer.evidence import Move, demand
from tests.proof.explorer.moment import CELL, Moment

TENANT = "default"

_OUT = frozenset({"ready", "queued", "running"})


class Limited(NamedTuple):
    """An attempt that is on its way and has quotas. `waits`: not yet let go by all of them."""

    job_id: str
    quotas: tuple[Quota, ...]
    waits: bool


def limited(moment: Moment) -> Iterator[Limited]:
    waiting = moment.pairs("waiting")
    for run_id in moment.run_ids:
        for step, mark in moment.marks(run_id).items():
            text = moment.fact(run_id, step, "quotas")
            if text and mark.status in _OUT:
                job_id = str(JobId(run_id, step, mark.attempt))
                quotas = codec.FACTS["quotas"](text)
                demand("P14", job_id not in waiting or mark.status == "ready", f"{job_id} waits and is {mark.status}")
                yield Limited(job_id, quotas, job_id in waiting)


def judge(move: Move) -> int:
    """Demand that no quota is exceeded, that none has leaked, and that nobody waits for one that has room."""
    jobs = list(limited(move.after))
    holders: dict[str, dict[str, Quota]] = {}
    for job in jobs:
        for quota in job.quotas:
            if not job.waits and not quota.window_ms:
                holders.setdefault(quota.id, {})[job.job_id] = quota
    _held_by_the_living(move.after, holders)
    for held in holders.values():
        most = max(_most(move.after, quota) for quota in held.values())
        demand("P14", len(held) <= most, f"{sorted(held)} hold what has {most} places")
    for quota in {q.id: q for job in jobs for q in job.quotas if q.window_ms}.values():
        _rate_holds(move, quota, jobs)
    return _waits_for_reasons(move.after, jobs, holders) + _starts_hold(move)


def _most(moment: Moment, quota: Quota) -> int:
    """Its limit now: that of a pool may have been changed, or taken away, since its jobs were decided."""
    pools = moment.pairs("pools")
    if quota.kind is not QuotaKind.POOL or "document" not in pools:
        return quota.most
    return int(pools.get(f"most:{quota.id}", 1000))


def _held_by_the_living(moment: Moment, holders: Mapping[str, Mapping[str, Quota]]) -> None:
    for quota_id, places in moment.everything_of("places").items():
        if moment.entries[f"cordum:{CELL}:places:{quota_id}"].kind == "set":
            alive = sorted(holders.get(quota_id, ()))
            demand("P14", sorted(places) == alive, f"places are held by {sorted(places)}, on their way are {alive}")
    for quota_id, held in holders.items():
        demand("P14", moment.value("places", quota_id), f"{sorted(held)} hold no place")
        pool = next(iter(held.values())).kind is QuotaKind.POOL
        known = moment.pairs("pool_quotas") if pool else moment.pairs("quotas", TENANT)
        demand("P14", quota_id in known, f"nobody can ask who holds {held}")


def _rate_holds(move: Move, quota: Quota, jobs: list[Limited]) -> None:
    """What begins stands in the window, and is at most so many."""
    before, after = (_begun(moment, quota) for moment in (move.before, move.after))
    new = after.keys() - before.keys()
    counted = [token for token, at in after.items() if at > move.after.now - quota.window_ms]
    demand("P14", not new or len(counted) <= quota.most, f"{counted} have begun within the window of {quota}")
    earlier = {job.job_id for job in limited(move.before) if not job.waits}
    for job in jobs:
        tokens = [own.token for own in job.quotas if own.id == quota.id]
        if tokens and not job.waits and job.job_id not in earlier:
            demand("P14", tokens[0] in after, f"{job.job_id} has begun and is not counted by {quota}")


def _starts_hold(move: Move) -> int:
    """Runs begin within the rate that the policy allows; what is refused leaves no trace."""
    rate = json.loads(move.arg("plan")).get("rate") if move.call.name == "create_run" else None
    if rate is None or move.word not in ("CREATED", "THROTTLED"):
        return 0
    places, _, most, span, token, *_ = rate.splitlines()[1].split()
    flat = move.after.raw(places)
    counted = [at for at in flat[1::2] if float(at) > move.after.now - int(span)]
    demand("P14", len(counted) <= int(most), f"{len(counted)} runs have begun where {most} may")
    demand("P14", (token in flat[::2]) == (move.word == "CREATED"), f"{token} was answered {move.word}")
    full = len(counted) == int(most)
    demand("P14", move.word == "CREATED" or full, f"{token} was refused though there was room")
    return 1


def _begun(moment: Moment, quota: Quota) -> dict[str, int]:
    return {token: int(float(at)) for token, at in moment.pairs("places", quota.id).items()}


def _waits_for_reasons(moment: Moment, jobs: list[Limited], holders: Mapping[str, Mapping[str, Quota]]) -> int:
    """Each that waits stands in one line, and who is first in a line finds no room."""
    lines = {quota_id: list(flat[::2]) for quota_id, flat in moment.everything_of("waiters").items()}
    listed = sorted(job_id for line in lines.values() for job_id in line)
    waiting = {job.job_id: job for job in jobs if job.waits}
    demand("P7", listed == sorted(waiting), f"in line are {listed}, those that wait are {sorted(waiting)}")
    demand("P7", sorted(moment.pairs("waiting")) == listed, "what waits cannot be sent on")
    for quota_id, line in lines.items():
        quota = next(q for q in waiting[line[0]].quotas if q.id == quota_id)
        if quota.window_ms:
            _room_is_noticed(moment, quota)
        else:
            full = len(holders.get(quota_id, ())) >= _most(moment, quota)
            demand("P7", full, f"{line[0]} waits for {quota}, of which only {list(holders.get(quota_id, ()))} hold")
    return len(waiting)


def _room_is_noticed(moment: Moment, quota: Quota) -> None:
    """There is an alarm for the moment at which a window has room again."""
    counted = sorted(at for at in _begun(moment, quota).values() if at > moment.now - quota.window_ms)
    alarm = moment.pairs("alarms").get(f"cordum:{CELL}:waiters:{quota.id}")
    free_at = counted[-quota.most] + quota.window_ms if len(counted) >= quota.most else moment.now
    demand(
        "P7", alarm is not None and int(float(alarm)) <= free_at, f"{quota} has room at {free_at}, its alarm: {alarm}"
    )
