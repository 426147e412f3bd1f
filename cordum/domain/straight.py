"""Straight through: which steps can be decided before their turn comes, so that nobody has to look when it does.

Such a step is a plain job after plain jobs. What the policy says of it does not depend on its input, and that input is
put together from whole outputs of steps before it. What its dispatch will be is not worked out here: `plan` is asked
what follows in a run where all that the step rests on has succeeded, with stand-ins where the outputs will be.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from cordum.domain.attempts import request_text
from cordum.domain.decision_point import Guarded
from cordum.domain.expressions import Template
from cordum.domain.instances import Instance, Role
from cordum.domain.limits import Limits
from cordum.domain.plan import Event, Job, Plan, StepChange
from cordum.domain.planner import plan
from cordum.domain.policy import Constraints
from cordum.domain.run import RunState, StepState
from cordum.domain.states import RunStatus, StepStatus
from cordum.domain.surroundings import upstream
from cordum.domain.workflow import JSON, Step, Workflow

_MOST_LAST = 16  # steps that each result of one of them looks at
# How many steps are prepared at a time: each is kept with the run and may have to be worked out for it. What lies
# beyond is prepared by the next look, and a look at many steps costs more, so of many more are prepared.
_AHEAD, _SHARE_AHEAD = 32, 8
_DONE = StepState(status=StepStatus.SUCCEEDED, attempt=1)
# Of each of these somebody will tell: by a result that goes straight, or to a look.
_ON_ITS_WAY = frozenset(
    {
        *(StepStatus.PENDING, StepStatus.READY, StepStatus.QUEUED, StepStatus.RUNNING),
        *(StepStatus.SETTLING, StepStatus.RETRYING, StepStatus.SUCCEEDED),
    }
)


@dataclass(frozen=True, slots=True)
class Foreseen:
    """The dispatch of one step, as it will be.

    `needs`: the steps that must have succeeded. Where `stand_in(step)` stands as a value in the job's input and in
    `request`, the output of that step will be. `request`: the text whose hash identifies the decision, when it is not
    known yet; the decision among `events` then has none.
    """

    needs: tuple[str, ...]
    change: StepChange
    job: Job
    events: tuple[Event, ...]
    epoch: int
    request: str | None = None


@dataclass(frozen=True, slots=True)
class ForeseenEnd:
    """How the run ends when the steps it `needs` have succeeded, and with them all others. `output`: with stand-ins."""

    needs: tuple[str, ...]
    plan: Plan
    output: JSON


def follows(workflow: Workflow) -> Mapping[str, tuple[str, ...]]:
    """{step: all that waits for it} where each of these is plain, and so is the step: more does not follow from it.

    Nothing waits for the last ones: the end of the run may follow from them (`foresee_end`).
    """
    plain = {step.id for step in workflow.steps.values() if is_plain(workflow, step)}
    waiting: dict[str, list[str]] = {step: [] for step in workflow.steps if step in plain}
    for step in workflow.steps.values():
        for one in plain.intersection(step.depends_on):
            waiting[one].append(step.id)
    return {step: tuple(those) for step, those in waiting.items() if plain.issuperset(those)}


def ahead(following: Mapping[str, tuple[str, ...]], begun: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Of what `follows`, that which lies next behind the steps that have `begun`, to be prepared together."""
    most = max(_AHEAD, len(following) // _SHARE_AHEAD)
    found: dict[str, tuple[str, ...]] = {}
    seen: set[str] = set()
    open_ = deque(begun)
    while open_:
        step = open_.popleft()
        if step not in found and step in following and len(seen.union(following[step])) <= most:
            found[step] = following[step]
            open_ += found[step]
            seen.update(found[step])
    return found


def is_plain(workflow: Workflow, step: Step) -> bool:
    """A job that begins when all that it depends on has succeeded, and whose success means nothing but that."""
    instance = workflow.instances.initial.get(step.id)
    return (
        instance is not None
        and _stands_alone(workflow, instance)
        and step.condition is None
        and step.input_schema is None
        and step.concurrency is None
        and step.on_error is None
        and step.output_path is None
    )


def _stands_alone(workflow: Workflow, instance: Instance) -> bool:
    id_ = instance.step.id
    related = id_ in workflow.switched_by or id_ in workflow.handled_by or instance.host is not None
    return instance.is_job and instance.role is Role.UNIT and not related


def may_go_straight(run: RunState, decided: Plan, epoch: int, limits: Limits) -> bool:
    """Whether what is foreseen for a run that goes on like this holds until something else happens to it.

    Nobody waits, nothing has failed or been left out, and what was foreseen before, if anything, holds as well. Pools
    may change without notice.
    """
    plain = run.parent is None and run.compensates is None and run.rerun_of is None and run.paused_at is None
    if not plain or decided.again or limits.pools is not None or run.foreseen not in (None, (run.version, epoch)):
        return False
    after = {**run.steps, **{change.step: change.after for change in decided.changes}}
    return all(state.status in _ON_ITS_WAY for state in after.values())


def foresee(
    workflow: Workflow, run: RunState, policy: Guarded, now: int, limits: Limits, step: str, mark: str
) -> Foreseen | None:
    """The dispatch of a plain step in `run`; None: it has to wait for its turn. `mark`: what stand-ins begin with."""
    own = workflow.steps[step]
    outputs = frozenset() if own.input is None else own.input.whole_outputs()
    if outputs is None or asks_input(workflow, policy, own):
        return None
    needed = outputs.union(own.depends_on)
    if not outputs <= {*own.depends_on} and not outputs <= {*upstream(workflow.steps, step)}:
        return None
    if not all(is_plain(workflow, workflow.steps[one]) for one in needed):
        return None
    before = {one: replace(workflow.steps[one], depends_on=()) for one in workflow.steps if one in needed}
    alone = replace(workflow, steps={**before, step: own})
    supposed = replace(
        run,
        status=RunStatus.RUNNING,
        steps={s: StepState() if s == step else _DONE for s in alone.instances.initial},
        outputs={s: stand_in(mark, s) for s in outputs},
        deadline=None,
    )
    found = plan(alone, supposed, policy, now, limits)
    if not _is_plain_dispatch(found):
        return None
    (job,), (change,) = found.jobs, found.changes
    request = request_text(own, job.input, Constraints.of(change.after.decision)) if outputs else None
    events = tuple(_without_hash(event) if outputs else event for event in found.events)
    assert found.epoch is not None
    return Foreseen(own.depends_on, change, job, events, found.epoch, request)


def foresee_end(
    workflow: Workflow, run: RunState, policy: Guarded, now: int, limits: Limits, mark: str
) -> ForeseenEnd | None:
    """How `run` ends when all goes well; None: somebody has to look then. Only where all steps are plain."""
    outputs = frozenset(workflow.sinks) if workflow.output is None else workflow.output.whole_outputs()
    plain = all(is_plain(workflow, step) for step in workflow.steps.values())
    if not plain or outputs is None or len(workflow.sinks) > _MOST_LAST:
        return None
    supposed = replace(
        run,
        status=RunStatus.RUNNING,
        steps=dict.fromkeys(workflow.instances.initial, _DONE),
        outputs={step: stand_in(mark, step) for step in outputs},
        deadline=None,
    )
    found = plan(workflow, supposed, policy, now, limits)
    if found != Plan(events=found.events, run=found.run) or found.run is None or not found.run.has_output:
        return None
    return ForeseenEnd(workflow.sinks, found, found.run.output)


def stand_in(mark: str, step: str) -> str:
    return f"{mark}{step}"


def asks_input(workflow: Workflow, policy: Guarded, step: Step) -> bool:
    """Whether what is decided about a step may depend on its input."""
    topic, own = step.topic or "", workflow.policy_override
    return policy.asks_input(topic) or (own is not None and own.asks_input(topic))


def _is_plain_dispatch(found: Plan) -> bool:
    """One job that any worker of its topic may have, and what is told of it, without limits or patience."""
    alone = Plan(changes=found.changes, jobs=found.jobs, events=found.events, epoch=found.epoch)
    if found != alone or len(found.changes) != 1 or len(found.jobs) != 1:
        return False
    return is_plain_job(found.jobs[0])


def is_plain_job(job: Job) -> bool:
    return not job.quotas and job.route is None and job.worker is None


def _without_hash(event: Event) -> Event:
    if event.type != "step.decision":
        return event
    return replace(event, data={name: value for name, value in event.data.items() if name != "job_hash"})


def is_same_for_all(workflow: Workflow, step: str) -> bool:
    """Whether what is foreseen for a step is the same in all runs of one submitter: it asks nothing of their input."""
    template = workflow.steps[step].input
    return template is not None and _reads_outputs_only(template)


def ends_the_same_for_all(workflow: Workflow) -> bool:
    return workflow.output is None or _reads_outputs_only(workflow.output)


def _reads_outputs_only(template: Template) -> bool:
    return all(path[0] == "steps" for path in template.references())
