"""One class a record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, final

import torch

from prune_cli.heads.base import Batch, Collator, Head, inputs_of, named_classes, one_label_each
from prune_cli.heads.decisions import Choice

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PreTrainedTokenizerBase

    from prune_cli.models.architectures import Architecture


class OneEach(Head["Tensor"]):
    """A decision a record."""

    auto_classes: ClassVar[Mapping[Architecture, str]] = {"encoder": "AutoModelForSequenceClassification"}

    def count(self, batch: Batch) -> int:
        """The records."""
        return len(batch["labels"])

    def rows(self, outputs: Tensor) -> tuple[Tensor]:
        """The outputs."""
        return (outputs,)

    def outputs_of(self, rows: Sequence[tuple[Tensor, ...]], batch: Batch) -> Tensor:
        """The rows."""
        return torch.stack([row for (row,) in rows])

    def predictions(
        self, model: nn.Module, batch: Batch, outputs: Tensor, tokenizer: PreTrainedTokenizerBase
    ) -> tuple[Tensor, ...]:
        """The outputs."""
        return (outputs.float(),)


@final
class Classification(OneEach):
    """A class a record; the outputs are the logits, [records, classes]."""

    def options(self, labels: Sequence[str]) -> dict[str, Any]:
        """The classes."""
        return {**named_classes(labels), "problem_type": "single_label_classification"}

    def collator(self, tokenizer: PreTrainedTokenizerBase, multiple: int = 1) -> Collator:
        """Pad the inputs; labels are [records]."""
        return one_label_each(tokenizer, torch.int64, multiple)

    def outputs(self, model: nn.Module, batch: Batch) -> Tensor:
        """The logits, [records, classes]."""
        return model(**inputs_of(batch)).logits

    def decisions(self, outputs: Tensor, batch: Batch) -> tuple[Choice]:
        """The class of each record."""
        return (Choice(outputs, batch["labels"]),)
