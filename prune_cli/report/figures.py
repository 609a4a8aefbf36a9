"""The figures of runs, drawn as for a paper: axes with units, colours that colour-blind readers can tell apart."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from prune_cli.report.formats import percent
from prune_cli.report.names import block_and_matrix, metric_label

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

Record = Mapping[str, Any]
_Key = TypeVar("_Key", bound=Hashable)

_BLUE, _VERMILION, _GREY = "#0072B2", "#D55E00", "#555555"
_LINES = (_BLUE, _VERMILION, "#009E73", "#E69F00", "#CC79A7", "#56B4E9")
"""Palette of Okabe and Ito (2008)."""
_MARKERS = "osD^vP"
_DPI = 200
_LEAST_KEPT = 1e-3
"""Keep ratio at which the axis of the frontier ends: a sparsity of 1 has no place on a logarithmic one."""


def metric_and_sparsity(
    history: Sequence[Record], primary_metric: str, path: Path, title: str, *, teacher_metric: float | None = None
) -> None:
    """Draw `metric_and_sparsity_figure` into a PNG file."""
    metric_and_sparsity_figure(history, primary_metric, title, teacher_metric=teacher_metric).savefig(path, dpi=_DPI)


def layer_sparsity(layers: Sequence[Record], path: Path, title: str) -> None:
    """Draw `layer_sparsity_figure` into a PNG file."""
    layer_sparsity_figure(layers, title).savefig(path, dpi=_DPI)


def frontier(results: Sequence[Record], path: Path) -> None:
    """Draw `frontier_figure` into a PNG file."""
    frontier_figure(results).savefig(path, dpi=_DPI)


def metric_and_sparsity_figure(
    history: Sequence[Record], primary_metric: str, title: str, *, teacher_metric: float | None = None
) -> Figure:
    """One run over its steps: the evaluated metric above, target and measured sparsity below.

    Args:
        history: Records of history.jsonl, in order, with at least one evaluation.
        primary_metric: Metric to draw, as in `eval_<metric>`.
        title: Heading, the name of the run.
        teacher_metric: Level of the first, dense teacher; None without one.
    """
    figure = _figure(6.5, 4.8, title)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))

    evaluations = [record for record in history if f"eval_{primary_metric}" in record]
    steps = [record["step"] for record in evaluations]
    upper.plot(steps, _numbers(evaluations, f"eval_{primary_metric}"), "o-", color=_BLUE, ms=3.5, label="model")
    if teacher_metric is not None:
        upper.axhline(teacher_metric, color=_GREY, ls="--", lw=1.2, label="dense teacher")
    for number, step in enumerate(_teacher_updates(history)):
        upper.axvline(step, color=_VERMILION, ls=":", lw=1, label="new teacher" if number == 0 else None)
    upper.set_ylabel(f"{_capitalized(primary_metric)}\n(higher is better)")

    steps = [record["step"] for record in history]
    lower.plot(steps, _percent(history, "sparsity"), color=_BLUE, lw=2, label="measured")
    lower.plot(steps, _percent(history, "target_sparsity"), color="black", ls="--", lw=1, label="target")
    lower.set_ylabel("Sparsity\n(% removed)")
    lower.set_xlabel("Optimizer step")
    lower.set_xlim(0, 1.02 * steps[-1])
    lower.set_ylim(-4, 104)

    final = history[-1]["target_sparsity"]
    start = next(record["step"] for record in history if record["target_sparsity"] == final)
    for axis, label in ((upper, "at the target"), (lower, None)):
        axis.grid(axis="y", alpha=0.3)
        if final > 0:
            axis.axvspan(start, steps[-1], color=_GREY, alpha=0.12, lw=0, label=label)
    upper.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=4, frameon=False, fontsize=9)
    lower.legend(loc="lower right", frameon=False, fontsize=9)
    figure.align_ylabels()
    return figure


def layer_sparsity_figure(layers: Sequence[Record], title: str) -> Figure:
    """How much of each matrix was removed: a map of block by matrix, or bars where the names tell no blocks.

    Args:
        layers: `layers` of result.json: name, weights, zeros, sparsity.
        title: Heading, the name of the run.
    """
    zeros, weights = sum(layer["zeros"] for layer in layers), sum(layer["weights"] for layer in layers)
    title += f"\n{zeros:,} of {weights:,} prunable weights removed ({percent(zeros / weights, 2)}%)"
    places = block_and_matrix([layer["name"] for layer in layers])
    if places is None:
        return _bars(layers, title)
    return _heat_map({place: 100 * layer["sparsity"] for place, layer in zip(places, layers, strict=True)}, title)


def frontier_figure(results: Sequence[Record]) -> Figure:
    """Metric against sparsity over runs: a panel for each task and model, a line for each way of pruning.

    Points are means over seeds, error bars their sample standard deviation. The axis of sparsity is logarithmic in what
    is kept, so that 80, 90 and 95% stand apart and 0% still has a place.

    Args:
        results: Contents of result.json of at least one run.
    """
    panels = _grouped(results, lambda result: f"{result['choices']['task']}, {result['choices']['model']}")
    columns = min(3, len(panels))
    rows = math.ceil(len(panels) / columns)
    figure = _figure(max(5.0, 3.4 * columns), 1.0 + 3.0 * rows)
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)

    several = len({result["choices"]["regularization"] for result in results}) > 1
    lines = _grouped(results, lambda result: _way_of_pruning(result, with_regularization=several))
    styles = {way: (_LINES[i % len(_LINES)], _MARKERS[i % len(_MARKERS)]) for i, way in enumerate(lines)}
    for axis, (name, runs) in zip(axes, panels.items(), strict=False):
        for way, members in _grouped(runs, lambda result: _way_of_pruning(result, with_regularization=several)).items():
            _frontier_line(axis, members, way, *styles[way])
        dense = [run["metric"] for run in runs if run["sparsity"]["measured"] == 0]
        if dense:
            axis.axhline(statistics.fmean(dense), color=_GREY, ls="--", lw=1, zorder=0, label="dense")
        _set_sparsity_axis(axis, runs)
        axis.set_ylabel(f"{_capitalized(runs[0]['primary_metric'])} (higher is better)")
        axis.set_title(name, fontsize=10)
    for unused in axes[len(panels) :]:
        unused.remove()

    seeds = len({result["seed"] for result in results})
    spread = f"\nmean and standard deviation of up to {seeds} seeds" if seeds > 1 else ""
    figure.supxlabel(f"Sparsity: % of prunable weights removed (log scale of the kept){spread}", fontsize=10)
    entries = {
        label: line for axis in figure.axes for line, label in zip(*axis.get_legend_handles_labels(), strict=True)
    }
    columns = len(entries) if len(entries) <= 4 else math.ceil(len(entries) / 2)
    figure.legend(entries.values(), entries.keys(), loc="outside upper center", ncols=columns, frameon=False)
    return figure


def _way_of_pruning(result: Record, *, with_regularization: bool) -> str:
    choices = result["choices"]
    return f"{choices['criterion']}, {choices['regularization']}" if with_regularization else choices["criterion"]


def _frontier_line(axis: Axes, runs: Sequence[Record], label: str, color: str, marker: str) -> None:
    points = _grouped(sorted(runs, key=_shown_sparsity), _shown_sparsity)
    means = [statistics.fmean(run["metric"] for run in point) for point in points.values()]
    axis.plot(list(points), means, color=color, marker=marker, ms=5, label=label)
    repeated = {at: [run["metric"] for run in point] for at, point in points.items() if len(point) > 1}
    if repeated:
        centres = [statistics.fmean(metrics) for metrics in repeated.values()]
        spreads = [statistics.stdev(metrics) for metrics in repeated.values()]
        axis.errorbar(list(repeated), centres, spreads, fmt="none", color=color, capsize=3)


def _set_sparsity_axis(axis: Axes, runs: Sequence[Record]) -> None:
    """Scale the x-axis, in percent, by the logarithm of the keep ratio and mark the sparsities that were run."""
    import numpy as np

    def to_scale(removed: NDArray[np.float64]) -> NDArray[np.float64]:
        return -np.log10(np.clip(1 - np.asarray(removed) / 100, _LEAST_KEPT, None))

    def from_scale(value: NDArray[np.float64]) -> NDArray[np.float64]:
        return 100 * (1 - 10 ** -np.asarray(value))

    shown = np.array(sorted({_shown_sparsity(run) for run in runs}))
    ends = to_scale(shown[[0, -1]])
    margin = 0.06 * max(0.5, ends[1] - ends[0])
    axis.set_xscale("function", functions=(to_scale, from_scale))
    axis.set_xlim(*from_scale(ends + np.array([-margin, margin])))
    axis.set_xticks(shown, [f"{removed:g}" for removed in shown])
    axis.minorticks_off()
    axis.grid(axis="y", alpha=0.3)


def _heat_map(cells: Mapping[tuple[str, str], float], title: str) -> Figure:
    """Blocks downwards, matrices across, the percentage in every cell; a matrix that a block lacks stays white."""
    import numpy as np

    blocks = list(dict.fromkeys(block for block, _ in cells))
    matrices = list(dict.fromkeys(matrix for _, matrix in cells))
    values = np.array([[cells.get((block, matrix), np.nan) for matrix in matrices] for block in blocks])
    lowest, highest = _limits(np.nanmin(values), np.nanmax(values))

    figure = _figure(max(5.0, 1.7 + 0.85 * len(matrices)), 1.7 + 0.3 * len(blocks), title)
    axis = figure.subplots()
    image = axis.imshow(values, cmap="cividis", vmin=lowest, vmax=highest, aspect="auto")
    for row, column in np.argwhere(~np.isnan(values)):
        color = "white" if values[row, column] < (lowest + highest) / 2 else "black"
        axis.text(
            column, row, percent(float(values[row, column]) / 100), ha="center", va="center", fontsize=8, color=color
        )
    axis.set_xticks(range(len(matrices)), [matrix.replace(".", "\n") for matrix in matrices], fontsize=8)
    axis.set_yticks(range(len(blocks)), blocks, fontsize=8)
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    axis.set_ylabel("Transformer block")
    figure.colorbar(image, ax=axis, label="Sparsity (% removed)")
    return figure


def _bars(layers: Sequence[Record], title: str) -> Figure:
    """One horizontal bar a matrix, the first on top."""
    figure = _figure(6.5, 1.4 + 0.22 * len(layers), title)
    axis = figure.subplots()
    bars = axis.barh([layer["name"] for layer in layers], [100 * layer["sparsity"] for layer in layers], color=_BLUE)
    axis.bar_label(bars, [percent(layer["sparsity"]) for layer in layers], padding=3, fontsize=7)
    axis.invert_yaxis()
    axis.margins(y=0.01)
    axis.tick_params(axis="y", labelsize=7)
    axis.set_xlim(0, 110)
    axis.set_xticks(range(0, 101, 20))
    axis.set_xlabel("Sparsity (% removed)")
    return figure


def _figure(width: float, height: float, title: str | None = None) -> Figure:
    """An empty figure without pyplot, hence without global state; its savefig draws with Agg.

    Args:
        width: In inches.
        height: In inches.
        title: Heading of the whole figure.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    if title is not None:
        figure.suptitle(title, fontsize=10)
    return figure


def _limits(lowest: float, highest: float) -> tuple[float, float]:
    """Ends of a colour scale in percent: at multiples of five around the data, at least ten points apart."""
    top = min(100, max(5 * math.ceil(highest / 5), 10))
    return min(5 * math.floor(lowest / 5), top - 10), top


def _teacher_updates(history: Sequence[Record]) -> list[int]:
    """Steps at which the student had become the teacher."""
    versions = [0, *(record["teacher_version"] for record in history)]
    return [
        record["step"] for before, record in zip(versions, history, strict=False) if record["teacher_version"] > before
    ]


def _shown_sparsity(result: Record) -> float:
    """Measured sparsity in percent, as coarse as it can be read off: runs beyond the axis stand at its end."""
    return round(100 * min(result["sparsity"]["measured"], 1 - _LEAST_KEPT), 2)


def _percent(records: Sequence[Record], key: str) -> list[float]:
    return [100 * value for value in _numbers(records, key)]


def _numbers(records: Sequence[Record], key: str) -> list[float]:
    """Values of a key; nan where one was not finite and JSON holds null."""
    return [math.nan if record[key] is None else record[key] for record in records]


def _capitalized(metric: str) -> str:
    label = metric_label(metric)
    return label[0].upper() + label[1:]


def _grouped(items: Iterable[Record], key: Callable[[Record], _Key]) -> dict[_Key, list[Record]]:
    """Collect items of equal key, keys in the order of their first item."""
    groups: dict[_Key, list[Record]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return groups
