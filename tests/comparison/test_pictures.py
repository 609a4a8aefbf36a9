"""The pictures say what they show, and fit a column."""

from __future__ import annotations

import itertools
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from prune_cli.comparison import pictures
from prune_cli.comparison.groups import Comparison, compare
from prune_cli.comparison.query import connect, row
from prune_cli.comparison.runs import Run, find_runs
from prune_cli.errors import UserError
from tests.made_runs import made_run
from tests.tiers import quick


def figure(kind: str, folder: Path, **options: Any) -> Figure:
    runs = find_runs([folder])
    rows = [row(run) for run in runs]
    comparison: Comparison = compare(connect(rows), rows, **options)
    by_path: dict[str, Run] = {str(run.path): run for run in runs}
    return pictures.KINDS[kind](comparison, by_path)


def points(axis: Axes, label: str) -> list[tuple[float, float]]:
    (bars,) = [bars for bars in axis.containers if bars.get_label() == label]
    return [(float(x), float(y)) for x, y in np.asarray(bars[0].get_xydata())]  # pyright: ignore


def test_frontier_takes_means_over_seeds(tmp_path: Path) -> None:
    made_run(tmp_path, sparsity=0.0, metric=0.9)
    made_run(tmp_path, sparsity=0.8, metric=0.875, seed=1)
    made_run(tmp_path, sparsity=0.8, metric=0.625, seed=2)
    made_run(tmp_path, sparsity=0.9, metric=0.5)
    made_run(tmp_path, sparsity=0.9, metric=0.25, criterion="magnitude")
    drawn = figure("frontier", tmp_path)
    (axis,) = drawn.axes
    assert [y for _, y in points(axis, "pins")] == [0.75, 0.5]
    assert [y for _, y in points(axis, "magnitude")] == [0.25]
    (dense,) = [line for line in axis.get_lines() if line.get_label() == "dense"]
    assert float(np.asarray(dense.get_ydata())[0]) == 0.9
    segments = [bars.get_segments() for bars in axis.collections]  # pyright: ignore[reportAttributeAccessIssue]
    heights = [float(segment[1][1] - segment[0][1]) for each in segments for segment in each]
    assert max(heights) == pytest.approx(2 * 0.125 * math.sqrt(2))  # the one point with two seeds
    assert (axis.get_ylabel(), axis.get_title()) == ("F1 (↑ better)", "mrpc, minilm")
    assert "log of the kept" in drawn.get_supxlabel() and "%" in drawn.get_supxlabel()
    assert [tick.get_text() for tick in axis.get_xticklabels()] == ["80", "90"]
    assert drawn.get_figwidth() == pytest.approx(3.35)


def test_frontier_spaces_sparsities_by_what_is_kept(tmp_path: Path) -> None:
    for sparsity in (0.0, 0.9, 0.99, 1.0):
        made_run(tmp_path, sparsity=sparsity)
    (axis,) = figure("frontier", tmp_path).axes
    assert [x for x, _ in points(axis, "pins")] == pytest.approx([1, 2, 3])


def test_equal_lines_stand_apart(tmp_path: Path) -> None:
    for criterion in ("pins", "magnitude"):
        for sparsity in (0.5, 0.9):
            made_run(tmp_path, criterion=criterion, sparsity=sparsity)
    (axis,) = figure("frontier", tmp_path).axes
    one, other = points(axis, "pins"), points(axis, "magnitude")
    assert all(abs(a[0] - b[0]) > 0.005 and a[1] == b[1] for a, b in zip(one, other, strict=True))
    looks = {(line.get_color(), line.get_marker(), line.get_markerfacecolor()) for line, *_ in axis.containers}  # pyright: ignore
    assert len(looks) == 2


def test_frontier_has_a_panel_a_task(tmp_path: Path) -> None:
    made_run(tmp_path, task="mrpc")
    made_run(tmp_path, task="rte", primary_metric="accuracy")
    drawn = figure("frontier", tmp_path)
    assert [axis.get_title() for axis in drawn.axes] == ["mrpc, minilm", "rte, minilm"]
    assert [axis.get_ylabel() for axis in drawn.axes] == ["F1 (↑ better)", "Accuracy (↑ better)"]
    assert drawn.get_figwidth() == pytest.approx(6.9)


def test_only_dense_runs_have_a_point_too(tmp_path: Path) -> None:
    made_run(tmp_path, sparsity=0.0, metric=0.9)
    (axis,) = figure("frontier", tmp_path).axes
    assert points(axis, "dense") == [(0.0, 0.9)]


def test_curves(tmp_path: Path) -> None:
    for seed in (1, 2):
        made_run(tmp_path, seed=seed, metric=0.8)
        made_run(tmp_path, sparsity=0.0, seed=seed, metric=0.9)
    upper, lower = figure("curves", tmp_path).axes
    assert upper.get_legend_handles_labels()[1] == ["dense", "pins, 90%"]
    assert len(upper.get_lines()) == len(lower.get_lines()) == 4
    last = np.asarray(lower.get_lines()[-1].get_xydata())[-1]
    assert last.tolist() == [100, 90]
    assert (upper.get_ylabel(), lower.get_xlabel()) == ("F1 (↑ better)", "Optimizer step")


def test_the_steps_at_which_a_few_runs_got_a_new_teacher_are_marked(tmp_path: Path) -> None:
    made_run(tmp_path)
    upper, _ = figure("curves", tmp_path).axes
    marks = upper.get_lines()[1]
    assert marks.get_marker() == "v" and np.asarray(marks.get_xdata()).tolist() == [50, 75, 100]


def test_layers(tmp_path: Path) -> None:
    for criterion in ("pins", "magnitude"):
        made_run(tmp_path, criterion=criterion)
    one, other, scale = figure("layers", tmp_path).axes
    assert [axis.get_title() for axis in (one, other)] == ["magnitude", "pins"]
    assert [tick.get_text() for tick in one.get_yticklabels()] == [str(number) for number in range(6)]
    assert scale.get_ylabel() == "Sparsity (% removed)"
    assert np.asarray(one.images[0].get_array()).ravel().tolist() == pytest.approx([90] * 6)


SVGS = [(kind, "svg") for kind in pictures.KINDS]


@pytest.mark.parametrize(("kind", "suffix"), quick(SVGS, itertools.product(pictures.KINDS, pictures.FORMATS)))
def test_the_same_runs_give_the_same_file(kind: str, suffix: str, tmp_path: Path) -> None:
    made_run(tmp_path / "runs")
    made_run(tmp_path / "runs", seed=2, metric=0.7)
    for name in ("one", "two"):
        pictures.draw(kind, find_runs([tmp_path / "runs"]), tmp_path / f"{name}.{suffix}")
    one, two = ((tmp_path / f"{name}.{suffix}").read_bytes() for name in ("one", "two"))
    assert one == two and len(one) > 1000


def test_too_much_for_one_picture_is_refused(tmp_path: Path) -> None:
    for number in range(14):
        made_run(tmp_path, learning_rate=1e-4 * (number + 1))
    for kind in pictures.KINDS:
        with pytest.raises(UserError, match=r"too many for one picture, .* at most: choose with --where"):
            figure(kind, tmp_path)


def test_what_cannot_be_drawn_is_refused(tmp_path: Path) -> None:
    made_run(tmp_path, sparsity=0.0)
    with pytest.raises(UserError, match="nothing to see of layers"):
        figure("layers", tmp_path, by=["task"])


def test_no_global_state(tmp_path: Path) -> None:
    made_run(tmp_path / "runs")
    script = (
        "import sys; from pathlib import Path; from prune_cli.comparison.pictures import draw;"
        "from prune_cli.comparison.runs import find_runs;"
        f"draw('frontier', find_runs([Path({str(tmp_path / 'runs')!r})]), Path({str(tmp_path / 'x.png')!r}));"
        "assert 'matplotlib.pyplot' not in sys.modules and 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_a_line_is_called_by_what_tells_it_from_other_lines(tmp_path: Path) -> None:
    made_run(tmp_path, sparsity=0.0, learning_rate=5e-5)
    for rate in (1e-4, 2e-4):
        made_run(tmp_path, learning_rate=rate)
    (axis,) = figure("frontier", tmp_path).axes
    assert axis.get_legend_handles_labels()[1] == ["dense", "learning_rate 0.0001", "learning_rate 0.0002"]


def test_a_long_label_is_folded_and_stays_in_the_picture(tmp_path: Path) -> None:
    for criterion in ("a" * 30 + " " + "b" * 30, "c"):
        made_run(tmp_path, criterion=criterion)
    drawn = figure("frontier", tmp_path)
    drawn.canvas.draw()
    (legend,) = drawn.legends
    box = legend.get_window_extent()
    assert box.x0 >= 0 and box.x1 <= drawn.bbox.width and "\n" in legend.get_texts()[0].get_text()
