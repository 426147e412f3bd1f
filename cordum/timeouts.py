"""Time limits by name (`config/timeouts.yaml`): what holds where a workflow or step sets none itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from cordum.config_files import did_you_mean, read_mapping
from cordum.errors import ConfigurationRefused

__all__ = ["Timeouts", "load_timeouts"]

_SECTIONS = ("workflows", "topics", "reconciler")
_RECONCILER_KEYS = ("queue_timeout_sec",)
_LONGEST_SEC = 7 * 86_400


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Limits in seconds. Patterns are shell globs; the first in file order that matches wins."""

    workflows: tuple[tuple[str, float], ...] = ()
    topics: tuple[tuple[str, float], ...] = ()
    queue_timeout_sec: float | None = None

    def for_workflow(self, workflow_id: str) -> float | None:
        """Limit of a whole run; None when the file says nothing."""
        return _first(self.workflows, workflow_id)

    def for_topic(self, topic: str) -> float | None:
        """Limit of one attempt's execution; None when the file says nothing."""
        return _first(self.topics, topic)


def load_timeouts(path: Path) -> Timeouts:
    """Read the file; ConfigurationRefused names it and everything that is wrong in it."""
    document = read_mapping(path)
    problems = [
        f"unknown section {name!r}{did_you_mean(name, _SECTIONS)}" for name in document if name not in _SECTIONS
    ]
    workflows = _limits(document, "workflows", problems)
    topics = _limits(document, "topics", problems)
    reconciler = _section(document, "reconciler", problems)
    for key in reconciler:
        if key not in _RECONCILER_KEYS:
            problems.append(f"reconciler: unknown key {key!r}{did_you_mean(key, _RECONCILER_KEYS)}")
    waiting = reconciler.get("queue_timeout_sec")
    queue_timeout_sec = None if waiting is None else _seconds("reconciler.queue_timeout_sec", waiting, problems)
    if problems:
        raise ConfigurationRefused("\n".join(f"{path}: {problem}" for problem in problems))
    return Timeouts(workflows=workflows, topics=topics, queue_timeout_sec=queue_timeout_sec)


def _section(document: Mapping[str, object], name: str, problems: list[str]) -> dict[str, object]:
    section = document.get(name)
    if section is None:
        return {}
    if not isinstance(section, dict) or not all(isinstance(key, str) for key in section):
        problems.append(f"{name} must be a mapping from names to values")
        return {}
    return section


def _limits(document: Mapping[str, object], name: str, problems: list[str]) -> tuple[tuple[str, float], ...]:
    section = _section(document, name, problems)
    return tuple((pattern, _seconds(f"{name}.{pattern}", value, problems)) for pattern, value in section.items())


def _seconds(where: str, value: object, problems: list[str]) -> float:
    # The comparison also refuses NaN.
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= _LONGEST_SEC:
        problems.append(f"{where} must be seconds, more than 0 and at most {_LONGEST_SEC}, not {value!r}")
        return 0.0
    return value


def _first(limits: tuple[tuple[str, float], ...], name: str) -> float | None:
    return next((seconds for pattern, seconds in limits if fnmatchcase(name, pattern)), None)
