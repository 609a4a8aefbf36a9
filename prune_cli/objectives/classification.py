"""One class a record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import torch

from prune_cli.objectives.base import Batch, Features, decision_losses, inputs_of, padded

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PreTrainedTokenizerBase

    from prune_cli.regularizers import Distillation


@final
@dataclass(frozen=True)
class Classification:
    """Cross-entropy over the classes of each record; the view is the logits, [records, classes].

    Attributes:
        tokenizer: Pads the batches.
    """

    tokenizer: PreTrainedTokenizerBase

    def collate(self, features: Features) -> dict[str, Tensor]:
        """Pad the inputs; labels are [records]."""
        batch = padded(self.tokenizer, features)
        if "labels" in features[0]:
            batch["labels"] = torch.tensor([feature["labels"] for feature in features])
        return batch

    def view(self, model: nn.Module, batch: Batch) -> Tensor:
        """The logits, [records, classes]."""
        return model(**inputs_of(batch)).logits

    def loss(self, view: Tensor, batch: Batch, taught: Tensor | None, rule: Distillation | None) -> Tensor:
        """Mean over the records."""
        return decision_losses(view, batch["labels"], taught, rule).mean()

    def outputs(self, model: nn.Module, batch: Batch, view: Tensor) -> tuple[Tensor, ...]:
        """The logits, [records, classes]."""
        return (view.float(),)
