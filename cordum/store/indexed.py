"""Records that lie in hashes of their runs and are found through an index by time: approvals and dead letters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cordum.domain.ids import JobId
from cordum.store.connection import Connection


class Indexed:
    """`index` is a sorted set of job ids by milliseconds; `key` gives the record's hash from run id and job id."""

    def __init__(self, connection: Connection, key: Callable[[str, str], str]) -> None:
        self._connection = connection
        self._key = key

    def get(self, index: str, job_id: str) -> dict[str, str] | None:
        """The record, if this index has it; another tenant's index does not."""
        job = JobId.parse(job_id)
        if job is None:
            return None
        at: Any = self._connection.read(lambda client: client.zscore(index, job_id))
        if at is None:
            return None
        fields: Any = self._connection.read(lambda client: client.hgetall(self._key(job.run_id, job_id)))
        return {**fields, "at": str(int(at))} if fields else None

    def page(self, index: str, before: str | None, count: int) -> list[dict[str, str]]:
        """Records newest first, after the one with job id `before`."""
        start = 0
        if before is not None:
            rank: Any = self._connection.read(lambda client: client.zrevrank(index, before))
            if rank is None:
                return []
            start = rank + 1
        found: Any = self._connection.read(lambda client: client.zrevrange(index, start, start + count - 1))
        records = (self.get(index, job_id) for job_id in found)
        return [record for record in records if record is not None]
