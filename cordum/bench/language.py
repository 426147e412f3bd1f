"""What the language costs: templates rendered, a large definition read, and refusals beside the reading they save.

Times are this process's processor time, so that other programs on the machine do not count.
"""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from cordum.domain.definition import build_workflow, parse_document
from cordum.domain.definition.document import TreeBuilder
from cordum.domain.definition.problems import Problems
from cordum.domain.definition.yaml_reader import read_yaml_text
from cordum.domain.expressions import Template
from cordum.domain.workflow import JSON
from cordum.errors import DefinitionInvalid

TEMPLATES = 10_000
STEPS = 1_000
_REPEATS = 5
_REFUSALS = 100

TYPICAL: JSON = {
    "incident_id": "${input.incident_id}",
    "title": "Incident ${input.incident_id}: ${steps.classify.output.severity ?? 'unknown'}",
    "hosts": {"first": "${item.name}", "many": "${length(input.items) > 2}", "region": "eu-1"},
    "urgent": "${input.urgent && steps.classify.output.ok == true}",
}
SCOPE: dict[str, Any] = {
    "input": {"incident_id": "INC-1", "items": [1, 2, 3], "urgent": True},
    "steps": {"classify": {"output": {"severity": "high", "ok": True}, "status": "succeeded"}},
    "item": {"name": "web-1"},
    "index": 0,
}


@dataclass(frozen=True, slots=True)
class Figure:
    """One measurement: the median of `samples`, seconds of processor time (a ratio for refusals), and its budget."""

    name: str
    unit: str
    value: float
    budget: float
    samples: tuple[float, ...]

    @property
    def within_budget(self) -> bool:
        return self.value <= self.budget

    def document(self) -> dict[str, Any]:
        return asdict(self) | {"within_budget": self.within_budget}


@dataclass(frozen=True, slots=True)
class Language:
    figures: tuple[Figure, ...]

    @property
    def within_budget(self) -> bool:
        return all(figure.within_budget for figure in self.figures)

    def document(self) -> dict[str, Any]:
        figures = [figure.document() for figure in self.figures]
        return {"setting": _machine(), "figures": figures, "within_budget": self.within_budget}


def measure_language() -> Language:
    """All figures, each the median of several measurements after one that does not count."""
    template = Template.compile(TYPICAL)
    large = definition(STEPS)
    wide, deep = flat(1 << 20), nested(3000)
    return Language(
        (
            _seconds(f"{TEMPLATES:,} typical templates rendered", 0.5, lambda: _render(template)),
            _seconds(f"a definition of {STEPS:,} steps parsed and validated", 1.0, lambda: _load(large)),
            _refusal("a document of 1 MB refused", wide, lambda: _parse(wide)),
            _refusal("a document of 3,000 levels refused", deep, lambda: _parse(deep)),
        )
    )


# -- documents ---------------------------------------------------------------------------------------------------


def definition(steps: int) -> bytes:
    """A workflow of workers that depend on one another; every fifth has a gate, every tenth is of another kind."""
    lines = ["id: large", "steps:"]
    for number in range(steps):
        before = [f"step_{other}" for other in (number - 1, number - 2, number - 7) if other >= 0]
        lines += [f"  step_{number}:", f"    depends_on: [{', '.join(before)}]"]
        lines += _kind(number, before)
        if number % 5 == 0:
            lines.append(f"    condition: input.enabled != false && input.level > {number % 7}")
    return "\n".join(lines).encode()


def _kind(number: int, before: list[str]) -> list[str]:
    source = f"${{steps.{before[0]}.output.value}}" if before else "${input.value}"
    if number % 10 == 9:
        return ["    type: transform", f"    input: {{value: '{source}', number: {number}}}"]
    return [
        f"    topic: job.large.t{number % 20}",
        f"    input: {{value: '{source}', name: 'item {number} of ${{input.name}}'}}",
        "    retry: {max_retries: 2, initial_backoff_sec: 1, max_backoff_sec: 8}",
    ]


def flat(size: int) -> bytes:
    """A mapping of so many bytes."""
    line = "key_{:07}: some text that is not special\n"
    return "".join(line.format(number) for number in range(size // len(line.format(0)))).encode()


def nested(levels: int) -> bytes:
    return b"[" * levels + b"]" * levels


# -- measuring ---------------------------------------------------------------------------------------------------


def _render(template: Template) -> None:
    for _ in range(TEMPLATES):
        template.render(SCOPE)


def _load(data: bytes) -> None:
    build_workflow(parse_document(data, "yaml"))


def _parse(data: bytes) -> None:
    """As a definition is parsed, were there no limits."""
    read_yaml_text(data.decode(), TreeBuilder(Problems(), max_depth=1 << 30))


def _refuse(data: bytes) -> None:
    try:
        parse_document(data, "yaml")
    except DefinitionInvalid:
        return
    raise AssertionError("this document should have been refused")


def _refuse_often(data: bytes) -> None:
    for _ in range(_REFUSALS):
        _refuse(data)


def _took(work: Callable[[], None]) -> float:
    begun = time.process_time()
    work()
    return time.process_time() - begun


def _seconds(name: str, budget: float, work: Callable[[], None]) -> Figure:
    work()
    return _figure(name, "s", budget, [_took(work) for _ in range(_REPEATS)])


def _refusal(name: str, data: bytes, parse: Callable[[], None]) -> Figure:
    """Refusing many times, so that the clock can tell, beside parsing once."""
    ratios = [_took(lambda: _refuse_often(data)) / _REFUSALS / _took(parse) for _ in range(_REPEATS)]
    return _figure(name, "of the time to parse it", 0.1, ratios)


def _figure(name: str, unit: str, budget: float, samples: list[float]) -> Figure:
    return Figure(name, unit, statistics.median(samples), budget, tuple(samples))


def _machine() -> dict[str, Any]:
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
    }
