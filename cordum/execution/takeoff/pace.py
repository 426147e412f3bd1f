"""How long the jobs of each topic take in this worker, and so how many may be given to one process at once."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["Pace"]

# Several are together for so long that the last of them hardly waits: by how long they take on average.
_TOGETHER = ((0.001, 8), (0.002, 4))
_SURE_AFTER = 5


class Pace:
    def __init__(self) -> None:
        self.changed = False
        self._means: dict[str, tuple[int, float]] = {}
        self._together: dict[str, int] = {}

    def note(self, topic: str, runtime_sec: float) -> None:
        count, mean = self._means.get(topic, (0, 0.0))
        count = min(count + 1, _SURE_AFTER)
        mean += (runtime_sec - mean) / count
        self._means[topic] = count, mean
        many = next((many for longest, many in _TOGETHER if mean <= longest), 0) if count == _SURE_AFTER else 0
        if many != self._together.get(topic, 0):
            # Others read it from their threads, so it is not changed but replaced.
            others = {one: of_it for one, of_it in self._together.items() if one != topic}
            self._together = others | ({topic: many} if many else {})
            self.changed = True

    def short(self, topics: Iterable[str]) -> tuple[str, ...]:
        """Those whose jobs are known to be short."""
        return tuple(topic for topic in topics if topic in self._together)

    def together(self) -> dict[str, int]:
        """Of which topics one process is given several jobs at once, and how many."""
        return self._together
