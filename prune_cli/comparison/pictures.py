"""Pictures of several runs for papers and slides: at the width of a column or a page, in type that is read beside text."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prune_cli.artifacts.result import Result
from prune_cli.comparison.curves import curve
from prune_cli.comparison.groups import Comparison, Group, compare
from prune_cli.comparison.query import connect, row
from prune_cli.comparison.runs import Run
from prune_cli.comparison.ways import Line, Panel, panels, way_of
from prune_cli.errors import UserError
from prune_cli.files import written
from prune_cli.report.figures import LINES, blank_figure, capitalized
from prune_cli.report.names import block_and_matrix, metric_label

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = ("pdf", "svg", "png")

_COLUMN, _PAGE = 3.35, 6.9
"""Inches: of a column of two, and of a page."""
_MARKERS = "osD^vP"
_DASHES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (1, 1)))
_GREY = "#555555"
_DPI = 300
_LEAST_KEPT = 1e-3
"""Keep ratio at which the axis of the frontier ends: a sparsity of 1 has no place on a logarithmic one."""
_DODGE = 0.012
"""How far neighbouring lines stand apart, as a part of the axis: equal points would hide one another."""
_MOST_WAYS, _MOST_MAPS = 12, 6
_LINE = 48
"""Characters of a label that fit a column."""
_TYPE: dict[Any, Any] = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "lines.linewidth": 1.2,
    "lines.markersize": 4,
    "axes.linewidth": 0.6,
    "pdf.fonttype": 42,  # letters stay letters, as journals ask
    "svg.fonttype": "none",
    "svg.hashsalt": "prune-lm",  # the same picture, the same file
}


def draw(kind: str, runs: Sequence[Run], path: Path, where: Sequence[str] = (), by: Sequence[str] = ()) -> None:
    """Draw finished runs into a file.

    Raises:
        UserError: If a key is not known, nothing is left, or there is too much for one picture.
    """
    rows = [row(run) for run in runs]
    comparison = compare(connect(rows), rows, where=where, by=by)
    with _typeset():
        figure = KINDS[kind](comparison, {str(run.path): run for run in runs})
        dated = {"Date": None} if path.suffix == ".svg" else {"CreationDate": None} if path.suffix == ".pdf" else None
        with written(path) as temporary:
            figure.savefig(temporary, dpi=_DPI, metadata=dated)


def frontier(results: Sequence[Result], path: Path) -> None:
    """Draw metric against sparsity of some results into a file."""
    runs = [
        Run(path=Path(result.name), name=result.name, state="done", config=result.config, outcome=result) for result in results
    ]
    draw("frontier", runs, path)


def frontier_figure(comparison: Comparison, runs: Mapping[str, Run]) -> Figure:
    """Metric against sparsity: a panel for each task and model, a line for each way of pruning.

    Points are means over seeds, error bars their sample standard deviation. The axis of sparsity is logarithmic in what is
    kept, so that 80, 90 and 95% stand apart; lines are a little apart, so that equal ones can be told from each other.
    """
    shown = panels(comparison)
    figure, axes = _grid(len(shown))
    ways = {line.way: line for panel in shown for line in panel.lines}
    _few(len(ways), "lines")
    for axis, panel in zip(axes, shown, strict=True):
        _panel(axis, panel)
    figure.supxlabel("Sparsity (% of prunable weights removed; log of the kept)", fontsize=8)
    _legend(figure, columns=2 if len(shown) == 1 else 4)
    return figure


def curves_figure(comparison: Comparison, runs: Mapping[str, Run]) -> Figure:
    """Learning curves: the evaluated metric above, the sparsity below; a colour for each group, a line for each seed.

    Raises:
        UserError: If none of the runs has a history, or there are too many groups.
    """
    _few(len(comparison.groups), "groups")
    figure = blank_figure(_COLUMN, 3.1)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    drawn = False
    for number, group in enumerate(comparison.groups):
        style: dict[str, Any] = {"color": LINES[number % len(LINES)], "ls": _DASHES[number % len(_DASHES)]}
        label = _said(group)
        for each in group.runs:
            series = curve(runs[str(each["path"])])
            metric = [math.nan if value is None else value for value in series.metric]
            upper.plot(series.steps, metric, label=label, marker=_MARKERS[number % 6], markevery=(number / 50, 0.25), **style)
            taught = [i for i, version in enumerate(series.teacher) if version > (series.teacher[i - 1] if i else 0)]
            if len(comparison.groups) * len(group.runs) <= 3:
                upper.plot([series.steps[i] for i in taught], [metric[i] for i in taught], "v", color="black", ms=3, zorder=3)
            lower.plot(series.steps, [100 * value for value in series.sparsity], **style)
            drawn, label = drawn or bool(series.steps), None
    if not drawn:
        raise UserError("none of these runs has a history: give run folders, for results that a study keeps have no curves")
    metrics = {metric_label(group.metric) for group in comparison.groups}
    upper.set_ylabel(f"{' / '.join(sorted(metrics))} (↑ better)")
    lower.set_ylabel("Sparsity\n(% removed)")
    lower.set_xlabel("Optimizer step")
    lower.set_ylim(-4, 104)
    for axis in (upper, lower):
        axis.grid(axis="y", alpha=0.3, lw=0.5)
    figure.align_ylabels()
    _legend(figure, columns=2)
    return figure


def layers_figure(comparison: Comparison, runs: Mapping[str, Run]) -> Figure:
    """Sparsity of every matrix at the end, mean over seeds: a map of block by matrix for each group that is pruned.

    Raises:
        UserError: If nothing was pruned, names tell no blocks, or there are too many groups.
    """
    import numpy as np

    groups = [group for group in comparison.groups if group.pruned]
    if not groups:
        raise UserError("none of these runs pruned anything, so there is nothing to see of layers")
    if len(groups) > _MOST_MAPS:
        raise UserError(f"{len(groups)} maps are too many for one picture, {_MOST_MAPS} at most: choose with --where KEY=VALUE")
    maps = [_cells(group, runs) for group in groups]
    figure, axes = _grid(len(groups), height=0.9 + 0.16 * max(len({block for block, _ in cells}) for cells in maps))
    values = [value for cells in maps for value in cells.values()]
    image = None
    for axis, group, cells in zip(axes, groups, maps, strict=True):
        blocks, matrices = (list(dict.fromkeys(place[i] for place in cells)) for i in (0, 1))
        grid = np.array([[cells.get((block, matrix), np.nan) for matrix in matrices] for block in blocks])
        image = axis.imshow(grid, cmap="cividis", vmin=min(values), vmax=max(max(values), min(values) + 1), aspect="auto")
        axis.set_xticks(
            range(len(matrices)),
            [matrix.replace("attention.", "attn. ") for matrix in matrices],
            rotation=60,
            ha="right",
        )
        axis.set_yticks(range(len(blocks)), blocks)
        axis.tick_params(length=0)
        axis.set_title(_said(group))
        axis.set_ylabel("Block")
    assert image is not None
    figure.colorbar(image, ax=axes, label="Sparsity (% removed)", shrink=0.8)
    return figure


KINDS: dict[str, Callable[[Comparison, Mapping[str, Run]], Figure]] = {
    "frontier": frontier_figure,
    "curves": curves_figure,
    "layers": layers_figure,
}
"""What can be drawn."""


def _panel(axis: Axes, panel: Panel) -> None:
    ends = [_position(group) for line in panel.lines for group in line.groups]
    if panel.dense is not None:
        low, high = (panel.dense + sign * (panel.deviation or 0) for sign in (-1, 1))
        axis.axhline(panel.dense, color=_GREY, ls=(0, (4, 3)), lw=0.9, zorder=0, label="dense")
        axis.axhspan(low, high, color=_GREY, alpha=0.12, lw=0, zorder=0)
    width = max(0.5, max(ends) - min(ends))
    for number, line in enumerate(panel.lines):
        _line(axis, line, (number - (len(panel.lines) - 1) / 2) * _DODGE * width)
    shown = {round(position, 6): _percent(position) for position in sorted(ends)}
    axis.set_xticks(list(shown), list(shown.values()))
    axis.set_xlim(min(ends) - 0.08 * width, max(ends) + 0.08 * width)
    axis.set_ylabel(f"{capitalized(panel.metric)} (↑ better)")
    axis.set_title(panel.title)
    axis.grid(axis="y", alpha=0.3, lw=0.5)


def _line(axis: Axes, line: Line, apart: float) -> None:
    axis.errorbar(
        [_position(group) + apart for group in line.groups],
        [group.mean for group in line.groups],
        [group.deviation or 0 for group in line.groups],
        color=LINES[line.style % len(LINES)],
        ls=_DASHES[line.style // len(LINES) % len(_DASHES)],
        marker=_MARKERS[line.style % len(_MARKERS)],
        mfc="white" if line.style % 2 else None,
        capsize=2,
        elinewidth=0.8,
        label=line.way,
    )


def _position(group: Group) -> float:
    """Where a sparsity stands on the axis: the decades of what is kept."""
    return -math.log10(max(1 - (group.mean_of("removed") or 0.0), _LEAST_KEPT))


def _percent(position: float) -> str:
    return f"{round(100 * (1 - 10**-position), 2):g}"


def _said(group: Group) -> str:
    """What tells a group from the others of a picture."""
    words = [way_of(group, [key for key in group.values if key not in ("task", "model", "sparsity")])]
    words += [f"{100 * group.runs[0]['sparsity']:g}%"] if "sparsity" in group.values and group.pruned else []
    return ", ".join([*(str(group.values[key]) for key in ("task", "model") if key in group.values), *words])


def _cells(group: Group, runs: Mapping[str, Run]) -> dict[tuple[str, str], float]:
    """Percent removed of each matrix by its block and name, mean over seeds."""
    results = [runs[str(each["path"])].result for each in group.runs]
    names = [layer.name for layer in results[0].layers]
    places = block_and_matrix(names) if names else None
    if places is None:
        raise UserError(f"the matrices of {results[0].name} lie in no blocks: `prune show` tells them one by one")
    removed = [{layer.name: layer.sparsity for layer in result.layers} for result in results]
    return {
        place: 100 * math.fsum(each[name] for each in removed) / len(removed) for place, name in zip(places, names, strict=True)
    }


def _few(count: int, what: str) -> None:
    if count > _MOST_WAYS:
        raise UserError(f"{count} {what} are too many for one picture, {_MOST_WAYS} at most: choose with --where KEY=VALUE")


@contextmanager
def _typeset() -> Iterator[None]:
    import matplotlib as mpl

    with mpl.rc_context(_TYPE):
        yield


def _grid(count: int, height: float = 2.0) -> tuple[Figure, list[Axes]]:
    """A figure with so many panels, a column wide for one of them, else a page."""
    columns = min(3, count)
    rows = math.ceil(count / columns)
    figure = blank_figure(_COLUMN if count == 1 else _PAGE, 0.6 + height * rows)
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for unused in axes[count:]:
        unused.remove()
    return figure, axes[:count]


def _legend(figure: Figure, columns: int) -> None:
    entries = {
        textwrap.fill(label, _LINE): line
        for axis in figure.axes
        for line, label in zip(*axis.get_legend_handles_labels(), strict=True)
    }
    if entries:
        columns = 1 if max(map(len, entries)) > _LINE / 2 else min(columns, len(entries))
        figure.legend(entries.values(), entries.keys(), loc="outside upper center", ncols=columns, frameon=False)
