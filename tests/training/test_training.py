"""What training does to a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import BertConfig, BertModel

from prune_cli.errors import Diverged
from prune_cli.pruning.pruner import Pruner
from prune_cli.training.training import recompute_activations
from tests.whole_runs import do


def test_no_checkpoint_is_written_of_weights_that_are_no_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The checkpoint before it stays, and the same command says the same again."""
    whole = Pruner.select

    def broken(self: Pruner, step: int) -> None:
        whole(self, step)
        if step == 11:
            torch.nn.init.constant_(self.matrices[0].parameter, torch.nan)

    monkeypatch.setattr(Pruner, "select", broken)
    for _ in range(2):
        with pytest.raises(Diverged, match="by step 15 there are weights that are no numbers"):
            do(tmp_path, "sparsity=0", "trainer.max_steps=30", "trainer.eval_steps=30", "trainer.save_steps=5")
        [run] = tmp_path.glob("mrpc*")
        assert {path.name for path in run.glob("checkpoints/checkpoint-*")} == {"checkpoint-5", "checkpoint-10"}


@pytest.mark.parametrize("again", [False, True])
def test_converted_weights_are_let_go_layer_by_layer_where_activations_are_computed_again(
    again: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: dict[str, Any] = {
        "hidden_size": 8,
        "num_hidden_layers": 3,
        "num_attention_heads": 2,
        "intermediate_size": 16,
    }
    model = BertModel(BertConfig(vocab_size=20, **sizes))
    if again:
        recompute_activations(model)
    cleared: list[bool] = []
    monkeypatch.setattr(torch, "clear_autocast_cache", lambda: cleared.append(model.training))
    for mode in (True, False):
        model.train(mode)(input_ids=torch.tensor([[1, 2]]))
    assert cleared == [True] * 3 * again
