"""Ahead: the children of a fan-out that begin as others succeed, so that nobody has to look when one does.

They are alike but for index, item and input: the policy does not look at the input, and nothing else that is theirs
depends on it. So `plan` is asked once how a child begins, and only its input, with the hash of what was decided about
it, is worked out for each. It is worked out as `plan` does, from what does not change any more. Whatever is not like
that begins with a look.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from cordum.domain.attempts import Refusal, canonical, checked_input, hash_of, request_frame
from cordum.domain.decision_point import Guarded
from cordum.domain.instances import Role
from cordum.domain.limits import Limits
from cordum.domain.pinned import BLOCK
from cordum.domain.plan import Event, Job, Plan, StepChange
from cordum.domain.planner import plan
from cordum.domain.policy import Constraints
from cordum.domain.run import RunState, StepState
from cordum.domain.states import RunStatus, StepStatus
from cordum.domain.steps.fan_out import SENT, places_of
from cordum.domain.surroundings import upstream
from cordum.domain.turn import Turn
from cordum.domain.workflow import JSON, Step, Workflow

MOST_AHEAD = 512  # children that are prepared at one time
_FIXED = frozenset({"item", "index", "input", "run"})

BlocksOf = Callable[[list[tuple[str, int]]], Mapping[tuple[str, int], list[JSON]]]
"""Reads pinned items, by (fan-out, block)."""


@dataclass(frozen=True, slots=True)
class Dispatch:
    """How one child begins: the two events say that it is ready, and what was decided (without the hash)."""

    change: StepChange
    job: Job
    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class Ahead:
    """What is known of a fan-out's next children once a plan is committed.

    `until`: the first index of which nothing is known. `counted`: the results that the plan has seen. `most`: so many
    may be at work; `idle`: so many are open and are not, because they wait to be tried again. `hashes` and
    `inputs` (those that are not the run's) of those that were worked out just now, `child` for all of them; None:
    there are none. `begun`: children that this plan lets begin, alike as well.
    """

    fan: str
    epoch: int = 0
    until: int = 0
    counted: int = 0
    total: int = 0
    most: int = 0
    idle: int = 0
    child: Dispatch | None = None
    hashes: Mapping[str, str] = field(default_factory=dict)
    inputs: Mapping[str, JSON] = field(default_factory=dict)
    begun: tuple[str, ...] = ()

    @property
    def low(self) -> int:
        """The index at which somebody has to find out more; 0: never."""
        return self.until - MOST_AHEAD // 2 if self.until < self.total else 0

    @property
    def nothing(self) -> bool:
        """Each child has to be looked at, whatever was known before."""
        return not self.epoch


def ahead_of(
    workflow: Workflow,
    run: RunState,
    decided: Plan,
    policy: Guarded | None,
    now: int,
    limits: Limits,
    blocks_of: BlocksOf,
    mark: str,
) -> tuple[Ahead, ...]:
    """For each fan-out of `run` that goes on after `decided`. `mark` stands for the index in what is alike."""
    if not workflow.has_children or (decided.run is not None and decided.run.status.terminal):
        return ()
    after = {change.step: change.after for change in decided.changes}
    states = {ref: after.get(ref, state) for ref, state in run.steps.items()}
    found = []
    for ref, state in states.items():
        if (
            state.total is None
            or state.status is not StepStatus.RUNNING
            or workflow.instances[ref].role is not Role.FAN
        ):
            continue
        known = run.ahead.get(ref)
        if known is None and state.started == state.total:
            continue
        usable = policy is not None and policy.usable and may_go_ahead(workflow, run, policy, limits, ref)
        if usable and policy is not None:
            one = _Fan(workflow, run, policy, now, limits, ref, state, states)
            found.append(one.ahead(decided, blocks_of, mark))
        elif known is not None:
            found.append(Ahead(ref))
    return tuple(found)


def may_go_ahead(workflow: Workflow, run: RunState, policy: Guarded, limits: Limits, ref: str) -> bool:
    """Whether children of this fan-out are plain jobs that rest on nothing that may change while it goes on.

    Of runs that are retried some children have a past. Pools may change without notice.
    """
    plain = run.parent is None and run.compensates is None and run.rerun_of is None and run.generation == 1
    if not plain or limits.pools is not None or ref not in workflow.instances.initial:
        return False
    step = workflow.steps[ref]
    own, topic = workflow.policy_override, step.topic or ""
    return (
        workflow.instances.initial[ref].host is None
        and workflow.instances[f"{ref}[0]"].is_job
        and step.compensate is None
        and not policy.asks_input(topic)
        and not (own is not None and own.asks_input(topic))
        and _rests_on_what_is_over(workflow, step)
    )


def _rests_on_what_is_over(workflow: Workflow, step: Step) -> bool:
    before = upstream(workflow.steps, step.id)
    if any(workflow.steps[one].own is not None for one in before):
        return False
    paths = () if step.input is None else step.input.references()
    return all(path[0] in _FIXED or (path[0] == "steps" and len(path) > 1 and path[1] in before) for path in paths)


class _Fan:
    """One fan-out as it will be when a plan is committed, and what it rests on; nothing else of its run."""

    def __init__(
        self,
        workflow: Workflow,
        run: RunState,
        policy: Guarded,
        now: int,
        limits: Limits,
        ref: str,
        state: StepState,
        states: Mapping[str, StepState],
    ) -> None:
        before = upstream(workflow.steps, ref)
        self._workflow = replace(
            workflow,
            steps={
                name: replace(step, on_error=None, output_path=None)
                for name, step in workflow.steps.items()
                if name == ref or name in before
            },
        )
        self._run = replace(
            run,
            status=RunStatus.RUNNING,
            steps={name: states[name] for name in self._workflow.steps if name in states},
            recorded={},
            deadline=None,
        )
        self._known = run.ahead.get(ref)
        self._counted = run.recorded.get(ref, 0)
        self._idle = sum(one.startswith(f"{ref}[") and other.status not in SENT for one, other in states.items())
        self._policy, self._now, self._limits = policy, now, limits
        self._ref, self._state = ref, state
        assert state.total is not None
        self._total = state.total

    def ahead(self, decided: Plan, blocks_of: BlocksOf, mark: str) -> Ahead:
        first, last = self._state.started, min(self._state.started + MOST_AHEAD, self._total)
        is_known = self._known is not None and self._known.epoch == self._policy.epoch
        if is_known and self._known is not None:
            first = max(first, self._known.until)
        own = Ahead(
            self._ref,
            self._policy.epoch,
            first,
            self._counted,
            self._total,
            most=places_of(self._workflow.steps[self._ref]),
            idle=self._idle,
            begun=tuple(self._begun(decided)),
        )
        if first >= last or (is_known and last - first < min(MOST_AHEAD // 2, self._total - first)):
            return own if is_known else Ahead(self._ref)
        self._bring(decided, blocks_of, first, last)
        child = self._child(first)
        return Ahead(self._ref) if child is None else self._filled(own, child, first, last, mark)

    def _begun(self, decided: Plan) -> Iterator[str]:
        new = {change.step for change in decided.changes if change.before is None}
        for job in decided.jobs:
            if job.step in new and job.attempt == 1 and job.step.startswith(f"{self._ref}["):
                yield job.step

    def _bring(self, decided: Plan, blocks_of: BlocksOf, first: int, last: int) -> None:
        wanted = [(self._ref, number) for number in range(first // BLOCK, (last - 1) // BLOCK + 1)]
        known = {**self._run.items, **decided.items}
        missing = [block for block in wanted if block not in known]
        items = {**known, **(blocks_of(missing) if missing else {})}
        self._run = replace(self._run, items=items)

    def _child(self, index: int) -> Dispatch | None:
        """How the child with this index begins when all before it are over; None: not like all others."""
        ref = f"{self._ref}[{index}]"
        state = self._state.but(total=index + 1, started=index, settled=index)
        supposed = replace(self._run, steps={**self._run.steps, self._ref: state})
        found = plan(self._workflow, supposed, self._policy, self._now, self._limits)
        alone = Plan(
            changes=found.changes,
            jobs=found.jobs,
            events=found.events,
            epoch=found.epoch,
            wake_after={self._ref: 1},
        )
        changed = {change.step: change for change in found.changes}
        if found != alone or changed.keys() != {self._ref, ref} or len(found.jobs) != 1 or len(found.events) != 2:
            return None
        (job,) = found.jobs
        plain = not job.quotas and job.route is None and job.worker is None
        return Dispatch(changed[ref], job, found.events) if plain else None

    def _filled(self, own: Ahead, child: Dispatch, first: int, last: int, mark: str) -> Ahead:
        step = self._workflow.steps[self._ref]
        before, after = request_frame(step, Constraints.of(child.change.after.decision))
        turn = Turn(self._workflow, self._run, self._policy, self._now, self._limits)
        hashes: dict[str, str] = {}
        inputs: dict[str, JSON] = {}
        until = first
        for index in range(first, last):
            ref = f"{self._ref}[{index}]"
            turn.steps[ref] = StepState()
            try:
                payload = checked_input(turn, turn.instances[ref])
            except Refusal:  # it fails, by a look
                break
            del turn.steps[ref]
            hashes[ref] = hash_of(f"{before}{canonical(payload)}{after}")
            if payload is not self._run.input:
                inputs[ref] = payload
            until = index + 1
        return replace(own, until=until, child=_of_any(child, f"{self._ref}[{mark}]"), hashes=hashes, inputs=inputs)


def _of_any(child: Dispatch, ref: str) -> Dispatch:
    """The same of a child whose index is not known yet."""
    return Dispatch(
        replace(child.change, step=ref),
        replace(child.job, step=ref, input=None, own_input=False),
        tuple(replace(event, step=ref, data=_without_hash(event.data)) for event in child.events),
    )


def _without_hash(data: Mapping[str, JSON]) -> Mapping[str, JSON]:
    return {name: value for name, value in data.items() if name != "job_hash"}
