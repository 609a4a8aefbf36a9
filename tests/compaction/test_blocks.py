"""Blocks that add nothing are left out, and what is left is a plain model of transformers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from prune_cli.compaction.blocks import silent_blocks
from prune_cli.compaction.compact import arithmetic, compact
from prune_cli.pruning.scope import prunable_weights
from prune_cli.runtime.compact import is_compact, load_compact
from tests.compaction.architectures import batch, outputs

SIZES = {"hidden_size": 32, "num_hidden_layers": 5, "num_attention_heads": 4, "intermediate_size": 64}
SPECIAL = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
SLIDING = {
    "sliding_window": 4,
    "use_sliding_window": True,
    "max_window_layers": 2,
}  # of a plain config: what each layer sees
KINDS: dict[str, dict[str, Any]] = {
    "llama": {**SIZES, "num_key_value_heads": 2},
    "mistral": {**SIZES, "num_key_value_heads": 2, "sliding_window": 4},
    "qwen2": {**SIZES, "num_key_value_heads": 2, **SLIDING},
}


def made(kind: str, *gone: int) -> PreTrainedModel:
    """A random decoder whose weights in some blocks are zero, and nowhere else."""
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, vocab_size=120, **KINDS[kind], **SPECIAL)).eval()
    for name, weight in prunable_weights(model).items():
        torch.nn.init.normal_(weight, std=0.2)
        if any(f".layers.{number}." in name for number in gone):
            torch.nn.init.zeros_(weight)
    return model


def writes(model: Any, ids: torch.Tensor, options: dict[str, Any]) -> torch.Tensor:
    return model.generate(ids, **options)


@pytest.mark.parametrize("kind", KINDS)
def test_transformers_alone_loads_what_is_left(kind: str, tmp_path: Path) -> None:
    model = made(kind, 0, 3)
    inputs = batch(model)
    ids = torch.tensor([[7, 8, 9, 10, 11, 12]])
    options = {"max_new_tokens": 8, "do_sample": False, "pad_token_id": 0, "attention_mask": torch.ones_like(ids)}
    expected, written = outputs(model, inputs), writes(model, ids, options)
    counted = arithmetic(model)
    left = compact(model)
    assert counted == left and left.share == pytest.approx(0.6)
    assert not silent_blocks(model)
    model.save_pretrained(tmp_path)
    assert not is_compact(tmp_path)
    alone: Any = AutoModelForCausalLM.from_pretrained(tmp_path)
    for loaded in (alone.eval(), load_compact(tmp_path)):
        assert (loaded.config.num_hidden_layers, len(loaded.model.layers)) == (3, 3)
        torch.testing.assert_close(outputs(loaded, inputs), expected, rtol=1e-5, atol=1e-5)
        assert torch.equal(writes(loaded, ids, options), written)


def test_one_block_stays_where_all_are_empty() -> None:
    model = made("llama", 0, 1, 2, 3, 4)
    expected = outputs(model, batch(model))
    compact(model)
    assert model.config.num_hidden_layers == 1
    torch.testing.assert_close(outputs(model, batch(model)), expected, rtol=1e-5, atol=1e-5)


def test_a_block_with_a_bias_adds_something() -> None:
    torch.manual_seed(0)
    config = AutoConfig.for_model("llama", vocab_size=120, **KINDS["llama"], **SPECIAL, mlp_bias=True)
    model = AutoModelForCausalLM.from_config(config)
    for weight in prunable_weights(model).values():
        torch.nn.init.zeros_(weight)
    assert len(silent_blocks(model)) == 4  # biases begin at zero
    for name, parameter in model.named_parameters():
        if name.endswith("layers.1.mlp.down_proj.bias"):
            torch.nn.init.ones_(parameter)
    assert silent_blocks(model) == [f"model.layers.{number}" for number in (0, 2, 3, 4)]


def gpt2_without_a_block(**options: Any) -> PreTrainedModel:
    """A random GPT-2 of three blocks, of which the weights of the second are zero."""
    torch.manual_seed(0)
    sizes = {"n_embd": 32, "n_layer": 3, "n_head": 4, "bos_token_id": 1, "eos_token_id": 2}
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model("gpt2", vocab_size=120, **sizes, **options)).eval()
    for name, weight in prunable_weights(model).items():
        (torch.nn.init.zeros_ if ".h.1." in name else torch.nn.init.normal_)(weight)
    return model


def test_a_block_whose_number_scales_its_attention_keeps_its_place(tmp_path: Path) -> None:
    model = gpt2_without_a_block(scale_attn_by_inverse_layer_idx=True)
    inputs = batch(model)
    expected = outputs(model, inputs)
    compact(model)
    model.save_pretrained(tmp_path)
    torch.testing.assert_close(outputs(load_compact(tmp_path), inputs), expected, rtol=1e-5, atol=1e-5)


def test_gpt2_loses_a_block_whose_biases_are_zero_too(tmp_path: Path) -> None:
    model = gpt2_without_a_block()
    inputs = batch(model)
    expected = outputs(model, inputs)
    compact(model)
    model.save_pretrained(tmp_path)
    alone: Any = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert (alone.config.n_layer, len(alone.transformer.h)) == (2, 2)
    torch.testing.assert_close(outputs(alone.eval(), inputs), expected, rtol=1e-5, atol=1e-5)
