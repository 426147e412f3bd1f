"""Schedules: kept, shown, and carried out when their time comes.

Each tick is one look, one decision (`domain.schedules.move`) and one script that starts the run and moves the schedule
on together. Whoever comes second finds the schedule moved and looks again, so any number of coordinators give one run a
tick.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from cordum.domain.audit import Act
from cordum.domain.cron import Cron, problems
from cordum.domain.plan import Event
from cordum.domain.schedules import MAX_OPEN, SCHEDULE_ID, CatchUp, Overlap, Schedule, Standing, move
from cordum.domain.schedules import Move as Decided
from cordum.domain.states import RunStatus
from cordum.domain.times import milliseconds
from cordum.domain.workflow import JSON
from cordum.engine.core import Core
from cordum.engine.operations import required_reason
from cordum.engine.runs import Runs, check_input, refuse_by_policy
from cordum.engine.starting import Start
from cordum.engine.values import Caller, Page
from cordum.engine.views import rfc3339
from cordum.engine.workflows import Workflows
from cordum.errors import CordumError, NotFound, Problem, StateConflict, Unavailable, Unprocessable
from cordum.store.runs import CreateReply, Idempotency
from cordum.store.schedules import Kept, ScheduleNow, ScheduleStep

_LOG = logging.getLogger(__name__)
_ENDED = frozenset(status.value for status in RunStatus if status.terminal)
_MOST_MOVES = 2000
_PREVIEW = 5
MAX_BACKFILL = 500
MAX_SCHEDULES = 1000  # of one tenant
CANCELLED = "the next tick of its schedule has come"


class Schedules:
    def __init__(self, core: Core, runs: Runs, workflows: Workflows) -> None:
        self._core = core
        self._store = core.store.schedules
        self._runs = runs
        self._workflows = workflows

    # -- keeping -------------------------------------------------------------------------------------------------

    def create(self, caller: Caller, wanted: Mapping[str, Any]) -> dict[str, Any]:
        schedule_id = wanted.get("id") or f"{wanted['workflow_id'][:50]}-{os.urandom(4).hex()}"
        schedule = self._schedule(caller, schedule_id, wanted)
        seen = self._read(caller.tenant, schedule_id)
        if seen.kept is None and len(self._store.ids(caller.tenant)) >= MAX_SCHEDULES:
            raise StateConflict(f"a tenant has at most {MAX_SCHEDULES} schedules: delete some", code="limit_exceeded")
        kept = self._begin(schedule, seen.now, paused=bool(wanted.get("paused")))
        told = Act(caller.person, caller.tenant).event("schedule.created", **_about(schedule))
        if seen.kept is not None or not self._save(None, replace(kept, created_at=seen.now), told):
            raise StateConflict(
                f"there is a schedule {schedule_id}: replace it with PUT, or choose another id", code="already_exists"
            )
        return self.get(caller.tenant, schedule_id)

    def replace(self, caller: Caller, schedule_id: str, wanted: Mapping[str, Any]) -> dict[str, Any]:
        """What it does from now on; whoever says so is the person behind it from then on."""
        schedule = self._schedule(caller, schedule_id, wanted)

        def change(seen: Kept, now: int) -> Kept:
            begun = self._begin(schedule, now, paused=bool(wanted.get("paused", seen.paused)))
            return replace(
                seen, schedule=schedule, standing=begun.standing, paused=begun.paused, updated_at=now, last_error=None
            )

        told = Act(caller.person, caller.tenant).event("schedule.replaced", **_about(schedule))
        return self._change(caller.tenant, schedule_id, change, told)

    def pause(self, caller: Caller, schedule_id: str, reason: str, *, dry_run: bool = False) -> dict[str, Any]:
        """No tick from now on; those that were waiting are dropped."""
        told = _act(caller, reason).event("schedule.paused", schedule=schedule_id)

        def change(seen: Kept, now: int) -> Kept:
            return seen if seen.paused else replace(seen, paused=True, standing=Standing(None), updated_at=now)

        return self._change(caller.tenant, schedule_id, change, told, dry_run=dry_run)

    def resume(self, caller: Caller, schedule_id: str, reason: str, *, dry_run: bool = False) -> dict[str, Any]:
        """Go on with the next tick; those of the pause are nobody's (a backfill brings them)."""
        told = _act(caller, reason).event("schedule.resumed", schedule=schedule_id)

        def change(seen: Kept, now: int) -> Kept:
            standing = Standing(seen.schedule.next_tick(now))
            return replace(seen, paused=False, standing=standing, updated_at=now) if seen.paused else seen

        return self._change(caller.tenant, schedule_id, change, told, dry_run=dry_run)

    def delete(self, caller: Caller, schedule_id: str, reason: str, *, dry_run: bool = False) -> dict[str, Any] | None:
        """None, or what a dry run tells: the schedule that would go."""
        act = _act(caller, reason)
        if dry_run:
            return {"dry_run": True, **self.get(caller.tenant, schedule_id)}
        if not self._store.delete(schedule_id, act):
            raise _no_schedule(schedule_id)
        return None

    def _schedule(self, caller: Caller, schedule_id: str, wanted: Mapping[str, Any]) -> Schedule:
        """The schedule that is asked for; Unprocessable with everything that is wrong with it."""
        cron = Cron(wanted["cron"], wanted.get("timezone") or "UTC")
        wrong = problems(cron.expression, cron.timezone)
        bounds = {name: _moment(wanted, name, wrong) for name in ("starts_at", "ends_at")}
        if not SCHEDULE_ID.match(schedule_id):
            wrong.append(Problem("/id", "id_format", f"must match {SCHEDULE_ID.pattern.removesuffix(chr(92) + 'Z')}"))
        schedule = Schedule(
            id=schedule_id,
            tenant=caller.tenant,
            workflow_id=wanted["workflow_id"],
            version=wanted.get("version"),
            cron=cron,
            person=caller.person,
            input=wanted.get("input") or {},
            overlap=Overlap(wanted.get("overlap") or Overlap.SKIP),
            catch_up=CatchUp(wanted.get("catch_up") or CatchUp.NONE),
            labels=wanted.get("labels") or {},
            description=wanted.get("description") or "",
            **bounds,
        )
        try:
            self._pinned(schedule)
        except NotFound as error:
            wrong.append(Problem("/workflow_id", "unknown_workflow", f"{error.detail}: save it first"))
        except Unprocessable as error:
            wrong += [replace(one, path=f"/input{one.path}") for one in error.problems]
        if not wrong and schedule.next_tick(0) is None:
            wrong.append(Problem("/ends_at", "invalid_choice", "there is no tick between starts_at and ends_at"))
        if wrong:
            raise Unprocessable(f"the schedule is not usable: {wrong[0]}", code="schedule_invalid", problems=wrong)
        return schedule

    def _begin(self, schedule: Schedule, now: int, *, paused: bool) -> Kept:
        standing = Standing(None if paused else schedule.next_tick(now))
        return Kept(schedule, standing, "", paused=paused, updated_at=now)

    def _change(
        self, tenant: str, schedule_id: str, change: Any, told: Event, *, dry_run: bool = False
    ) -> dict[str, Any]:
        """What it is afterwards; of a dry run, what it would be."""
        for _ in range(_MOST_MOVES):
            seen = self._read(tenant, schedule_id)
            if seen.kept is None:
                raise _no_schedule(schedule_id)
            after = change(seen.kept, seen.now)
            if dry_run:
                return {"dry_run": True, **_view(after, seen.now)}
            if after is seen.kept or self._save(seen.kept, after, told):
                return self.get(tenant, schedule_id)
        raise Unavailable("the schedule is changing too fast, try again", code="conflict_repeated")

    def _save(self, seen: Kept | None, after: Kept, told: Event) -> bool:
        return self._store.save(ScheduleStep.of(seen, after, after.standing.next_at), told)

    # -- showing -------------------------------------------------------------------------------------------------

    def list(self, tenant: str, limit: int, after: str | None) -> Page:
        ids = [one for one in self._store.ids(tenant) if after is None or one > after]
        found = self._store.read(tenant, ids[:limit])
        items = [_view(seen.kept, seen.now) for seen in found if seen.kept]
        return Page(items, ids[limit - 1] if len(ids) > limit else None)

    def get(self, tenant: str, schedule_id: str) -> dict[str, Any]:
        seen = self._required(tenant, schedule_id)
        return {**_view(*seen), "next_ticks": self._preview(*seen, _PREVIEW)}

    def next_ticks(self, tenant: str, schedule_id: str, count: int) -> Sequence[str | None]:
        """When the next runs would begin, were it not paused."""
        return self._preview(*self._required(tenant, schedule_id), count)

    def _preview(self, kept: Kept, now: int, count: int) -> Sequence[str | None]:
        found: list[str | None] = []
        tick = kept.schedule.next_tick(now)
        while tick is not None and len(found) < count:
            found.append(rfc3339(tick))
            tick = kept.schedule.next_tick(tick)
        return found

    def _read(self, tenant: str, schedule_id: str) -> ScheduleNow:
        return self._store.read(tenant, [schedule_id])[0]

    def _required(self, tenant: str, schedule_id: str) -> tuple[Kept, int]:
        seen = self._read(tenant, schedule_id)
        if seen.kept is None:
            raise _no_schedule(schedule_id)
        return seen.kept, seen.now

    # -- carrying out --------------------------------------------------------------------------------------------

    def carry_on_all(self, due: Sequence[tuple[str, str]]) -> None:
        """What is due of these; one that makes trouble does not keep the others waiting."""
        for tenant, schedule_id in due:
            try:
                self.carry_on(tenant, schedule_id)
            except Unavailable:
                raise
            except Exception:
                _LOG.exception("schedule %s of %s cannot be carried out", schedule_id, tenant)

    def carry_on(self, tenant: str, schedule_id: str) -> None:
        """Start what is due, tick by tick, until nothing is, or something must be waited for."""
        for _ in range(_MOST_MOVES):
            seen = self._read(tenant, schedule_id)
            kept = seen.kept
            if kept is None or kept.paused:
                return
            still_open = self._store.open_runs(kept.open_runs, _ENDED)
            decided = move(kept.schedule, kept.standing, seen.now, still_open)
            if decided is None:
                return
            known = replace(kept, open_runs=still_open)
            if decided.cancel:
                self._cancel(kept.schedule, decided.cancel)
            elif decided.fire is not None:
                self._fire(kept, known, decided, decided.fire, seen.now)
            elif self._store.save(_step(kept, known, decided)):
                return

    def _cancel(self, schedule: Schedule, run_ids: Sequence[str]) -> None:
        for run_id in run_ids:
            try:
                self._runs.cancel(Caller(schedule.tenant, f"schedule {schedule.id}"), run_id, CANCELLED)
            except NotFound:
                continue

    def _fire(self, seen: Kept, known: Kept, decided: Decided, tick: int, now: int) -> None:
        """Start the run of a tick and move on, or move on without one that cannot begin."""
        schedule, run_id = seen.schedule, self._core.new_run_id(now)
        open_runs = (*known.open_runs, run_id)[-MAX_OPEN:]
        begun = replace(known, open_runs=open_runs, last_tick=tick, last_run=run_id, last_error=None)
        step = _step(seen, begun, decided, fired=1)
        try:
            start = self._start(schedule, tick, run_id)
            created, _ = self._core.create(start, self._once(tick, schedule), check=refuse_by_policy, tick=step)
        except Unavailable:
            raise
        except CordumError as error:
            refused = replace(known, last_tick=tick, last_error=error.detail)
            if self._store.save(_step(seen, refused, decided, refused=1)):
                _LOG.warning("schedule %s of %s: no run at %s: %s", schedule.id, schedule.tenant, tick, error.detail)
            return
        if created.word in (CreateReply.REPLAYED, CreateReply.KEY_REUSED):  # a backfill has brought this tick
            self._store.save(_step(seen, replace(known, last_tick=tick, last_run=created.run_id), decided))

    def _start(
        self,
        schedule: Schedule,
        tick: int | None,
        run_id: str | None,
        person: str | None = None,
        reason: str | None = None,
    ) -> Start:
        version, digest = self._pinned(schedule)
        moment = {} if tick is None else {"scheduled_for": str(rfc3339(tick))}
        return Start(
            tenant=schedule.tenant,
            person=person or schedule.person,
            workflow=self._core.workflow(schedule.tenant, schedule.workflow_id, digest),
            version=(version, digest),
            input=dict(schedule.input),
            labels={**schedule.labels, "schedule": schedule.id, **moment},
            run_id=run_id,
            triggered_by=schedule.id,
            reason=reason,
        )

    def _pinned(self, schedule: Schedule) -> tuple[int, str]:
        """Number and digest of the version that it starts.

        NotFound when there is none, Unprocessable when it does not take the input.
        """
        workflow_id, tenant = schedule.workflow_id, schedule.tenant
        found = self._core.store.workflows.pinned(tenant, workflow_id, schedule.version)
        version, digest = self._workflows.required(workflow_id, found)
        check_input(self._core.workflow(tenant, workflow_id, digest), dict(schedule.input))
        return version, digest

    def _once(self, tick: int, schedule: Schedule) -> Idempotency:
        """A tick has one run, also if it is backfilled."""
        return Idempotency(str(tick), "tick", self._core.settings.idempotency_ttl_sec, f"schedule {schedule.id}")

    # -- by hand -------------------------------------------------------------------------------------------------

    def trigger(self, caller: Caller, schedule_id: str, key: str | None = None) -> str:
        """Start a run now, whatever else is open; later ticks take it for one of the schedule's. Its id.

        `key`: however often it is asked for with the same one, it is one run.
        """
        once = None
        if key is not None:
            ttl_sec = self._core.settings.idempotency_ttl_sec
            once = Idempotency(key, "trigger", ttl_sec, f"schedule {schedule_id} by hand")
        for _ in range(_MOST_MOVES):
            kept, now = self._required(caller.tenant, schedule_id)
            run_id = self._core.new_run_id(now)
            open_runs = (*self._store.open_runs(kept.open_runs, _ENDED), run_id)[-MAX_OPEN:]
            after = replace(kept, open_runs=open_runs, last_run=run_id)
            step = ScheduleStep.of(kept, after, _look_at(kept, now))
            start = self._start(kept.schedule, None, run_id, caller.person)
            created, _ = self._core.create(start, once, check=refuse_by_policy, tick=step)
            if created.word is not CreateReply.SCHEDULE_MOVED:
                return created.run_id
        raise Unavailable("the schedule is changing too fast, try again", code="conflict_repeated")

    def backfill(
        self, caller: Caller, schedule_id: str, first: int, last: int, reason: str, *, dry_run: bool = False
    ) -> dict[str, Any]:
        """A run for each tick from `first` up to and with `last` that has none; asked again, those that are left.

        Each run says why it was started; a dry run tells which ticks have none (`run_id` null).
        """
        required_reason(reason)
        kept, now = self._required(caller.tenant, schedule_id)
        schedule = replace(kept.schedule, starts_at=None, ends_at=None)
        if first > last or last > now:
            problem = Problem("/to", "number_range", "must lie after `from` and not in the future")
            raise Unprocessable("this range cannot be filled", problems=[problem])
        ticks = schedule.ticks(first, last, MAX_BACKFILL + 1)
        if len(ticks) > MAX_BACKFILL:
            problem = Problem("/to", "limit_exceeded", f"more than {MAX_BACKFILL} ticks: ask for a shorter range")
            raise Unprocessable("this range has too many ticks", problems=[problem])
        if dry_run:
            scope = self._once(0, schedule).scope or ""
            known = self._core.store.runs.started_with(caller.tenant, scope, [str(tick) for tick in ticks])
            told = [
                {"tick": rfc3339(tick), "run_id": run_id, "created": run_id is None}
                for tick, run_id in zip(ticks, known, strict=True)
            ]
            return {"dry_run": True, "schedule_id": schedule_id, "ticks": len(ticks), "runs": told}
        runs: list[dict[str, Any]] = []
        for tick in ticks:
            start = self._start(schedule, tick, None, caller.person, reason)
            created, _ = self._core.create(start, self._once(tick, schedule), check=refuse_by_policy)
            replayed = created.word is CreateReply.REPLAYED
            runs.append({"tick": rfc3339(tick), "run_id": created.run_id, "created": not replayed})
        return {"schedule_id": schedule_id, "ticks": len(ticks), "runs": runs}


def _act(caller: Caller, reason: str) -> Act:
    return Act(caller.person, caller.tenant, required_reason(reason))


def _about(schedule: Schedule) -> dict[str, str]:
    cron = schedule.cron
    about = {"workflow_id": schedule.workflow_id, "cron": cron.expression, "timezone": cron.timezone}
    return {"schedule": schedule.id, **about}


def _step(seen: Kept, after: Kept, decided: Decided, **counted: int) -> ScheduleStep:
    counts = dict(after.counts or {})
    for name, more in {"skipped": decided.skipped, "missed": decided.missed, **counted}.items():
        counts[name] = counts.get(name, 0) + more
    return ScheduleStep.of(seen, replace(after, standing=decided.after, counts=counts), decided.look_at)


def _look_at(kept: Kept, now: int) -> int | None:
    """When somebody has to look at a schedule that nothing has happened to."""
    return now if kept.standing.waiting else kept.standing.next_at


def _moment(wanted: Mapping[str, Any], name: str, wrong: list[Problem]) -> int | None:
    text = wanted.get(name)
    found = None if text is None else milliseconds(text)
    if text is not None and found is None:
        wrong.append(Problem(f"/{name}", "time_format", "must be an RFC 3339 time such as 2026-01-31T08:00:00Z"))
    return found


def _no_schedule(schedule_id: str) -> NotFound:
    return NotFound(f"there is no schedule {schedule_id}")


def _view(kept: Kept, now: int) -> dict[str, JSON]:
    schedule, counts = kept.schedule, kept.counts or {}
    state = "paused" if kept.paused else "active" if _look_at(kept, now) is not None else "finished"
    return {
        "id": schedule.id,
        "workflow_id": schedule.workflow_id,
        "version": schedule.version,
        "input": dict(schedule.input),
        "cron": schedule.cron.expression,
        "timezone": schedule.cron.timezone,
        "overlap": schedule.overlap.value,
        "catch_up": schedule.catch_up.value,
        "starts_at": rfc3339(schedule.starts_at),
        "ends_at": rfc3339(schedule.ends_at),
        "labels": dict(schedule.labels),
        "description": schedule.description,
        "state": state,
        "paused": kept.paused,
        "created_by": schedule.person,
        "created_at": rfc3339(kept.created_at),
        "updated_at": rfc3339(kept.updated_at),
        "next_at": rfc3339(kept.standing.next_at),
        "waiting": [rfc3339(tick) for tick in kept.standing.waiting],
        "last_tick": rfc3339(kept.last_tick),
        "last_run": kept.last_run,
        "last_error": kept.last_error,
        "open_runs": list(kept.open_runs),
        "counts": {name: counts.get(name, 0) for name in ("fired", "skipped", "missed", "refused")},
    }
