"""The first and the last token of an answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, final

import torch

from prune_cli.heads import IGNORED
from prune_cli.heads.base import Batch, Collator, Head, as_wide, inputs_of, one_label_each
from prune_cli.heads.decisions import Choice

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from prune_cli.models.architectures import Architecture

IMPOSSIBLE = -1e30  # a finite logit whose probability is 0 at any temperature: infinities would make a KL of 0 * nan


class SpanOutputs(NamedTuple):
    """Logits of the first and the last token, [windows, tokens] each, padding masked out, and tokens a window."""

    start: Tensor
    end: Tensor
    tokens: Tensor


@final
class Spans(Head[SpanOutputs]):
    """Two decisions a window, over its tokens: where the answer starts, and where it ends.

    Padding is no candidate, neither in the loss nor in the confidence, which divides by the logarithm of the window's own
    number of tokens; so a window's loss is the same however far its batch is padded.
    """

    auto_classes: ClassVar[Mapping[Architecture, str]] = {"encoder": "AutoModelForQuestionAnswering"}

    def options(self, labels: Sequence[str]) -> dict[str, Any]:
        """Two outputs a token."""
        return {"num_labels": 2}

    def collator(self, tokenizer: PreTrainedTokenizerBase, multiple: int = 1) -> Collator:
        """Pad the inputs on the right, where positions of answers do not move; labels are [windows, 2]."""
        return one_label_each(tokenizer, torch.int64, multiple)

    def count(self, batch: Batch) -> int:
        """Two a window."""
        return 2 * len(batch["labels"])

    def outputs(self, model: nn.Module, batch: Batch) -> SpanOutputs:
        """The logits over the tokens that are there."""
        result, mask = model(**inputs_of(batch)), batch["attention_mask"].bool()
        start, end = (logits.float().masked_fill(~mask, IMPOSSIBLE) for logits in (result.start_logits, result.end_logits))
        return SpanOutputs(start, end, mask.sum(-1))

    def rows(self, outputs: SpanOutputs) -> tuple[Tensor, Tensor]:
        """The logits."""
        return outputs.start, outputs.end

    def outputs_of(self, rows: Sequence[tuple[Tensor, ...]], batch: Batch) -> SpanOutputs:
        """The logits, padding masked out."""
        start, end = (as_wide(each, batch, IMPOSSIBLE) for each in zip(*rows, strict=True))
        return SpanOutputs(start, end, batch["attention_mask"].sum(-1))

    def decisions(self, outputs: SpanOutputs, batch: Batch) -> tuple[Choice, Choice]:
        """The start of each window's answer, and its end."""
        start, end = batch["labels"].unbind(-1)
        return Choice(outputs.start, start, outputs.tokens), Choice(outputs.end, end, outputs.tokens)

    def predictions(
        self, model: nn.Module, batch: Batch, outputs: SpanOutputs, tokenizer: PreTrainedTokenizerBase
    ) -> tuple[Tensor, ...]:
        """Start and end logits, [windows, tokens] each, -100 on padding."""
        padding = ~batch["attention_mask"].bool()
        return outputs.start.masked_fill(padding, IGNORED), outputs.end.masked_fill(padding, IGNORED)

    def problem(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> str | None:
        """Padding on the left would move the positions of answers, which are counted from there."""
        return "its tokenizer pads on the left" if tokenizer.padding_side == "left" else None
