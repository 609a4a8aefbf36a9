"""The figures of runs, drawn as for a paper: axes with units, colours that colour-blind readers can tell apart."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from prune_cli.artifacts.result import Layer
from prune_cli.report.names import block_and_matrix, metric_label
from prune_cli.report.numbers import percent

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Record = Mapping[str, Any]
_Key = TypeVar("_Key", bound=Hashable)

_BLUE, _VERMILION, _GREY = "#0072B2", "#D55E00", "#555555"
LINES = (_BLUE, _VERMILION, "#009E73", "#E69F00", "#CC79A7", "#56B4E9")
"""Palette of Okabe and Ito (2008)."""
_DPI = 200


def metric_and_sparsity(
    history: Sequence[Record], primary_metric: str, path: Path, title: str, *, teacher_metric: float | None = None
) -> None:
    """Draw `metric_and_sparsity_figure` into a PNG file, and an SVG file beside it."""
    _save(metric_and_sparsity_figure(history, primary_metric, title, teacher_metric=teacher_metric), path)


def layer_sparsity(layers: Sequence[Layer], path: Path, title: str) -> None:
    """Draw `layer_sparsity_figure` into a PNG file, and an SVG file beside it."""
    _save(layer_sparsity_figure(layers, title), path)


def metric_and_sparsity_figure(
    history: Sequence[Record], primary_metric: str, title: str, *, teacher_metric: float | None = None
) -> Figure:
    """One run over its steps: the evaluated metric, the training loss, target and measured sparsity.

    Args:
        history: Records of history.jsonl, in order, with at least one evaluation.
        primary_metric: Metric to draw, as in `eval_<metric>`.
        teacher_metric: Level of the first, dense teacher; None without one.
    """
    figure = blank_figure(6.5, 6.0, title)
    upper, middle, lower = figure.subplots(3, 1, sharex=True, height_ratios=(3, 2, 2))

    evaluations = [record for record in history if f"eval_{primary_metric}" in record]
    steps = [record["step"] for record in evaluations]
    upper.plot(steps, _numbers(evaluations, f"eval_{primary_metric}"), "o-", color=_BLUE, ms=3.5, label="model")
    if teacher_metric is not None:
        upper.axhline(teacher_metric, color=_GREY, ls="--", lw=1.2, label="dense teacher")
    for number, step in enumerate(_teacher_updates(history)):
        upper.axvline(step, color=_VERMILION, ls=":", lw=1, label="new teacher" if number == 0 else None)
    upper.set_ylabel(f"{capitalized(metric_label(primary_metric))}\n(higher is better)")

    logged = [record for record in history if "loss" in record]
    middle.plot([record["step"] for record in logged], _numbers(logged, "loss"), color=_BLUE, lw=1.2)
    middle.set_ylabel("Training loss")

    steps = [record["step"] for record in history]
    # What is removed stays so until the next selection: steps, not slopes.
    lower.plot(steps, _percent(history, "sparsity"), color=_BLUE, lw=2, drawstyle="steps-post", label="measured")
    lower.plot(steps, _percent(history, "target_sparsity"), color="black", ls="--", lw=1, label="target")
    lower.set_ylabel("Sparsity\n(% removed)")
    lower.set_xlabel("Optimizer step")
    lower.set_xlim(0, 1.02 * steps[-1])
    final = history[-1]["target_sparsity"]
    lower.set_ylim(-4 * final, max(104 * final, 1))
    start = next(record["step"] for record in history if record["target_sparsity"] == final)
    for axis, label in ((upper, "at the target"), (middle, None), (lower, None)):
        axis.grid(axis="y", alpha=0.3)
        if final > 0:
            axis.axvspan(start, steps[-1], color=_GREY, alpha=0.12, lw=0, label=label)
    upper.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=4, frameon=False, fontsize=9)
    lower.legend(loc="lower right", frameon=False, fontsize=9)
    figure.align_ylabels()
    return figure


def layer_sparsity_figure(layers: Sequence[Layer], title: str) -> Figure:
    """How much of each matrix was removed: a map of block by matrix, or bars where the names tell no blocks."""
    zeros, weights = sum(layer.zeros for layer in layers), sum(layer.weights for layer in layers)
    title += f"\n{zeros:,} of {weights:,} prunable weights removed ({percent(zeros / weights, 2)}%)"
    places = block_and_matrix([layer.name for layer in layers])
    if places is None:
        return _bars(layers, title)
    return _heat_map({place: 100 * layer.sparsity for place, layer in zip(places, layers, strict=True)}, title)


def _save(figure: Figure, path: Path) -> None:
    figure.savefig(path, dpi=_DPI)
    figure.set_layout_engine("none")  # as it was laid out: doing so again takes as long as drawing
    figure.savefig(path.with_suffix(".svg"))


def _heat_map(cells: Mapping[tuple[str, str], float], title: str) -> Figure:
    """Blocks downwards, matrices across, the percentage in every cell; a matrix that a block lacks stays white."""
    import numpy as np

    blocks = list(dict.fromkeys(block for block, _ in cells))
    matrices = list(dict.fromkeys(matrix for _, matrix in cells))
    values = np.array([[cells.get((block, matrix), np.nan) for matrix in matrices] for block in blocks])
    lowest, highest = _limits(np.nanmin(values), np.nanmax(values))

    figure = blank_figure(max(5.0, 1.7 + 0.85 * len(matrices)), 1.7 + 0.3 * len(blocks), title)
    axis = figure.subplots()
    image = axis.imshow(values, cmap="cividis", vmin=lowest, vmax=highest, aspect="auto")
    for row, column in np.argwhere(~np.isnan(values)):
        color = "white" if values[row, column] < (lowest + highest) / 2 else "black"
        axis.text(column, row, percent(float(values[row, column]) / 100), ha="center", va="center", fontsize=8, color=color)
    axis.set_xticks(range(len(matrices)), [matrix.replace(".", "\n") for matrix in matrices], fontsize=8)
    axis.set_yticks(range(len(blocks)), blocks, fontsize=8)
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    axis.set_ylabel("Transformer block")
    figure.colorbar(image, ax=axis, label="Sparsity (% removed)")
    return figure


def _bars(layers: Sequence[Layer], title: str) -> Figure:
    """One horizontal bar a matrix, the first on top."""
    figure = blank_figure(6.5, 1.4 + 0.22 * len(layers), title)
    axis = figure.subplots()
    bars = axis.barh([layer.name for layer in layers], [100 * layer.sparsity for layer in layers], color=_BLUE)
    axis.bar_label(bars, [percent(layer.sparsity) for layer in layers], padding=3, fontsize=7)
    axis.invert_yaxis()
    axis.margins(y=0.01)
    axis.tick_params(axis="y", labelsize=7)
    axis.set_xlim(0, 110)
    axis.set_xticks(range(0, 101, 20))
    axis.set_xlabel("Sparsity (% removed)")
    return figure


def blank_figure(width: float, height: float, title: str | None = None) -> Figure:
    """An empty figure without pyplot, hence without global state; its savefig draws with Agg."""
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
    return [record["step"] for before, record in zip(versions, history, strict=False) if record["teacher_version"] > before]


def _percent(records: Sequence[Record], key: str) -> list[float]:
    return [100 * value for value in _numbers(records, key)]


def _numbers(records: Sequence[Record], key: str) -> list[float]:
    """Values of a key; nan where one was not finite and JSON holds null."""
    return [math.nan if record[key] is None else record[key] for record in records]


def capitalized(label: str) -> str:
    """A label that begins an axis."""
    return label[0].upper() + label[1:]
