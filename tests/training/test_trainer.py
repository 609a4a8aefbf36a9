"""What the Trainer does to a model."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import BertConfig, BertModel

from prune_cli.training.options import TrainerConfig
from prune_cli.training.trainer import PruningTrainer


@pytest.mark.parametrize("again", [False, True])
def test_converted_weights_are_let_go_layer_by_layer_where_activations_are_computed_again(
    again: bool, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: dict[str, Any] = {
        "hidden_size": 8,
        "num_hidden_layers": 3,
        "num_attention_heads": 2,
        "intermediate_size": 16,
    }
    model = BertModel(BertConfig(vocab_size=20, **sizes))
    unused: Any = None
    PruningTrainer(
        model,
        TrainerConfig(precision="bf16", device="cpu", activation_checkpointing=again).arguments(
            tmp_path, steps=10, seed=1
        ),
        evaluation=unused,
        teacher=None,
        checkpoints=unused,
        checkpoint=None,
        group_by_length=False,
        task=SimpleNamespace(head=SimpleNamespace(collator=lambda _: None)),
        tokenizer=None,
    )
    cleared: list[bool] = []
    monkeypatch.setattr(torch, "clear_autocast_cache", lambda: cleared.append(model.training))
    for mode in (True, False):
        model.train(mode)(input_ids=torch.tensor([[1, 2]]))
    assert cleared == [True] * 3 * again
