"""The figures say what they show, and show what is in the files."""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes

from prune_cli.artifacts.result import Layer
from prune_cli.report import figures


@pytest.fixture(autouse=True)
def _drawn(pictures: Any):
    with pictures():
        yield


def points(axis: Axes, label: str) -> list[tuple[float, float]]:
    """The points of the line with that label."""
    (line,) = [line for line in axis.get_lines() if line.get_label() == label]
    return [(float(x), float(y)) for x, y in np.asarray(line.get_xydata())]


def texts(axis: Axes) -> list[str]:
    return [text.get_text() for text in axis.texts]


def test_metric_and_sparsity(history: list[dict[str, Any]]) -> None:
    figure = figures.metric_and_sparsity_figure(history, "f1", "the run", teacher_metric=0.875)
    upper, middle, lower = figure.axes
    assert upper.get_ylabel() == "F1\n(higher is better)"
    assert middle.get_ylabel() == "Training loss"
    (losses,) = middle.get_lines()
    assert len(np.asarray(losses.get_xdata())) == sum("loss" in record for record in history) > 0
    assert lower.get_ylabel() == "Sparsity\n(% removed)"
    (measured,) = [line for line in lower.get_lines() if line.get_label() == "measured"]
    assert measured.get_drawstyle() == "steps-post"
    assert lower.get_xlabel() == "Optimizer step"
    assert figure.get_suptitle() == "the run"
    *known, last = points(upper, "model")
    assert known == [(20, 0.7), (40, 0.65), (60, 0.75)]
    assert last[0] == 80 and math.isnan(last[1])  # it was not finite: null in the file
    assert points(upper, "dense teacher")[0][1] == 0.875
    assert points(upper, "new teacher")[0][0] == 20
    dotted = [np.asarray(line.get_xdata()) for line in upper.get_lines() if line.get_linestyle() == ":"]
    assert [float(steps[0]) for steps in dotted] == [20, 60]
    assert points(lower, "measured")[3] == pytest.approx((30, 40))
    (span,) = upper.patches
    assert (span.get_x(), span.get_width()) == (70, 10)  # pyright: ignore[reportAttributeAccessIssue]


def test_a_dense_run_without_a_teacher(history: list[dict[str, Any]]) -> None:
    dense = [{**record, "teacher_version": 0, "sparsity": 0.0, "target_sparsity": 0.0} for record in history]
    upper, *_ = figures.metric_and_sparsity_figure(dense, "f1", "dense").axes
    assert upper.get_legend_handles_labels()[1] == ["model"]


def test_layers_as_a_map_of_blocks(layers: list[Layer]) -> None:
    figure = figures.layer_sparsity_figure(layers, "the run")
    axis, scale = figure.axes
    assert figure.get_suptitle() == "the run\n240 of 384 prunable weights removed (62.50%)"
    assert axis.get_ylabel() == "Transformer block"
    assert scale.get_ylabel() == "Sparsity (% removed)"
    assert [label.get_text() for label in axis.get_yticklabels()] == ["0", "1"]
    assert [label.get_text() for label in axis.get_xticklabels()][2:5] == [
        "attention\nvalue",
        "attention\noutput",
        "intermediate",
    ]
    assert texts(axis) == ["50.0"] * 6 + ["75.0"] * 6
    assert scale.get_ylim() == (50, 75)


def test_a_block_may_lack_a_matrix(layers: list[Layer]) -> None:
    axis, _ = figures.layer_sparsity_figure(layers[:-1], "the run").axes
    assert len(texts(axis)) == 11


def test_layers_as_bars_where_names_tell_no_blocks(layers: list[Layer]) -> None:
    flat = [replace(layer, name=layer.name.replace("layer.", "layer_")) for layer in layers]
    flat[0] = replace(flat[0], sparsity=0.99999)
    figure = figures.layer_sparsity_figure(flat, "the run")
    (axis,) = figure.axes
    assert axis.get_xlabel() == "Sparsity (% removed)"
    assert texts(axis)[0] == "99.9"
    assert [bar.get_width() for bar in axis.patches][-1] == 75  # pyright: ignore[reportAttributeAccessIssue]
    assert axis.yaxis_inverted()


@pytest.mark.parametrize(
    ("lowest", "highest", "limits"),
    [(0, 0, (0, 10)), (52, 52, (45, 55)), (89.9, 100, (85, 100)), (100, 100, (90, 100))],
)
def test_limits_of_the_colours(lowest: float, highest: float, limits: tuple[float, float]) -> None:
    assert figures._limits(lowest, highest) == limits


def test_files(history: list[dict[str, Any]], layers: list[Layer], tmp_path: Path) -> None:
    figures.metric_and_sparsity(history, "f1", tmp_path / "metric.png", "the run")
    figures.layer_sparsity(layers, tmp_path / "layers.png", "the run")
    for path in tmp_path.glob("*.png"):
        assert path.read_bytes().startswith(b"\x89PNG")
        assert path.stat().st_size > 10_000
    assert {path.name for path in tmp_path.iterdir()} == {"metric.png", "metric.svg", "layers.png", "layers.svg"}
    assert "<svg" in (tmp_path / "metric.svg").read_text()


def test_no_global_state(tmp_path: Path) -> None:
    """Nothing of matplotlib is imported before a figure is drawn, and pyplot never is."""
    script = f"""
import sys
from pathlib import Path
from prune_cli.artifacts.result import Layer
from prune_cli.report import figures, model_card, tables
assert "matplotlib" not in sys.modules
layer = Layer(name="a", shape=[2, 1], weights=2, zeros=1, sparsity=0.5)
figures.layer_sparsity([layer], Path({str(tmp_path / "a.png")!r}), "run")
assert "matplotlib.pyplot" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
