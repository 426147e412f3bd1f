"""How one foreseen step is kept: what the script which records a result takes apart (`_straight.lua`).

The first line names the steps it needs; behind it everything else is packed, without the run's id where that stands in
texts of our own: so it is the same for all runs that have it alike.
"""

from __future__ import annotations

import re
from dataclasses import replace

from cordum.domain.ids import JobId
from cordum.domain.run import RunState
from cordum.domain.states import RunStatus
from cordum.domain.straight import Foreseen, ForeseenEnd
from cordum.store import keys, stats
from cordum.store.codec import SPENT_FACTS, to_json
from cordum.store.commit import CommitWriter, event_text
from cordum.store.packed import Packed, pack


def prepared_job(cell: keys.CellKeys, writer: CommitWriter, run: RunState, found: Foreseen, mark: str) -> bytes:
    """`mark`: what stand-ins for outputs begin with."""
    job = found.job
    way = (
        *(_around_id(str(JobId(run.id, job.step, job.attempt)), run.id), job.topic, str(job.priority)),
        *(cell.window(job.topic), cell.turns(job.topic), cell.parked(job.topic)),
        *(cell.ready(job.topic, job.priority, run.tenant), cell.audit(run.tenant), cell.audited, run.tenant),
    )
    told, decided = (_around_id(event_text(run.id, event), run.id) for event in found.events)
    given = _pieces(to_json(job.input), mark) if job.own_input else []
    asked = [] if found.request is None else _pieces(found.request, mark)
    facts = [str(part) for part in writer.facts_of_job(found.change, job)]
    head, *sent = writer.record_of(job, found.epoch).rsplit("\n", 4)
    record = (_around_id(head, run.id), *(_around_id(line, run.id) for line in sent))
    return _after_needs(found.needs, (*way, told, decided, facts, given, asked, *record))


def prepared_end(cell: keys.CellKeys, run: RunState, found: ForeseenEnd, mark: str) -> bytes:
    """The same of the end of the run."""
    tenant = run.tenant
    way = (
        *(cell.timers, cell.open_runs_of(tenant, run.workflow_id), cell.ended(tenant), cell.keepers),
        *(cell.audit(tenant), cell.audited, tenant),
    )
    spent = [f"{step}#{fact}" for step in run.steps for fact in SPENT_FACTS]
    (told,) = (_around_id(event_text(run.id, event), run.id) for event in found.plan.events)
    counts = stats.counts_of(replace(run, status=RunStatus.RUNNING), found.plan, new=False)
    moved = stats.together({name: count for name, count in counts.items() if name != "commits:committed"})
    return _after_needs(found.needs, (*way, spent, told, moved, _pieces(to_json(found.output), mark)))


def _after_needs(needs: tuple[str, ...], rest: Packed) -> bytes:
    return b"%b\n%b" % (" ".join(needs).encode(), pack(rest))


def _around_id(text: str, run_id: str) -> Packed:
    """A text of our own, taken apart where the id of the run stands."""
    pieces = text.split(run_id)
    return pieces if len(pieces) > 1 else text


def _pieces(text: str, mark: str) -> list[str]:
    """JSON text, taken apart where outputs will be: text, step, text, step, …, text."""
    return re.split(f'"{re.escape(mark)}([^"]+)"', text)
