"""A scenario played: the real engine and its real scripts, scripted workers, and a clock that waits for everybody.

The order of things is fixed, so that a case has one course only: an action whose turn it is, else the claims of
everything queued, else one report, else time moves to whatever is next.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cordum.domain.limits import Limits
from cordum.domain.states import RunStatus
from cordum.domain.workflow import JSON
from cordum.engine import Engine
from cordum.errors import CordumError
from cordum.redis_address import RedisAddress
from cordum.settings import Settings
from cordum.store import Store
from cordum.store.connection import Connection
from cordum.store.scripts import Library
from cordum.testing.acting import TENANT, NotAvailable, People
from cordum.testing.bench import START_MS, Bench
from cordum.testing.crew import Call, Crew
from cordum.testing.history import Events, History, milliseconds
from cordum.testing.scenario import Action, Do, Entry, Scenario, When

ALLOW_ALL: dict[str, JSON] = {"default_decision": "allow"}
# Sweeps follow the clock closely, and no topic's window is ever full: neither is what scenarios are about.
SETTINGS = Settings(sweep_ms=10, window_minimum=1_000_000)
# A sweep after a long silence spares all leases: on the way to the end of one, time moves in steps.
_LEASE_STEP_MS = 1000
_MOST_IDLE_MOVES = 100


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is left when a scenario is over. `run` is the document of the run it is about, None when there is none.

    All else belongs to that run and its child runs, and to what else was started; not to the run that a rerun made,
    which is an evidence of its own, `rerun`.
    """

    run: dict[str, Any] | None
    runs_created: int
    history: Events
    calls: list[Call]
    told_to_stop: list[str]
    dead_letters: list[dict[str, Any]]
    children: list[dict[str, Any]]
    rerun: Evidence | None = None


class World:
    def __init__(self, scenario: Scenario, address: RedisAddress) -> None:
        connection = Connection.open(address, Library(virtual_clock=True))
        store = Store(connection, SETTINGS.cell, SETTINGS.window_minimum)
        limits = Limits(max_losses=SETTINGS.max_losses, jitter=False)
        self._scenario = scenario
        self._engine = Engine(store, SETTINGS, limits)
        self._bench = Bench(address, store.keys)
        self._actions = deque(scenario.actions)
        self._now = START_MS
        self._has_children = _begins_others(scenario)
        self.history = History(self._engine)
        self.crew = Crew(self._engine, scenario.workers)
        self.people = People(self._engine, scenario, self.history)
        self.problems: list[str] = []

    def __enter__(self) -> World:
        self._bench.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._bench.__exit__()
        self._engine.close()

    # -- definitions ---------------------------------------------------------------------------------------------

    def save(self) -> CordumError | None:
        """Store every definition and publish the policy; the error with which the last definition was refused."""
        tenants = {TENANT, *(str(action.options["tenant"]) for action in self._actions if "tenant" in action.options)}
        policy = {"version": "1", **(self._scenario.policy or ALLOW_ALL)}
        self._engine.publish_policy(_text(policy), "scenario")
        for tenant in sorted(tenants):
            for definition in self._scenario.workflows:
                self._engine.save_workflow(tenant, _text(definition), "json")
            try:
                self._engine.save_workflow(tenant, _text(self._scenario.workflow), "json")
            except CordumError as error:
                return error
        return None

    # -- the course of things ------------------------------------------------------------------------------------

    def play(self) -> None:
        """Until nothing can happen any more."""
        if not any(action.do == "start" for action in self._actions):
            self.problems += self.people.start_run()
        self._settle()
        idle_moves = 0
        while idle_moves < _MOST_IDLE_MOVES:
            told = len(self.history.events)
            if self._act() or self._claim() or self.crew.report():
                self._settle()
                idle_moves = 0
            elif self._move():
                idle_moves = 0 if len(self.history.events) > told else idle_moves + 1
            else:
                break
        self._check_end()

    def _settle(self) -> None:
        """Have the engine draw every conclusion, and the workers hear of it."""
        self._engine.coordinate()
        self.crew.renew()
        self._find_children()
        self.history.read()

    def _find_children(self) -> None:
        """Follow the runs that others have started, and those that they have started."""
        known = 0
        while self._has_children and known < len(self.history.runs):
            asked, known = self.history.runs[known:], len(self.history.runs)
            for tenant, run_id in asked:
                for child in self._engine.child_runs(tenant, run_id):
                    self.history.follow(tenant, child["id"], run_id)

    def _act(self) -> bool:
        if not self._actions or not self._holds(self._actions[0].when):
            return False
        action = self._actions.popleft()
        match action.do:
            case "advance":
                self._advance(float(str(action.options["seconds"])))
            case "deliver_result":
                self._deliver(action)
            case _:
                self.problems += self.people.do(action)
        return True

    def _claim(self) -> bool:
        """Claim everything queued, in order of dispatch."""
        place = {job_id: at for at, job_id in enumerate(self.history.dispatched())}
        messages = sorted(self._bench.take_messages(), key=lambda message: place[message.job_id])
        for message in messages:
            self.crew.claim(message, self._now)
        return bool(messages)

    def _deliver(self, action: Action) -> None:
        options = action.options
        step = str(options["job"]).partition("@")[0]
        run = self._document()
        if run is None:
            raise NotAvailable("no run has been started that a result could be delivered to")
        usual = Entry()
        output, error = options.get("output", usual.output), str(options.get("error", usual.error))
        entry = Entry(Do(str(options["result"])), output, error)
        topic = run["steps"].get(step, {}).get("topic") or "job.unknown"
        self.crew.deliver(f"{run['id']}:{options['job']}", topic, entry)

    # -- conditions ----------------------------------------------------------------------------------------------

    def _document(self) -> dict[str, Any] | None:
        found = self.people.run
        return None if found is None else self._engine.run(*found)

    def _holds(self, when: When) -> bool:
        if when == When():
            return True
        run = self._document()
        if run is None or when.run not in (None, run["status"]) or self._now < self._due(when):
            return False
        if when.step is not None and not _is_so(when, run["steps"].get(when.step, {})):
            return False
        return when.child_step is None or any(
            _is_so(when, child["steps"].get(when.child_step, {})) for child in self._children(run["id"])
        )

    def _children(self, root: str) -> list[dict[str, Any]]:
        """The documents of all child runs below a run."""
        mine = [run for run in self.history.runs if run[1] != root and self.history.root(run[1]) == root]
        return [self._engine.run(tenant, run_id) for tenant, run_id in mine]

    def _due(self, when: When) -> int:
        """The moment before which an action must not be done."""
        return 0 if when.after_ms is None else self._started_at() + when.after_ms

    def _started_at(self) -> int:
        run = self._document()
        return START_MS if run is None else milliseconds(run["created_at"])

    # -- time ----------------------------------------------------------------------------------------------------

    def _move(self) -> bool:
        """Move time to whatever comes next; False when nothing does."""
        coming = [self._next_by_time()] if self._open_runs() else []
        if self._actions:
            coming.append(self._due(self._actions[0].when))
        moments = [moment for moment in coming if moment]
        later = [moment for moment in moments if moment > self._now]
        if not later:
            return False
        self._move_to(min(later))
        return True

    def _next_by_time(self) -> int | None:
        """A timer, or a step on the way to the end of a dead worker's lease; what is overdue comes next."""
        timer, lease_end = self._bench.next_timer(), self.crew.next_lease_end()
        moments = [] if timer is None else [timer]
        if lease_end is not None:
            step = self._now + _LEASE_STEP_MS
            moments.append(min(step, lease_end) if lease_end > self._now else step)
        return max(min(moments), self._now + 1) if moments else None

    def _move_to(self, moment: int) -> None:
        """Living workers renew before anybody judges their leases: they have done so all the time in between."""
        self._now = moment
        self._bench.set_clock(moment)
        self.crew.renew()
        self._settle()

    def _advance(self, seconds: float) -> None:
        """Let time pass though there is work to claim or report; timers on the way go off at their time."""
        end = self._now + round(seconds * 1000)
        while (moment := self._next_by_time()) is not None and moment < end:
            self._move_to(moment)
        self._move_to(end)

    # -- the end -------------------------------------------------------------------------------------------------

    def _open_runs(self) -> list[str]:
        found = (self._engine.run(tenant, run_id) for tenant, run_id in self.history.runs)
        return [f"{run['id']} ({run['status']})" for run in found if not RunStatus(run["status"]).terminal]

    def _check_end(self) -> None:
        self.problems += [f"the run {run} has not ended and nothing can happen any more" for run in self._open_runs()]
        self.problems += [f"{action.do}: its turn never came, or its `when` never held" for action in self._actions]

    def evidence(self) -> Evidence:
        """Of all runs but the one that a rerun made, which has its own."""
        again = self.people.rerun
        roots = {root for _, run_id in self.history.runs if (root := self.history.root(run_id)) != again}
        return self._evidence(self._document(), roots, self._rerun(again))

    def _rerun(self, run_id: str | None) -> Evidence | None:
        if run_id is None:
            return None
        tenant = next(tenant for tenant, one in self.history.runs if one == run_id)
        return self._evidence(self._engine.run(tenant, run_id), {run_id}, None)

    def _evidence(self, run: dict[str, Any] | None, roots: set[str], rerun: Evidence | None) -> Evidence:
        def mine(run_id: str) -> bool:
            return self.history.root(run_id) in roots

        tenants = dict.fromkeys(tenant for tenant, _ in self.history.runs)
        letters = [letter for tenant in tenants for letter in self._dead_letters(tenant) if mine(letter["run_id"])]
        return Evidence(
            run=run,
            runs_created=len(self.people.started),
            history=self.history.of(roots),
            calls=[call for call in self.crew.calls if mine(call.job.run_id)],
            told_to_stop=[job for job in self.crew.told_to_stop if mine(job.partition(":")[0])],
            dead_letters=letters,
            children=[child for root in sorted(roots) for child in self._children(root)],
            rerun=rerun,
        )

    def _dead_letters(self, tenant: str) -> list[dict[str, Any]]:
        return self._engine.dead_letters(tenant, limit=10_000).items


def _is_so(when: When, step: Mapping[str, Any]) -> bool:
    return when.status in (None, step.get("status")) and when.attempts in (None, step.get("attempts"))


def _begins_others(scenario: Scenario) -> bool:
    """Whether a run can begin others, as far as its definitions can be read without checking them."""
    for definition in (scenario.workflow, *scenario.workflows):
        steps = definition.get("steps")
        listed = steps.values() if isinstance(steps, dict) else steps if isinstance(steps, list) else ()
        if any(isinstance(one, dict) and (one.get("type") == "subworkflow" or "compensate" in one) for one in listed):
            return True
    return False


def _text(document: dict[str, JSON]) -> bytes:
    return json.dumps(document, ensure_ascii=False).encode()
