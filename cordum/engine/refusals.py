"""How often each address was refused lately, so that whoever tries keys by the thousand is told to slow down.

Only what is refused anyway is counted, after it was refused: no number of bad keys keeps a good one of the same address
out. Each process counts for itself, in bounded memory.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from ipaddress import IPv6Address, ip_address

BURST = 30
PER_SEC = 1.0
MOST_ADDRESSES = 4096


class Refusals:
    """A token bucket for each address: `burst` refusals at once, `per_sec` more each second. Safe to share."""

    def __init__(self, burst: int = BURST, per_sec: float = PER_SEC, most_addresses: int = MOST_ADDRESSES) -> None:
        self._burst = burst
        self._per_sec = per_sec
        self._most = most_addresses
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # (tokens left, as of when)
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._buckets)

    def wait_sec(self, address: str, now: float) -> int:
        """Count one refusal at `now` (seconds); 0, or how many seconds the address should wait before it asks again."""
        name = _neighbourhood(address)
        with self._lock:
            left, at = self._buckets.pop(name, (float(self._burst), now))
            left = min(left + max(now - at, 0.0) * self._per_sec, self._burst)
            over = left < 1
            self._buckets[name] = (left if over else left - 1, now)
            if len(self._buckets) > self._most:
                self._buckets.popitem(last=False)
        return max(math.ceil((1 - left) / self._per_sec), 1) if over else 0


def _neighbourhood(address: str) -> str:
    """Whoever has one address of IPv6 has a whole network of them."""
    try:
        known = ip_address(address)
    except ValueError:
        return "?"
    if not isinstance(known, IPv6Address):
        return str(known)
    mapped = known.ipv4_mapped
    return str(mapped) if mapped else known.exploded[:19]
