"""What a scenario expects, checked against what is left when it is over. Each key is an entry in a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from cordum.domain.workflow import JSON
from cordum.testing.history import milliseconds
from cordum.testing.world import Evidence

_NEVER_RAN = (None, "pending", "skipped", "cancelled")


def check(expect: Mapping[str, JSON], evidence: Evidence) -> list[str]:
    """Every expectation that does not hold, as a sentence."""
    return [problem for key, wanted in expect.items() for problem in CHECKS[key](wanted, evidence)]


# -- comparing ---------------------------------------------------------------------------------------------------


def differences(wanted: Any, found: Any, path: str, *, exact: bool = False) -> Iterator[str]:
    """Where `found` is not what was wanted: mappings may have more keys unless `exact`, numbers are equal by value."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        for key, value in wanted.items():
            if key in found:
                yield from differences(value, found[key], f"{path}.{key}", exact=exact)
            else:
                yield f"{path}.{key}: expected {value!r}, there is none"
        for key in found.keys() - wanted.keys() if exact else ():
            yield f"{path}.{key}: expected none, found {found[key]!r}"
    elif not equal(wanted, found):
        yield f"{path}: expected {wanted!r}, found {found!r}"


def equal(wanted: Any, found: Any) -> bool:
    """Equal as JSON: 1 is 1.0, but true is not 1."""
    if isinstance(wanted, bool) or isinstance(found, bool):
        return wanted is found
    if isinstance(wanted, list) and isinstance(found, list):
        return len(wanted) == len(found) and all(map(equal, wanted, found))
    if isinstance(wanted, dict) and isinstance(found, dict):
        return wanted.keys() == found.keys() and all(equal(wanted[key], found[key]) for key in wanted)
    return bool(wanted == found)


# -- the run and its steps ---------------------------------------------------------------------------------------


def _of_run(key: str, shown: str) -> Check:
    def check_run(wanted: Any, evidence: Evidence) -> Iterator[str]:
        yield from differences(wanted, (evidence.run or {}).get(key), shown)

    return check_run


def _step(evidence: Evidence, step: str) -> dict[str, Any]:
    found: dict[str, Any] = (evidence.run or {}).get("steps", {}).get(step, {})
    return found


def _statuses(wanted: Any, evidence: Evidence) -> Iterator[str]:
    for step, status in wanted.items():
        found = _step(evidence, step).get("status")
        if status == "not_run":
            dispatched = step in evidence.history.dispatched_steps()
            if dispatched or found not in _NEVER_RAN:
                yield f"steps.{step}: expected not to run, it is {found}" + (
                    " and was dispatched" if dispatched else ""
                )
        elif status != found:
            yield f"steps.{step}: expected {status}, found {found}"


def _of_steps(key: str, shown: str, *, exact: bool = False) -> Check:
    def check_steps(wanted: Any, evidence: Evidence) -> Iterator[str]:
        for step, value in wanted.items():
            yield from differences(value, _step(evidence, step).get(key), f"{shown}.{step}", exact=exact)

    return check_steps


def _errors(wanted: Any, evidence: Evidence) -> Iterator[str]:
    for step, text in wanted.items():
        error = _step(evidence, step).get("error") or {}
        if not any(text in str(error.get(part, "")) for part in ("message", "code")):
            yield f"step_errors.{step}: expected {text!r} in {error}"


# -- jobs --------------------------------------------------------------------------------------------------------


def _counts(shown: str, counted: Callable[[Evidence], Counter[str]]) -> Check:
    def check_counts(wanted: Any, evidence: Evidence) -> Iterator[str]:
        found = counted(evidence)
        yield from differences(wanted, {step: found[step] for step in wanted}, shown)

    return check_counts


def _one(shown: str, measured: Callable[[Evidence], JSON]) -> Check:
    def check_one(wanted: Any, evidence: Evidence) -> Iterator[str]:
        yield from differences(wanted, measured(evidence), shown)

    return check_one


def _compensation(wanted: Any, evidence: Evidence) -> Iterator[str]:
    undoing = (evidence.run or {}).get("compensation") or {}
    found = {one["compensates"]: one["status"] for one in undoing.get("steps", ())}
    yield from differences(wanted, found, "compensation", exact=True)


def _inputs(wanted: Any, evidence: Evidence) -> Iterator[str]:
    yield from differences(wanted, {call.job.step: call.input for call in evidence.calls}, "worker_input")


def _order(wanted: Any, evidence: Evidence) -> Iterator[str]:
    found = [step for step in dict.fromkeys(evidence.history.dispatched_steps()) if step in wanted]
    yield from differences(wanted, found, "order")


def _before(wanted: Any, evidence: Evidence) -> Iterator[str]:
    for earlier, later in wanted:
        end, start = evidence.history.first_end(earlier), evidence.history.first_start(later)
        if end is None or start is None or end > start:
            yield f"before: {earlier} had not ended before {later} was dispatched"


def _backoff(wanted: Any, evidence: Evidence) -> Iterator[str]:
    for step, pauses in wanted.items():
        yield from differences(pauses, evidence.history.pauses_sec(step), f"backoff_sec.{step}")


def _cancels(wanted: Any, evidence: Evidence) -> Iterator[str]:
    yield from differences(sorted(wanted), sorted(_without_run(evidence.told_to_stop)), "cancels")


def _without_run(job_ids: Iterable[str]) -> Iterator[str]:
    return (job_id.partition(":")[2] for job_id in job_ids)


def _dead_letters(wanted: Any, evidence: Evidence) -> Iterator[str]:
    if not wanted and evidence.dead_letters:
        yield f"dead_letters: expected none, found {[letter['job_id'] for letter in evidence.dead_letters]}"
    for letter in wanted:
        found = [one for one in evidence.dead_letters if one["step_id"] == letter["step"]]
        if len(found) != 1:
            yield f"dead_letters: expected one of {letter['step']}, found {len(found)}"
            continue
        for key, value in letter.items():
            yield from _part_of_letter(key, value, found[0])


def _part_of_letter(key: str, value: Any, letter: Mapping[str, Any]) -> Iterator[str]:
    """`status` is how the step ended, or what has become of the letter: their words differ."""
    if key == "status" and value in (letter["status"], letter["state"]):
        return
    found = letter["step_id"] if key == "step" else letter[key]
    yield from differences(value, found, f"dead_letters.{letter['step_id']}.{key}")


# -- time --------------------------------------------------------------------------------------------------------


def _elapsed(evidence: Evidence) -> float | None:
    run = evidence.run
    if run is None or run["completed_at"] is None:
        return None
    return (milliseconds(run["completed_at"]) - milliseconds(run["created_at"])) / 1000


def _at_least(wanted: Any, evidence: Evidence) -> Iterator[str]:
    found = _elapsed(evidence)
    if found is None or found < wanted:
        yield f"min_elapsed_sec: expected at least {wanted}, found {found}"


def _at_most(wanted: Any, evidence: Evidence) -> Iterator[str]:
    found = _elapsed(evidence)
    if found is None or found > wanted:
        yield f"max_elapsed_sec: expected at most {wanted}, found {found}"


# -- other runs --------------------------------------------------------------------------------------------------


def _child_status(wanted: Any, evidence: Evidence) -> Iterator[str]:
    if not evidence.children:
        yield f"child_run: expected {wanted}, there is no child run"
    for child in evidence.children:
        yield from differences(wanted, child["status"], "child_run")


def _child_input(shown: str, *, exact: bool = False) -> Check:
    def check_input(wanted: Any, evidence: Evidence) -> Iterator[str]:
        if len(evidence.children) != 1:
            yield f"{shown}: expected one child run, found {len(evidence.children)}"
            return
        yield from differences(wanted, evidence.children[0]["input"], shown, exact=exact)

    return check_input


def _new_run(wanted: Any, evidence: Evidence) -> Iterator[str]:
    again = evidence.rerun
    if wanted == "none" or again is None:
        if (wanted == "none") != (again is None):
            yield f"new_run: expected {'none' if again else 'one'}, found {'one' if again else 'none'}"
        return
    for key, value in wanted.items():
        if key == "rerun_of":
            problems = differences((evidence.run or {}).get("id"), (again.run or {}).get("rerun_of"), key)
        else:
            problems = CHECKS.get(key, _input)(value, again)
        yield from (f"new_run: {problem}" for problem in problems)


# -- the table ---------------------------------------------------------------------------------------------------


Check = Callable[[Any, Evidence], Iterator[str]]
CHECKS: Mapping[str, Check] = {
    "run": _of_run("status", "run"),
    "steps": _statuses,
    "outputs": _of_steps("output", "outputs"),
    "outputs_exact": _of_steps("output", "outputs_exact", exact=True),
    "output": _of_run("output", "output"),
    "context": _of_run("context", "context"),
    "step_errors": _errors,
    "attempts": _of_steps("attempts", "attempts"),
    "dispatches": _counts("dispatches", lambda evidence: Counter(evidence.history.dispatched_steps())),
    "total_dispatches": _one("total_dispatches", lambda evidence: len(evidence.history.dispatched())),
    "worker_calls": _counts("worker_calls", lambda evidence: Counter(call.job.step for call in evidence.calls)),
    "worker_input": _inputs,
    "order": _order,
    "before": _before,
    "max_in_flight": _one("max_in_flight", lambda evidence: evidence.history.most_in_flight()),
    "backoff_sec": _backoff,
    "dead_letters": _dead_letters,
    "cancels": _cancels,
    "compensation": _compensation,
    "child_runs": _one("child_runs", lambda evidence: len(evidence.children)),
    "child_run": _child_status,
    "child_input": _child_input("child_input"),
    "child_input_exact": _child_input("child_input_exact", exact=True),
    "runs_created": _one("runs_created", lambda evidence: evidence.runs_created),
    "generation": _of_run("generation", "generation"),
    "new_run": _new_run,
    "min_elapsed_sec": _at_least,
    "max_elapsed_sec": _at_most,
}
_input = _of_run("input", "input")
