"""One number a record."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, final

import torch

from prune_cli.heads.base import Batch, Collator, inputs_of, one_label_each
from prune_cli.heads.classification import OneEach
from prune_cli.heads.decisions import Number

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PreTrainedTokenizerBase


@final
class Regression(OneEach):
    """A number a record; the outputs are the numbers, [records]."""

    def options(self, labels: Sequence[str]) -> dict[str, Any]:
        """One output."""
        return {"num_labels": 1, "problem_type": "regression"}

    def collator(self, tokenizer: PreTrainedTokenizerBase, multiple: int = 1) -> Collator:
        """Pad the inputs; labels are [records], float32."""
        return one_label_each(tokenizer, torch.float32, multiple)

    def outputs(self, model: nn.Module, batch: Batch) -> Tensor:
        """The numbers, [records]."""
        return model(**inputs_of(batch)).logits.squeeze(-1)

    def decisions(self, outputs: Tensor, batch: Batch) -> tuple[Number]:
        """The number of each record."""
        return (Number(outputs, batch["labels"]),)
