"""Exactly which matrices are pruned, for a tiny random model of each architecture."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForSequenceClassification

from prune_cli.pruning.scope import prunable_weights

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
DEBERTA = [
    name.replace("query", "query_proj").replace("key", "key_proj").replace("value", "value_proj") for name in BERT_LIKE
]
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


def test_bert_base_has_84_934_656_prunable_weights() -> None:
    with torch.device("meta"):
        model = AutoModelForSequenceClassification.from_config(AutoConfig.for_model("bert"))
    assert sum(parameter.numel() for parameter in prunable_weights(model).values()) == 84_934_656


def test_include_and_exclude() -> None:
    model = tiny("bert")
    assert len(prunable_weights(model, include=r"layer\.0\.")) == 6
    assert len(prunable_weights(model, exclude="attention")) == 4
    assert len(prunable_weights(model, include="attention", exclude="output")) == 6


def test_nothing_left_is_an_error_with_the_expressions() -> None:
    with pytest.raises(ValueError, match=r"12 matrices .* none of them fits model.include='nowhere'"):
        prunable_weights(tiny("bert"), include="nowhere")
