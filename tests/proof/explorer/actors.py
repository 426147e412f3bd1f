"""Actors: cordum's own code, one process each, and the points of its life at which it can be held.

An actor does `act` up to `times` times, each time afresh: what it learned is forgotten, what it noted stays.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from cordum.domain.definition import load_workflow
from cordum.domain.limits import Limits
from cordum.domain.workflow import Workflow
from cordum.engine.approvals import Approvals
from cordum.engine.audit import Audit
from cordum.engine.bulk_retries import BulkRetries
from cordum.engine.coordinator import Coordinator
from cordum.engine.core import Core
from cordum.engine.dead_letters import DeadLetters
from cordum.engine.jobs import Jobs
from cordum.engine.operations import Operations
from cordum.engine.retention import Retention
from cordum.engine.runs import Runs
from cordum.engine.schedules import Schedules
from cordum.engine.signals import Signals
from cordum.engine.workflows import Workflows
from cordum.errors import NotFound
from cordum.settings import Settings
from cordum.store import Store
from tests.proof.explorer.moment import Moment
from tests.proof.explorer.tape import Paused, Pending, Read, Tape

Note: TypeAlias = tuple[str, ...]


class Process:
    """What an actor has: the engine's parts on a tape, and a notebook for what it saw with its own eyes."""

    def __init__(self, core: Core, tape: Tape, notes: list[Note]) -> None:
        self.core = core
        self.store = core.store
        self.jobs = Jobs(core)
        self.approvals = Approvals(core)
        self.workflows = Workflows(core)
        self.runs = Runs(core, self.workflows)
        self.operations = Operations(core)
        self.retention = Retention(core)
        self.audit = Audit(core)
        self.signals = Signals(core)
        self.schedules = Schedules(core, self.runs, self.workflows)
        self.letters = DeadLetters(core)
        self.bulk_retries = BulkRetries(core, self.letters)
        self.coordinator = Coordinator(
            core, self.jobs, self.retention, self.audit, self.schedules, self.letters, self.bulk_retries
        )
        self.command = tape.command
        self._notes = notes

    def note(self, *words: str) -> None:
        self._notes.append(words)


@dataclass(frozen=True, eq=False)
class Actor:
    """`when`: no round begins before this holds. `reads_apart`: others come between a call and reads after it."""

    name: str
    act: Callable[[Process], None]
    times: int = 1
    when: Callable[[Moment], bool] | None = None
    reads_apart: bool = False


@dataclass(frozen=True, eq=False)
class Point:
    """One point of an actor's life. `call` is what it does next; None: it has ended, or it is dead.

    `earlier` are the notes of rounds that are over, `notes` all notes up to here.
    """

    actor: Actor
    rounds_left: int
    earlier: tuple[Note, ...]
    answers: tuple[Any, ...]
    call: Pending | None
    notes: tuple[Note, ...]
    again: bool = False  # the reply to this call was lost, it is made once more

    def may_go_on(self, moment: Moment) -> bool:
        if self.call is None:
            return False
        waiting = self.actor.when is not None and not self.answers and not self.again
        return not waiting or bool(self.actor.when and self.actor.when(moment))


class WarmCore(Core):
    """The core of a process that has been up for a while: it has parsed the definitions and the policy before."""

    def __init__(self, store: Store, settings: Settings, limits: Limits, known: Mapping[str, Workflow]) -> None:
        super().__init__(store, settings, limits)
        self._known = known

    def workflow(self, tenant: str, workflow_id: str, digest: str) -> Workflow:
        """What was saved since is read anew each time: what one round learned, the next must not know."""
        known = self._known.get(digest)
        if known is not None:
            return known
        text = self.store.workflows.document(tenant, workflow_id, digest)
        if text is None:
            raise NotFound(f"workflow {workflow_id} has no version {digest}")
        return load_workflow(text.encode(), "json")

    def _remembered(self, key: tuple[str, str, str], make: Callable[[str, str, str], Workflow]) -> Workflow:
        """Nor does it remember what a run does that undoes another."""
        return make(*key)


class Company:
    """The lives of all actors of a scenario; every point exists once, so that points can be compared by identity."""

    def __init__(self, core: WarmCore, tape: Tape) -> None:
        self._core = core
        self._tape = tape
        self._points: dict[Any, Point] = {}

    def begin(self, actor: Actor) -> Point:
        return self._reach(actor, actor.times - 1, (), (), "")

    def go_on(self, point: Point, answer: Any, read: Callable[[Read, Point], Any]) -> Point:
        """The point at which the actor makes its next call. Plain reads are made at once, with the call before."""
        following = self._answered(point, answer)
        while not point.actor.reads_apart and isinstance(following.call, Read) and following.answers:
            following = self._answered(following, read(following.call, following))
        return following

    def died(self, point: Point) -> Point:
        return self._kept(Point(point.actor, 0, point.notes, (), None, point.notes), "dead")

    def again(self, point: Point) -> Point:
        key = ("again", point)
        if key not in self._points:
            self._points[key] = Point(
                point.actor, point.rounds_left, point.earlier, point.answers, point.call, point.notes, again=True
            )
        return self._points[key]

    def _answered(self, point: Point, answer: Any) -> Point:
        key = (point, _text(answer))
        if key not in self._points:
            answers = (*point.answers, answer)
            self._points[key] = self._reach(point.actor, point.rounds_left, point.earlier, answers, _text(answers))
        return self._points[key]

    def _reach(self, actor: Actor, left: int, earlier: tuple[Note, ...], answers: tuple[Any, ...], text: str) -> Point:
        """Run the actor's code from the beginning of its round to its next call."""
        notes = list(earlier)
        self._tape.rewind(answers)
        # A copy: what a process caches later must not be known to it when it is taken back to its beginning.
        process = Process(copy.copy(self._core), self._tape, notes)
        try:
            actor.act(process)
        except Paused:
            return self._kept(Point(actor, left, earlier, answers, self._tape.pending, tuple(notes)), text)
        except Exception as error:
            notes.append(("broke", f"{type(error).__name__}: {error}"))
        if left:
            return self._reach(actor, left - 1, tuple(notes), (), "")
        return self._kept(Point(actor, 0, tuple(notes), (), None, tuple(notes)), "over")

    def _kept(self, point: Point, text: str) -> Point:
        return self._points.setdefault((point.actor, point.rounds_left, point.earlier, text), point)


def _text(answer: Any) -> str:
    """An answer in a form that can be compared: sets have no order, exceptions no equality."""
    return json.dumps(answer, default=lambda odd: sorted(odd) if isinstance(odd, (set, frozenset)) else repr(odd))
