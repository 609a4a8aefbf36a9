"""Run folders without a run: what a finished one leaves behind, made up in a millisecond."""

from __future__ import annotations

import json
import random
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from prune_cli.artifacts.result import COMPUTATION, Result
from prune_cli.artifacts.run_folder import RunFolder

PRUNABLE = 1_000


def made_run(
    parent: Path,
    *,
    task: str = "mrpc",
    model: str = "minilm",
    criterion: str = "pins",
    sparsity: float = 0.9,
    seed: int = 1,
    metric: float = 0.8,
    learning_rate: float = 1e-4,
    primary_metric: str = "f1",
    evaluations: int = 4,
    layers: int = 6,
    name: str | None = None,
    **others: Any,
) -> Path:
    """Write the folder of a finished run.

    Args:
        parent: The output_dir.
        name: Of the folder; made from the rest without.
        others: What result.json says otherwise.
    """
    kind = f"{criterion}-s{sparsity:g}" if sparsity else "dense"
    run_id = random.Random(f"{task}{model}{kind}{seed}{learning_rate}{name}").randbytes(8).hex()
    folder = RunFolder(parent / (name or f"{task}-{model}-{kind}-{run_id[:8]}"))
    folder.model.mkdir(parents=True)
    choices = {
        "task": task,
        "model": model,
        "criterion": criterion,
        "schedule": "cubic",
        "pattern": "unstructured",
        "regularization": "self",
        "trainer": "default",
        "data": "synthetic",
        "tracking": "none",
    }
    config = {
        "task": {"_target_": "prune_cli.tasks.text_classification.TextClassification", "name": task},
        "criterion": {"_target_": f"prune_cli.pruning.criteria.{criterion.capitalize()}", "delta_t": 10},
        "trainer": {"learning_rate": learning_rate, "max_steps": 100, "save_steps": 50 + seed},
        "output_dir": str(parent),
        "sparsity": sparsity,
        "seed": seed,
        "choices": choices,
    }
    folder.config.write_text(yaml.safe_dump(config))
    records = []
    for number in range(1, evaluations + 1):
        step, there = 100 * number // evaluations, sparsity * number / evaluations
        shared = {"step": step, "epoch": step / 50, "target_sparsity": there, "sparsity": there, "seconds": step / 4}
        version = {"teacher_version": number - 1}
        records.append({**shared, "loss": 1 / number, "learning_rate": learning_rate, **version})
        scores = {f"eval_{primary_metric}": metric - 0.1 * (evaluations - number), "eval_loss": 0.5}
        records.append({**shared, **scores, "layer_sparsity": [there] * layers, **version})
    folder.history.write_text("".join(json.dumps(record) + "\n" for record in records))
    folder.predictions.write_text(json.dumps({"right": True, "prediction": {"label": "yes"}}) + "\n")
    (folder.model / "model.safetensors").write_bytes(b"0" * 1000)
    values = made_values(
        folder.path.name,
        id=run_id,
        choices=choices,
        config=config,
        records=f"sha256:{task}",
        weights=f"sha256:{model}",
        seed=seed,
        primary_metric=primary_metric,
        metric=metric,
        sparsity=sparsity,
        layers=layers,
    )
    promised = {name: asdict(promise) for name, promise in folder.promises().items()}
    folder.result.write_text(json.dumps({**values, **others, "promised": promised}))
    return folder.path


def made_result(name: str = "run", **values: Any) -> Result:
    """The result of a finished run.

    Args:
        name: Of the run.
        values: See `made_values`.
    """
    return Result.of(made_values(name, **values))


def made_values(
    name: str = "run",
    *,
    metric: float = 0.5,
    primary_metric: str = "f1",
    sparsity: float = 0.5,
    layers: int = 1,
    **others: Any,
) -> dict[str, Any]:
    """What result.json of a finished run holds, as plain values, without what it promises.

    Args:
        name: Of the run.
        others: What it says otherwise, or beside.
    """
    zeros = round(sparsity * PRUNABLE)
    choices = {"task": "mrpc", "model": "minilm", "criterion": "pins", "regularization": "self"}
    return {
        "format": 1,
        "name": name,
        "id": f"{name:0<16}",
        "choices": choices,
        "config": {},
        "records": "sha256:records",
        "weights": "sha256:weights",
        "teacher": None,
        "extra": None,
        "seed": 1,
        "auto_class": "AutoModelForSequenceClassification",
        "primary_metric": primary_metric,
        "metric": metric,
        "metrics": {primary_metric: metric, "loss": 0.5},
        "signatures": {},
        "best_at_target": {"metric": metric, "step": 100, "records": 408, "metrics": {primary_metric: metric}},
        "only_prediction": None,
        "taught_steps": None,
        "teacher_metric": None,
        "teacher_records": 408,
        "sparsity": {
            "target": sparsity,
            "measured": zeros / PRUNABLE,
            "zeros_by_mask": zeros,
            "zeros_in_file": zeros,
            "prunable": PRUNABLE,
            "parameters": 2 * PRUNABLE,
            "of_model": zeros / PRUNABLE / 2,
        },
        "layers": [
            {
                "name": f"bert.encoder.layer.{number}.output.dense.weight",
                "shape": [10, 10],
                "zeros": round(100 * sparsity),
                "weights": 100,
                "sparsity": sparsity,
            }
            for number in range(layers)
        ],
        "arithmetic": None,
        "steps": 100,
        "kept_step": 100,
        "epochs": 2.0,
        "precision": "fp32",
        "seconds": {"total": 25.0, "train": 20.0, "evaluate": 5.0},
        "steps_per_second": 5.0,
        "peak_memory_bytes": 1_000_000_000,
        "small": None,
        "files": {"model/model.safetensors": 1000},
        "computation": COMPUTATION,
        "versions": {"python": "3.11.7", "torch": "2.13.0"},
        "git_commit": "0123abcd",
        "machine": {"system": "Linux", "processor": "a processor", "cores": 2},
        "finished": "2026-11-26T16:52:23+00:00",
        "samples": [{"sentence1": "Ada was born.", "expected": "yes", "predicted": "no", "right": False}],
        **others,
    }
