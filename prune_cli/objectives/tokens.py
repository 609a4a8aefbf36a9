"""One class a labelled token."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import torch
from torch.nn.utils.rnn import pad_sequence

from prune_cli.objectives.base import IGNORED, Batch, Features, decision_losses, inputs_of, padded

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PreTrainedTokenizerBase

    from prune_cli.regularizers import Distillation


@final
@dataclass(frozen=True)
class Tokens:
    """Cross-entropy over the classes of each labelled token; the view is the logits, [records, tokens, classes].

    Attributes:
        tokenizer: Pads the batches.
    """

    tokenizer: PreTrainedTokenizerBase

    def collate(self, features: Features) -> dict[str, Tensor]:
        """Pad the inputs; labels are [records, tokens], padded with -100 on the tokenizer's side."""
        batch = padded(self.tokenizer, features)
        if "labels" in features[0]:
            labels = [torch.tensor(feature["labels"]) for feature in features]
            side = self.tokenizer.padding_side
            batch["labels"] = pad_sequence(labels, batch_first=True, padding_value=IGNORED, padding_side=side)
        return batch

    def view(self, model: nn.Module, batch: Batch) -> Tensor:
        """The logits, [records, tokens, classes]."""
        return model(**inputs_of(batch)).logits

    def loss(self, view: Tensor, batch: Batch, taught: Tensor | None, rule: Distillation | None) -> Tensor:
        """Mean over the labelled tokens."""
        labelled = batch["labels"] != IGNORED
        teacher = None if taught is None else taught[labelled]
        return decision_losses(view[labelled], batch["labels"][labelled], teacher, rule).mean()

    def outputs(self, model: nn.Module, batch: Batch, view: Tensor) -> tuple[Tensor, ...]:
        """The most probable classes, [records, tokens], -100 on padding and where the logits are not finite."""
        sound = view.isfinite().all(-1) & batch["attention_mask"].bool()
        return (view.argmax(-1).masked_fill(~sound, IGNORED),)
