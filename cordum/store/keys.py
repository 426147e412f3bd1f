"""Every key cordum has in Redis, and nothing else. No key is built anywhere but here.

All keys of a run share the hash tag `{run_id}`. Global keys carry the name of the cell. The lists of Celery's queues
carry none: their names are what workers are started with (`-Q job.sre.*`), and a cell has a Redis of its own.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache

COORDINATOR_QUEUE = "cordum.coordinator"


_PARTS = (
    *("steps", "facts", "inputs", "outputs", "timeline", "once"),
    *("children", "child_outputs", "items", "context", "inbox"),
)


@dataclass(frozen=True, slots=True)
class RunKeys:
    """The keys of one run."""

    run: str  # hash: the run itself
    steps: str  # hash: step -> `<status>:<attempt>`, what every commit is checked against
    facts: str  # hash: `<step>#<fact>` -> text
    inputs: str  # hash: step -> JSON, only where a job's input is not the run's
    outputs: str  # hash: step -> JSON
    timeline: str  # list: `<milliseconds>|<event JSON>`
    once: str  # hash: what `ctx.once` has handed out
    children: str  # hash: ref -> JSON, children of fan-outs and loops that are over
    child_outputs: str  # hash: ref -> JSON, kept apart because a look at the run does not read them
    items: str  # hash: `<fan-out>#<block>` -> JSON list, the pinned items
    context: str  # hash: step -> JSON, what it has written into the run's context
    inbox: str  # hash: number -> JSON, signals that no step has taken

    @classmethod
    @lru_cache(maxsize=1024)
    def of(cls, run_id: str) -> RunKeys:
        base = f"cordum:run:{{{run_id}}}"
        return cls(base, *(f"{base}:{part}" for part in _PARTS))

    def outputs_of(self, ref: str) -> str:
        """Where the output of this step is kept."""
        return self.child_outputs if ref.endswith("]") else self.outputs


def approval(run_id: str, job_id: str) -> str:
    """Hash: one approval."""
    return f"cordum:run:{{{run_id}}}:approval:{job_id}"


def binding(queue: str) -> str:
    """Set: what kombu writes down of a queue that a worker has declared."""
    return f"_kombu.binding.{queue}"


def permanent_binding(queue: str) -> str:
    """Set: the same, as newer versions of kombu write it."""
    return f"_kombu.binding_permanent.{queue}"


def dead_letter(run_id: str, job_id: str) -> str:
    """Hash: one dead letter."""
    return f"cordum:run:{{{run_id}}}:dead_letter:{job_id}"


@dataclass(frozen=True, slots=True)
class CellKeys:
    """The global keys of one cell."""

    cell: str

    def _key(self, *parts: str) -> str:
        return ":".join(("cordum", self.cell, *parts))

    @property
    def clock(self) -> str:
        """String: the latest time seen, in milliseconds; time never goes back."""
        return self._key("clock")

    @property
    def policy(self) -> str:
        """Hash: the active policy {epoch, digest, source, ...}."""
        return self._key("policy")

    @property
    def policy_history(self) -> str:
        """List: which policies became active, oldest first."""
        return self._key("policy", "history")

    @property
    def policy_sources(self) -> str:
        """Hash: digest -> text of every policy that was active."""
        return self._key("policy", "sources")

    @property
    def policy_drafts(self) -> str:
        """Hash: id -> time, digest, author and text of a draft."""
        return self._key("policy", "drafts")

    @property
    def api_keys(self) -> str:
        """Sorted set: ids of all API keys ever made, by the time they were made."""
        return self._key("api_keys")

    def api_keys_of(self, tenant: str) -> str:
        return self._key("api_keys", tenant)

    @property
    def session_secret(self) -> str:
        """String: what the console's sessions are signed with."""
        return self._key("session_secret")

    def api_key(self, key_id: str) -> str:
        """Hash: one API key."""
        return self._key("api_key", key_id)

    @property
    def wakeups(self) -> str:
        """Sorted set: run id by the time from which somebody should advance it."""
        return self._key("wakeups")

    @property
    def timers(self) -> str:
        """Sorted set: run id by the earliest time at which something happens to it by time alone."""
        return self._key("timers")

    @property
    def fired(self) -> str:
        """Sorted set: run id by the time at which its timer went off, until a commit has taken note of it."""
        return self._key("fired")

    @property
    def swept(self) -> str:
        """Hash: when the last sweep was, and until when leases are spared after an outage."""
        return self._key("swept")

    @property
    def coordinator(self) -> str:
        """List: the coordinators' Celery queue."""
        return COORDINATOR_QUEUE

    @property
    def topics(self) -> str:
        """Set: every topic that a stored definition names."""
        return self._key("topics")

    def parked(self, topic: str) -> str:
        """Hash: job id -> what `release` needs to put the ready job onto its queue."""
        return self._key("parked", topic)

    @property
    def windows(self) -> str:
        """Hash: topic -> how many unfinished messages it may have."""
        return self._key("windows")

    @property
    def pools(self) -> str:
        """Hash: which pools serve which topics {epoch, document, file_digest, actor, changed_at}."""
        return self._key("pools")

    @property
    def routes(self) -> str:
        """Set: what jobs that wait for certain workers ask of them (`domain.routing.Route`), as text."""
        return self._key("routes")

    @property
    def paused(self) -> str:
        """Hash: topic -> since when, by whom, the window before and why its queue is paused; one a line."""
        return self._key("paused")

    def aside(self, queue_list: str) -> str:
        """List: the messages of a list whose topic is paused."""
        return self._key("aside", queue_list)

    @property
    def stats(self) -> str:
        """Hash: how often what happened; the fields are in `stats.py`."""
        return self._key("stats")

    def window(self, topic: str) -> str:
        """Set: the topic's unfinished jobs, queued or running."""
        return self._key("window", topic)

    def turns(self, topic: str) -> str:
        """Sorted set: the topic's ready lists in the order in which they are served next."""
        return self._key("turns", topic)

    def ready(self, topic: str, priority: int, tenant: str) -> str:
        """List: job ids of one tenant, topic and priority that wait for room."""
        return self._key("ready", topic, str(priority), tenant)

    def sent(self, queue_list: str) -> str:
        """Sorted set: job ids by the time their message was put on this list, until they are claimed."""
        return self._key("sent", queue_list)

    def suspects(self, queue_list: str) -> str:
        """Hash: messages that seem lost, and since when."""
        return self._key("suspects", queue_list)

    @property
    def workers(self) -> str:
        """Sorted set: worker incarnation by the end of its lease."""
        return self._key("workers")

    def worker(self, incarnation: str) -> str:
        """Hash: `info`, what a worker said of itself; `registered_at`; `draining`: since when and by whom."""
        return self._key("worker", incarnation)

    @property
    def drained_pools(self) -> str:
        """Hash: pool -> since when and by whom its workers are drained, separated by a blank."""
        return self._key("drained_pools")

    def held(self, incarnation: str) -> str:
        """Set: job ids that a worker has claimed and not settled."""
        return self._key("held", incarnation)

    def stops(self, incarnation: str) -> str:
        """List: job ids that a worker must stop."""
        return self._key("stops", incarnation)

    def approvals(self, tenant: str) -> str:
        """Sorted set: job ids of all approvals by the time they were requested."""
        return self._key("approvals", tenant)

    def open_approvals(self, tenant: str) -> str:
        return self._key("approvals", tenant, "open")

    @property
    def asked(self) -> str:
        """Sorted set: job ids of the open approvals of all tenants by the time they were requested."""
        return self._key("approvals")

    def dead_letters(self, tenant: str) -> str:
        """Sorted set: job ids of dead letters by time."""
        return self._key("dead_letters", tenant)

    def runs(self, tenant: str) -> str:
        """Sorted set: run ids by the time they were created."""
        return self._key("runs", tenant)

    def runs_of(self, tenant: str, workflow_id: str) -> str:
        return self._key("runs", tenant, workflow_id)

    def open_runs_of(self, tenant: str, workflow_id: str) -> str:
        """Set: the runs of a workflow that have not ended."""
        return self._key("runs", tenant, workflow_id, "open")

    def definitions(self, tenant: str) -> str:
        """String: how often a definition has been saved or deleted."""
        return self._key("definitions", tenant)

    def workflows(self, tenant: str) -> str:
        """Set: workflow ids."""
        return self._key("workflows", tenant)

    def workflow(self, tenant: str, workflow_id: str) -> str:
        """Hash: `latest`, `version:<n>` -> digest, `digest:<d>` -> version, `document:<d>`, `created_at:<n>`.

        When it is deleted, `retired` keeps the last number.
        """
        return self._key("workflow", tenant, workflow_id)

    def idempotency(self, tenant: str, workflow_id: str, key: str) -> str:
        """String: run id and fingerprint of the request that used this key."""
        return self._key("idempotency", tenant, workflow_id, hashlib.sha256(key.encode()).hexdigest())
