"""A moment, read as the engine reads Redis: what `engine.looks.complete` asks of a store, answered without one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

from cordum.domain.run import RunState
from cordum.domain.undoing import compensating
from cordum.domain.wants import Wants
from cordum.domain.workflow import Workflow
from cordum.engine.looks import complete
from cordum.store import Store, codec
from cordum.store.runs import Brought, Runs, Snapshot
from tests.proof.explorer.evidence import Law
from tests.proof.explorer.moment import Moment


def run_at(moment: Moment, run_id: str, law: Law) -> RunState:
    """The run with everything that a plan for it may ask for."""
    seen = cast(Store, _Seen(moment))

    def workflow_of(_: str, workflow_id: str, digest: str) -> Workflow:
        return law.definition(moment, workflow_id, digest)

    return complete(seen, workflow_of, law.workflow(moment, run_id), _snapshot(moment, run_id).run)


def undoing_at(moment: Moment, run_id: str, law: Law) -> Workflow:
    """What a run does that compensates this one."""
    snapshot = _snapshot(moment, run_id)
    put_away = codec.read_archived(moment.of_run(run_id, "children"))
    outputs = codec.JsonTexts({**moment.of_run(run_id, "outputs"), **moment.of_run(run_id, "child_outputs")})
    parts = ((field.rpartition("#"), text) for field, text in moment.of_run(run_id, "items").items())
    items = {(fan, int(block)): json.loads(text) for (fan, _, block), text in parts}
    whole = replace(snapshot.run, steps={**put_away, **snapshot.run.steps}, outputs=outputs, items=items)
    inputs = {step: json.loads(text) for step, text in moment.of_run(run_id, "inputs").items()}
    return compensating(law.workflow(moment, run_id), whole, inputs, json.loads(snapshot.fields.get("error") or "null"))


class _Seen:
    def __init__(self, moment: Moment) -> None:
        self.runs = _Runs(moment)
        self.workflows = _Workflows(moment)


class _Runs:
    texts = staticmethod(Runs.texts)

    def __init__(self, moment: Moment) -> None:
        self._moment = moment

    def step_of(self, run_id: str, step: str) -> tuple[str | bool | None, ...]:
        fields, steps = self._moment.fields(run_id), self._moment.of_run(run_id, "steps")
        child = self._moment.facts(run_id).get(f"{step}#child_run")
        return fields.get("status"), fields.get("error"), steps.get(step), child, fields.get("undo") == "1"

    def snapshots(self, run_ids: Sequence[str]) -> list[Snapshot | None]:
        return [_snapshot(self._moment, one) if one in self._moment.run_ids else None for one in run_ids]

    def brought(self, run_id: str, wants: Wants) -> Brought:
        outputs, items = self._moment.of_run(run_id, "child_outputs"), self._moment.of_run(run_id, "items")
        inputs = self._moment.of_run(run_id, "inputs")
        return Brought(
            {ref: outputs.get(ref, "null") for ref in wants.outputs},
            {(fan, block): json.loads(items.get(f"{fan}#{block}", "[]")) for fan, block in wants.items},
            {ref: inputs[ref] for ref in wants.inputs if ref in inputs},
        )


class _Workflows:
    def __init__(self, moment: Moment) -> None:
        self._moment = moment

    def pinned(self, _: str, workflow_id: str, version: int | None) -> tuple[int, str] | None:
        stored: Any = self._moment.definition(workflow_id)
        number = stored.get("latest") if version is None else version
        digest = stored.get(f"version:{number}")
        return (int(number), digest) if digest else None


def _snapshot(moment: Moment, run_id: str) -> Snapshot:
    fields, facts = moment.fields(run_id), moment.facts(run_id)
    steps = codec.read_steps(moment.of_run(run_id, "steps"), facts)
    run = replace(
        codec.read_run(fields, steps, moment.of_run(run_id, "outputs")),
        recorded=codec.read_recorded(facts),
        writes=codec.read_writes(moment.of_run(run_id, "context")),
        inbox=codec.read_inbox(moment.of_run(run_id, "inbox")),
    )
    return Snapshot(run, moment.now, int(moment.policy.get("epoch", "0")), fields)
