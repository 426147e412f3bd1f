"""When an attempt that failed is tried again (CONTRACT.md 3.5). Pure arithmetic; chance comes in as a number."""

from __future__ import annotations

import hashlib

from cordum.domain.workflow import RetryPolicy

MAX_BACKOFF_MS = 7 * 24 * 3600 * 1000


def backoff_ms(policy: RetryPolicy, retry: int, chance: float) -> int:
    """Milliseconds to wait before the `retry`-th retry (from 1); `chance` is in [0, 1).

    min(max, initial × multiplier^(retry-1)) × (1 + jitter × chance), and never more than seven days.
    """
    ceiling = MAX_BACKOFF_MS if policy.max_backoff_ms is None else min(policy.max_backoff_ms, MAX_BACKOFF_MS)
    try:
        delay = policy.initial_backoff_ms * policy.multiplier ** (retry - 1)
    except OverflowError:
        delay = ceiling
    return int(min(delay, ceiling) * (1 + policy.jitter * chance))


def chance_of(job_id: str) -> float:
    """A number in [0, 1) that is the same for the same job id everywhere, so that planning twice plans the same."""
    return int.from_bytes(hashlib.blake2b(job_id.encode(), digest_size=6).digest(), "big") / 2**48
