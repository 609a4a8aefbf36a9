"""What a run's records look like in a tracker."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from prune_cli.artifacts.result import Result
from prune_cli.tracking.base import RunSummary, Table

STEP_METRICS = {
    "train/*": "step",
    "eval/*": "step",
    "sparsity": "step",
    "target_sparsity": "step",
    "teacher_version": "step",
    "metric": "step",
    "frontier/*": "sparsity",
}
"""X-axis of every family of metrics; `frontier/*` repeats the evaluations over the measured sparsity."""

METRIC = "metric"
"""The primary metric, whatever its name: of every evaluation and, in the summary, the final one."""

_SHARED = (
    "step",
    "epoch",
    "sparsity",
    "target_sparsity",
    "teacher_version",
    "seconds",
    "evaluation_seconds",
    "evaluation_records",
    "evaluation_records_of",
)


def history_row(record: Mapping[str, Any]) -> dict[str, Any]:
    """Sort a line of `history.jsonl` into the families of `STEP_METRICS`.

    The per-layer list stays behind: the final one becomes a table.

    >>> history_row({"step": 8, "sparsity": 0.5, "eval_f1": 0.75, "layer_sparsity": [0.4, 0.6]})
    {'step': 8, 'sparsity': 0.5, 'eval/f1': 0.75, 'frontier/f1': 0.75}
    """
    row: dict[str, Any] = {}
    for key, value in record.items():
        metric = key.removeprefix("eval_")
        if key in _SHARED:
            row[key] = value
        elif metric != key:
            row[f"eval/{metric}"] = row[f"frontier/{metric}"] = value
        elif key != "layer_sparsity":
            row[f"train/{key}"] = value
    return row


def run_summary(result: Result, samples: Sequence[Mapping[str, Any]], pictures: Sequence[Path] = ()) -> RunSummary:
    """What trackers are told at the end of a run."""
    tables = {"layers": layer_table(result)} | ({"samples": sample_table(samples)} if samples else {})
    return RunSummary(step=result.steps, values=summary(result), tables=tables, pictures=pictures)


def summary(result: Result) -> dict[str, Any]:
    """Pick from `result.json` the single numbers by which runs are compared, flat."""
    best = result.best_at_target
    sparsity = result.sparsity
    return {
        "primary_metric": result.primary_metric,
        METRIC: result.metric,
        "best_at_target": None if best is None else best.metric,
        "teacher_metric": result.teacher_metric,
        **{f"final/{name}": value for name, value in result.metrics.items()},
        "final/sparsity": sparsity.measured,
        "final/sparsity_of_model": sparsity.of_model,
        "final/zeros": sparsity.zeros_in_file,
        "final/prunable": sparsity.prunable,
        "final/parameters": sparsity.parameters,
        "final/steps": result.steps,
        "final/seconds": result.seconds.total,
        "final/steps_per_second": result.steps_per_second,
        "final/peak_memory_bytes": result.peak_memory_bytes,
        "final/file_bytes": sum(result.files.values()),
    }


def layer_table(result: Result) -> Table:
    """What was pruned of each matrix."""
    return Table(
        ("layer", "shape", "weights", "zeros", "sparsity"),
        [(layer.name, "x".join(map(str, layer.shape)), layer.weights, layer.zeros, layer.sparsity) for layer in result.layers],
    )


def sample_table(samples: Sequence[Mapping[str, Any]]) -> Table:
    """Samples, one at least; what is neither text nor number becomes JSON.

    >>> sample_table([{"sentence": "so it is", "prediction": {"label": "yes"}}])
    Table(columns=('sentence', 'prediction'), rows=[('so it is', '{"label": "yes"}')])
    """
    return Table(
        tuple(samples[0]),
        [
            tuple(
                value if isinstance(value, str | int | float) else json.dumps(value, ensure_ascii=False) for value in row.values()
            )
            for row in samples
        ],
    )
