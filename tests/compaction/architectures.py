"""Tiny random models of every architecture that compaction knows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
    PreTrainedModel,
)

from prune_cli.pruning.scope import prunable_weights

VOCABULARY = 120
_BERT = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
_LLAMA = {**_BERT, "num_key_value_heads": 2, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
_T5 = {
    "model_type": "t5",
    "d_model": 32,
    "d_kv": 8,
    "d_ff": 64,
    "num_layers": 2,
    "num_heads": 4,
    "decoder_start_token_id": 0,
}
_DEBERTA = {
    **_BERT, "model_type": "deberta-v2", "relative_attention": True, "position_buckets": 8, "pos_att_type": ["p2c", "c2p"],
    "norm_rel_ebd": "layer_norm",
}  # fmt: skip

ARCHITECTURES: Mapping[str, tuple[Any, dict[str, Any]]] = {
    "bert": (AutoModelForSequenceClassification, _BERT),
    "roberta": (AutoModelForSequenceClassification, {**_BERT, "pad_token_id": 1}),
    "electra": (AutoModelForSequenceClassification, {**_BERT, "embedding_size": 16}),
    "distilbert": (AutoModelForSequenceClassification, {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 64}),
    "deberta-v2": (AutoModelForSequenceClassification, {**_DEBERTA, "share_att_key": False}),
    "deberta-v2 shared": (AutoModelForSequenceClassification, {**_DEBERTA, "share_att_key": True}),
    "gpt2": (
        AutoModelForCausalLM,
        {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_inner": 64, "bos_token_id": 1, "eos_token_id": 2},
    ),
    "llama": (AutoModelForCausalLM, _LLAMA),
    "mistral": (AutoModelForCausalLM, _LLAMA),
    "qwen2": (AutoModelForCausalLM, _LLAMA),
    "bart": (
        AutoModelForSeq2SeqLM,
        {
            "d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 4, "decoder_attention_heads": 4,
            "encoder_ffn_dim": 64, "decoder_ffn_dim": 64, "forced_eos_token_id": None,
        },
    ),
    "t5": (AutoModelForSeq2SeqLM, _T5),
    "t5 gated": (AutoModelForSeq2SeqLM, {**_T5, "feed_forward_proj": "gated-gelu"}),
}  # fmt: skip


def tiny(name: str, sparsity: float, seed: int = 0) -> PreTrainedModel:
    """A random model, pruned at random: single weights, and beyond half of them whole rows and columns too.

    Its weights and biases are large enough that each of them is felt in the outputs.
    """
    auto, options = ARCHITECTURES[name]
    torch.manual_seed(seed)
    values: dict[str, Any] = {"model_type": name, "vocab_size": VOCABULARY, **options}
    model = auto.from_config(AutoConfig.for_model(**values))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.add_(torch.randn_like(parameter) * 0.5)
        for parameter in prunable_weights(model).values():
            parameter.copy_(torch.randn_like(parameter) * 0.7 * (torch.rand_like(parameter) > sparsity))
            if sparsity > 0.5:
                parameter[torch.rand(len(parameter)) < 0.5] = 0
                parameter[:, torch.rand(parameter.shape[1]) < 0.3] = 0
        head = getattr(model, "classifier", None)
        for parameter in () if head is None else head.parameters():
            parameter.copy_(torch.randn_like(parameter))
    return model.eval()


def batch(model: PreTrainedModel, seed: int = 1) -> dict[str, torch.Tensor]:
    """Three records of different lengths, padded on the right."""
    torch.manual_seed(seed)
    ids = torch.randint(5, VOCABULARY, (3, 12))
    mask = torch.ones_like(ids)
    mask[1, 7:] = mask[2, 4:] = 0
    made = {"input_ids": ids, "attention_mask": mask}
    if model.config.is_encoder_decoder:
        made["decoder_input_ids"] = torch.randint(5, VOCABULARY, (3, 6))
    return made


def outputs(model: PreTrainedModel, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """The logits; of a decoder those of real tokens."""
    with torch.no_grad():
        logits = model(**inputs).logits
    return logits[inputs["attention_mask"].bool()] if logits.ndim == 3 and "decoder_input_ids" not in inputs else logits
