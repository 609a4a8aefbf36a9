"""Runs of architectures that are stored, called or used in unusual ways: exactly as many zeros as were asked for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from prune_cli.exporting.export import Wanted, export
from prune_cli.exporting.source import Source
from prune_cli.runtime import load_sparse
from prune_cli.runtime.folders import class_of
from tests.tiers import quick
from tests.whole_runs import do

_SIDES = {
    f"{side}_{name}": value
    for side in ("encoder", "decoder")
    for name, value in {"layers": 1, "attention_heads": 2, "ffn_dim": 32, "layerdrop": 0.0}.items()
}
_BART = {"d_model": 16, "vocab_size": 400, "max_position_embeddings": 320, **_SIDES}
_MOE = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "intermediate_size": 32,
    "vocab_size": 400,
}
_T5 = {
    "d_model": 16,
    "d_kv": 8,
    "d_ff": 32,
    "num_layers": 2,
    "num_decoder_layers": 2,
    "num_heads": 2,
    "vocab_size": 400,
}
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "m2m_100": ("web_nlg", _BART),  # has no way of its own to shift labels
    "blenderbot-small": ("web_nlg", _BART),
    "led": ("web_nlg", _BART | {"max_encoder_position_embeddings": 320, "attention_window": 16}),  # no global attention
    "longformer": (
        "conll2003",
        {
            "hidden_size": 16,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "intermediate_size": 32,
            "vocab_size": 400,
            "attention_window": 16,
            "max_position_embeddings": 160,
        },
    ),
    "switch_transformers": ("web_nlg", _T5 | {"num_experts": 8, "num_sparse_encoder_layers": 1, "expert_capacity": 64}),
    "mixtral": ("web_nlg", _MOE | {"num_local_experts": 3}),  # under other names in the file
    "gpt_oss": (
        "web_nlg",
        _MOE | {"num_local_experts": 3, "num_experts_per_tok": 2, "head_dim": 8, "layer_types": ["full_attention"]},
    ),  # stacks
    "nomic_bert": ("mrpc", {**_MOE, "max_position_embeddings": 160}),  # under other names in the file
}
WRITES = ["schedule.final=1", "task.generate=false", "task.primary_metric=likelihood", "task.max_length=120"]


@pytest.mark.parametrize("kind", quick(["led", "mixtral", "gpt_oss"], MODELS))
def test_exactly_the_zeros_asked_for_whatever_the_architecture(kind: str, tmp_path: Path) -> None:
    """Counted in the file by a reader that knows nothing of the names, and the same in a sparse file."""
    task, sizes = MODELS[kind]
    random = json.dumps({"model_type": kind, **sizes}).replace('"', "")
    run = do(
        tmp_path,
        f"task={task}",
        "model=tiny_bert" if task != "web_nlg" else "model=tiny_llama",
        "~model.random",
        f"+model.random={random}",
        "model.architecture=null",
        "sparsity=0.8",
        "regularization=none",
        "trainer.max_steps=4",
        "trainer.eval_steps=4",
        "trainer.batch_size=2",
        "schedule.delta_t=1",
        *(WRITES if task == "web_nlg" else []),
    )
    sparsity = run.result.sparsity
    assert sparsity.zeros_by_mask == round(0.8 * sparsity.prunable)
    saved = load_file(run.folder / "model" / "model.safetensors")
    found = sum(
        int((each == 0).sum())
        for name, each in saved.items()
        if each.ndim > 1 and not name.endswith("bias") and "embed" not in name
    )
    assert found == sparsity.zeros_in_file >= sparsity.zeros_by_mask
    assert found - sparsity.zeros_by_mask < 10  # what has come back, and has not moved since

    model = run.folder / "model"
    export(Source(model, None), Wanted(format="sparse"), tmp_path / "sparse", lambda _: None)
    dense, sparse = class_of(model).from_pretrained(model).state_dict(), load_sparse(tmp_path / "sparse").state_dict()
    assert dense.keys() == sparse.keys()
    assert all(torch.equal(dense[name], sparse[name]) for name in dense)
