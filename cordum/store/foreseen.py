"""How one foreseen step is kept: the lines that the script which records a result reads (`_straight.lua`)."""

from __future__ import annotations

import re
from dataclasses import replace

from cordum.domain.ahead import Dispatch
from cordum.domain.ids import JobId
from cordum.domain.run import RunState
from cordum.domain.states import RunStatus
from cordum.domain.straight import Foreseen, ForeseenEnd
from cordum.store import keys, stats
from cordum.store.codec import SPENT_FACTS, to_json
from cordum.store.commit import CommitWriter, event_text


def prepared_text(cell: keys.CellKeys, writer: CommitWriter, run: RunState, found: Foreseen, mark: str) -> str:
    """Lines; `_straight.lua` says which. `mark`: what stand-ins for outputs begin with."""
    job = found.job
    way = (
        *(str(JobId(run.id, job.step, job.attempt)), job.topic, str(job.priority), cell.window(job.topic)),
        *(cell.turns(job.topic), cell.parked(job.topic), cell.ready(job.topic, job.priority, run.tenant)),
        *(cell.audit(run.tenant), cell.audited, run.tenant),
    )
    told, decided = (event_text(run.id, event) for event in found.events)
    given = _pieces(to_json(job.input), mark) if job.own_input else []
    asked = [] if found.request is None else _pieces(found.request, mark)
    facts = [str(part) for part in writer.facts_of_job(found.change, job)]
    counted = ([str(len(part)), *part] for part in (facts, given, asked))
    lines = (" ".join(found.needs), *way, told, decided, *(line for part in counted for line in part))
    return "\n".join((*lines, writer.record_of(job, found.epoch)))


def children_text(
    cell: keys.CellKeys, writer: CommitWriter, run: RunState, child: Dispatch, epoch: int, mark: str
) -> str:
    """What all children of a fan-out have alike, as it is kept of one step that needs nothing but an index: `mark`."""
    return prepared_text(cell, writer, run, Foreseen((mark,), child.change, child.job, child.events, epoch), "")


def prepared_end_text(cell: keys.CellKeys, run: RunState, found: ForeseenEnd, mark: str) -> str:
    """The same of the end of the run."""
    tenant = run.tenant
    way = (
        *(cell.timers, cell.open_runs_of(tenant, run.workflow_id), cell.ended(tenant), cell.keepers),
        *(cell.audit(tenant), cell.audited, tenant, " ".join(SPENT_FACTS), " ".join(run.steps)),
    )
    (told,) = (event_text(run.id, event) for event in found.plan.events)
    counts = stats.counts_of(replace(run, status=RunStatus.RUNNING), found.plan, new=False)
    moved = stats.together({name: count for name, count in counts.items() if name != "commits:committed"})
    return "\n".join((" ".join(found.needs), *way, told, moved, *_pieces(to_json(found.output), mark)))


def _pieces(text: str, mark: str) -> list[str]:
    """JSON text, taken apart where outputs will be: text, step, text, step, …, text. It holds no line ends."""
    return re.split(f'"{re.escape(mark)}([^"]+)"', text)
