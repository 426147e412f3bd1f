"""The figures of a cell under the names that monitoring knows; what they are made of is counted where it happens."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from cordum.domain.states import RunStatus
from cordum.store.figures import Figures, TopicFigures
from cordum.store.stats import APPROVAL_WAIT_SEC

# Upper bounds in milliseconds; `sweep.lua` has the same.
LATENESS_BUCKETS = ("100", "250", "500", "1000", "2000", "5000", "10000", "30000", "60000", "+Inf")

Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Metric:
    """One figure, once for each combination of labels. Labels are topics, states and reasons, never ids.

    The samples of a histogram are its buckets, cumulative; `sum` is the sum of what they hold.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    samples: Mapping[Labels, float]
    series: Mapping[str, Mapping[Labels, float]] = field(default_factory=dict)  # of a histogram, by suffix

    def lines(self) -> Iterator[tuple[str, Labels, float]]:
        """Name, labels and value of each line that monitoring reads."""
        for suffix, samples in {"": self.samples, **self.series}.items():
            for labels, value in samples.items():
                yield self.name + suffix, labels, value


def metrics_of(figures: Figures) -> list[Metric]:
    return [
        *_of_runs(figures),
        *_of_jobs(figures),
        *_of_topics(figures),
        *_of_troubles(figures),
        *_of_timers(figures),
        *_of_people(figures),
    ]


def _of_runs(figures: Figures) -> Iterator[Metric]:
    statuses = list(RunStatus)
    yield _counter(figures, "runs_started", "Runs created")
    yield _counter(
        figures, "runs_ended", "Runs that ended, by status", "status", also=[s for s in statuses if s.terminal]
    )
    yield Metric(
        "cordum_runs_open",
        "gauge",
        "Runs that have not ended, by status",
        _labelled(figures, "runs_open", ("status",), also=[s for s in statuses if not s.terminal]),
    )
    yield _gauge("runs_due", "Runs that wait for a coordinator", figures.runs_due)


def _of_jobs(figures: Figures) -> Iterator[Metric]:
    help_ = "Steps that ended, by status and topic (empty: no job was decided for it)"
    yield _counter(figures, "steps_ended", help_, "status", "topic")
    yield _counter(figures, "attempts_ended", "Attempts of jobs that ended, by outcome and topic", "outcome", "topic")


def _of_topics(figures: Figures) -> Iterator[Metric]:
    def by_topic(name: str, help_: str, value: Callable[[TopicFigures], float]) -> Metric:
        samples: dict[Labels, float] = {(("topic", topic),): value(one) for topic, one in figures.topics.items()}
        return Metric(f"cordum_{name}", "gauge", help_, samples)

    yield by_topic("jobs_ready", "Jobs decided that wait for room on their queue", lambda one: one.ready)
    yield by_topic("jobs_unfinished", "Jobs on their queue or running", lambda one: one.unfinished)
    yield by_topic("queue_depth", "Messages on the topic's queue", lambda one: one.queued)
    yield by_topic(
        "queue_oldest_age_seconds",
        "How long the oldest message that no worker has claimed has been on its way",
        lambda one: _age_sec(figures, one.oldest_at),
    )


def _of_troubles(figures: Figures) -> Iterator[Metric]:
    yield _gauge("workers", "Workers whose lease holds", figures.workers)
    yield _gauge("worker_slots", "Jobs that these workers can run at once", figures.slots)
    yield _counter(figures, "leases_lost", "Leases of workers that ran out")
    yield _counter(figures, "messages_resent", "Messages that were lost and sent again")
    yield _counter(figures, "results_stale", "Results that came too late and were ignored")
    yield _counter(figures, "claims_stale", "Messages that were delivered though their job was taken or withdrawn")
    yield _counter(figures, "policy_unavailable", "Looks at runs that dispatched nothing, for want of a decision")
    yield _counter(figures, "decisions_fail_open", "Jobs dispatched without a policy, because their tenant fails open")
    yield _counter(figures, "commits", "Plans brought to be committed, by result", "result")


def _of_timers(figures: Figures) -> Iterator[Metric]:
    """How late timers go off: time-outs, back-offs, delays, expiries, reminders are all one timer of their run."""
    buckets: dict[Labels, float] = {}
    total = 0
    for bound in LATENESS_BUCKETS:
        total += figures.counters.get(f"timer_lateness:{bound}", 0)
        shown = bound if bound == "+Inf" else f"{int(bound) / 1000:g}"
        buckets[(("le", shown),)] = total
    help_ = "How long after its time a timer was seen to have gone off"
    late_sec = figures.counters.get("timer_lateness:sum", 0) / 1000
    series: dict[str, dict[Labels, float]] = {"_bucket": buckets, "_sum": {(): late_sec}, "_count": {(): total}}
    yield Metric("cordum_timer_lateness_seconds", "histogram", help_, {}, series)


def _of_people(figures: Figures) -> Iterator[Metric]:
    yield _counter(figures, "dead_letters", "Dead letters written, by reason", "reason")
    yield _gauge(
        "dead_letters_open", "Dead letters that nobody has dealt with", figures.counters.get("dead_letters_open", 0)
    )
    yield _gauge(
        "dead_letters_over_limit",
        "Of these, how many are more than a tenant may keep; they are kept all the same",
        figures.letters_over_limit,
    )
    yield _gauge("approvals_waiting", "Questions that no person has decided", figures.approvals)
    yield _gauge(
        "approval_oldest_age_seconds",
        "How long the oldest of them has been waiting",
        _age_sec(figures, figures.oldest_approval_at),
    )
    yield _approval_waits(figures)


def _approval_waits(figures: Figures) -> Metric:
    """How long questions were open, by how they ended. A histogram's buckets hold all that are smaller, too."""
    buckets: dict[Labels, float] = {}
    sums: dict[Labels, float] = {}
    counts: dict[Labels, float] = {}
    ended = _labelled(figures, "approval_wait_ms", ("outcome",), also=["approved", "rejected"])
    for (outcome,), total_ms in ended.items():
        found = 0.0
        for bound in (*map(str, APPROVAL_WAIT_SEC), "inf"):
            found += figures.counters.get(f"approval_waits:{outcome[1]}:{bound}", 0)
            buckets[outcome, ("le", "+Inf" if bound == "inf" else bound)] = found
        sums[outcome,], counts[outcome,] = total_ms / 1000, found
    help_ = "How long questions to people were open, by how they ended"
    series = {"_bucket": buckets, "_sum": sums, "_count": counts}
    return Metric("cordum_approval_wait_seconds", "histogram", help_, {}, series)


def _age_sec(figures: Figures, since: int | None) -> float:
    return 0.0 if since is None else max(figures.now - since, 0) / 1000


def _gauge(name: str, help_: str, value: float) -> Metric:
    return Metric(f"cordum_{name}", "gauge", help_, {(): value})


def _counter(figures: Figures, name: str, help_: str, *labels: str, also: Sequence[str] = ()) -> Metric:
    plain: dict[Labels, float] = {(): figures.counters.get(name, 0)}
    samples = _labelled(figures, name, labels, also) if labels else plain
    return Metric(f"cordum_{name}_total", "counter", help_, samples)


def _labelled(figures: Figures, name: str, labels: tuple[str, ...], also: Sequence[str] = ()) -> dict[Labels, float]:
    """The counters whose field begins with `name`; `also`: values that are shown though nothing was counted."""
    samples: dict[Labels, float] = {((labels[0], value),): 0 for value in also}
    for counted, count in sorted(figures.counters.items()):
        known, *values = counted.split(":", len(labels))
        if known == name and len(values) == len(labels):
            samples[tuple(zip(labels, values, strict=True))] = count
    return samples
