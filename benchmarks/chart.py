"""Draw results as an SVG that reads well on a light and on a dark page."""

from __future__ import annotations

from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.report import measured, rows
from benchmarks.results import Results

INK = "#7d8590"  # contrast of at least 3.8 to white and to GitHub's dark page
OURS, THEIRS = "#2f81f7", "#8b949e"


def draw(results: Results, path: Path) -> None:
    """Draw requests/s and latencies at the highest number of connections; equal results give equal bytes."""
    import matplotlib as mpl

    mpl.use("svg")
    import matplotlib.pyplot as plt
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    connections = max(load.connections for run in results.runs for load in run.loads)
    shown = [
        (title, runs[0].contender, loads)
        for title, body, runs in rows(results)
        if (loads := measured(runs, body, connections))
    ]
    names = [title for title, _, _ in shown]
    colors = [OURS if contender.startswith("service") else THEIRS for _, contender, _ in shown]
    rates = [median(load.rate for load in loads) for _, _, loads in shown]
    p50 = [median(load.p50 for load in loads) / 1000 for _, _, loads in shown]
    p99 = [median(load.p99 for load in loads) / 1000 for _, _, loads in shown]

    style: Any = {"svg.hashsalt": "rust-ml-api", "font.size": 11, "axes.titlesize": 11}
    style |= {f"{part}color": INK for part in ("text.", "axes.label", "axes.edge", "xtick.", "ytick.")}
    with mpl.rc_context(style):
        engine = ConstrainedLayoutEngine(wspace=0.08)
        size = (11, 0.55 * len(shown) + 0.9)
        figure, (left, right) = plt.subplots(1, 2, figsize=size, sharey=True, layout=engine)
        left.set_title(f"requests/s at {connections} connections (more is better)", loc="left")
        bars = left.barh(names, rates, color=colors)
        left.bar_label(bars, [f"{rate:,.0f}" for rate in rates], padding=5)
        left.invert_yaxis()
        right.set_title("milliseconds, bar: p50, line: p99 (less is better)", loc="left")
        right.hlines(names, 0, p99, colors=colors, linewidth=3)
        right.barh(names, p50, color=colors)
        for name, middle, high in zip(names, p50, p99, strict=True):
            right.annotate(
                f"{middle:.1f}, {high:.1f}", (high, name), (6, 0), textcoords="offset points", va="center"
            )
        for axes in (left, right):
            axes.spines[["top", "right", "bottom"]].set_visible(False)
            axes.set_xticks([])
            axes.tick_params(left=False)
            axes.set_xlim(0, axes.get_xlim()[1] * 1.15)
        figure.savefig(path, format="svg", transparent=True, metadata={"Date": None})
        plt.close(figure)
