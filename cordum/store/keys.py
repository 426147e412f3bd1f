"""Every key cordum has in Redis, and nothing else. No key is built anywhere but here.

All keys of a run share the hash tag `{run_id}`. Global keys carry the name of the cell. The lists of Celery's queues
carry none: their names are what workers are started with (`-Q job.sre.*`), and a cell has a Redis of its own.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple

COORDINATOR_QUEUE = "cordum.coordinator"


_PARTS = (
    *("steps", "facts", "inputs", "outputs", "timeline", "once"),
    *("children", "child_outputs", "items", "context", "inbox", "prepared"),
)
_RUN_KEYS = " ".join(("cordum:run:{@}", *(f"cordum:run:{{@}}:{part}" for part in _PARTS)))


class RunKeys(NamedTuple):
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
    prepared: str  # hash: step -> lines, how it is dispatched when its turn comes (`store/foreseen.py`)

    @classmethod
    @lru_cache(maxsize=1024)
    def of(cls, run_id: str) -> RunKeys:
        # An id has no blanks.
        return cls._make(_RUN_KEYS.replace("@", run_id).split(" "))

    @property
    def parts(self) -> list[str]:
        """All but the first."""
        return [*self[1:]]

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


@dataclass(frozen=True)
class CellKeys:
    """The global keys of one cell. Those that depend on nothing else are made once: they go with every call."""

    cell: str

    def _key(self, *parts: str) -> str:
        return ":".join(("cordum", self.cell, *parts))

    @cached_property
    def clock(self) -> str:
        """String: the latest time seen, in milliseconds; time never goes back."""
        return self._key("clock")

    @cached_property
    def policy(self) -> str:
        """Hash: the active policy {epoch, digest, source, ...}."""
        return self._key("policy")

    @cached_property
    def policy_history(self) -> str:
        """List: which policies became active, oldest first."""
        return self._key("policy", "history")

    @cached_property
    def policy_sources(self) -> str:
        """Hash: digest -> text of every policy that was active."""
        return self._key("policy", "sources")

    def policy_request(self, request: str) -> str:
        """Hash: what a request to publish was answered; it expires."""
        return self._key("policy", "request", hashlib.sha256(request.encode()).hexdigest())

    @cached_property
    def policy_drafts(self) -> str:
        """Hash: id -> time, digest, author and text of a draft."""
        return self._key("policy", "drafts")

    def template(self, name: str) -> str:
        """Hash: step -> lines, what is foreseen of runs that began alike; empty: what stands for their ids. Expires."""
        return self._key("template", name)

    @cached_property
    def api_keys(self) -> str:
        """Sorted set: ids of all API keys ever made, by the time they were made."""
        return self._key("api_keys")

    def api_keys_of(self, tenant: str) -> str:
        return self._key("api_keys", tenant)

    @cached_property
    def session_secret(self) -> str:
        """String: what the console's sessions are signed with."""
        return self._key("session_secret")

    def api_key(self, key_id: str) -> str:
        """Hash: one API key."""
        return self._key("api_key", key_id)

    def audit(self, tenant: str) -> str:
        """List: a tenant's audit, `<number> <milliseconds> <subject> <event JSON>` each; kept when runs are deleted."""
        return self._key("audit", tenant)

    @cached_property
    def audited(self) -> str:
        """Hash: tenant -> how many records its audit has had."""
        return self._key("audit")

    def seals(self, tenant: str) -> str:
        """List: the chain over a tenant's audit, a link and perhaps its signature for each record."""
        return self._key("seals", tenant)

    @cached_property
    def sealed(self) -> str:
        """Hash: tenant -> how many of its records are sealed."""
        return self._key("seals")

    @cached_property
    def wakeups(self) -> str:
        """Sorted set: run id by the time from which somebody should advance it."""
        return self._key("wakeups")

    @cached_property
    def timers(self) -> str:
        """Sorted set: run id by the earliest time at which something happens to it by time alone."""
        return self._key("timers")

    @cached_property
    def fired(self) -> str:
        """Sorted set: run id by the time at which its timer went off, until a commit has taken note of it."""
        return self._key("fired")

    @cached_property
    def swept(self) -> str:
        """Hash: when the last sweep was, and until when leases are spared after an outage."""
        return self._key("swept")

    @cached_property
    def coordinator(self) -> str:
        """List: the coordinators' Celery queue."""
        return COORDINATOR_QUEUE

    @cached_property
    def topics(self) -> str:
        """Set: every topic that a stored definition names."""
        return self._key("topics")

    def parked(self, topic: str) -> str:
        """Hash: job id -> what `release` needs to put the ready job onto its queue."""
        return self._key("parked", topic)

    @cached_property
    def windows(self) -> str:
        """Hash: topic -> how many unfinished messages it may have."""
        return self._key("windows")

    @cached_property
    def pools(self) -> str:
        """Hash: which pools serve which topics {epoch, document, file_digest, actor, changed_at}."""
        return self._key("pools")

    @cached_property
    def routes(self) -> str:
        """Set: what jobs that wait for certain workers ask of them (`domain.routing.Route`), as text."""
        return self._key("routes")

    @cached_property
    def paused(self) -> str:
        """Hash: topic -> since when, by whom, the window before and why its queue is paused; one a line."""
        return self._key("paused")

    def aside(self, queue_list: str) -> str:
        """List: the messages of a list whose topic is paused."""
        return self._key("aside", queue_list)

    @cached_property
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

    @cached_property
    def workers(self) -> str:
        """Sorted set: worker incarnation by the end of its lease."""
        return self._key("workers")

    def worker(self, incarnation: str) -> str:
        """Hash: `info`, what a worker said of itself; `registered_at`; `draining`: since when and by whom."""
        return self._key("worker", incarnation)

    @cached_property
    def drained_pools(self) -> str:
        """Hash: pool -> since when and by whom its workers are drained, separated by a blank."""
        return self._key("drained_pools")

    def held(self, incarnation: str) -> str:
        """Set: job ids that a worker has claimed and not settled."""
        return self._key("held", incarnation)

    def stops(self, incarnation: str) -> str:
        """List: job ids that a worker must stop."""
        return self._key("stops", incarnation)

    # -- quotas: what limits the jobs of many runs together (`domain/quotas.py`) ---------------------------------

    def places(self, quota: str) -> str:
        """Set: job ids that hold a place. Of a rule's rate a sorted set: what has begun, by the time it did."""
        return self._key("places", quota)

    def waiters(self, quota: str) -> str:
        """Sorted set: job ids that wait for a place, in the order of their turn."""
        return self._key("waiters", quota)

    @cached_property
    def waiting(self) -> str:
        """Hash: job id -> what `_quota.lua` needs to send it on, of every job that waits for a place."""
        return self._key("waiting")

    @cached_property
    def alarms(self) -> str:
        """Sorted set: keys of waiters by the time at which their rate has room again."""
        return self._key("alarms")

    def quotas(self, tenant: str) -> str:
        """Hash: quota -> kind, name and limit as JSON, of those that somebody holds or waits for."""
        return self._key("quotas", tenant)

    @cached_property
    def pool_quotas(self) -> str:
        """Hash: the same of pools, which all tenants share."""
        return self._key("pool_quotas")

    def approvals(self, tenant: str) -> str:
        """Sorted set: job ids of all approvals by the time they were requested."""
        return self._key("approvals", tenant)

    def open_approvals(self, tenant: str) -> str:
        return self._key("approvals", tenant, "open")

    @cached_property
    def asked(self) -> str:
        """Sorted set: job ids of the open approvals of all tenants by the time they were requested."""
        return self._key("approvals")

    def dead_letters(self, tenant: str) -> str:
        """Sorted set: job ids of dead letters by time."""
        return self._key("dead_letters", tenant)

    def open_letters(self, tenant: str) -> str:
        """Sorted set by text: `<group>|<milliseconds>|<job id>` of each dead letter that nobody has dealt with."""
        return self._key("dead_letters", tenant, "open")

    def handled_letters(self, tenant: str) -> str:
        """Sorted set: job ids of dead letters by the time they were dealt with."""
        return self._key("dead_letters", tenant, "handled")

    def letter_groups(self, tenant: str) -> str:
        """Hash: group of dead letters that are open -> JSON, what they have in common."""
        return self._key("dead_letters", tenant, "groups")

    @property
    def letter_tenants(self) -> str:
        """Hash: tenant with dead letters -> by how many those that nobody has dealt with are more than are kept."""
        return self._key("dead_letters")

    @property
    def bulk_retries(self) -> str:
        """Set: ids of the bulk retries that go on."""
        return self._key("bulk_retries")

    def bulk_retries_of(self, tenant: str) -> str:
        """Sorted set: ids of a tenant's bulk retries by the time they were begun."""
        return self._key("bulk_retries", tenant)

    def bulk_retry(self, bulk_id: str) -> str:
        """Hash: one bulk retry, how far it is and what has come of it."""
        return self._key("bulk_retry", bulk_id)

    def bulk_letters(self, bulk_id: str) -> str:
        """List: the job ids of the dead letters that a bulk retry is to try again, in order."""
        return self._key("bulk_retry", bulk_id, "letters")

    def runs(self, tenant: str) -> str:
        """Sorted set: run ids by the time they were created."""
        return self._key("runs", tenant)

    def runs_of(self, tenant: str, workflow_id: str) -> str:
        return self._key("runs", tenant, workflow_id)

    def ended(self, tenant: str) -> str:
        """Sorted set: runs that have ended and belong to no other, by the time of their end."""
        return self._key("ended", tenant)

    def needed(self, tenant: str) -> str:
        """Sorted set: ended runs that could have gone but are needed, by the time at which that was seen."""
        return self._key("needed", tenant)

    @cached_property
    def keepers(self) -> str:
        """Sorted set: tenants with ended runs, by the time from which somebody should look at those."""
        return self._key("keepers")

    @cached_property
    def orphans(self) -> str:
        """Set: runs that belonged to one that was removed."""
        return self._key("orphans")

    def open_runs_of(self, tenant: str, workflow_id: str) -> str:
        """Set: the runs of a workflow that have not ended."""
        return self._key("runs", tenant, workflow_id, "open")

    def signal_waiting(self, tenant: str, about: str) -> str:
        """Set: `wait_name` of the steps that wait for signals about this (`signal_digest`)."""
        return self._key("signals_waiting", tenant, about)

    def kept_signals(self, tenant: str, about: str) -> str:
        """List: signals that nobody has waited for yet: `expires, token, event, signal`, one a line."""
        return self._key("signals_kept", tenant, about)

    def kept_index(self, tenant: str) -> str:
        """Sorted set: tokens of the signals that are kept, by when they expire."""
        return self._key("signals_kept", tenant)

    def schedules(self, tenant: str) -> str:
        """Set: ids of schedules."""
        return self._key("schedules", tenant)

    def schedule(self, tenant: str, schedule_id: str) -> str:
        """Hash: one schedule, as it is and where it stands."""
        return self._key("schedule", tenant, schedule_id)

    def hooks(self, tenant: str) -> str:
        """Set: ids of inbound webhooks."""
        return self._key("hooks", tenant)

    def hook(self, hook_id: str) -> str:
        """Hash: one inbound webhook; ids are one in the cell."""
        return self._key("hook", hook_id)

    @cached_property
    def hook_master(self) -> str:
        """String: what hooks' secrets are derived from, where no setting says so."""
        return self._key("hook_master")

    @cached_property
    def schedules_due(self) -> str:
        """Sorted set: `schedule_name` by the time at which somebody has to look at it."""
        return self._key("schedules")

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
        """String: run id and fingerprint of the request that used this key.

        Keys of people hold no blanks: `tick …` and `hook …` are cordum's own.
        """
        return self._key("idempotency", tenant, workflow_id, hashlib.sha256(key.encode()).hexdigest())


# What becomes of each kind of key, by the name it has here.
_WITH_RUN = "removed with its run"
_MARK = "an entry is gone with its run at the latest"
_AS_LONG_AS_WORK = "an entry goes when its job is sent, claimed or taken back"
_AS_LONG_AS_WORKER = "goes when its worker is forgotten"
_BOUNDED = "one small value, whatever is done"
_KEPT = "kept until somebody removes it"
_BULK = "after its end as long as handled dead letters are kept (`dead_letters_kept_sec`)"
RETENTION = {
    **dict.fromkeys(("run", *_PARTS, "approval"), _WITH_RUN),
    "dead_letter": "stays behind its run once it is handled; a run goes only when all of its own are",
    **dict.fromkeys(("wakeups", "timers", "fired", "runs", "runs_of", "open_runs_of", "approvals"), _MARK),
    **dict.fromkeys(("open_approvals", "asked", "ended", "needed", "orphans"), _MARK),
    **dict.fromkeys(("dead_letters", "open_letters", "handled_letters", "letter_groups"), "as the letters they list"),
    "letter_tenants": "one entry for each tenant that has had any",
    **dict.fromkeys(("bulk_retries", "bulk_retries_of", "bulk_retry", "bulk_letters"), _BULK),
    "idempotency": "until its time (`idempotency_ttl_sec`)",
    **dict.fromkeys(("parked", "turns", "ready", "window", "sent", "suspects"), _AS_LONG_AS_WORK),
    **dict.fromkeys(("workers", "worker", "held", "stops", "binding", "permanent_binding"), _AS_LONG_AS_WORKER),
    "routes": "as long as a job waits for certain workers",
    "pools": _KEPT,
    **dict.fromkeys(("clock", "session_secret", "swept", "coordinator", "definitions"), _BOUNDED),
    **dict.fromkeys(("topics", "windows", "stats", "keepers"), "one entry for each topic, status or tenant there was"),
    **dict.fromkeys(("policy", "policy_history", "policy_sources", "policy_drafts"), _KEPT),
    **dict.fromkeys(("api_keys", "api_keys_of", "api_key", "workflows"), _KEPT),
    "policy_request": "until its time, a day",
    "template": "a day after the last run that began with it",
    **dict.fromkeys(
        ("audit", "audited", "seals", "sealed"), "kept for good: what happened outlives the run it happened in"
    ),
    "places": "jobs on their way; of a rate what began within its window, and a day more",
    **dict.fromkeys(("waiters", "waiting", "alarms"), "as long as a job waits for a place"),
    **dict.fromkeys(("quotas", "pool_quotas"), "as long as somebody holds or waits for it"),
    "signal_waiting": _MARK,
    **dict.fromkeys(("kept_signals", "kept_index"), "until their step takes them, or until their time"),
    **dict.fromkeys(("schedules", "schedule", "hooks", "hook"), _KEPT),
    "schedules_due": "as the schedules it lists",
    "hook_master": _BOUNDED,
    **dict.fromkeys(("paused", "aside", "drained_pools"), "until somebody resumes the queue or opens the pool"),
    "workflow": "kept until it is deleted; the texts then stay until its last run is removed, its last number for good",
}
