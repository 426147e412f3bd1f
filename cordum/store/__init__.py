"""Redis and Lua. The only package that imports redis; everything else calls it by what it wants to happen."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from cordum.store.api_keys import ApiKeys
from cordum.store.approvals import Approvals
from cordum.store.audit import Audit
from cordum.store.bulk_retries import BulkRetries
from cordum.store.connection import Connection
from cordum.store.dead_letters import DeadLetters
from cordum.store.figures import FigureReader
from cordum.store.hooks import Hooks
from cordum.store.jobs import Jobs
from cordum.store.keys import CellKeys
from cordum.store.policies import Policies
from cordum.store.pools import Pools
from cordum.store.queues import Queues
from cordum.store.quotas import Quotas
from cordum.store.retention import Retention
from cordum.store.runs import Runs
from cordum.store.schedules import Schedules
from cordum.store.signals import Signals
from cordum.store.wakeups import Wakeups
from cordum.store.workers import Workers
from cordum.store.workflows import Workflows

__all__ = ["Store"]

NO_WEIGHTS: Mapping[str, int] = MappingProxyType({})


class Store:
    """One cell's state, by what is kept.

    Runs, jobs, approvals, ... `window` is the least number of messages a topic may have, `weights` how many jobs a
    tenant has in each of its turns (1 where nothing is said). `forward_dead_letters`: those of jobs are also
    messages on a queue.
    """

    def __init__(
        self,
        connection: Connection,
        cell: str,
        window: int,
        weights: Mapping[str, int] = NO_WEIGHTS,
        *,
        forward_dead_letters: bool = False,
    ) -> None:
        self.connection = connection
        self.keys = CellKeys(cell)
        self.runs = Runs(self.connection, self.keys, window, weights, forward_dead_letters)
        self.jobs = Jobs(self.connection, self.keys, window)
        self.pools = Pools(self.connection, self.keys, window)
        self.queues = Queues(self.connection, self.keys, window)
        self.figures = FigureReader(self.connection, self.keys)
        self.api_keys = ApiKeys(self.connection, self.keys)
        self.audit = Audit(self.connection, self.keys)
        self.approvals = Approvals(self.connection, self.keys)
        self.bulk_retries = BulkRetries(self.connection, self.keys)
        self.dead_letters = DeadLetters(self.connection, self.keys)
        self.policies = Policies(self.connection, self.keys)
        self.quotas = Quotas(self.connection, self.keys)
        self.retention = Retention(self.connection, self.keys)
        self.schedules = Schedules(self.connection, self.keys)
        self.signals = Signals(self.connection, self.keys)
        self.hooks = Hooks(self.connection, self.keys)
        self.wakeups = Wakeups(self.connection, self.keys, window)
        self.workers = Workers(self.connection, self.keys)
        self.workflows = Workflows(self.connection, self.keys)

    def ping(self) -> None:
        """Raise Unavailable when Redis does not answer."""
        self.connection.read(lambda client: client.ping())

    def close(self) -> None:
        self.connection.close()
