"""A text, token by token."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, cast, final

import torch
from torch import Tensor
from torch.nn.functional import linear, pad

from prune_cli.errors import UserError
from prune_cli.heads import IGNORED
from prune_cli.heads.base import Batch, Collator, Features, Head, Stack, rectangle
from prune_cli.heads.decisions import Choice

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from prune_cli.models.architectures import Architecture

PAD_TO_MULTIPLE_OF = 16
"""Tokens that a model and its output layer are given in training are a multiple of it. Every batch has other lengths; for each
new one oneDNN would keep kernels and the heap leave holes, so that a long run on a CPU would take twice the memory."""

_LARGE = 100.0  # a logit that every cap would change


@final
class Vocabulary(NamedTuple):
    """The output layer of a language model.

    Attributes:
        weight: [vocabulary, width].
        bias: [1, vocabulary] or [vocabulary]; None without one.
    """

    weight: Tensor
    bias: Tensor | None

    @classmethod
    def of(cls, layer: nn.Module, bias: Tensor | None = None) -> Vocabulary:
        """That of a layer. Under autocast its weight is converted here once, and not again for each piece of a batch."""
        linear_layer = cast("nn.Linear", layer)
        weight = linear_layer.weight
        if torch.is_autocast_enabled(weight.device.type):
            weight = weight.to(torch.get_autocast_dtype(weight.device.type))
        return cls(weight, linear_layer.bias if bias is None else bias)

    @property
    def classes(self) -> int:
        """Size of the vocabulary."""
        return len(self.weight)

    def __call__(self, hidden: Tensor) -> Tensor:
        """The logits, [tokens, vocabulary], of hidden states, [tokens, width]."""
        product = linear(pad(hidden, (0, 0, 0, _rounded(len(hidden)) - len(hidden))), self.weight)[: len(hidden)]
        return product if self.bias is None else product + self.bias


class TextOutputs(NamedTuple):
    """What predicts the labelled tokens of a batch.

    Attributes:
        hidden: What the output layer reads, [labelled tokens, width].
    """

    hidden: Tensor
    layer: Vocabulary


@final
@dataclass(frozen=True, kw_only=True)
class Text(Head[TextOutputs]):
    """A decision over the vocabulary at each token of the target, and no other; for decoders and encoder-decoders.

    Attributes:
        max_new_tokens: Tokens of a generated text at most, > 0.
        beams: Beams of the search, > 0; 1 is greedy.
    """

    max_new_tokens: int
    beams: int

    auto_classes: ClassVar[Mapping[Architecture, str]] = {
        "decoder": "AutoModelForCausalLM",
        "encoder-decoder": "AutoModelForSeq2SeqLM",
    }

    def options(self, labels: Sequence[str]) -> dict[str, Any]:
        """Nothing: the vocabulary is the model's."""
        return {}

    def collator(self, tokenizer: PreTrainedTokenizerBase, multiple: int = 1) -> Collator:
        """Make sources and targets rectangular.

        The batch has `source` and `source_mask`, [records, tokens], padded on the tokenizer's side (a decoder's on the left: it
        writes on from their end), and with targets `labels`, [records, tokens], padded with -100 on the right; further
        `labelled`, [2, decisions], the record of each token of the targets and its place there, and `longest`, the tokens of
        the longest source and target together. What a model reads is padded up to multiples anyway.
        """
        side: str = tokenizer.padding_side
        padding = cast("int", tokenizer.pad_token_id)

        def collate(features: Features) -> dict[str, Any]:
            sources = [torch.as_tensor(feature["source_ids"]) for feature in features]
            batch: dict[str, Any] = {
                "source": rectangle(sources, padding, side),
                "source_mask": rectangle([torch.ones_like(source) for source in sources], 0, side),
            }
            if "target_ids" in features[0]:
                targets = [feature["target_ids"] for feature in features]
                batch["labels"] = rectangle(targets, IGNORED, "right")
                batch["labelled"] = (batch["labels"] != IGNORED).nonzero().T.contiguous()
                batch["longest"] = max(len(source) + len(target) for source, target in zip(sources, targets, strict=True))
            return batch

        return collate

    def count(self, batch: Batch) -> int:
        """The tokens of the targets."""
        return batch["labelled"].shape[1]

    def token_mask(self, batch: Batch, stack: Stack) -> Tensor:
        """Sources, targets, or both as they are joined for a decoder: all that pads them is on the right."""
        source, target = batch["source_mask"].bool(), batch["labels"] != IGNORED
        if stack != "whole":
            return source if stack == "source" else target
        columns = torch.arange(source.shape[1] + target.shape[1], device=source.device)
        return columns < (source.sum(1) + target.sum(1)).unsqueeze(1)

    def outputs(self, model: nn.Module, batch: Batch) -> TextOutputs:
        """The hidden states that predict the targets; none without targets."""
        bare = cast("PreTrainedModel", model)
        matrix = cast("nn.Module", bare.get_output_embeddings())
        layer = Vocabulary.of(matrix, _bias_of_its_own(bare))
        if "labels" not in batch:
            return TextOutputs(batch["source"].new_empty(0, 0), layer)
        positions: int | None = getattr(bare.config, "max_position_embeddings", None)
        records, places = batch["labelled"].unbind()
        if bare.config.is_encoder_decoder:
            labels = _widened(batch["labels"], positions, IGNORED)
            inputs = {
                "input_ids": _widened(batch["source"], positions),
                "attention_mask": _widened(batch["source_mask"], positions),
                "decoder_input_ids": shifted(labels, bare),
            }
            return TextOutputs(_hidden(model, matrix, inputs)[records, places], layer)
        ids = _widened(_joined(batch["source"], batch["source_mask"], batch["labels"], batch["longest"]), positions)
        hidden = _hidden(model, matrix, {"input_ids": ids})
        before = batch["source_mask"].sum(1)[records] + places - 1  # a token is predicted at the one before it
        return TextOutputs(hidden[records, before], layer)

    def decisions(self, outputs: TextOutputs, batch: Batch) -> tuple[Choice]:
        """Each token of the targets."""
        records, places = batch["labelled"].unbind()
        return (Choice(outputs.hidden, batch["labels"][records, places], layer=outputs.layer),)

    def predictions(
        self, model: nn.Module, batch: Batch, outputs: TextOutputs, tokenizer: PreTrainedTokenizerBase
    ) -> tuple[Tensor, ...]:
        """The generated tokens without the end and what follows it, [records, tokens], padded with -100."""
        from transformers import GenerationConfig

        bare = cast("PreTrainedModel", model)
        asked = GenerationConfig(
            max_new_tokens=self.max_new_tokens,
            num_beams=self.beams,
            do_sample=False,
            pad_token_id=tokenizer.pad_token_id,
            eos_token_id=tokenizer.eos_token_id,
            bos_token_id=tokenizer.bos_token_id,
            decoder_start_token_id=bare.config.to_dict().get("decoder_start_token_id"),
        )
        tokens: Tensor = cast("Any", bare).generate(
            input_ids=batch["source"], attention_mask=batch["source_mask"], generation_config=asked
        )
        tokens = tokens[:, 1:] if bare.config.is_encoder_decoder else tokens[:, batch["source"].shape[1] :]
        ended = tokens.eq(cast("int", tokenizer.eos_token_id)).cumsum(1) > 0
        return (tokens.masked_fill(ended, IGNORED),)

    @torch.no_grad()
    def problem(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> str | None:
        """An architecture that changes its logits behind the output layer (soft caps, scales) would be trained on others.

        A cap leaves small logits nearly as they are, and a new model has no others, so large ones are tried too. One that reads
        what comes after a token, as XLNet does, would learn to copy it.
        """
        end = cast("int", tokenizer.eos_token_id)
        batch = self.collator(tokenizer)([{"source_ids": [end], "target_ids": [end, end]}])
        outputs = self.outputs(model, batch)
        if model.config.is_encoder_decoder:
            inputs = {"input_ids": batch["source"], "labels": batch["labels"]}
        else:
            inputs = {"input_ids": torch.cat([batch["source"], batch["labels"][:, :-1]], dim=1)}
        layer = cast("nn.Module", model.get_output_embeddings())
        large = torch.linspace(-_LARGE, _LARGE, outputs.layer.classes)
        hook = layer.register_forward_hook(lambda _layer, _inputs, made: large.expand_as(cast("Tensor", made)))
        try:
            behind = model(**inputs).logits[0]
        finally:
            hook.remove()
        bias = _bias_of_its_own(model)
        expected = large if bias is None else large + bias
        ours, theirs = outputs.layer(outputs.hidden), model(**inputs).logits[0]
        if not model.config.is_encoder_decoder:
            other = torch.tensor([[end, (end + 1) % outputs.layer.classes]])
            if not torch.allclose(model(input_ids=other).logits[0, 0], theirs[0], rtol=1e-4, atol=1e-5):
                return f"{type(model).__name__} reads what comes after a token, and would learn to copy it: it does not write"
        if all(torch.allclose(a, b, rtol=1e-3, atol=1e-3) for a, b in ((ours, theirs), (expected.expand_as(behind), behind))):
            return None
        return f"{type(model).__name__} changes its logits behind the output layer, which training here would not see"


def _bias_of_its_own(model: PreTrainedModel) -> Tensor | None:
    """What a model adds to the logits behind its output layer, as BART does."""
    return dict(model.named_buffers()).get("final_logits_bias")


def shifted(labels: Tensor, model: PreTrainedModel) -> Tensor:
    """What the decoder of an encoder-decoder reads: the labels one token later, behind the start.

    Args:
        labels: [records, tokens], with -100 behind a text.
        model: Its own way counts, where it tells one.

    Raises:
        UserError: If it tells neither a way nor a start.
    """
    own = getattr(model, "prepare_decoder_input_ids_from_labels", None)
    if own is not None:
        return own(labels=labels)
    settings = model.config.to_dict()
    start = settings.get("decoder_start_token_id")
    if start is None:
        raise UserError(
            f"{type(model).__name__} does not tell how its texts begin: set decoder_start_token_id in its config.json"
        )
    moved = pad(labels[:, :-1], (1, 0), value=start)
    return moved.masked_fill(moved == IGNORED, settings.get("pad_token_id") or 0)


def _joined(source: Tensor, source_mask: Tensor, labels: Tensor, longest: int) -> Tensor:
    """Sources and targets end to end, whatever padded them, with all padding on the right.

    A decoder looks back only, so what stands behind a text changes nothing in it: no attention mask is needed, which saves a
    twentieth of a step, nor are there as many columns as the longest source and the longest target have together.

    Returns:
        Tokens, [records, longest].
    """
    mask = torch.cat([source_mask.bool(), labels != IGNORED], dim=1)
    order = mask.sort(dim=1, descending=True, stable=True).indices[:, :longest]
    tokens = torch.cat([source, labels.clamp(min=0)], dim=1)  # behind a text any token will do
    return tokens.gather(1, order)


def _rounded(count: int) -> int:
    """The next multiple of PAD_TO_MULTIPLE_OF."""
    return -(-count // PAD_TO_MULTIPLE_OF) * PAD_TO_MULTIPLE_OF


def _widened(values: Tensor, positions: int | None, filling: int = 0) -> Tensor:
    """With columns at the right up to a multiple of PAD_TO_MULTIPLE_OF, as far as the model has positions."""
    width = values.shape[1]
    wanted = _rounded(width) if positions is None else max(width, min(_rounded(width), positions))
    return pad(values, (0, wanted - width), value=filling)


def _hidden(model: nn.Module, output_layer: nn.Module, inputs: dict[str, Tensor]) -> Tensor:
    """What the output layer would read, [records, tokens, width]; it is given nothing, so that no logits are made."""
    caught: list[Tensor] = []

    def catch(_: nn.Module, arguments: tuple[Tensor]) -> tuple[Tensor]:
        caught.append(arguments[0])
        return (arguments[0][:, :0],)

    hook = output_layer.register_forward_pre_hook(catch)
    try:
        model(**inputs, use_cache=False)
    finally:
        hook.remove()
    return caught[0]
