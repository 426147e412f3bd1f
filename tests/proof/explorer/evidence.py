"""What promises are judged by: one move (a moment, a call, its reply, the moment after), and what the actors noted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, NamedTuple, TypeAlias

from cordum.domain.definition import load_workflow
from cordum.domain.ids import JobId
from cordum.domain.instances import Instance
from cordum.domain.limits import Limits
from cordum.domain.routing import priority_number, queue_list
from cordum.domain.workflow import Workflow
from tests.proof.explorer.actors import Note
from tests.proof.explorer.moment import Mark, Moment
from tests.proof.explorer.tape import Call

Notes: TypeAlias = Mapping[str, tuple[Note, ...]]

PLANNERS = frozenset({"apply_plan", "create_run", "create_alike"})
_SENT_OUT = frozenset({"ready", "queued"})


class Broken(Exception):
    """A promise was not kept."""

    def __init__(self, promise: str, what: str) -> None:
        super().__init__(f"{promise}: {what}")
        self.promise = promise


@dataclass(frozen=True, eq=False)
class Law:
    """What the runs of a scenario are instances of: definitions by their digest."""

    workflows: Mapping[str, Workflow]
    limits: Limits

    def workflow(self, moment: Moment, run_id: str) -> Workflow:
        fields = moment.fields(run_id)
        if "compensates" in fields:
            from tests.proof.explorer.seen import undoing_at  # which reads moments by this law

            return undoing_at(moment, fields["compensates"], self)
        return self.definition(moment, fields["workflow_id"], fields["digest"])

    def definition(self, moment: Moment, workflow_id: str, digest: str) -> Workflow:
        """One that was saved while the scenario went on is read where it lies."""
        known = self.workflows.get(digest)
        return known or _parsed(moment.definition(workflow_id)[f"document:{digest}"])

    def instance(self, moment: Moment, run_id: str, ref: str) -> Instance:
        return self.workflow(moment, run_id).instances[ref]

    def is_job(self, moment: Moment, run_id: str, ref: str) -> bool:
        return self.instance(moment, run_id, ref).is_job

    def queue(self, moment: Moment, run_id: str, ref: str) -> str:
        step = self.instance(moment, run_id, ref).step
        return queue_list(step.topic or "", priority_number(step.priority))


@lru_cache(100)
def _parsed(document: str) -> Workflow:
    return load_workflow(document.encode(), "json")


class Change(NamedTuple):
    run_id: str
    step: str
    before: Mark
    after: Mark


@dataclass(frozen=True)
class Move:
    before: Moment
    call: Call
    reply: Any
    after: Moment

    @property
    def word(self) -> str:
        return str(self.reply[0]) if isinstance(self.reply, list) else ""

    def arg(self, name: str) -> str:
        return self.call.named[name]

    @cached_property
    def job(self) -> JobId | None:
        """The attempt that the call is about."""
        if "job_id" in self.call.named:
            return JobId.parse(self.arg("job_id"))
        if "step" not in self.call.named or "attempt" not in self.call.named:
            return None
        run_id = next(key for key in self.call.keys if "{" in key).partition("{")[2].partition("}")[0]
        return JobId(run_id, self.arg("step"), int(self.arg("attempt")))

    @property
    def mark(self) -> Mark | None:
        """How the step stood that the call is about."""
        return self.before.marks(self.job.run_id).get(self.job.step) if self.job else None

    @property
    def attempt_runs(self) -> bool:
        return self.job is not None and self.mark == Mark("running", self.job.attempt)

    def fact(self, name: str) -> str:
        """A fact of that step, before the call."""
        return self.before.fact(self.job.run_id, self.job.step, name) if self.job else ""

    @cached_property
    def changes(self) -> tuple[Change, ...]:
        return tuple(self._changes())

    def _changes(self) -> Iterator[Change]:
        for run_id in self.after.run_ids:
            known = self.before.marks(run_id)
            put_away = self.before.put_away(run_id)
            gone = {ref: mark for ref, mark in self.after.put_away(run_id).items() if ref in known}
            for step, mark in {**gone, **self.after.marks(run_id)}.items():
                before = known.get(step) or put_away.get(step) or Mark("pending", 0)
                if before != mark:
                    yield Change(run_id, step, before, mark)

    @cached_property
    def sent_out(self) -> tuple[Change, ...]:
        """Steps that this very call dispatches, not those that only left cordum's own lists."""
        if self.call.name not in (*PLANNERS, "record_result"):
            return ()
        return tuple(c for c in self.changes if c.after.status in _SENT_OUT and c.before.status != "ready")


def demand(promise: str, kept: object, otherwise: str) -> None:
    if not kept:
        raise Broken(promise, otherwise)


def noted(notes: Notes, *kinds: str) -> Iterator[Note]:
    return (note for taken in notes.values() for note in taken if note[0] in kinds)


def job_of(job_id: str) -> JobId:
    job = JobId.parse(job_id)
    assert job is not None, job_id
    return job
