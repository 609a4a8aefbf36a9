"""Losses are those of the library's own heads, do not depend on padding, and agree with the formula of self-regularization."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import linear
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForQuestionAnswering,
    AutoModelForSeq2SeqLM,
    AutoModelForTokenClassification,
    PreTrainedTokenizerFast,
)

from prune_cli.distillation import Distillation
from prune_cli.errors import UserError
from prune_cli.heads import IGNORED, decisions, text
from prune_cli.heads.base import Head, inputs_of
from prune_cli.heads.classification import Classification
from prune_cli.heads.decisions import Choice, task_loss
from prune_cli.heads.regression import Regression
from prune_cli.heads.spans import IMPOSSIBLE, Spans
from prune_cli.heads.text import Text, Vocabulary, shifted
from prune_cli.heads.tokens import Tokens

SIZES: dict[str, Mapping[str, Any]] = {
    "gpt2": {"n_embd": 16, "n_layer": 2, "n_head": 2},
    "llama": {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32},
    "t5": {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 2, "num_heads": 2},
    "bart": (BART := {
        "d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2,
        "decoder_attention_heads": 2, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32,
    }),
    "m2m_100": BART,
}  # fmt: skip
WORDS = 20


@pytest.fixture
def tokenizer() -> PreTrainedTokenizerFast:
    from tokenizers import Tokenizer, models

    vocab = {"[PAD]": 0, "</s>": 1, **{f"w{number}": number for number in range(2, WORDS)}}
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel(vocab, unk_token="w2")), pad_token="[PAD]", eos_token="</s>"
    )


def encoder(auto: Any, **options: Any) -> Any:
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    return auto.from_config(AutoConfig.for_model("bert", vocab_size=WORDS, **sizes, **options)).eval()


def writer(kind: str, seed: int = 0, **options: Any) -> Any:
    torch.manual_seed(seed)
    special = {"pad_token_id": 0, "eos_token_id": 1, "bos_token_id": 1, "decoder_start_token_id": 0}
    config = AutoConfig.for_model(kind, vocab_size=WORDS, **SIZES[kind], **special, **options)
    auto = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
    return auto.from_config(config).eval()


def loss_of(head: Head[Any], model: Any, batch: Mapping[str, Tensor], teacher: Any = None) -> Tensor:
    """The mean loss of a batch."""
    made = head.decisions(head.outputs(model, batch), batch)
    if teacher is None:
        return task_loss(made) / head.count(batch)
    with torch.no_grad():
        taught = head.decisions(head.outputs(teacher, batch), batch)
    return Distillation().decision_loss(made, taught) / head.count(batch)


# tokens


def test_tokens_loss_is_the_librarys_and_padding_changes_nothing(tokenizer: PreTrainedTokenizerFast) -> None:
    head, model = Tokens(), encoder(AutoModelForTokenClassification, num_labels=5)
    one = {"input_ids": [3, 4, 5], "attention_mask": [1, 1, 1], "labels": [IGNORED, 2, 4], "extra": "left out"}
    long = {"input_ids": [6] * 9, "attention_mask": [1] * 9, "labels": [IGNORED] * 9}
    alone, padded = head.collator(tokenizer)([one]), head.collator(tokenizer)([one, long])
    assert padded["labels"].tolist()[0] == [IGNORED, 2, 4] + [IGNORED] * 6
    assert set(alone) == {"input_ids", "attention_mask", "labels", "labelled"}
    loss = loss_of(head, model, alone)
    torch.testing.assert_close(loss, model(**inputs_of(alone), labels=alone["labels"]).loss)
    torch.testing.assert_close(loss, loss_of(head, model, padded))
    teacher = encoder(AutoModelForTokenClassification, num_labels=5)
    torch.nn.init.normal_(teacher.classifier.weight)
    torch.testing.assert_close(loss_of(head, model, alone, teacher), loss_of(head, model, padded, teacher))


def test_tokens_predictions_are_classes_and_their_probability(tokenizer: PreTrainedTokenizerFast) -> None:
    head, model = Tokens(), encoder(AutoModelForTokenClassification, num_labels=5)
    batch = head.collator(tokenizer)([{"input_ids": [3, 4], "attention_mask": [1, 1]}, {"input_ids": [3], "attention_mask": [1]}])
    logits = head.outputs(model, batch)
    classes, probabilities = head.predictions(model, batch, logits, tokenizer)
    assert classes.tolist() == [logits[0].argmax(-1).tolist(), [int(logits[1, 0].argmax()), IGNORED]]
    assert probabilities[0].tolist() == pytest.approx(logits[0].softmax(-1).amax(-1).tolist())
    assert probabilities[1, 1] == IGNORED
    logits[0, 1, 0] = float("nan")
    assert [values[0, 1] for values in head.predictions(model, batch, logits, tokenizer)] == [IGNORED, IGNORED]


def test_tokens_predictions_begin_at_the_left_whatever_side_is_padded(tokenizer: PreTrainedTokenizerFast) -> None:
    head, model = Tokens(), encoder(AutoModelForTokenClassification, num_labels=5)
    rows = [{"input_ids": [3, 4, 5], "attention_mask": [1, 1, 1]}, {"input_ids": [6], "attention_mask": [1]}]
    tokenizer.padding_side = "left"
    try:
        batch = head.collator(tokenizer)(rows)
        logits = head.outputs(model, batch)
        classes, _ = head.predictions(model, batch, logits, tokenizer)
    finally:
        tokenizer.padding_side = "right"
    assert classes.tolist() == [logits[0].argmax(-1).tolist(), [int(logits[1, 2].argmax()), IGNORED, IGNORED]]


# spans


def test_spans_loss_is_over_the_tokens_that_are_there(tokenizer: PreTrainedTokenizerFast) -> None:
    head, model = Spans(), encoder(AutoModelForQuestionAnswering)
    one = {"input_ids": [3, 4, 5, 6], "attention_mask": [1] * 4, "labels": [1, 3]}
    long = {"input_ids": [6] * 12, "attention_mask": [1] * 12, "labels": [0, 0]}
    alone, padded = head.collator(tokenizer)([one]), head.collator(tokenizer)([one, long])
    loss = loss_of(head, model, alone)
    own = model(**{k: v for k, v in alone.items() if k != "labels"}, start_positions=torch.tensor([1]),
                end_positions=torch.tensor([3]))  # fmt: skip
    torch.testing.assert_close(loss, own.loss)
    view = head.outputs(model, padded)
    assert view.start[0, 4:].tolist() == view.end[0, 4:].tolist() == pytest.approx([IMPOSSIBLE] * 8)
    assert view.tokens.tolist() == [4, 12]
    teacher = encoder(AutoModelForQuestionAnswering)
    torch.nn.init.normal_(teacher.qa_outputs.weight)
    together = loss_of(head, model, head.collator(tokenizer)([long]), teacher) + loss_of(head, model, alone, teacher)
    torch.testing.assert_close(loss_of(head, model, padded, teacher), together / 2)
    starts, ends = head.predictions(model, padded, view, tokenizer)
    assert starts[0, 4:].tolist() == ends[0, 4:].tolist() == [IGNORED] * 8


def test_spans_gradient_is_finite_beside_padding(tokenizer: PreTrainedTokenizerFast) -> None:
    head, model = Spans(), encoder(AutoModelForQuestionAnswering)
    teacher = encoder(AutoModelForQuestionAnswering)
    one = {"input_ids": [3, 4], "attention_mask": [1] * 2, "labels": [1, 1]}
    long = {"input_ids": [6] * 12, "attention_mask": [1] * 12, "labels": [3, 4]}
    loss_of(head, model, head.collator(tokenizer)([one, long]), teacher).backward()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)


# text

PAIRS = [
    {"source_ids": [3, 4, 5], "target_ids": [6, 7, 1]},
    {"source_ids": [8], "target_ids": [9, 10, 11, 12, 1]},
]


def text_head(tokenizer: PreTrainedTokenizerFast, model: Any) -> Text:
    tokenizer.padding_side = "right" if model.config.is_encoder_decoder else "left"
    return Text(max_new_tokens=6, beams=1)


def plain_loss(model: Any, pair: Mapping[str, list[int]]) -> Tensor:
    """The library's own loss of one pair, without padding."""
    source, target = torch.tensor([pair["source_ids"]]), torch.tensor([pair["target_ids"]])
    if model.config.is_encoder_decoder:
        return model(input_ids=source, labels=target).loss
    ids = torch.cat([source, target], dim=1)
    return model(input_ids=ids, labels=ids.clone().index_fill_(1, torch.arange(source.shape[1]), IGNORED)).loss


@pytest.mark.parametrize("kind", SIZES)
def test_text_loss_is_the_librarys_and_padding_changes_nothing(kind: str, tokenizer: PreTrainedTokenizerFast) -> None:
    model = writer(kind)
    head = text_head(tokenizer, model)
    each = torch.stack([plain_loss(model, pair) for pair in PAIRS])
    torch.testing.assert_close(loss_of(head, model, head.collator(tokenizer)(PAIRS[:1])), each[0])
    both = loss_of(head, model, head.collator(tokenizer)(PAIRS))
    torch.testing.assert_close(both, (each * torch.tensor([3, 5])).sum() / 8)  # per token: eight of them


@pytest.mark.parametrize(("positions", "width"), [(64, 32), (20, 20)], ids=["room", "no room"])
@pytest.mark.parametrize("kind", SIZES)
def test_models_are_given_few_widths_and_no_more_than_they_have_positions(
    kind: str, positions: int, width: int, tokenizer: PreTrainedTokenizerFast, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = writer(kind, **({} if kind == "t5" else {"max_position_embeddings": positions}))
    head = text_head(tokenizer, model)
    widths: set[int] = set()
    reader = model.get_encoder() if model.config.is_encoder_decoder else model
    reader.get_input_embeddings().register_forward_hook(lambda _, given, made: widths.add(given[0].shape[1]))
    rows: list[int] = []

    def spied(hidden: Tensor, weight: Tensor) -> Tensor:
        rows.append(len(hidden))
        return linear(hidden, weight)

    monkeypatch.setattr(text, "linear", spied)
    pair = {"source_ids": [3] * (17 if model.config.is_encoder_decoder else 14), "target_ids": [6, 7, 1]}
    loss = loss_of(head, model, head.collator(tokenizer)([pair]))
    torch.testing.assert_close(loss, plain_loss(model, pair))
    assert max(widths) == (32 if kind == "t5" else width)
    assert set(rows) == {16}


def test_a_vocabulary_is_converted_once_and_its_gradient_is_that_of_the_weights() -> None:
    matrix, bias = torch.nn.Linear(4, 6), torch.ones(6)
    assert Vocabulary.of(matrix) == (matrix.weight, matrix.bias)
    with torch.autocast("cpu", torch.bfloat16):
        layer = Vocabulary.of(matrix, bias)
    assert layer.weight.dtype == torch.bfloat16 and layer.bias is bias and layer.classes == 6
    layer(torch.ones(3, 4, dtype=torch.bfloat16)).sum().backward()
    torch.testing.assert_close(matrix.weight.grad, torch.full((6, 4), 3.0))


@pytest.mark.parametrize("kind", SIZES)
@pytest.mark.parametrize("at_once", [1, 3 * WORDS, 1000 * WORDS])
def test_text_in_pieces_is_the_formula_over_whole_logits(
    kind: str, at_once: int, tokenizer: PreTrainedTokenizerFast, monkeypatch: pytest.MonkeyPatch
) -> None:
    student, teacher = writer(kind), writer(kind, seed=1).requires_grad_(False)
    head = text_head(tokenizer, student)
    batch = head.collator(tokenizer)(PAIRS)
    views = [head.outputs(model, batch) for model in (student, teacher)]
    labels = batch["labels"][batch["labels"] != IGNORED]
    logits = [view.layer(view.hidden) for view in views]
    expected = Distillation().decision_loss([Choice(logits[0], labels)], [Choice(logits[1].detach(), labels)]) / len(labels)
    expected.backward()
    gradients = {name: p.grad.clone() for name, p in student.named_parameters() if p.grad is not None}
    student.zero_grad()
    monkeypatch.setattr(decisions, "LOGITS_AT_ONCE", at_once)
    loss = loss_of(head, student, batch, teacher)
    loss.backward()
    torch.testing.assert_close(loss, expected)
    assert gradients
    for name, parameter in student.named_parameters():
        if name in gradients:
            torch.testing.assert_close(parameter.grad, gradients[name], msg=name)


@pytest.mark.parametrize("kind", SIZES)
@pytest.mark.parametrize("beams", [1, 2])
def test_text_outputs_are_what_each_source_alone_would_give(kind: str, beams: int, tokenizer: PreTrainedTokenizerFast) -> None:
    model = writer(kind)
    tokenizer.padding_side = "right" if model.config.is_encoder_decoder else "left"
    head = Text(max_new_tokens=6, beams=beams)
    batch = head.collator(tokenizer)(PAIRS)
    (made,) = head.predictions(model, batch, head.outputs(model, batch), tokenizer)
    assert made.shape[0] == 2
    for row, pair in zip(made, PAIRS, strict=True):
        alone = head.collator(tokenizer)([{"source_ids": pair["source_ids"]}])
        assert "labels" not in alone
        (single,) = head.predictions(model, alone, head.outputs(model, alone), tokenizer)
        assert row[row != IGNORED].tolist() == single[single != IGNORED].tolist()
        assert not {0, 1} & set(row.tolist()) - {0}, "nothing after the end, and no end"


def test_tied_embeddings_learn_from_both_uses(tokenizer: PreTrainedTokenizerFast) -> None:
    model = writer("gpt2")
    assert model.lm_head.weight is model.transformer.wte.weight
    head = text_head(tokenizer, model)
    batch = head.collator(tokenizer)(PAIRS[:1])
    loss_of(head, model, batch).backward()
    ours = model.lm_head.weight.grad.clone()
    model.zero_grad()
    plain_loss(model, PAIRS[0]).backward()
    torch.testing.assert_close(ours, model.lm_head.weight.grad)


@pytest.mark.parametrize("kind", SIZES)
def test_an_output_layer_that_is_not_the_last_word_is_told(kind: str, tokenizer: PreTrainedTokenizerFast) -> None:
    """Gemma's cap changes the small logits of a new model by no more than rounding does."""
    model = writer(kind)
    head = text_head(tokenizer, model)
    assert head.problem(model, tokenizer) is None
    original = model.forward

    def capped(*args: Any, **kwargs: Any) -> Any:
        made = original(*args, **kwargs)
        made.logits = 30 * torch.tanh(made.logits / 30)
        return made

    model.forward = capped
    assert "changes its logits" in str(head.problem(model, tokenizer))


def test_texts_say_what_is_no_padding_of_sources_targets_and_both() -> None:
    head = Text(max_new_tokens=4, beams=1)
    batch = {"source_mask": torch.tensor([[0, 1, 1], [1, 1, 1]]), "labels": torch.tensor([[5, IGNORED], [6, 7]])}
    assert head.token_mask(batch, "source").tolist() == [[False, True, True], [True, True, True]]
    assert head.token_mask(batch, "target").tolist() == [[True, False], [True, True]]
    assert head.token_mask(batch, "whole").tolist() == [[True] * 3 + [False] * 2, [True] * 5]


def test_sources_and_targets_are_joined_without_what_padded_them() -> None:
    source, labels = torch.tensor([[0, 0, 3, 4], [0, 5, 6, 7]]), torch.tensor([[8, IGNORED], [9, 2]])
    mask = torch.tensor([[0, 0, 1, 1], [0, 1, 1, 1]])
    tokens = text._joined(source, mask, labels, 5)
    assert tokens.shape == (2, 5)  # as long as the longest pair
    assert tokens[0, :3].tolist() == [3, 4, 8] and tokens[1].tolist() == [5, 6, 7, 9, 2]


def test_logits_have_the_bias_of_their_layer() -> None:
    hidden, weight, bias = torch.randn(3, 4), torch.randn(6, 4), torch.arange(6.0)
    torch.testing.assert_close(Vocabulary(weight, bias)(hidden), hidden @ weight.T + bias)
    torch.testing.assert_close(Vocabulary(weight, None)(hidden), hidden @ weight.T)


@pytest.mark.parametrize(("kind", "begins"), [("t5", 0), ("gpt2", None)])
def test_texts_are_searched_for_as_was_asked(
    kind: str, begins: int | None, tokenizer: PreTrainedTokenizerFast, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer.bos_token, tokenizer.padding_side = "w3", "right" if kind == "t5" else "left"
    model, head = writer(kind), Text(max_new_tokens=4, beams=3)
    if kind == "gpt2":
        del model.config.decoder_start_token_id
    asked: dict[str, Any] = {}

    def generate(**options: Any) -> Tensor:
        asked.update(options)
        begun = torch.zeros(2, 1, dtype=torch.long) if kind == "t5" else options["input_ids"]
        return torch.cat([begun, torch.tensor([[5, 6, 1, 7], [8, 1, 1, 1]])], dim=1)

    monkeypatch.setattr(model, "generate", generate)
    batch = head.collator(tokenizer)([{"source_ids": [2, 3]}, {"source_ids": [4]}])
    (made,) = head.predictions(model, batch, head.outputs(model, batch), tokenizer)
    assert made.tolist() == [[5, 6, IGNORED, IGNORED], [8, IGNORED, IGNORED, IGNORED]]
    config = asked["generation_config"]
    assert (config.max_new_tokens, config.num_beams, config.do_sample) == (4, 3, False)
    assert (config.pad_token_id, config.eos_token_id, config.bos_token_id) == (0, 1, 3)
    assert config.decoder_start_token_id == begins
    assert torch.equal(asked["attention_mask"], batch["source_mask"])


def test_classes_are_named_as_a_configuration_names_them() -> None:
    assert Classification().options(("no", "yes")) == {
        "num_labels": 2,
        "id2label": {0: "no", 1: "yes"},
        "label2id": {"no": 0, "yes": 1},
        "problem_type": "single_label_classification",
    }
    assert inputs_of({"input_ids": 1, "labels": 2}) == {"input_ids": 1}


def test_a_decoder_that_reads_what_comes_next_is_told(tokenizer: PreTrainedTokenizerFast) -> None:
    config = AutoConfig.for_model("xlnet", vocab_size=WORDS, d_model=16, n_layer=1, n_head=2, d_inner=32)
    model = AutoModelForCausalLM.from_config(config).eval()
    assert "reads what comes after a token" in str(text_head(tokenizer, model).problem(model, tokenizer))


def test_labels_are_shifted_as_bart_does_where_a_model_tells_no_way_of_its_own() -> None:
    bart, labels = writer("bart"), torch.tensor([[4, 5, 6, 1], [7, 1, IGNORED, IGNORED]])
    m2m = writer("m2m_100")
    assert not hasattr(m2m, "prepare_decoder_input_ids_from_labels")
    assert torch.equal(shifted(labels, m2m), bart.prepare_decoder_input_ids_from_labels(labels=labels))
    m2m.config.decoder_start_token_id = None
    with pytest.raises(UserError, match="decoder_start_token_id"):
        shifted(labels, m2m)


@torch.no_grad()
def test_a_bias_behind_the_output_layer_is_seen(tokenizer: PreTrainedTokenizerFast) -> None:
    model, head = writer("bart"), Text(max_new_tokens=4, beams=1)
    model.final_logits_bias.normal_()
    assert head.problem(model, tokenizer) is None


@torch.no_grad()
def test_targets_are_widened_no_further_than_a_model_has_positions(tokenizer: PreTrainedTokenizerFast) -> None:
    model, head = writer("bart", max_position_embeddings=5), Text(max_new_tokens=4, beams=1)
    batch = head.collator(tokenizer)([{"source_ids": [2, 3, 4], "target_ids": [5, 6, 1]}])
    assert head.outputs(model, batch).hidden.shape == (3, 16)


def test_a_number_has_one_output_and_its_own_labels() -> None:
    head = Regression()
    assert head.options(()) == {"num_labels": 1, "problem_type": "regression"}
    labels = torch.tensor([1.5, 2.0])
    (number,) = head.decisions(torch.tensor([1.0, 2.0]), {"labels": labels})
    assert number.labels is labels


def test_answers_are_not_looked_for_in_texts_that_are_padded_on_the_left(tokenizer: PreTrainedTokenizerFast) -> None:
    assert Spans().problem(encoder(AutoModelForQuestionAnswering), tokenizer) is None
    tokenizer.padding_side = "left"
    told = Spans().problem(encoder(AutoModelForQuestionAnswering), tokenizer)
    assert told == "its tokenizer pads on the left"
