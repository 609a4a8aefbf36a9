"""A teacher that stays is asked once about a record, whatever the batches are that it comes in."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
import torch
from transformers import (
    AutoConfig,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    PreTrainedTokenizerBase,
)

from prune_cli.distillation import Distillation, cache
from prune_cli.distillation.cache import OutputCache
from prune_cli.distillation.teacher import Teacher
from prune_cli.heads import IGNORED
from prune_cli.heads.base import Head
from prune_cli.heads.classification import Classification
from prune_cli.heads.regression import Regression
from prune_cli.heads.spans import Spans
from prune_cli.heads.tokens import Tokens

SIZES = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16, "vocab_size": 20}
HEADS: dict[str, tuple[Head[Any], Any, int]] = {
    "classification": (Classification(), AutoModelForSequenceClassification, 3),
    "regression": (Regression(), AutoModelForSequenceClassification, 1),
    "tokens": (Tokens(), AutoModelForTokenClassification, 5),
    "spans": (Spans(), AutoModelForQuestionAnswering, 2),
}


def record(kind: str, place: int) -> dict[str, Any]:
    """The record at a place, the longer the later it comes."""
    length = 3 + place
    labels: dict[str, Any] = {
        "classification": place % 3,
        "regression": place / 2,
        "tokens": [IGNORED, *(token % 5 for token in range(length - 1))],
        "spans": [1, length - 1],
    }
    ids = [3 + (token + place) % 10 for token in range(length)]
    return {"input_ids": ids, "attention_mask": [1] * length, "labels": labels[kind], "place": place}


@pytest.fixture
def tokenizer(tiny_tokenizer: Callable[[list[str]], PreTrainedTokenizerBase]) -> PreTrainedTokenizerBase:
    return tiny_tokenizer(["a text"])


class Asked(torch.nn.Module):
    """A model that counts the records it reads."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model, self.rows = model, 0

    def forward(self, **inputs: Any) -> Any:
        self.rows += len(inputs["input_ids"])
        return self.model(**inputs)


def made(kind: str) -> tuple[Head[Any], Asked]:
    head, auto, labels = HEADS[kind]
    torch.manual_seed(0)
    return head, Asked(auto.from_config(AutoConfig.for_model("bert", **SIZES, num_labels=labels)).eval())


def logits(head: Head[Any], outputs: Any, batch: Any) -> list[torch.Tensor]:
    return [each[0] for each in head.decisions(outputs, batch)]


@pytest.mark.parametrize("kind", HEADS)
@torch.no_grad()
def test_it_says_what_the_teacher_says(kind: str, tokenizer: PreTrainedTokenizerBase) -> None:
    (head, teacher), collate = made(kind), HEADS[kind][0].collator(tokenizer)
    kept = OutputCache()
    for places, asked in (((0, 5), 2), ((0, 1, 2), 4), ((5, 1), 4), ((2, 7, 0), 5), ((0, 1, 2, 5, 7), 5)):
        batch = collate([record(kind, place) for place in places])
        found = logits(head, kept.outputs(teacher, head, batch), batch)
        assert teacher.rows == asked
        expected = logits(head, head.outputs(teacher.model, batch), batch)
        for mine, theirs in zip(found, expected, strict=True):
            torch.testing.assert_close(mine, theirs)
    assert (kept.asked, kept.served) == (15, 10)

    buffer = io.BytesIO()
    torch.save(kept.state(), buffer)
    buffer.seek(0)
    resumed = OutputCache()
    resumed.load(torch.load(buffer, weights_only=True))
    batch = collate([record(kind, place) for place in (7, 0, 5)])
    both = [logits(head, each.outputs(teacher, head, batch), batch) for each in (kept, resumed)]
    assert all(map(torch.equal, *both))
    assert teacher.rows == 5
    assert (resumed.asked, resumed.served) == (kept.asked, kept.served)


@torch.no_grad()
def test_what_there_is_no_room_for_is_asked_again(tokenizer: PreTrainedTokenizerBase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "MOST", 2 * 3 * 4)  # two records of three logits
    head, teacher = made("classification")
    kept = OutputCache()
    for _ in range(2):
        for places in ((0, 1), (2, 3)):
            batch = head.collator(tokenizer)([record("classification", place) for place in places])
            torch.testing.assert_close(kept.outputs(teacher, head, batch), head.outputs(teacher.model, batch))
    assert (teacher.rows, kept.served) == (6, 2)


@torch.no_grad()
def test_of_outputs_that_are_no_rows_nothing_is_kept_or_counted(
    tokenizer: PreTrainedTokenizerBase, monkeypatch: pytest.MonkeyPatch
) -> None:
    head, teacher = made("classification")
    monkeypatch.setattr(Classification, "rows", Head.rows)
    batch = head.collator(tokenizer)([record("classification", place) for place in (0, 1)])
    kept = OutputCache()
    assert all(kept.outputs(teacher, head, batch).shape == (2, 3) for _ in range(2))
    assert (teacher.rows, kept.asked, kept.served) == (4, 0, 0)


def test_it_forgets_when_the_student_becomes_the_teacher(tokenizer: PreTrainedTokenizerBase) -> None:
    head, model = made("classification")
    batch = head.collator(tokenizer)([record("classification", place) for place in (0, 1)])
    teacher = Teacher(Distillation(), lambda: made("classification")[1].model)

    def taught() -> torch.Tensor:
        reading = teacher.reading(head, batch)
        assert reading is not None
        return reading.decisions[0][0]

    teacher.consider(model.model, 10, 0.5)
    assert teacher.cache is not None
    first = taught()
    with torch.no_grad():
        model.model.classifier.bias.add_(1)
    assert torch.equal(taught(), first)
    assert teacher.cache.served == 2
    teacher.consider(model.model, 20, 0.6)
    torch.testing.assert_close(taught(), first + 1)
    assert teacher.cache.served == 2


def test_what_changes_with_the_batch_or_the_step_is_not_kept(tokenizer: PreTrainedTokenizerBase) -> None:
    for rule in (Distillation(update="ema"), Distillation(hidden=1.0), Distillation(attention=1.0)):
        assert Teacher(rule, lambda: made("classification")[1].model).cache is None
    tokenizer.padding_side = "left"  # where places of tokens depend on the batch
    try:
        batch = Tokens().collator(tokenizer)([record("tokens", place) for place in (0, 1)])
    finally:
        tokenizer.padding_side = "right"
    assert "places" not in batch


def test_its_layers_have_the_precision_that_they_compute_in(tokenizer: PreTrainedTokenizerBase) -> None:
    head, model = made("classification")
    batch = head.collator(tokenizer)([record("classification", place) for place in (0, 5)])
    said = []
    for precision in ("fp32", "bf16"):
        teacher = Teacher(Distillation(), lambda: made("classification")[1].model, precision=precision)
        teacher.consider(model.model, 10, 0.5)
        assert teacher.model is not None
        kinds = {type(m).__name__: p.dtype for m in teacher.model.modules() for p in m.parameters(recurse=False)}
        half = torch.bfloat16 if precision == "bf16" else torch.float32
        assert kinds == {"Embedding": torch.float32, "LayerNorm": torch.float32, "Linear": half}
        with torch.autocast("cpu", torch.bfloat16):
            reading = teacher.reading(head, batch)
        assert reading is not None
        said.append(reading.decisions[0][0])
    assert torch.equal(*said)
