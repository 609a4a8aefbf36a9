"""When a run is over."""

from __future__ import annotations

from pathlib import Path

import pytest

from prune_cli.artifacts.history import History
from prune_cli.training.endings import Patience


@pytest.mark.parametrize(
    ("metrics", "over"),
    [
        ([0.5, 0.4], False),
        ([0.5, 0.4, 0.5], True),
        ([0.5, 0.4, 0.6], False),
        ([0.5, 0.4, 0.6, 0.6], False),
        ([0.5, None, None], True),
        ([None, None, 0.1], False),
    ],
)
def test_so_many_evaluations_without_a_better_one(metrics: list[float | None], over: bool, tmp_path: Path) -> None:
    history = History(tmp_path / "history.jsonl")
    history.records = [{"step": step, "eval_f1": metric} for step, metric in enumerate(metrics)] + [{"step": 9, "loss": 1}]
    assert Patience(history, "f1", 2).over is over
