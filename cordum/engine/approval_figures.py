"""How long people let questions wait: from the records of a tenant's approvals, which are the truth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from cordum.store.stats import APPROVAL_WAIT_SEC

MOST_COUNTED = 1000


def waiting_times(
    records: Sequence[Mapping[str, str]], now: int, oldest_open_at: int | None, open_: int
) -> dict[str, Any]:
    """`records`: the newest ones, at most `MOST_COUNTED`; times in milliseconds. Waits are told in seconds.

    A histogram's buckets each hold what the ones before do not; the last has no bound.
    """
    ended = [one for one in records if one.get("decided_at")]
    by_people = sorted(_wait_sec(one) for one in ended if one["state"] in ("approved", "rejected"))
    return {
        "open": open_,
        "oldest_open_sec": None if oldest_open_at is None else max(now - oldest_open_at, 0) / 1000,
        "counted": len(records),
        "outcomes": dict(Counter(one["state"] for one in ended)),
        "wait_sec": {name: _quantile(by_people, share) for name, share in _SHARES.items()} if by_people else None,
        "histogram": _histogram(by_people),
    }


_SHARES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}


def _wait_sec(record: Mapping[str, str]) -> float:
    return max(int(record["decided_at"]) - int(record["at"]), 0) / 1000


def _quantile(ordered: Sequence[float], share: float) -> float:
    """The least value that this share of all does not exceed."""
    return ordered[max(-int(-share * len(ordered) // 1), 1) - 1]


def _histogram(waits: Sequence[float]) -> list[dict[str, Any]]:
    counts: Counter[int | None] = Counter(
        next((bound for bound in APPROVAL_WAIT_SEC if wait <= bound), None) for wait in waits
    )
    return [{"up_to_sec": bound, "count": counts[bound]} for bound in (*APPROVAL_WAIT_SEC, None)]
