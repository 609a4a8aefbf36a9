"""One number a record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import torch
from torch.nn.functional import mse_loss

from prune_cli.objectives.base import Batch, Features, inputs_of, padded

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PreTrainedTokenizerBase

    from prune_cli.regularizers import Distillation


@final
@dataclass(frozen=True)
class Regression:
    """Squared distance to each record's number; the view is the predictions, [records].

    Attributes:
        tokenizer: Pads the batches.
    """

    tokenizer: PreTrainedTokenizerBase

    def collate(self, features: Features) -> dict[str, Tensor]:
        """Pad the inputs; labels are [records], float32."""
        batch = padded(self.tokenizer, features)
        if "labels" in features[0]:
            batch["labels"] = torch.tensor([feature["labels"] for feature in features], dtype=torch.float32)
        return batch

    def view(self, model: nn.Module, batch: Batch) -> Tensor:
        """The predictions, [records]."""
        return model(**inputs_of(batch)).logits.squeeze(-1)

    def loss(self, view: Tensor, batch: Batch, taught: Tensor | None, rule: Distillation | None) -> Tensor:
        """Mean over the records."""
        if taught is None or rule is None:
            return mse_loss(view.float(), batch["labels"])
        return rule.regression_loss(view, taught, batch["labels"])

    def outputs(self, model: nn.Module, batch: Batch, view: Tensor) -> tuple[Tensor, ...]:
        """The predictions, [records]."""
        return (view.float(),)
