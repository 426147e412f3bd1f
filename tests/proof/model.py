"""What follows from a look at a run: the laws of runs, steps, attempts, approvals and time.

Written from CONTRACT.md section 3, apart from the planner and without importing anything of cordum's, so that it can
disagree with it. `conclude` says everything that follows from one look; `cell.py` says what people, workers and time do
in between.
"""

from __future__ import annotations

from tests.proof.state import BUSY, DAY_MS, ENDED, MAX_LOSSES, RESCUABLE, RUN_ENDED, Look, Run, Step


def conclude(look: Look) -> None:
    """Everything that follows, until nothing follows any more."""
    run = look.run
    if run.status in RUN_ENDED:
        return
    run.status = "running"
    if run.deadline <= look.now:
        note_rescues(look)
        end_run(look, "timed_out", "run_timed_out", (None, "timeout"))
        return
    before: Run | None = None
    while run.status not in RUN_ENDED and before != run:
        before = run.copy()
        for law in (judge_attempts, settle_groups, note_rescues, end_when_over, start_steps):
            if run.status not in RUN_ENDED:
                law(look)
    if run.status not in RUN_ENDED:
        moving = any(step.status in BUSY for name, step in run.steps.items() if run.kind(name) != "parallel")
        waiting = any(step.status == "waiting" for step in run.steps.values())
        run.status = "waiting" if waiting and not moving else "running"


# -- attempts (3.5) ----------------------------------------------------------------------------------------------


def judge_attempts(look: Look) -> None:
    for name, step in list(look.run.steps.items()):
        late = step.until is not None and step.until <= look.now
        if step.status == "settling":
            judge(look, name, step)
        elif step.status == "waiting" and look.is_job(name):
            decide_again(look, name, step)
        elif step.status == "retrying" and late:
            dispatch(look, name)
        elif step.status in ("ready", "queued") and late:
            retry_or_end(look, name, "timed_out", "queue_timeout", look.now)
        elif step.status == "ready" and step.epoch != (look.policy.epoch if look.policy else 0):
            # 3.13: policy changes act on all that has not been sent.
            look.move(name, "pending", attempt=step.attempt - 1, until=None)
        elif step.status == "running" and late and look.is_job(name):
            retry_or_end(look, name, "timed_out", "timeout", look.now)


def judge(look: Look, name: str, step: Step) -> None:
    match step.outcome:
        case "lost" | "left":
            losses = step.losses + (step.outcome == "lost")
            if losses >= MAX_LOSSES:
                look.end(name, "failed", "poison")
            elif dispatch(look, name):
                look.run.steps[name].losses = losses
        case "rejected":
            look.end(name, "denied", "approval_rejected")
        case "fatal":
            look.end(name, "failed", "fatal")
        case "timeout":
            retry_or_end(look, name, "timed_out", "timeout", step.ended_at)
        case _:
            retry_or_end(look, name, "failed", "max_retries_exceeded", step.ended_at)


def retry_or_end(look: Look, name: str, status: str, code: str, since: int) -> None:
    step, retry = look.run.steps[name], look.run.spec(name).get("retry", {})
    if step.retries >= retry.get("max_retries", 0):
        look.end(name, status, code)
        return
    pause = retry.get("initial_backoff_sec", 1) * 1000 * retry.get("multiplier", 2) ** step.retries
    pause = min(pause, retry.get("max_backoff_sec", 7 * DAY_MS / 1000) * 1000)
    if step.status == "settling" and step.pause is not None:
        pause = step.pause
    look.move(name, "retrying", until=since + int(pause), retries=step.retries + 1)


def dispatch(look: Look, name: str) -> bool:
    """3.13: an attempt begins with its policy decision. False when there is no policy to decide."""
    step, spec = look.run.steps[name], look.run.spec(name)
    if look.policy is None:
        look.held = True
        return False
    look.decided = True
    verdict = look.policy.verdicts[spec["topic"]]
    if verdict == "deny":
        look.end(name, "denied", "safety_denied", attempt=step.attempt + 1)
    elif verdict == "require_approval" and step.approved != look.policy.name:
        ask(look, name, None)
        look.run.steps[name].asked = look.policy.name
    else:
        patience = spec.get("queue_timeout_sec")
        until = None if patience is None else look.now + int(patience * 1000)
        look.move(name, "ready", until=until, attempt=step.attempt + 1, epoch=look.policy.epoch)
    return True


def decide_again(look: Look, name: str, step: Step) -> None:
    """3.6: what one policy has asked another one need not ask; the attempt has not begun, so it stays the same one."""
    if look.policy is not None and step.asked != look.policy.name:
        job = look.run.job(name)
        step.attempt -= 1
        dispatch(look, name)
        look.closed[job] = "superseded"


def ask(look: Look, name: str, patience: float | None) -> None:
    until = None if patience is None else look.now + int(patience * 1000)
    look.move(name, "waiting", until=until, attempt=look.run.steps[name].attempt + 1)


# -- groups (3.4) ------------------------------------------------------------------------------------------------


def settle_groups(look: Look) -> None:
    for name in reversed(look.run.steps):
        step = look.run.steps[name]
        late = step.until is not None and step.until <= look.now
        if step.status == "waiting" and late:
            look.end(name, "timed_out", "timeout")
        elif look.run.kind(name) == "parallel" and step.status == "running":
            if late:
                cancel_members(look, name)
                look.end(name, "timed_out", "timeout")
            else:
                settle_group(look, name)


def settle_group(look: Look, name: str) -> None:
    run, spec = look.run, look.run.spec(name)
    counted = [child for child in run.members(name) if run.steps[child].status != "skipped"]
    good, open_, bad = (
        [child for child in counted if run.standing(child) == standing]
        for standing in ("satisfied", "open", "unsatisfied")
    )
    strategy = spec.get("strategy", "all")
    needed = {"all": len(counted), "any": 1, "n_of_m": spec.get("required", 0)}[strategy] if counted else 0
    if len(good) >= needed:
        cancel_members(look, name)
        outputs = {child: run.steps[child].output for child in good}
        look.move(name, "succeeded", output=outputs)
    elif len(good) + len(open_) < needed:
        decisive = max((run.steps[child] for child in bad), key=lambda step: step.rank, default=None)
        cancel_members(look, name)
        if decisive is None:
            look.end(name, "failed", "group_unreachable")
        else:
            look.end(name, decisive.status if decisive.status in RESCUABLE else "failed", str(decisive.code))


def cancel_members(look: Look, name: str) -> None:
    """Whatever is below a group that has ended ends with it."""
    for child in look.run.members(name):
        if look.run.steps[child].status not in ENDED:
            look.move(child, "cancelled")
            cancel_members(look, child)


def note_rescues(look: Look) -> None:
    """3.5: a rescued failure is recorded too, marked `rescued`."""
    for name, step in look.run.steps.items():
        if step.status in RESCUABLE and look.run.kind(name) != "parallel":
            step.rescued = look.run.standing(name) == "satisfied"


def cancel(look: Look) -> None:
    """3.7: at once terminal."""
    if look.run.status not in RUN_ENDED:
        note_rescues(look)
        end_run(look, "cancelled", "run_cancelled", None)


def revoke(look: Look, name: str) -> None:
    """3.13: `revoke` of a job cancels its step; nobody rescues it, and the run goes on as after a failure."""
    rank = 1 + max(step.rank for step in look.run.steps.values())
    look.move(name, "cancelled", code="cancelled", rank=rank)


# -- endings (3.3, 3.13) -----------------------------------------------------------------------------------------


def end_when_over(look: Look) -> None:
    run = look.run
    answers = [name for name in run.steps if run.owner(name) is None and not run.handled(name)]
    bad = [name for name in answers if run.steps[name].rank and run.standing(name) == "unsatisfied"]
    first = min(bad, key=lambda name: run.steps[name].rank, default=None)
    over = all(step.status in ENDED for step in run.steps.values())
    if first is not None and (over or run.definition.get("on_failure", "fail_fast") == "fail_fast"):
        step = run.steps[first]
        end_run(look, step.status, "upstream_failed", (first, str(step.code)))
    elif over:
        needed = {other for name in run.steps for other in run.spec(name).get("depends_on", ())}
        sinks = [name for name in answers if name not in needed and run.steps[name].status == "succeeded"]
        run.status, run.output = "succeeded", {name: run.steps[name].output for name in sinks}


def end_run(look: Look, status: str, skip: str, error: tuple[str | None, str] | None) -> None:
    """In flight or waiting: ended; never dispatched: skipped."""
    for name, step in list(look.run.steps.items()):
        if step.status in ENDED:
            continue
        if (step.status == "pending" and not step.attempt) or (step.status == "ready" and step.attempt == 1):
            look.move(name, "skipped", skip=skip)
        elif skip == "run_timed_out":
            look.end(name, "timed_out", "timeout")
        else:
            look.move(name, "cancelled")
    look.run.status, look.run.error = status, error


# -- whose turn it is (3.2, 3.13) --------------------------------------------------------------------------------


def start_steps(look: Look) -> None:
    """In the order of the definition; so the members of a group wait until all of them can be looked at."""
    run = look.run
    open_groups = {name for name, step in run.steps.items() if step.status == "running"}
    for name in run.steps:
        owner = run.owner(name)
        if run.steps[name].status != "pending":
            continue
        if owner is not None and run.steps[owner].status in ENDED:
            absent = run.steps[owner].status == "skipped"
            look.move(name, "skipped", skip="upstream_skipped" if absent else "upstream_failed")
        elif owner is None or (owner in open_groups and has_room(run, owner, name)):
            if run.steps[name].begun:
                start(look, name)
            else:
                consider(look, name)


def has_room(run: Run, owner: str, child: str) -> bool:
    """In the group, and in those around it."""
    places = run.spec(owner).get("max_parallel")
    taken = [other for other in run.members(owner) if takes_a_place(run, other)]
    if run.steps[owner].status != "running" or (places is not None and child not in taken and len(taken) >= places):
        return False
    outer = run.owner(owner)
    return outer is None or has_room(run, outer, owner)


def takes_a_place(run: Run, name: str) -> bool:
    """A group does not by itself, only through what happens in it."""
    if run.kind(name) == "parallel":
        return any(takes_a_place(run, member) for member in run.members(name))
    return run.steps[name].status in BUSY


def consider(look: Look, name: str) -> None:
    run, spec, handled = look.run, look.run.spec(name), look.run.handled(name)
    if handled and not any(run.steps[user].status in RESCUABLE for user in handled):
        if all(run.steps[user].status in ENDED for user in handled):
            look.move(name, "skipped", skip="handler_not_needed")
        return
    found = {run.standing(other) for other in spec.get("depends_on", ()) if other not in handled}
    if "open" in found:
        return
    if "unsatisfied" in found:
        look.move(name, "skipped", skip="upstream_failed")
    elif found == {"absent"}:
        look.move(name, "skipped", skip="upstream_skipped")
    elif spec.get("condition") == "false":
        look.move(name, "skipped", skip="condition_false")
    else:
        run.steps[name].begun = True
        start(look, name)


def start(look: Look, name: str) -> None:
    patience = look.run.spec(name).get("timeout_sec")
    match look.run.kind(name):
        case "approval":
            ask(look, name, patience)
        case "parallel":
            until = None if patience is None else look.now + int(patience * 1000)
            look.move(name, "running", until=until, attempt=1)
        case _:
            dispatch(look, name)
