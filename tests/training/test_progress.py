"""The bars show how far an evaluation is."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from prune_cli.training.progress import EvaluationProgress, TrainingProgress


@pytest.fixture
def screen() -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=220)


def shown(screen: Console) -> str:
    assert isinstance(screen.file, io.StringIO)
    return screen.file.getvalue()


def predicted(callback: Any, batches: int) -> None:
    callback.on_prediction_step(None, None, None, eval_dataloader=[None] * batches)


def test_a_training_says_how_far_its_evaluation_is(screen: Console) -> None:
    progress = TrainingProgress(screen, total_steps=10, primary_metric="bleu")
    callback = progress.callback()
    with progress.showing():
        for _ in range(2):
            predicted(callback, 3)
            progress._bar.refresh()
        assert "evaluating 1/3" in shown(screen)
        assert "evaluating 2/3" in shown(screen)
        predicted(callback, 3)
        assert progress._bar.line == ""
        predicted(callback, 2)  # of the next split
        assert progress._bar.line == "evaluating 1/2"


def test_an_evaluation_alone_has_a_bar_for_each_split(screen: Console) -> None:
    progress = EvaluationProgress(screen)
    with progress.showing():
        for batches in (3, 2):
            for done in range(1, batches + 1):
                predicted(progress, batches)
                assert (progress._bar.tasks[0].completed, progress._bar.tasks[0].total) == (done, batches)
    assert "evaluating" in shown(screen)
    quiet = Console(file=io.StringIO())
    with EvaluationProgress(quiet).showing():
        pass
    assert shown(quiet) == ""
