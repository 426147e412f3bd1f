"""The ratios of a comparison as a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cordum.errors import ConfigurationRefused

if TYPE_CHECKING:
    from cordum.bench.peers import Comparison


def draw(comparison: Comparison, path: str) -> None:
    """Write a PNG: for each work and peer a bar, how many times as good as the peer cordum was (logarithmic)."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ConfigurationRefused("a plot needs matplotlib: pip install matplotlib") from None
    bars = [
        (f"{work.name} / {peer}", ratio)
        for work in comparison.works
        for peer in work.peers
        if peer != "cordum" and (ratio := comparison.ratio(work, peer)) is not None
    ]
    figure = Figure(figsize=(8, 1 + 0.3 * len(bars)), layout="constrained")
    axes = figure.subplots()
    axes.barh([name for name, _ in bars], [ratio for _, ratio in bars])
    axes.axvline(1, color="black", linewidth=1)
    axes.set_xscale("log")
    axes.set_xlabel("times as good as the peer (1: alike)")
    axes.invert_yaxis()
    figure.savefig(path, dpi=120)
