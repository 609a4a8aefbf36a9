"""One number a record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, final

import torch

from prune_cli.heads.base import Batch, Collator, Features, Head, inputs_of, padded
from prune_cli.heads.decisions import Number

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PreTrainedTokenizerBase

    from prune_cli.models.architectures import Architecture


@final
class Regression(Head["Tensor"]):
    """A number a record; the outputs are the numbers, [records]."""

    auto_classes: ClassVar[Mapping[Architecture, str]] = {"encoder": "AutoModelForSequenceClassification"}

    def options(self, labels: Sequence[str]) -> dict[str, Any]:
        """One output."""
        return {"num_labels": 1, "problem_type": "regression"}

    def collator(self, tokenizer: PreTrainedTokenizerBase) -> Collator:
        """Pad the inputs; labels are [records], float32."""

        def collate(features: Features) -> dict[str, Any]:
            batch = padded(tokenizer, features)
            if "labels" in features[0]:
                batch["labels"] = torch.tensor([feature["labels"] for feature in features], dtype=torch.float32)
            return batch

        return collate

    def count(self, batch: Batch) -> int:
        """The records."""
        return len(batch["labels"])

    def outputs(self, model: nn.Module, batch: Batch) -> Tensor:
        """The numbers, [records]."""
        return model(**inputs_of(batch)).logits.squeeze(-1)

    def decisions(self, outputs: Tensor, batch: Batch) -> tuple[Number]:
        """The number of each record."""
        return (Number(outputs, batch["labels"]),)

    def predictions(
        self, model: nn.Module, batch: Batch, outputs: Tensor, tokenizer: PreTrainedTokenizerBase
    ) -> tuple[Tensor, ...]:
        """The numbers, [records]."""
        return (outputs.float(),)
