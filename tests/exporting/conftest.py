"""Saved tiny models of each kind, with tokenizers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from prune_cli import models
from prune_cli.exporting.source import Source
from prune_cli.heads.classification import Classification
from prune_cli.heads.regression import Regression
from prune_cli.heads.spans import Spans
from prune_cli.heads.text import Text
from prune_cli.heads.tokens import Tokens
from prune_cli.pruning.scope import prunable_weights

TEXTS = ["Ada wrote it .", "Who wrote it ?", "a text that nobody wrote , of some words"]
_SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
ENCODER = {"model_type": "bert", "vocab_size": 60, **_SIZES}
LLAMA = {"model_type": "llama", "vocab_size": 60, **_SIZES, "num_key_value_heads": 2, "max_position_embeddings": 512}
T5 = {"model_type": "t5", "vocab_size": 60, "d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4}
KINDS = {
    "classes": (ENCODER, Classification(), ("no", "yes")),
    "tokens": (ENCODER, Tokens(), ("O", "B-PER", "I-PER")),
    "number": (ENCODER, Regression(), ()),
    "conll": (
        ENCODER,
        Tokens(),
        ("O", *(f"{place}-{kind}" for kind in ("PER", "ORG", "LOC", "MISC") for place in "BI")),
    ),
    "spans": (ENCODER, Spans(), ()),
    "text": (LLAMA, Text(max_new_tokens=8, beams=1), ()),
    "seq2seq": (T5, Text(max_new_tokens=8, beams=1), ()),
}


@pytest.fixture(scope="session")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Save a pruned model of a kind, once."""
    made: dict[str, Path] = {}

    def save(kind: str) -> Path:
        if kind not in made:
            folder = made[kind] = tmp_path_factory.mktemp(kind)
            config, head, labels = KINDS[kind]
            torch.manual_seed(0)
            tokenizer = models.random_tokenizer(config, TEXTS)
            model = models.random_model(config, head=head, labels=labels, tokenizer=tokenizer)
            with torch.no_grad():
                for weight in prunable_weights(model).values():
                    weight.normal_().masked_fill_(torch.rand_like(weight) < 0.95, 0)
            model.save_pretrained(folder)
            tokenizer.save_pretrained(folder)
        return made[kind]

    return save


@pytest.fixture
def source(saved: Callable[[str], Path]) -> Callable[[str], Source]:
    """A saved model of a kind, without a task."""
    return lambda kind: Source(saved(kind), None)
