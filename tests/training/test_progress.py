"""The bars show how far an evaluation is."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from prune_cli.training.progress import TrainingProgress, evaluation_progress


@pytest.fixture
def screen() -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=220)


def shown(screen: Console) -> str:
    assert isinstance(screen.file, io.StringIO)
    return screen.file.getvalue()


def test_a_training_says_how_far_its_evaluation_is(screen: Console) -> None:
    progress = TrainingProgress(screen, total_steps=10, primary_metric="bleu")
    with progress.showing():
        for done in (1, 2):
            progress.evaluated(done, 3)
            progress._bar.refresh()
        assert "evaluating 1/3" in shown(screen)
        assert "evaluating 2/3" in shown(screen)
        progress.evaluated(3, 3)
        assert progress._bar.tasks[0].fields["doing"] == "step"
        progress.evaluated(1, 2)  # of the next split
        assert progress._bar.tasks[0].fields["doing"] == "evaluating 1/2, step"


def test_an_evaluation_alone_has_a_bar_for_each_split(screen: Console) -> None:
    with evaluation_progress(screen) as seen:
        for batches in (3, 2):
            for done in range(1, batches + 1):
                seen(done, batches)
    assert "evaluating" in shown(screen) and "100%" in shown(screen)
    quiet = Console(file=io.StringIO())
    with evaluation_progress(quiet) as seen:
        seen(1, 2)
    assert shown(quiet) == ""


@pytest.mark.parametrize("metric", ["f1", "pearson_spearman"])
def test_bar_and_line_fit_80_columns(metric: str) -> None:
    screen = Console(file=io.StringIO(), force_terminal=True, width=80, color_system=None)
    progress = TrainingProgress(screen, total_steps=123_456, primary_metric=metric)
    with progress.showing():
        progress({"step": 100_000, "sparsity": 0.9, "loss": 0.69314, f"eval_{metric}": 0.8571})
        progress.evaluated(12, 345)
        progress._bar.refresh()
    last = shown(screen).replace("\r", "\n").splitlines()
    bar = next(line for line in reversed(last) if "100000/123456" in line)
    line = next(line for line in reversed(last) if "sparsity" in line)
    assert all(word in bar for word in ("evaluating 12/345, step", "elapsed 0:00:0", "left", "━━━━"))
    assert f"sparsity 90.0%  loss 0.6931  {metric} 0.8571 (best 0.8571)" in line
    assert max(len(text) for text in (bar, line)) <= 80 + 12  # with what moves the cursor


def test_a_loss_that_is_no_number_is_said(screen: Console) -> None:
    progress = TrainingProgress(screen, total_steps=10, primary_metric="f1")
    progress({"step": 1, "sparsity": 0.0, "loss": None})
    assert progress._bar.line == "sparsity 0.0%  loss not finite"
