"""`plan`: what follows from a snapshot of a run. A pure function, run to a fixpoint.

A plan that settles a step also plans everything that releases, so that one commit leaves nothing behind that another
look would have to find (without this, runs hang: see "the core's rules" in ARCHITECTURE.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from cordum.domain import endings, pauses, reopening
from cordum.domain.attempts import settle_attempts
from cordum.domain.decision_point import DecisionPoint
from cordum.domain.limits import Limits
from cordum.domain.outputs import write_outputs
from cordum.domain.pauses import follow_parent
from cordum.domain.plan import Handling, Plan
from cordum.domain.readiness import start_ready_steps
from cordum.domain.run import RunState, StepState
from cordum.domain.standing import mark_rescues
from cordum.domain.states import RunStatus, StepStatus
from cordum.domain.steps import settle_groups
from cordum.domain.turn import Turn
from cordum.domain.workflow import JSON, Workflow


def plan(workflow: Workflow, run: RunState, policy: DecisionPoint | None, now: int, limits: Limits = Limits()) -> Plan:
    """Everything that follows from `run` at `now`; planning an applied plan again gives an empty one.

    `policy` None means that no policy can be had: nothing new is dispatched, everything else goes on.
    """
    turn = Turn(workflow, run, policy, now, limits)
    _follow(turn)
    return turn.plan()


def plan_cancel_step(
    workflow: Workflow,
    run: RunState,
    policy: DecisionPoint | None,
    now: int,
    limits: Limits = Limits(),
    *,
    step: str,
    attempt: int,
    actor: str,
    reason: str,
) -> Plan:
    """Cancel one attempt's step and do everything that follows; for an attempt that is over, just what `plan` does."""
    turn = Turn(workflow, run, policy, now, limits)
    endings.revoke_step(turn, step, attempt, actor, reason)
    _follow(turn)
    return turn.plan()


def plan_cancel(
    workflow: Workflow, run: RunState, now: int, actor: str, reason: str | None, *, undo: bool = False
) -> Plan:
    """End the run because a person says so; an ended run gives an empty plan. `undo`: with its compensations."""
    turn = Turn(workflow, run, None, now)
    if not run.status.terminal:
        mark_rescues(turn)  # what has been made good stays so; nothing else is made good from here on
        endings.cancel(turn, actor, reason, undo=undo)
    return turn.plan()


def plan_pause(
    workflow: Workflow,
    run: RunState,
    policy: DecisionPoint | None,
    now: int,
    limits: Limits,
    *,
    actor: str,
    reason: str | None,
) -> Plan:
    """Let nothing new begin; an ended run gives an empty plan."""
    turn = Turn(workflow, run, policy, now, limits)
    if not run.status.terminal:
        pauses.pause(turn, actor, reason)
    _follow(turn)
    return turn.plan()


def plan_resume(
    workflow: Workflow,
    run: RunState,
    policy: DecisionPoint | None,
    now: int,
    limits: Limits,
    *,
    actor: str,
    reason: str | None,
) -> Plan:
    """Let the run go on, with everything that has fallen due meanwhile."""
    turn = Turn(workflow, run, policy, now, limits)
    if not run.status.terminal:
        pauses.resume(turn, actor, reason)
    _follow(turn)
    return turn.plan()


def plan_retry(
    workflow: Workflow,
    run: RunState,
    policy: DecisionPoint | None,
    now: int,
    limits: Limits,
    *,
    archived: Mapping[str, StepState],
    handling: Handling,
    edits: Mapping[str, str] = MappingProxyType({}),
) -> Plan:
    """Reopen a run that has failed; for any other what `plan` does. `archived`: its children that were put away.

    `edits`: {step: JSON text of the input it is given instead of its own}.
    """
    turn = Turn(workflow, run, policy, now, limits)
    if run.status.retryable and run.compensation is None:
        reopening.reopen(turn, archived, handling, edits)
        _heed_parent(turn)
        if archived:
            turn.look_again()  # the next look brings outputs and items of what is open again
        else:
            _to_fixpoint(turn)
    _follow(turn)
    return turn.plan()


def plan_discard(
    workflow: Workflow,
    run: RunState,
    policy: DecisionPoint | None,
    now: int,
    limits: Limits,
    *,
    step: str,
    archived: StepState | None,
    handling: Handling,
) -> Plan:
    """Put the dead letter of a step aside. `archived`: the step, when it was put away with its children."""
    turn = Turn(workflow, run, policy, now, limits)
    turn.handling = handling
    turn.discard_letter(step, archived)
    _follow(turn)
    return turn.plan()


def plan_by_hand(
    workflow: Workflow,
    run: RunState,
    policy: DecisionPoint | None,
    now: int,
    limits: Limits,
    *,
    step: str,
    output: JSON,
    skip: bool,
    actor: str,
    reason: str,
) -> Plan:
    """Skip a step, or end it as succeeded with `output`, because a person says so; one that is over stays as it is."""
    turn = Turn(workflow, run, policy, now, limits)
    if not run.status.terminal and step in turn.steps and not turn.steps[step].status.terminal:
        endings.end_by_hand(turn, step, output, skip=skip, actor=actor, reason=reason)
    _follow(turn)
    return turn.plan()


def _follow(turn: Turn) -> None:
    if turn.run.status.terminal:
        return
    if turn.run.status is RunStatus.PENDING:
        turn.event("run.created", actor=turn.run.created_by, target=RunStatus.PENDING.value, data=_origin(turn.run))
        turn.event("run.started", source=RunStatus.PENDING.value, target=RunStatus.RUNNING.value)
        turn.status = RunStatus.RUNNING
        for ref in turn.instances.initial.keys() - turn.run.steps.keys():  # of a run that another one has created
            turn.add(ref)
        _heed_parent(turn)
    follow_parent(turn)
    parent = turn.run.parent
    if _is_out_of_time(turn.run, turn.now):
        mark_rescues(turn)
        endings.time_out(turn)
    elif parent is not None and not parent.wanted:
        mark_rescues(turn)
        reason = f"{parent.step} of {parent.run_id} does not wait for it any more"
        endings.cancel(turn, "parent run", reason, undo=parent.undone)
    else:
        _to_fixpoint(turn)


def _heed_parent(turn: Turn) -> None:
    """A child run that begins must look at its parent once more: what it knows of it was read before it was there, and
    nobody tells a run that is not there, or is over, what has become of its parent meanwhile.
    """
    if turn.run.parent is not None:
        turn.look_again()


def _is_out_of_time(run: RunState, now: int) -> bool:
    """Whether the time of the run itself is up, or that of the run which it is a part of."""
    return (run.deadline is not None and run.deadline <= now) or (run.parent is not None and run.parent.timed_out)


def _origin(run: RunState) -> dict[str, JSON]:
    """Where a run comes from that nobody has started by itself."""
    said = {
        "rerun_of": run.rerun_of,
        "reason": run.reason,
        "parent_run": run.parent and run.parent.run_id,
        "compensates": run.compensates,
    }
    return {name: value for name, value in said.items() if value}


def _to_fixpoint(turn: Turn) -> None:
    while _pass(turn):
        pass
    if turn.ending is None:
        _show_status(turn)


def _pass(turn: Turn) -> bool:
    """One look at everything; whether another one may find more."""
    before = dict(turn.steps)
    write_outputs(turn)
    settle_attempts(turn)
    jobs_only = not settle_groups(turn)
    mark_rescues(turn)
    endings.end_if_over(turn)
    if turn.ending is not None:
        return False
    if turn.status is not RunStatus.PAUSED:
        start_ready_steps(turn)
    if jobs_only and turn.steps.keys() == before.keys():
        return any(_releases(before[ref], state) for ref, state in turn.steps.items())
    return turn.steps != before


def _releases(before: StepState, after: StepState) -> bool:
    """Whether another look may find more because of this step: among jobs one that is on its way now sets nothing free.

    Not so where something has children: it says how many of their results it can do without.
    """
    return after is not before and after.status is not StepStatus.READY and after != before


def _show_status(turn: Turn) -> None:
    if turn.status is RunStatus.PAUSED:
        return
    status = endings.status_while_open(turn)
    if status is not turn.status:
        name = "run.waiting" if status is RunStatus.WAITING else "run.resumed"
        turn.event(name, source=turn.status.value, target=status.value)
        turn.status = status
