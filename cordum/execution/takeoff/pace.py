"""How long the jobs of each topic take in this worker, and so how many may be given to one process at once."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["Pace"]

_SHORT_SEC = 0.002
_TOGETHER_SEC = 0.008  # the longest that the last of them should wait for the others
_MOST = 8
_SURE_AFTER = 5


class Pace:
    def __init__(self) -> None:
        self._means: dict[str, tuple[int, float]] = {}

    def note(self, topic: str, runtime_sec: float) -> None:
        count, mean = self._means.get(topic, (0, 0.0))
        count = min(count + 1, _SURE_AFTER)
        self._means[topic] = count, mean + (runtime_sec - mean) / count

    def short(self, topics: Iterable[str]) -> tuple[str, ...]:
        """Those whose jobs are known to be short."""
        return tuple(topic for topic in topics if self._is_short(topic))

    def together(self, topics: Iterable[str]) -> int:
        """How many short jobs of these topics one process is given at once."""
        longest = max(self._means[topic][1] for topic in topics)
        return min(_MOST, int(_TOGETHER_SEC / max(longest, 1e-6)))

    def _is_short(self, topic: str) -> bool:
        count, mean = self._means.get(topic, (0, 0.0))
        return count >= _SURE_AFTER and mean <= _SHORT_SEC
