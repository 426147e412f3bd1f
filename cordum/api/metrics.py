"""Figures in Prometheus' text format."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from cordum.engine import Metric

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


def exposition(metrics: Iterable[Metric]) -> str:
    return "".join(f"{line}\n" for metric in metrics for line in _lines(metric))


def _lines(metric: Metric) -> Iterator[str]:
    yield f"# HELP {metric.name} {metric.help}"
    yield f"# TYPE {metric.name} {metric.kind}"
    histogram = metric.kind == "histogram"
    sample = f"{metric.name}_bucket" if histogram else metric.name
    for labels, value in metric.samples.items():
        shown = ",".join(f'{name}="{text.translate(_ESCAPES)}"' for name, text in labels)
        yield f"{sample}{{{shown}}} {value:.15g}" if shown else f"{sample} {value:.15g}"
    if histogram:
        yield f"{metric.name}_sum {metric.sum:.15g}"
        yield f"{metric.name}_count {max(metric.samples.values()):.15g}"
