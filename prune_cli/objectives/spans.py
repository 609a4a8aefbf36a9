"""The first and the last token of an answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, final

import torch

from prune_cli.objectives.base import IGNORED, Batch, Features, decision_losses, inputs_of, padded

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PreTrainedTokenizerBase

    from prune_cli.regularizers import Distillation

IMPOSSIBLE = -1e30  # a finite logit whose probability is 0 at any temperature: infinities would make a KL of 0 * nan


class SpanView(NamedTuple):
    """Logits of the first and the last token, [windows, tokens] each, padding masked out, and tokens a window."""

    start: Tensor
    end: Tensor
    tokens: Tensor


@final
@dataclass(frozen=True)
class Spans:
    """Mean of two cross-entropies over the tokens of a window: where the answer starts, and where it ends.

    Padding is no candidate, neither in the loss nor in the confidence, which divides by the logarithm of the window's own
    number of tokens; so a window's loss is the same however far its batch is padded.

    Attributes:
        tokenizer: Pads the batches.
    """

    tokenizer: PreTrainedTokenizerBase

    def collate(self, features: Features) -> dict[str, Tensor]:
        """Pad the inputs on the right, where positions of answers do not move; labels are [windows, 2]."""
        assert self.tokenizer.padding_side == "right", "positions of answers count from the left"
        batch = padded(self.tokenizer, features)
        if "labels" in features[0]:
            batch["labels"] = torch.tensor([feature["labels"] for feature in features])
        return batch

    def view(self, model: nn.Module, batch: Batch) -> SpanView:
        """The logits over the tokens that are there."""
        result, mask = model(**inputs_of(batch)), batch["attention_mask"].bool()
        start, end = (
            logits.float().masked_fill(~mask, IMPOSSIBLE) for logits in (result.start_logits, result.end_logits)
        )
        return SpanView(start, end, mask.sum(-1))

    def loss(self, view: SpanView, batch: Batch, taught: SpanView | None, rule: Distillation | None) -> Tensor:
        """Mean over the windows, and over start and end."""
        start, end = batch["labels"].unbind(-1)
        starts = decision_losses(view.start, start, None if taught is None else taught.start, rule, view.tokens)
        ends = decision_losses(view.end, end, None if taught is None else taught.end, rule, view.tokens)
        return (starts + ends).mean() / 2

    def outputs(self, model: nn.Module, batch: Batch, view: SpanView) -> tuple[Tensor, ...]:
        """Start and end logits, [windows, tokens] each, -100 on padding."""
        padding = ~batch["attention_mask"].bool()
        return view.start.masked_fill(padding, IGNORED), view.end.masked_fill(padding, IGNORED)
