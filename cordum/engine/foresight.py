"""What is foreseen of runs: worked out once for what many of them have alike."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from cordum.domain.decision_point import Guarded
from cordum.domain.limits import Limits
from cordum.domain.plan import Plan
from cordum.domain.run import RunState
from cordum.domain.straight import (
    ahead,
    ends_the_same_for_all,
    follows,
    foresee,
    foresee_end,
    is_same_for_all,
    may_go_straight,
)
from cordum.domain.workflow import Workflow
from cordum.store.prepared import END, Prepared
from cordum.store.runs import Runs

_REMEMBERED = 256


@dataclass(frozen=True, slots=True)
class _Alike:
    """What runs of one version, submitter and policy have in common.

    Of the steps that were asked for: whether what is foreseen is the `same` for all runs, and the `texts` of those.
    """

    following: Mapping[str, tuple[str, ...]]
    same: dict[str, bool] = field(default_factory=dict)
    texts: dict[str, bytes | None] = field(default_factory=dict)


class Foresight:
    def __init__(self, runs: Runs) -> None:
        self._runs = runs
        self._known: OrderedDict[tuple[object, ...], _Alike] = OrderedDict()
        # Nobody who writes an input or an output can know what stands for one, or for the id of a run.
        mark = os.urandom(16).hex()
        self._run, self._output = f"{mark}-run", f"{mark}-of-"

    def prepare(
        self, workflow: Workflow, run: RunState, decided: Plan, policy: Guarded | None, now: int, limits: Limits
    ) -> Prepared | None:
        """What will follow from the successes of what `decided` begins; None: nothing is foreseen from here on."""
        if policy is None or decided.empty or (decided.run is not None and decided.run.status.terminal):
            return None
        alike = self._alike(workflow, run, policy)
        next_ = _ahead(alike, decided)
        if not (next_ or run.foreseen) or not may_go_straight(run, decided, policy.epoch, limits):
            return None
        wanted = dict.fromkeys(one for those in next_.values() for one in those)
        found = {step: self._text_of(alike, workflow, run, policy, now, limits, step) for step in wanted}
        texts = {step: text for step, text in found.items() if text is not None}
        following = {step: those for step, those in next_.items() if all(one in texts for one in those)}
        needed = {one for those in following.values() for one in those}
        steps = {step: text for step, text in texts.items() if step in needed}
        return Prepared(policy.epoch, steps, following) if steps or run.foreseen else None

    def varying(self, workflow: Workflow, run: RunState, decided: Plan, policy: Guarded) -> list[str]:
        """Of what may be foreseen of a run that begins like this, what depends on its input."""
        alike = self._alike(workflow, run, policy)
        steps = dict.fromkeys(step for those in _ahead(alike, decided).values() for step in those)
        return [step for step in steps if not _is_same(alike, workflow, step)]

    def _text_of(
        self, alike: _Alike, workflow: Workflow, run: RunState, policy: Guarded, now: int, limits: Limits, step: str
    ) -> bytes | None:
        if _is_same(alike, workflow, step) and step not in alike.texts:
            text = self._text(workflow, replace(run, id=self._run), policy, now, limits, step)
            # Where an id of a run stands in anything that is not told, it is no matter of all runs.
            alike.same[step] = text is None or self._run.encode() not in text
            alike.texts[step] = text
        return alike.texts[step] if alike.same[step] else self._text(workflow, run, policy, now, limits, step)

    def _alike(self, workflow: Workflow, run: RunState, policy: Guarded) -> _Alike:
        labels = tuple(sorted(run.labels.items()))
        key = (run.tenant, workflow.id, run.digest, run.created_by, labels, policy.epoch)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = _Alike({step: those or (END,) for step, those in follows(workflow).items()})
            if len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        self._known.move_to_end(key)
        return found

    def _text(
        self, workflow: Workflow, run: RunState, policy: Guarded, now: int, limits: Limits, step: str
    ) -> bytes | None:
        if step == END:
            end = foresee_end(workflow, run, policy, now, limits, self._output)
            return None if end is None else self._runs.foreseen_end(run, end, self._output)
        found = foresee(workflow, run, policy, now, limits, step, self._output)
        return None if found is None else self._runs.foreseen(run, found, self._output)


def _ahead(alike: _Alike, decided: Plan) -> dict[str, tuple[str, ...]]:
    return ahead(alike.following, (job.step for job in decided.jobs))


def _is_same(alike: _Alike, workflow: Workflow, step: str) -> bool:
    if step not in alike.same:
        alike.same[step] = ends_the_same_for_all(workflow) if step == END else is_same_for_all(workflow, step)
    return alike.same[step]
