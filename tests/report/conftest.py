"""Made-up runs, as their files would hold them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import pytest

from prune_cli.artifacts.result import Layer, Result
from tests.made_runs import made_values

MakeResult = Callable[..., Result]

MATRICES = {
    "attention.self.query": (4, 4),
    "attention.self.key": (4, 4),
    "attention.self.value": (4, 4),
    "attention.output.dense": (4, 4),
    "intermediate.dense": (16, 4),
    "output.dense": (4, 16),
}


@pytest.fixture
def layers() -> list[Layer]:
    """Two blocks of a BERT, 192 weights each; half of the first and three quarters of the second are removed."""
    found = []
    for block, part in ((0, 0.5), (1, 0.75)):
        for matrix, (rows, columns) in MATRICES.items():
            weights = rows * columns
            name = f"bert.encoder.layer.{block}.{matrix}.weight"
            zeros = int(weights * part)
            found.append(Layer(name=name, shape=[rows, columns], weights=weights, zeros=zeros, sparsity=part))
    return found


@pytest.fixture
def make_result(layers: list[Layer]) -> MakeResult:
    """Makes the content of a result.json of MiniLM."""

    def make(
        *,
        task: str = "mrpc",
        model: str = "minilm",
        criterion: str = "pins",
        regularization: str = "self",
        primary_metric: str = "f1",
        metric: float = 0.84261,
        sparsity: float = 0.9,
        zeros: int | None = None,
        prunable: int = 10_616_832,
        seed: int = 42,
        **others: Any,
    ) -> Result:
        zeros = round(sparsity * prunable) if zeros is None else zeros
        said = {
            "name": f"{task}-{model}-{criterion}-s{sparsity:g}-1a2b3c4d",
            "id": "1a2b3c4d",
            "auto_class": "AutoModelForSequenceClassification",
            "choices": {
                "task": task,
                "model": model,
                "criterion": criterion,
                "schedule": "cubic",
                "pattern": "unstructured",
                "regularization": regularization,
                "trainer": "default",
                "data": "hub",
                "tracking": "none",
            },
            "seed": seed,
            "primary_metric": primary_metric,
            "signatures": {},
            "metric": metric,
            "metrics": {"loss": 0.51239, primary_metric: metric, "accuracy": 0.75741},
            "best_at_target": {"metric": 0.84744, "step": 1050, "records": 408, "metrics": {primary_metric: 0.84744}},
            "teacher_metric": None,
            "sparsity": {
                "target": sparsity,
                "measured": zeros / prunable,
                "zeros_by_mask": round(sparsity * prunable),
                "zeros_in_file": zeros,
                "prunable": prunable,
                "parameters": 22_713_986,
                "of_model": zeros / 22_713_986,
            },
            "layers": [asdict(layer) for layer in layers],
            "steps": 1140,
            "epochs": 10.0,
            "seconds": {"total": 1473.2, "train": 1400.0, "evaluate": 73.2},
            "steps_per_second": 0.8142,
            "peak_memory_bytes": 1_930_000_000,
            "files": {"model/model.safetensors": 90_868_376},
            "versions": {"python": "3.11.7", "torch": "2.13.0"},
            "git_commit": "0123abcd",
            "machine": {"system": "Linux", "cores": 2},
            **others,
        }
        return Result.of({**made_values(), **said})

    return make


@pytest.fixture
def history() -> list[dict[str, Any]]:
    """A record every ten steps; the teacher changes at 20 and 60, the target is reached at 70."""
    sparsities = {10: 0.0, 20: 0.2, 30: 0.4, 40: 0.6, 50: 0.7, 60: 0.8, 70: 0.9, 80: 0.9}
    metrics = {20: 0.7, 40: 0.65, 60: 0.75, 80: None}
    records: list[dict[str, Any]] = []
    for step, sparsity in sparsities.items():
        shared = {"step": step, "target_sparsity": sparsity, "sparsity": sparsity}
        records.append({**shared, "loss": 0.5, "teacher_version": (step > 20) + (step > 60)})
        if step in metrics:
            records.append({**shared, "eval_f1": metrics[step], "teacher_version": (step >= 20) + (step >= 60)})
    return records
