"""A run's records sorted into families."""

from __future__ import annotations

from dataclasses import replace

from prune_cli.artifacts.result import Result
from prune_cli.tracking.rows import history_row, layer_table, summary


def test_a_training_line() -> None:
    record = {"step": 20, "epoch": 0.5, "loss": 1.5, "learning_rate": 1e-4, "grad_norm": 2.0, "seconds": 3.0}
    record |= {"target_sparsity": 0.5, "sparsity": 0.25, "teacher_version": 1}
    assert history_row(record) == {
        "step": 20,
        "epoch": 0.5,
        "train/loss": 1.5,
        "train/learning_rate": 1e-4,
        "train/grad_norm": 2.0,
        "seconds": 3.0,
        "target_sparsity": 0.5,
        "sparsity": 0.25,
        "teacher_version": 1,
    }


def test_an_evaluation_line_also_counts_over_the_measured_sparsity() -> None:
    record = {"step": 20, "eval_f1": 0.75, "eval_loss": 0.5, "sparsity": 0.25, "layer_sparsity": [0.2, 0.3]}
    assert history_row(record) == {
        "step": 20,
        "eval/f1": 0.75,
        "frontier/f1": 0.75,
        "eval/loss": 0.5,
        "frontier/loss": 0.5,
        "sparsity": 0.25,
    }


def test_the_summary(result: Result) -> None:
    assert summary(result) == {
        "primary_metric": "f1",
        "metric": 0.75,
        "best_at_target": 0.8125,
        "teacher_metric": None,
        "final/f1": 0.75,
        "final/accuracy": 0.5,
        "final/sparsity": 0.9,
        "final/sparsity_of_model": 0.45,
        "final/zeros": 36,
        "final/prunable": 40,
        "final/parameters": 80,
        "final/steps": 40,
        "final/seconds": 12.5,
        "final/steps_per_second": 4.0,
        "final/peak_memory_bytes": 1024,
        "final/file_bytes": 400,
    }
    assert summary(replace(result, best_at_target=None))["best_at_target"] is None


def test_a_row_a_layer(result: Result) -> None:
    assert layer_table(result).rows == [
        ("layer.0.query.weight", "4x5", 20, 19, 0.95),
        ("layer.0.output.weight", "5x4", 20, 17, 0.85),
    ]
