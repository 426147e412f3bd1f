"""What is foreseen of runs that begin: worked out once for what many of them have alike."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from cordum.domain.ahead import BlocksOf, ahead_of
from cordum.domain.decision_point import Guarded
from cordum.domain.limits import Limits
from cordum.domain.plan import Plan
from cordum.domain.run import RunState
from cordum.domain.straight import (
    ends_the_same_for_all,
    follows,
    foresee,
    foresee_end,
    is_same_for_all,
    may_go_straight,
)
from cordum.domain.wants import Wants
from cordum.domain.workflow import Workflow
from cordum.engine.looks import Look
from cordum.store.prepared import END, Prepared, PreparedChildren
from cordum.store.runs import Runs

_REMEMBERED = 256


@dataclass(frozen=True, slots=True)
class _Alike:
    """What runs of one version, submitter and policy have in common. `varying`: steps to be foreseen for each run."""

    following: Mapping[str, Sequence[str]]
    texts: Mapping[str, str]
    varying: Sequence[str]


class Foresight:
    def __init__(self, runs: Runs) -> None:
        self._runs = runs
        self._known: OrderedDict[tuple[object, ...], _Alike] = OrderedDict()
        # Nobody who writes an input or an output can know what stands for one, or for the id of a run.
        mark = os.urandom(16).hex()
        self._run, self._output, self._index = f"{mark}-run", f"{mark}-of-", f"~{mark}"

    def prepare(
        self, workflow: Workflow, run: RunState, decided: Plan, policy: Guarded | None, now: int, limits: Limits
    ) -> Prepared | None:
        """What will follow from the successes of a run that begins with `decided`; None: nothing is foreseen."""
        if policy is None or not may_go_straight(run, decided, limits):
            return None
        alike = self._alike(workflow, run, policy, now, limits)
        texts = {step: text.replace(self._run, run.id) for step, text in alike.texts.items()}
        for step in alike.varying:
            if (text := self._text(workflow, run, policy, now, limits, step)) is not None:
                texts[step] = text
        following = {step: those for step, those in alike.following.items() if all(one in texts for one in those)}
        wanted = {one for those in following.values() for one in those}
        steps = {step: text for step, text in texts.items() if step in wanted}
        return Prepared(policy.epoch, steps, following) if steps else None

    def children(self, look: Look, decided: Plan, limits: Limits) -> list[PreparedChildren]:
        """What will follow from the successes of children, once `decided` is committed."""
        run = look.run
        found = ahead_of(
            look.workflow, run, decided, look.policy, look.snapshot.now, limits, self._blocks(run.id), self._index
        )
        return [self._runs.prepared_children(run, look.workflow.steps[one.fan], one, self._index) for one in found]

    def _blocks(self, run_id: str) -> BlocksOf:
        return lambda blocks: self._runs.brought(run_id, Wants(items=tuple(blocks))).items

    def _alike(self, workflow: Workflow, run: RunState, policy: Guarded, now: int, limits: Limits) -> _Alike:
        labels = tuple(sorted(run.labels.items()))
        key = (run.tenant, workflow.id, run.digest, run.created_by, labels, policy.epoch)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = self._work_out(workflow, run, policy, now, limits)
            if len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        self._known.move_to_end(key)
        return found

    def _work_out(self, workflow: Workflow, run: RunState, policy: Guarded, now: int, limits: Limits) -> _Alike:
        following = {step: those or (END,) for step, those in follows(workflow).items()}
        steps = dict.fromkeys(one for those in following.values() for one in those)
        any_run = replace(run, id=self._run)
        alike = {s: self._text(workflow, any_run, policy, now, limits, s) for s in steps if _is_alike(workflow, s)}
        texts = {step: text for step, text in alike.items() if text is not None}
        return _Alike(following, texts, [step for step in steps if step not in alike])

    def _text(
        self, workflow: Workflow, run: RunState, policy: Guarded, now: int, limits: Limits, step: str
    ) -> str | None:
        if step == END:
            end = foresee_end(workflow, run, policy, now, limits, self._output)
            return None if end is None else self._runs.foreseen_end(run, end, self._output)
        found = foresee(workflow, run, policy, now, limits, step, self._output)
        return None if found is None else self._runs.foreseen(run, found, self._output)


def _is_alike(workflow: Workflow, step: str) -> bool:
    return ends_the_same_for_all(workflow) if step == END else is_same_for_all(workflow, step)
