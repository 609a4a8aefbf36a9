"""What a finished run is measured by: zeros in its file, metrics, time."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import safe_open

from prune_cli.artifacts.result import Best, Layer, Seconds, Sparsity

if TYPE_CHECKING:
    from torch import nn

    from prune_cli.pruning.matrices import Matrix
    from prune_cli.pruning.pruner import Pruner


def count_zeros(folder: Path, matrices: Sequence[Matrix]) -> dict[str, int]:
    """Count the zeros of some matrices of a saved model.

    Args:
        folder: Holds *.safetensors.

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
    """Count the zeros of some matrices in a model that was loaded again."""
    loaded = ((matrix, model.get_parameter(matrix.parameter_name)) for matrix in matrices)
    return {matrix.name: int((matrix.stored(tensor) == 0).sum()) for matrix, tensor in loaded}


def layers(pruner: Pruner, zeros: Mapping[str, int]) -> list[Layer]:
    """One entry a prunable matrix."""
    return [
        Layer(
            name=matrix.name,
            shape=list(matrix.parameter.shape[matrix.number is not None :]),
            zeros=zeros[matrix.name],
            weights=matrix.size,
            sparsity=zeros[matrix.name] / matrix.size,
        )
        for matrix in pruner.matrices
    ]


def sparsity(pruner: Pruner, zeros: Mapping[str, int], parameters: int) -> Sparsity:
    """The sparsity asked for and the one counted in the saved file."""
    counted = sum(zeros.values())
    return Sparsity(
        target=pruner.target,
        measured=counted / pruner.prunable,
        zeros_by_mask=pruner.removed,
        zeros_in_file=counted,
        prunable=pruner.prunable,
        parameters=parameters,
        of_model=counted / parameters,
    )


def evaluations(history: Sequence[Mapping[str, Any]], primary_metric: str) -> list[Mapping[str, Any]]:
    """The records of a history that are evaluations."""
    return [record for record in history if f"eval_{primary_metric}" in record]


def metrics_of(evaluation: Mapping[str, Any]) -> dict[str, float]:
    """The metrics of an evaluation, without prefix."""
    return {name.removeprefix("eval_"): value for name, value in evaluation.items() if name.startswith("eval_")}


def best_at_target(history: Sequence[Mapping[str, Any]], primary_metric: str, target: float) -> Best | None:
    """The best evaluation of a model that was as sparse as the final one, to the weight, over the same records.

    Args:
        primary_metric: Decides; higher is better, the earliest among equals.
        target: Fraction removed at the end, as the records give it.
    """
    key = f"eval_{primary_metric}"
    evaluated = evaluations(history, primary_metric)
    count: int = evaluated[-1]["evaluation_records"] if evaluated else 0
    comparable = [record for record in evaluated if record["target_sparsity"] == target and record["evaluation_records"] == count]
    if not comparable:
        return None
    best = max(comparable, key=lambda record: record[key])
    return Best(metric=best[key], step=best["step"], records=count, metrics=metrics_of(best))


def seconds(history: Sequence[Mapping[str, Any]]) -> Seconds:
    """Seconds that the run took: in all, in evaluations, and the rest, which is training."""
    total = history[-1]["seconds"]
    evaluate = sum(record.get("evaluation_seconds", 0.0) for record in history)
    return Seconds(total=total, train=total - evaluate, evaluate=evaluate)
