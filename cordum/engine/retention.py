"""How long ended runs are kept, and their removal: by age, by number, or because somebody says so.

A run is removed together with its child runs and the run that undoes it, and they never without it. The run itself goes
first, in one script that checks that it is still what was looked at; that script also notes those that belonged to it,
so that whoever dies in between leaves nothing behind for good. Nothing is removed while a dead letter of theirs waits
for somebody, while one of them has not ended, or while an undoing has not succeeded.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from cordum.domain.audit import Act
from cordum.domain.ids import JobId, run_of_job
from cordum.domain.run import RunState, StepState
from cordum.domain.states import RunStatus
from cordum.engine.core import Core
from cordum.errors import NotFound, StateConflict, Unavailable
from cordum.store.retention import Removal, RemoveReply

_LOG = logging.getLogger(__name__)
_TENANTS, _AGAIN_MS = 20, 10_000
_BATCH = 100
_MOST_ATTEMPTS = 20
_DONE_WITH = frozenset({RunStatus.SUCCEEDED, RunStatus.CANCELLED})


@dataclass(frozen=True, slots=True)
class _Member:
    """An ended run with all its steps, children that were put away included."""

    run: RunState
    steps: Mapping[str, StepState]

    @property
    def may_have_started(self) -> set[str]:
        """Every run that it can have begun: child runs of all attempts, and the one that undoes it."""
        found = {self.run.compensation} if self.run.compensation else set()
        for ref, state in self.steps.items():
            if state.child_run is not None:
                jobs = (str(JobId(self.run.id, ref, attempt)) for attempt in range(1, state.attempt + 2))
                found |= {state.child_run, *(run_of_job(self.run.id, job) for job in jobs)}
        return found

    @property
    def letters(self) -> list[str]:
        return [state.dead_letter for state in self.steps.values() if state.dead_letter is not None]

    @property
    def may_have_asked(self) -> bool:
        """Whether people may have been asked something; what an earlier generation asked shows on the timeline only."""
        return self.run.generation > 1 or any(state.approval is not None for state in self.steps.values())


class Retention:
    def __init__(self, core: Core) -> None:
        self._core = core
        self._store = core.store.retention
        self._runs = core.store.runs

    def sweep(self, now: int) -> int:
        """Remove some of the runs that have been kept long enough; how many went."""
        removed = self._remove_orphans()
        for tenant in self._store.tenants(now, _AGAIN_MS, _TENANTS):
            removed += self.expire(tenant)
        return removed

    def expire(self, tenant: str) -> int:
        """Remove what one tenant has kept long enough, as far as nobody needs it; how many runs went."""
        settings = self._core.settings
        removed = 0
        while True:
            found = self._store.expired(tenant, settings.retention_sec * 1000, settings.retention_runs, _BATCH)
            gone = self._remove_roots(tenant, [*found.over, *(() if removed else found.needed)])
            removed += gone
            if len(found.over) < _BATCH:
                return removed

    def delete(self, run_id: str, act: Act, *, dry_run: bool = False) -> dict[str, Any] | None:
        """Remove an ended run now. StateConflict when somebody needs it still.

        None, or what a dry run tells: the runs that would go.
        """
        for _ in range(_MOST_ATTEMPTS):
            self._core.check_tenant(act.tenant, run_id)
            member = self._members([run_id]).get(run_id)
            if member is None:
                raise NotFound(f"there is no run {run_id}")
            family = self._family(member)
            self._refuse(member, family)
            if dry_run:
                return {"dry_run": True, "run_id": run_id, "removes": [one.run.id for one in family]}
            if self._store.remove([replace(self._removal(member, family), act=act)])[0] is not RemoveReply.CONFLICT:
                self._remove_orphans()
                return None
        raise Unavailable("the run is changing too fast, try again", code="conflict_repeated")

    def _refuse(self, member: _Member, family: Sequence[_Member]) -> None:
        run = member.run
        if not run.status.terminal:
            raise StateConflict(f"the run is {run.status.value}: cancel it, or wait for its end", code="run_active")
        above = run.compensates or (run.parent.run_id if run.parent else None)
        if above is not None and self._runs.tenant_of(above) is not None:
            raise StateConflict(f"the run is a part of {above}: delete that", code="run_needed")
        if why := self._needed(family):
            raise StateConflict(f"the run is needed: {why}", code="run_needed")

    # -- many at a time ------------------------------------------------------------------------------------------

    def _remove_roots(self, tenant: str, run_ids: Sequence[str]) -> int:
        members = self._members(run_ids)
        removals, kept = [], []
        for member in members.values():
            family = self._family(member)
            if self._needed(family):
                kept.append(member.run.id)
            else:
                removals.append(self._removal(member, family))
        replies = self._store.remove(removals) if removals else []
        if kept:
            self._store.set_aside(tenant, kept)
        return replies.count(RemoveReply.REMOVED) + self._remove_orphans()

    def _remove_orphans(self) -> int:
        """Runs whose root is gone; one that has not ended yet waits for its end."""
        removed = 0
        while run_ids := self._store.orphans(_BATCH):
            ended = [member for member in self._members(run_ids).values() if member.run.status.terminal]
            removals = [self._removal(member, self._family(member)) for member in ended]
            replies = self._store.remove(removals) if removals else []
            removed += replies.count(RemoveReply.REMOVED)
            if RemoveReply.REMOVED not in replies:
                return removed
        return removed

    def _removal(self, member: _Member, family: Sequence[_Member]) -> Removal:
        relatives = [one.run.id for one in family if one.run.id != member.run.id]
        return Removal(member.run, relatives, self._asked(member) if member.may_have_asked else ())

    def _asked(self, member: _Member) -> list[str]:
        """Job ids of the approvals that the run has asked for."""
        asked: dict[str, None] = {}
        first = 1
        while events := self._runs.timeline(member.run.id, first, 1000):
            asked |= {event["job_id"]: None for event in events if event["type"] == "approval.requested"}
            first += len(events)
        return list(asked)

    # -- who needs whom ------------------------------------------------------------------------------------------

    def _family(self, root: _Member) -> list[_Member]:
        """The run, and all that belong to it, however far down."""
        found = {root.run.id: root}
        following = root.may_have_started
        while following:
            more = self._members(sorted(following))
            found |= more
            following = {one for member in more.values() for one in member.may_have_started} - found.keys()
        return list(found.values())

    def _needed(self, family: Iterable[_Member]) -> str | None:
        """Why none of them may go, or None."""
        members = list(family)
        for member in members:
            run = member.run
            if not run.status.terminal:
                return f"{run.id} has not ended: cancel it, or wait for its end"
            if run.compensates is not None and run.status not in _DONE_WITH:
                return f"{run.id} is to undo {run.compensates}, and is {run.status.value}: retry it, or cancel it"
        letters = [letter for member in members for letter in member.letters]
        waiting = self._core.store.dead_letters.unhandled(letters)
        return f"the dead letter {waiting[0]} waits for somebody: retry it, or discard it" if waiting else None

    def _members(self, run_ids: Sequence[str]) -> dict[str, _Member]:
        """Those of these runs that are there."""
        snapshots = self._runs.snapshots(run_ids) if run_ids else []
        found = {}
        for snapshot in snapshots:
            if snapshot is not None:
                run = snapshot.run
                away = self._runs.children(run.id) if any(state.started for state in run.steps.values()) else {}
                found[run.id] = _Member(run, {**away, **run.steps})
        return found
