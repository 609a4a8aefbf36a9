"""A model as graphs of tensors: what goes in and comes out by name, for exporters that know nothing of transformers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple, cast

import torch
from torch import Tensor, nn
from transformers import GenerationMixin
from transformers.modeling_outputs import BaseModelOutput

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from prune_cli.exporting.source import Inputs

Axes = Mapping[int, str]


class Graph(NamedTuple):
    """One graph.

    Attributes:
        name: Of its file, without an ending.
        module: Takes `inputs` in their order and gives a tuple of `outputs`.
        inputs: An example, with padding: a mask without a zero is taken for a constant by some exporters.
        axes: For each input its dimensions of any length, by name.
    """

    name: str
    module: Part
    inputs: Inputs
    axes: Mapping[str, Axes]
    outputs: tuple[str, ...]


_TEXT: Axes = {0: "batch", 1: "length"}
_TARGET: Axes = {0: "batch", 1: "target_length"}


def graphs(model: PreTrainedModel, example: Inputs) -> list[Graph]:
    """The graphs of a model: one, or those of encoder and decoder.

    Args:
        model: With a head that gives `logits`, or `start_logits` and `end_logits`.
        example: What its forward takes, two records or more of different lengths.
    """
    if model.config.is_encoder_decoder:
        source = {name: example[name] for name in ("input_ids", "attention_mask")}
        encoder = _Encoder(cast("PreTrainedModel", model.get_encoder()))
        with torch.no_grad():
            (hidden,) = encoder(*source.values())
        target = {
            "decoder_input_ids": example["decoder_input_ids"],
            "encoder_hidden_states": hidden,
            "encoder_attention_mask": example["attention_mask"],
        }
        return [
            Graph("encoder_model", encoder, source, dict.fromkeys(source, _TEXT), ("last_hidden_state",)),
            Graph(
                "decoder_model",
                _Decoder(model),
                target,
                {"decoder_input_ids": _TARGET, "encoder_hidden_states": _TEXT, "encoder_attention_mask": _TEXT},
                ("logits",),
            ),
        ]
    with torch.no_grad():
        result = model(**example)
    outputs = tuple(name for name in ("logits", "start_logits", "end_logits") if name in result)
    return [Graph("model", _Whole(model, tuple(example), outputs), example, dict.fromkeys(example, _TEXT), outputs)]


class Part(nn.Module):
    """A model, or a part of it, that takes tensors and gives tensors.

    Attributes:
        model: Or the part.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model = model


class _Whole(Part):
    def __init__(self, model: PreTrainedModel, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> None:
        super().__init__(model)
        self.inputs, self.outputs = inputs, outputs
        cached = isinstance(model, GenerationMixin)
        self.options = {"use_cache": False} if cached else {}  # a decoder's cache would be more outputs

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        outputs = self.model(**dict(zip(self.inputs, inputs, strict=True)), **self.options)
        return tuple(outputs[name] for name in self.outputs)


class _Encoder(Part):
    def forward(self, *inputs: Tensor) -> tuple[Tensor]:
        ids, mask = inputs
        return (self.model(input_ids=ids, attention_mask=mask).last_hidden_state,)


class _Decoder(Part):
    def forward(self, *inputs: Tensor) -> tuple[Tensor]:
        ids, hidden, mask = inputs
        given = BaseModelOutput(last_hidden_state=cast("torch.FloatTensor", hidden))
        outputs = self.model(encoder_outputs=given, attention_mask=mask, decoder_input_ids=ids, use_cache=False)
        return (outputs.logits,)
