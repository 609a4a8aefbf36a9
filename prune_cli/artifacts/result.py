"""The content of result.json."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import safe_open

if TYPE_CHECKING:
    from torch import nn

    from prune_cli.pruning.matrices import Matrix
    from prune_cli.pruning.pruner import Pruner

FORMAT = 1
"""Version of the layout of result.json."""


COMPUTATION = 2
"""Version of what a run computes, raised by each change after which the same configuration ends with other bits on the same
machine. 2 since the evaluations of few steps, new regressions, soft movement, oBERT and distances of states of 2026-11-29."""


def count_zeros(folder: Path, matrices: Sequence[Matrix]) -> dict[str, int]:
    """Count the zeros of some matrices of a saved model.

    Args:
        folder: Holds *.safetensors.
        matrices: What to count.

    Returns:
        Zeros by the matrices' names; one that is not in the files is missing.
    """
    zeros: dict[str, int] = {}
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, "pt") as file:
            there = set(file.keys())
            for name, parts in itertools.groupby(matrices, lambda matrix: matrix.parameter_name):
                if name in there:
                    tensor = file.get_tensor(name)
                    zeros |= {part.name: int((part.stored(tensor) == 0).sum()) for part in parts}
    return zeros


def zeros_of(model: nn.Module, matrices: Sequence[Matrix]) -> dict[str, int]:
    """Count the zeros of some matrices in a model that was loaded again.

    Args:
        model: The model.
        matrices: What to count.
    """
    loaded = ((matrix, model.get_parameter(matrix.parameter_name)) for matrix in matrices)
    return {matrix.name: int((matrix.stored(tensor) == 0).sum()) for matrix, tensor in loaded}


def layers(pruner: Pruner, zeros: Mapping[str, int]) -> list[dict[str, Any]]:
    """One entry a prunable matrix: name, shape, zeros, weights, sparsity.

    Args:
        pruner: Names the matrices.
        zeros: What `count_zeros` found.
    """
    return [
        {
            "name": matrix.name,
            "shape": list(matrix.stored(matrix.parameter).shape),
            "zeros": zeros[matrix.name],
            "weights": matrix.size,
            "sparsity": zeros[matrix.name] / matrix.size,
        }
        for matrix in pruner.matrices
    ]


def sparsity(pruner: Pruner, zeros: Mapping[str, int], parameters: int) -> dict[str, Any]:
    """The sparsity asked for and the one counted in the saved file.

    Args:
        pruner: Knows how many weights the mask removed.
        zeros: What `count_zeros` found.
        parameters: Parameters of the whole model.
    """
    counted = sum(zeros.values())
    return {
        "target": pruner.target,
        "measured": counted / pruner.prunable,
        "zeros_by_mask": pruner.removed,
        "zeros_in_file": counted,
        "prunable": pruner.prunable,
        "parameters": parameters,
        "of_model": counted / parameters,
    }


def evaluations(history: Sequence[Mapping[str, Any]], primary_metric: str) -> list[Mapping[str, Any]]:
    """The records of a history that are evaluations."""
    return [record for record in history if f"eval_{primary_metric}" in record]


def metrics_of(evaluation: Mapping[str, Any]) -> dict[str, float]:
    """The metrics of an evaluation, without prefix."""
    return {name.removeprefix("eval_"): value for name, value in evaluation.items() if name.startswith("eval_")}


def best_at_target(history: Sequence[Mapping[str, Any]], primary_metric: str, target: float) -> dict[str, Any] | None:
    """The best evaluation of a model that was as sparse as the final one, to the weight, over the same records.

    Args:
        history: All records of the run.
        primary_metric: Decides; higher is better, the earliest among equals.
        target: Fraction removed at the end, as the records give it.
    """
    key = f"eval_{primary_metric}"
    known = evaluations(history, primary_metric)
    count = known[-1]["evaluation_records"] if known else None
    there = [
        record for record in known if record["target_sparsity"] == target and record["evaluation_records"] == count
    ]
    if not there:
        return None
    best = max(there, key=lambda record: record[key])
    return {"metric": best[key], "step": best["step"], "records": count, "metrics": metrics_of(best)}


def seconds(history: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Seconds that the run took: in all, in evaluations, and the rest, which is training."""
    total = history[-1]["seconds"]
    evaluate = sum(record.get("evaluation_seconds", 0.0) for record in history)
    return {"total": total, "train": total - evaluate, "evaluate": evaluate}
