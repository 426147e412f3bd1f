"""Everything that happened to the runs of a scenario, in order: the timelines of all runs, merged as they grew."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import datetime
from typing import Any

from cordum.domain.states import StepStatus
from cordum.engine import Engine

_PAGE = 1000
_ENDS = frozenset({"step.succeeded", "step.failed", "step.denied", "step.timed_out", "step.cancelled", "step.skipped"})
_ENDED = frozenset(status.value for status in StepStatus if status.terminal)
_STARTS = frozenset({"step.queued", "step.started", "approval.requested"})
# What ends the way of an attempt's message or execution; the last is a queued job sent back to be decided again.
_LEAVES = _ENDS | {"step.retrying", "step.worker_lost", "step.ready"}


class Events:
    """Some events in order, and the questions that expectations ask of them."""

    def __init__(self, events: list[dict[str, Any]]) -> None:
        self.events = events

    def dispatched(self) -> list[str]:
        """Job ids in the order in which they were put on a queue."""
        return [event["job_id"] for event in self.events if event["type"] == "step.queued"]

    def dispatched_steps(self) -> list[str]:
        return [event["step_id"] for event in self.events if event["type"] == "step.queued"]

    def first_start(self, step: str) -> int | None:
        """The place of the event with which a step first left the planner's hands."""
        return self._first(step, lambda event: event["type"] in _STARTS)

    def first_end(self, step: str) -> int | None:
        return self._first(step, lambda event: event["type"] in _ENDS or event["to"] in _ENDED)

    def most_in_flight(self) -> int:
        """The most jobs that were queued or running at one time."""
        on_the_way: set[tuple[str, str]] = set()
        most = 0
        for event in self.events:
            job = (event["run_id"], event["step_id"])
            if event["type"] == "step.queued":
                on_the_way.add(job)
                most = max(most, len(on_the_way))
            elif event["type"] in _LEAVES:
                on_the_way.discard(job)
        return most

    def pauses_sec(self, step: str) -> list[float]:
        """Seconds between the end of each attempt of a step and the dispatch of the next."""
        return list(self._pauses(step))

    def _pauses(self, step: str) -> Iterator[float]:
        ended: int | None = None
        for event in self.events:
            if event["step_id"] != step:
                continue
            if event["type"] in ("step.retrying", "step.worker_lost"):
                ended = milliseconds(event["time"])
            elif event["type"] == "step.queued" and ended is not None:
                yield (milliseconds(event["time"]) - ended) / 1000
                ended = None

    def _first(self, step: str, fits: Callable[[dict[str, Any]], bool]) -> int | None:
        places = (at for at, event in enumerate(self.events) if event["step_id"] == step and fits(event))
        return next(places, None)


class History(Events):
    """All runs that are followed, each with the run it belongs to: a child run to its parent, others to themselves."""

    def __init__(self, engine: Engine) -> None:
        super().__init__([])
        self._engine = engine
        self._seen: dict[tuple[str, str], int] = {}
        self._parents: dict[str, str] = {}

    def follow(self, tenant: str, run_id: str, parent: str | None = None) -> None:
        if (tenant, run_id) not in self._seen:
            self._seen[tenant, run_id] = 0
            if parent is not None:
                self._parents[run_id] = parent

    @property
    def runs(self) -> tuple[tuple[str, str], ...]:
        """(tenant, run id) of every run, in the order in which they became known."""
        return tuple(self._seen)

    @property
    def children(self) -> Mapping[str, str]:
        """{child run: the run it is a child of}."""
        return self._parents

    def root(self, run_id: str) -> str:
        """The run at the top, of which this one is a child, however far down."""
        while run_id in self._parents:
            run_id = self._parents[run_id]
        return run_id

    def of(self, roots: Collection[str]) -> Events:
        """The events of these runs and their child runs."""
        return Events([event for event in self.events if self.root(event["run_id"]) in roots])

    def read(self) -> None:
        """Take in what has been added to the timelines."""
        for (tenant, run_id), seen in self._seen.items():
            number = seen
            while page := self._engine.timeline(tenant, run_id, after=str(number), limit=_PAGE).items:
                self.events += page
                number = page[-1]["seq"]
            self._seen[tenant, run_id] = number


def milliseconds(time: str) -> int:
    """RFC 3339 as milliseconds since the epoch."""
    return round(datetime.fromisoformat(time).timestamp() * 1000)
