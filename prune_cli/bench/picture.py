"""Metric against latency, the size of the weights as area."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from prune_cli.bench.bench import COMPACT, latency
from prune_cli.files import written
from prune_cli.report.figures import LINES, blank_figure
from prune_cli.report.names import metric_label

_AREA = 200
"""Square points of the largest model."""
_NEAR = 1.1
"""Ways whose times have a smaller ratio, and whose metrics hardly differ, have one name."""


def draw(result: Mapping[str, Any], path: Path) -> None:
    """Draw a result."""
    ways = result["ways"]
    runs = [*dict.fromkeys(way["run"] for way in ways)]
    largest = max(way["bytes"] for way in ways)
    figure = blank_figure(7.5, 4.5)
    axes = figure.subplots()
    for way in ways:
        at = (1000 * latency(way), way["metric"] or 0.0)
        axes.scatter(
            *at,
            s=_AREA * way["bytes"] / largest,
            color=LINES[runs.index(way["run"]) % len(LINES)],
            alpha=0.45,
            marker="o" if way["form"] == COMPACT else "s",
            linewidths=1.5 if way["front"] else 0,
            edgecolors="black",
        )
    for (milliseconds, metric), names in named(ways).items():  # names of all would cover one another
        axes.annotate(
            "\n".join(names),
            (milliseconds, metric),
            xytext=(0, -13),
            textcoords="offset points",
            fontsize=6,
            ha="left",
            va="top",
            rotation=-30,
        )
    for number, run in enumerate(runs):
        axes.scatter([], [], color=LINES[number % len(LINES)], alpha=0.6, label=run)
    axes.scatter([], [], color="grey", marker="s", label="saved")
    axes.scatter([], [], color="grey", marker="o", label="compact")
    axes.scatter([], [], color="none", edgecolors="black", label="no other way beats it")
    axes.margins(0.1, 0.2)  # for the names below the lowest
    axes.set_title("named: the fastest in each runtime", fontsize=7, loc="right", color="grey")
    axes.set_xscale("log")
    for axis_ticks in (axes.xaxis.set_major_formatter, axes.xaxis.set_minor_formatter):
        axis_ticks("{x:.3g}")
    time = ways[0]["times"][0]
    axes.set_xlabel(f"Milliseconds for one record of {time['length']} tokens (log); area: bytes of weights", fontsize=9)
    axes.set_ylabel(f"{metric_label(result['primary_metric'])} (higher is better)", fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=7, loc="best", frameon=False)
    with written(path) as temporary:
        figure.savefig(temporary, dpi=200)


def named(ways: Sequence[Mapping[str, Any]]) -> dict[tuple[float, float], list[str]]:
    """The names in the picture: of the fastest way in each runtime, where it is, or where one is whose name it would cover.

    Returns:
        Runtimes by milliseconds and metric.
    """
    fastest: dict[str, Mapping[str, Any]] = {}
    for way in sorted(ways, key=latency):
        fastest.setdefault(way["runtime"], way)
    named: dict[tuple[float, float], list[str]] = {}
    for runtime, way in fastest.items():
        milliseconds, metric = 1000 * latency(way), way["metric"] or 0.0
        near = (at for at in named if milliseconds < _NEAR * at[0] and abs(metric - at[1]) < 0.01)
        named.setdefault(next(near, (milliseconds, metric)), []).append(runtime)
    return named
