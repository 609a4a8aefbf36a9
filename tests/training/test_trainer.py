"""What the Trainer does to a model."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import BertConfig, BertModel

from prune_cli.distillation import NoTeacher
from prune_cli.errors import Diverged
from prune_cli.training.callbacks import PruneCallback
from prune_cli.training.options import TrainerConfig
from prune_cli.training.trainer import PruningTrainer
from tests.whole_runs import do


def test_no_checkpoint_is_written_of_weights_that_are_no_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The checkpoint before it stays, and the same command says the same again."""
    whole = PruneCallback.on_step_end

    def broken(self: PruneCallback, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == 12:
            torch.nn.init.constant_(next(kwargs["model"].parameters()), torch.nan)
        whole(self, args, state, control, **kwargs)

    monkeypatch.setattr(PruneCallback, "on_step_end", broken)
    for _ in range(2):
        with pytest.raises(Diverged, match="by step 15 there are weights that are no numbers"):
            do(tmp_path, "sparsity=0", "trainer.max_steps=30", "trainer.eval_steps=30", "trainer.save_steps=5")
        [run] = tmp_path.glob("mrpc*")
        assert {path.name for path in run.glob("checkpoints/checkpoint-*")} == {"checkpoint-5", "checkpoint-10"}


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
        regularization=NoTeacher(),
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
