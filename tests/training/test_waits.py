"""Nothing in a step waits for the device; what a device would be asked is counted on the processor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest
import torch
from torch.nn.utils import clip_grad_norm_
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForQuestionAnswering,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    PreTrainedTokenizerBase,
)

from prune_cli.distillation import Distillation
from prune_cli.distillation.teacher import Teacher
from prune_cli.heads import IGNORED
from prune_cli.heads.base import Head
from prune_cli.heads.classification import Classification
from prune_cli.heads.regression import Regression
from prune_cli.heads.spans import Spans
from prune_cli.heads.text import Text
from prune_cli.heads.tokens import Tokens
from prune_cli.models.prunable import prunable
from prune_cli.pruning.criteria import Pins
from prune_cli.pruning.patterns import Unstructured
from prune_cli.pruning.pruner import Pruner
from prune_cli.pruning.schedules import Cubic
from prune_cli.training.learning import Learning
from prune_cli.training.loop import objective
from prune_cli.training.optimizer import LearningRate, adamw
from tests.waits import counted, like_a_gpu

BERT = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
TEXT = {"pad_token_id": 0, "eos_token_id": 1, "bos_token_id": 1, "decoder_start_token_id": 0}
READ = {"input_ids": [3, 4, 5], "attention_mask": [1, 1, 1]}
WRITE = {"source_ids": [3, 4], "target_ids": [5, 1]}
KINDS: dict[str, tuple[Head[Any], Any, Any, dict[str, Any]]] = {
    "classification": (Classification(), AutoModelForSequenceClassification, ("bert", BERT), {**READ, "labels": 1}),
    "regression": (
        Regression(),
        AutoModelForSequenceClassification,
        ("bert", {**BERT, "num_labels": 1}),
        {**READ, "labels": 0.5},
    ),
    "tokens": (Tokens(), AutoModelForTokenClassification, ("bert", BERT), {**READ, "labels": [IGNORED, 1, 0]}),
    "spans": (Spans(), AutoModelForQuestionAnswering, ("bert", BERT), {**READ, "labels": [1, 2]}),
    "decoder": (
        Text(max_new_tokens=4, beams=1),
        AutoModelForCausalLM,
        ("gpt2", {"n_embd": 16, "n_layer": 1, "n_head": 2, **TEXT}),
        WRITE,
    ),
    "encoder-decoder": (
        Text(max_new_tokens=4, beams=1),
        AutoModelForSeq2SeqLM,
        ("t5", {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 1, "num_heads": 2, **TEXT}),
        WRITE,
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_waits_for_nothing(
    kind: str, tiny_tokenizer: Callable[[list[str]], PreTrainedTokenizerBase], monkeypatch: pytest.MonkeyPatch
) -> None:
    head, auto, (architecture, sizes), record = KINDS[kind]
    like_a_gpu(monkeypatch)
    torch.manual_seed(0)
    config = AutoConfig.for_model(architecture, vocab_size=20, **sizes)
    model, rule = auto.from_config(config), Distillation()
    matrices, layout = prunable(model, Unstructured())
    it = Learning(
        model=model,
        head=head,
        batches=cast("Any", None),
        regularization=rule,
        teacher=Teacher(rule, lambda: auto.from_config(config), precision="bf16"),
        pruner=Pruner(
            matrices,
            criterion=Pins(),
            schedule=Cubic(initial=20.0, final=20.0),
            pattern=Unstructured(),
            sparsity=0.5,
            total_steps=100,
            layout=layout,
        ),
        optimizer=adamw(model, weight_decay=0.0),
        rate=LearningRate(peak=1e-3, warmup=0, shape="constant", total_steps=100),
        max_grad_norm=1.0,
        precision="bf16",
        device=torch.device("cpu"),
    )
    collate = head.collator(tiny_tokenizer(["a text"]))

    def step(number: int) -> None:
        places = [number, number + 1]  # one record is new, the other was in the step before
        batch = collate([{**record, "place": place} for place in places])
        decisions = head.count(batch)
        with counted() as seen:
            loss = objective(it, batch, decisions, 2)
            loss.backward()
            clip_grad_norm_(model.parameters(), it.max_grad_norm)
            it.pruner.score(number, 1e-3)
            it.optimizer.step()
            it.pruner.select(number)
            it.optimizer.zero_grad()
        assert number == 0 or seen.waits == []  # the first step looks at its gradients

    step(0)
    assert it.teacher is not None
    it.teacher.consider(model, 1, 0.5)
    for number in range(1, 4):
        step(number)
    assert it.teacher.cache is not None
    assert it.teacher.cache.served == (0 if "coder" in kind else 2)
