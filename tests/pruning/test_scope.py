"""Exactly which matrices are pruned, for a tiny random model of each architecture."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
)

from prune_cli.pruning.scope import prunable_matrices, prunable_weights, unreached

SIZES: dict[str, Any] = {
    "hidden_size": 8,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "vocab_size": 50,
}
BERT_LIKE = [
    "attention.self.query",
    "attention.self.key",
    "attention.self.value",
    "attention.output.dense",
    "intermediate.dense",
    "output.dense",
]
DEBERTA = [name.replace("query", "query_proj").replace("key", "key_proj").replace("value", "value_proj") for name in BERT_LIKE]
DISTIL = ["attention.q_lin", "attention.k_lin", "attention.v_lin", "attention.out_lin", "ffn.lin1", "ffn.lin2"]

MODELS: dict[str, tuple[dict[str, Any], str, list[str]]] = {
    "bert": (SIZES, "bert.encoder.layer", BERT_LIKE),
    "roberta": (SIZES, "roberta.encoder.layer", BERT_LIKE),
    "electra": (SIZES | {"embedding_size": 8}, "electra.encoder.layer", BERT_LIKE),
    "deberta-v2": (
        SIZES
        | {
            "relative_attention": True,
            "pos_att_type": ["p2c", "c2p"],
            "max_relative_positions": 16,
            "share_att_key": True,
        },
        "deberta.encoder.layer",
        DEBERTA,
    ),
    "distilbert": (
        {"dim": 8, "n_layers": 2, "n_heads": 2, "hidden_dim": 16, "vocab_size": 50},
        "distilbert.transformer.layer",
        DISTIL,
    ),
}


def tiny(kind: str) -> torch.nn.Module:
    return AutoModelForSequenceClassification.from_config(AutoConfig.for_model(kind, **MODELS[kind][0]))


@pytest.mark.parametrize("kind", MODELS)
def test_prunes_the_matrices_of_the_blocks_and_nothing_else(kind: str) -> None:
    _, stack, matrices = MODELS[kind]
    expected = {f"{stack}.{block}.{matrix}.weight" for block in range(2) for matrix in matrices}
    found = prunable_weights(tiny(kind))
    extra = {name for name in found if name not in expected}
    assert expected <= set(found)
    assert not extra
    assert all(parameter.ndim == 2 for parameter in found.values())
    assert sum(parameter.numel() for parameter in found.values()) == 2 * (4 * 8 * 8 + 2 * 8 * 16)


SPECIAL = {"vocab_size": 50, "bos_token_id": 1, "eos_token_id": 1, "pad_token_id": 0, "decoder_start_token_id": 0}
T5 = SPECIAL | {"d_model": 8, "d_kv": 4, "d_ff": 16, "num_layers": 2, "num_heads": 2}
BART = SPECIAL | {
    f"{side}_{name}": value
    for side in ("encoder", "decoder")
    for name, value in {"layers": 2, "attention_heads": 2, "ffn_dim": 16}.items()
}
ATTENTION = ["k_proj", "v_proj", "q_proj", "out_proj"]


def t5(feed_forward: list[str]) -> dict[str, list[str]]:
    own = [f"layer.0.SelfAttention.{name}" for name in "qkvo"]
    across = [f"layer.1.EncDecAttention.{name}" for name in "qkvo"]
    last = {side: [f"layer.{n}.DenseReluDense.{name}" for name in feed_forward] for side, n in (("en", 1), ("de", 2))}
    return {"encoder.block": own + last["en"], "decoder.block": own + across + last["de"]}


WRITERS: dict[str, tuple[str, dict[str, Any], dict[str, list[str]]]] = {
    "gpt2": (
        "gpt2",
        SPECIAL | {"n_embd": 8, "n_layer": 2, "n_head": 2, "n_inner": 16},
        {"transformer.h": ["attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj"]},
    ),
    "llama": (
        "llama",
        SPECIAL | SIZES | {"vocab_size": 50, "num_key_value_heads": 1, "tie_word_embeddings": True},
        {"model.layers": [f"self_attn.{name}_proj" for name in "qkvo"] + ["mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"]},
    ),
    "t5": ("t5", T5, t5(["wi", "wo"])),
    "flan-t5": (
        "t5",
        T5 | {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False},
        t5(["wi_0", "wi_1", "wo"]),
    ),
    "bart": (
        "bart",
        BART | {"d_model": 8},
        {
            "model.encoder.layers": [f"self_attn.{name}" for name in ATTENTION] + ["fc1", "fc2"],
            "model.decoder.layers": [f"{kind}_attn.{name}" for kind in ("self", "encoder") for name in ATTENTION]
            + ["fc1", "fc2"],
        },
    ),
}


@pytest.mark.parametrize("kind", WRITERS)
def test_prunes_every_matrix_of_models_that_write_and_nothing_else(kind: str) -> None:
    """Attention, cross-attention and feed-forward, gated too; no embedding, output layer, norm or relative position."""
    model_type, sizes, stacks = WRITERS[kind]
    config = AutoConfig.for_model(model_type, **sizes)
    auto = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
    expected = {
        f"{stack}.{block}.{matrix}.weight" for stack, matrices in stacks.items() for block in (0, 1) for matrix in matrices
    }
    assert set(prunable_weights(auto.from_config(config))) == expected


def test_bert_base_has_84_934_656_prunable_weights() -> None:
    with torch.device("meta"):
        model = AutoModelForSequenceClassification.from_config(AutoConfig.for_model("bert"))
    assert sum(parameter.numel() for parameter in prunable_weights(model).values()) == 84_934_656


@pytest.mark.parametrize(
    ("auto", "config", "count"),
    [
        (AutoModelForCausalLM, AutoConfig.for_model("gpt2", n_layer=6), 42_467_328),  # DistilGPT-2
        (AutoModelForCausalLM, AutoConfig.for_model("gpt2"), 84_934_656),
        (
            AutoModelForSeq2SeqLM,  # FLAN-T5-small, as its configuration has it
            AutoConfig.for_model(
                "t5", d_model=512, d_kv=64, d_ff=1024, num_layers=8, num_heads=6, feed_forward_proj="gated-gelu"
            ),
            44_040_192,
        ),
    ],
)
def test_as_many_as_the_list_of_models_says(auto: Any, config: Any, count: int) -> None:
    with torch.device("meta"):
        model = auto.from_config(config)
    assert sum(parameter.numel() for parameter in prunable_weights(model).values()) == count


def test_include_and_exclude() -> None:
    model = tiny("bert")
    assert len(prunable_matrices(model, include=r"layer\.0\.")) == 6
    assert len(prunable_matrices(model, exclude="attention")) == 4
    assert len(prunable_matrices(model, include="attention", exclude="output")) == 6


def test_nothing_left_is_an_error_with_the_expressions() -> None:
    with pytest.raises(ValueError, match=r"12 matrices .* none of them fits model.include='nowhere'"):
        prunable_matrices(tiny("bert"), include="nowhere")


def test_positions_count_through_the_model() -> None:
    """What the tie rule and `criterion=random` go by."""
    starts = [matrix.start for matrix in prunable_matrices(tiny("bert"))]
    assert starts[:7] == [0, 64, 128, 192, 256, 384, 512]  # four of 8 x 8, then 16 x 8 and 8 x 16, and the next layer


MOE = SIZES | {"num_key_value_heads": 1, "head_dim": 4, "pad_token_id": 0}
EXPERTS: dict[str, tuple[dict[str, Any], int, str, tuple[int, int]]] = {
    "mixtral": (MOE | {"num_local_experts": 4}, 4 + 2 * 4, "mlp.experts.gate_up_proj", (32, 8)),
    "qwen3_moe": (
        MOE | {"num_experts": 4, "moe_intermediate_size": 16},
        4 + 2 * 4,
        "mlp.experts.gate_up_proj",
        (32, 8),
    ),
    "qwen2_moe": (  # whose shared expert has a gate of its own
        MOE | {"num_experts": 4, "moe_intermediate_size": 16, "shared_expert_intermediate_size": 16},
        4 + 2 * 4 + 3,
        "mlp.experts.gate_up_proj",
        (32, 8),
    ),
    "gpt_oss": (  # stored [in, out]
        MOE | {"num_local_experts": 4, "layer_types": ["full_attention"] * 2},
        4 + 2 * 4,
        "mlp.experts.gate_up_proj",
        (32, 8),
    ),
    "jetmoe": (MOE | {"num_local_experts": 4, "kv_channels": 4}, 1 + 4 * 4, "mlp.input_linear.weight", (32, 8)),
    "xlnet": ({"d_model": 8, "n_layer": 2, "n_head": 2, "d_inner": 16, "vocab_size": 50}, 5 + 2, "rel_attn.q", (8, 8)),
    "funnel": (
        {
            "d_model": 8,
            "n_head": 2,
            "d_head": 4,
            "d_inner": 16,
            "vocab_size": 50,
            "block_sizes": [1, 1],
            "num_decoder_layers": 0,
        },
        5 + 2,
        "attention.r_kernel",
        (8, 8),
    ),
}


@pytest.mark.parametrize("kind", EXPERTS)
def test_experts_and_projections_of_heads_are_matrices_and_routers_are_left(kind: str) -> None:
    """Each of the two layers: so many matrices, one of them of this shape; what holds them is written through."""
    sizes, count, name, shape = EXPERTS[kind]
    model = AutoModel.from_config(AutoConfig.for_model(kind, **sizes, architectures=[]))
    matrices = prunable_matrices(model)
    assert len(matrices) == 2 * count
    assert not [matrix.name for matrix in matrices if "router" in matrix.name or matrix.name.endswith("gate.weight")]
    found = [matrix for matrix in matrices if name in matrix.name]
    assert {matrix.shape for matrix in found} == {shape}
    for matrix in found[1:]:
        matrix.local().zero_()
    weights = model.state_dict()[found[0].parameter_name]
    assert int((weights == 0).sum()) == sum(matrix.size for matrix in found[1:] if matrix.parameter is found[0].parameter)
    assert unreached(model) < 0.05


def test_kernels_of_convolutions_are_told_as_a_share() -> None:
    model = AutoModel.from_config(AutoConfig.for_model("squeezebert", **SIZES, embedding_size=8))
    kernels = sum(m.weight.numel() for m in model.modules() if isinstance(m, torch.nn.Conv1d))
    assert kernels > 0
    with pytest.raises(ValueError, match="no weight is left to prune"):
        prunable_matrices(model)
    assert unreached(model) == 1.0
