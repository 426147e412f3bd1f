"""Runs that begin alike: planned once, and from then on only filled in."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from cordum.domain.alike import FirstJob, begin_alike
from cordum.domain.decision_point import Guarded
from cordum.domain.limits import Limits
from cordum.domain.workflow import JSON
from cordum.engine.foresight import Foresight
from cordum.engine.starting import Start
from cordum.errors import CordumError, ExpressionError
from cordum.store.alike import Beginning, Marks, Pattern
from cordum.store.codec import to_json
from cordum.store.runs import Created, Creation, Idempotency, Runs

_REMEMBERED = 256
_SEEN, _NONE = "seen", "none"  # a start that there may be a pattern for, and one that there is none for

Make = Callable[[str], Creation]
"""Gives the run with this id as it would be stored."""


@dataclass(frozen=True, slots=True)
class Known:
    """A pattern, the jobs with which its runs begin, and which of these have an input of their own."""

    pattern: Pattern
    jobs: tuple[FirstJob, ...]
    own: tuple[bool, ...]

    def filled(self, run_id: str, input_: JSON) -> Beginning | None:
        """The run with this input; None: it does not begin like the others."""
        jobs = []
        try:
            for job, own in zip(self.jobs, self.own, strict=True):
                payload = job.given(input_)
                if (payload is not input_) is not own:
                    return None
                jobs.append((to_json(payload) if own else None, job.job_hash(payload)))
        except ExpressionError:
            return None
        return Beginning(run_id, to_json(input_), jobs)


class Patterns:
    def __init__(self, runs: Runs, foresight: Foresight) -> None:
        self._runs = runs
        self._foresight = foresight
        self._known: OrderedDict[tuple[object, ...], Known | str] = OrderedDict()
        # Nobody who writes an input can know what stands for an id or a hash.
        mark = os.urandom(16).hex()
        self._marks = Marks(f"{mark}-run", f"{mark}-hash")

    def of(
        self, start: Start, policy: Guarded | None, limits: Limits, check: object, make: Make, *, alone: bool
    ) -> Known | None:
        """The pattern of this start and of all that differ in nothing but their input; None: it has none.

        `check` is what else it is refused by. Of a start that is the only one of its kind a pattern is not worth
        making: `alone` ones have none before the second.
        """
        if policy is None or limits.pools is not None or not start.plain:
            return None
        labels = tuple(sorted(start.labels.items()))
        key = (start.tenant, start.workflow.id, start.version, start.person, labels, policy.epoch, check)
        if key not in self._known and alone:
            self._known[key] = _SEEN
        elif self._known.get(key, _SEEN) is _SEEN:
            self._known[key] = self._work_out(start, policy, limits, make)
        self._known.move_to_end(key)
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        found = self._known[key]
        return found if isinstance(found, Known) else None

    def create(
        self,
        known: Known,
        start: Start,
        inputs: Mapping[str, JSON],
        idempotency: Sequence[Idempotency | None],
    ) -> dict[str, Created]:
        """Of the runs {id: input} store those that begin like the others: {id: what was answered}."""
        filled = {run_id: known.filled(run_id, input_) for run_id, input_ in inputs.items()}
        beginnings = [one for one in filled.values() if one is not None]
        used = [one for one, beginning in zip(idempotency, filled.values(), strict=True) if beginning is not None]
        if not beginnings:
            return {}
        answers = self._runs.create_alike(
            known.pattern, start.tenant, start.workflow.id, beginnings, used if any(used) else ()
        )
        return {beginning.run_id: answer for beginning, answer in zip(beginnings, answers, strict=True)}

    def _work_out(self, start: Start, policy: Guarded, limits: Limits, make: Make) -> Known | str:
        try:
            creation = make(self._marks.run)
        except CordumError:  # whoever is refused hears of it in his own name
            return _NONE
        run = creation.run
        jobs = begin_alike(start.workflow, run, creation.plan, policy, limits)
        if jobs is None or creation.rate is not None:
            # What has failed may have failed for this input alone.
            return _SEEN if creation.plan.dead_letters else _NONE
        if self._foresight.varies(start.workflow, run, creation.plan, policy):
            return _NONE
        pattern = self._runs.pattern(creation, self._marks)
        own = {job.step for job in creation.plan.jobs if job.own_input}
        return _NONE if pattern is None else Known(pattern, jobs, tuple(job.step in own for job in jobs))
