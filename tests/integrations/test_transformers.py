"""The engine in loops that are not ours: the programs of docs/library.md, run as they stand, and a Trainer that goes on."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from torch import nn
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainerCallback, TrainingArguments

from prune_cli.integrations.transformers import PruneCallback
from prune_cli.pruning import Pruner, prunable_matrices
from prune_cli.pruning.criteria import Pins
from prune_cli.pruning.patterns import Unstructured
from prune_cli.pruning.schedules import Cubic

PAGE = Path(__file__).resolve().parents[2] / "docs" / "library.md"
OWN, IN_A_TRAINER = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
STEPS = 20


def small_model() -> BertForSequenceClassification:
    torch.manual_seed(0)
    return BertForSequenceClassification(
        BertConfig(vocab_size=20, hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2)
    )


def records(count: int) -> Dataset:
    numbers = range(count)
    return Dataset.from_dict({"input_ids": [[n % 5, n % 7, 3, 4] for n in numbers], "labels": [n % 2 for n in numbers]})


def arguments(folder: Path, **options: Any) -> TrainingArguments:
    return TrainingArguments(
        str(folder),
        max_steps=STEPS,
        per_device_train_batch_size=4,
        save_steps=8,
        use_cpu=True,
        report_to=[],
        disable_tqdm=True,
        **options,
    )


def pruner_of(model: nn.Module, steps: int) -> Pruner:
    return Pruner(
        prunable_matrices(model),
        criterion=Pins(),
        schedule=Cubic(delta_t=2),
        pattern=Unstructured(),
        sparsity=0.9,
        total_steps=steps,
    )


def zeros(model: nn.Module) -> tuple[int, int]:
    """Zeros of the prunable matrices, and their weights."""
    matrices = prunable_matrices(model)
    return sum(int((each.local() == 0).sum()) for each in matrices), sum(each.size for each in matrices)


def test_a_loop_of_ones_own_ends_exact() -> None:
    model = small_model()
    batch = {"input_ids": torch.arange(12).view(3, 4), "labels": torch.tensor([0, 1, 0])}
    optimizer = torch.optim.AdamW(model.parameters())
    exec(OWN, {"torch": torch, "model": model, "optimizer": optimizer, "batches": [batch] * STEPS, "steps": STEPS})
    gone, weights = zeros(model)
    assert gone == round(0.9 * weights)


def test_a_trainer_ends_exact(tmp_path: Path) -> None:
    model = small_model()
    given = {"model": model, "arguments": arguments(tmp_path), "records": records(40), "folder": tmp_path / "saved"}
    exec(IN_A_TRAINER, given)
    saved = BertForSequenceClassification.from_pretrained(tmp_path / "saved")
    gone, weights = zeros(saved)
    assert gone == round(0.9 * weights)


class Killed(Exception):
    """Stands in for a kill."""


def test_a_trainer_that_goes_on_ends_with_the_same_weights(tmp_path: Path) -> None:
    class Dying(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if state.global_step == 10:
                raise Killed

    whole = small_model()
    Trainer(whole, arguments(tmp_path / "whole"), train_dataset=records(40), callbacks=[PruneCallback(pruner_of)]).train()
    with pytest.raises(Killed):
        Trainer(
            small_model(),
            arguments(tmp_path / "parts"),
            train_dataset=records(40),
            callbacks=[PruneCallback(pruner_of), Dying()],
        ).train()
    going_on = small_model()
    Trainer(going_on, arguments(tmp_path / "parts"), train_dataset=records(40), callbacks=[PruneCallback(pruner_of)]).train(
        resume_from_checkpoint=True
    )
    for (name, one), (_, other) in zip(whole.named_parameters(), going_on.named_parameters(), strict=True):
        assert torch.equal(one, other), name


def test_other_weights_than_the_last_ones_are_refused(tmp_path: Path) -> None:
    best = arguments(tmp_path, load_best_model_at_end=True, eval_strategy="steps", eval_steps=8)
    trainer = Trainer(
        small_model(),
        best,
        train_dataset=records(40),
        eval_dataset=records(4),
        callbacks=[PruneCallback(pruner_of)],
    )
    with pytest.raises(ValueError, match="load_best_model_at_end"):
        trainer.train()
