"""One class a labelled token."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, final

import torch

from prune_cli.heads import IGNORED
from prune_cli.heads.base import Batch, Collator, Features, Head, as_wide, inputs_of, named_classes, padded, rectangle
from prune_cli.heads.decisions import Choice

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PreTrainedTokenizerBase

    from prune_cli.models.architectures import Architecture


@final
class Tokens(Head["Tensor"]):
    """A decision a labelled token; the outputs are the logits, [inputs, tokens, classes]."""

    auto_classes: ClassVar[Mapping[Architecture, str]] = {"encoder": "AutoModelForTokenClassification"}

    def options(self, labels: Sequence[str]) -> dict[str, Any]:
        """The classes."""
        return named_classes(labels)

    def collator(self, tokenizer: PreTrainedTokenizerBase, multiple: int = 1) -> Collator:
        """Pad the inputs; labels are [inputs, tokens], padded with -100 on the tokenizer's side.

        `labelled` are the places of labelled tokens among all, [decisions].
        """

        def collate(features: Features) -> dict[str, Any]:
            batch = padded(tokenizer, features, multiple)
            if "labels" in features[0]:
                rows = [feature["labels"] for feature in features]
                batch["labels"] = rectangle(rows, IGNORED, tokenizer.padding_side, multiple)
                batch["labelled"] = (batch["labels"] != IGNORED).flatten().nonzero().squeeze(1)
            return batch

        return collate

    def count(self, batch: Batch) -> int:
        """The labelled tokens."""
        return len(batch["labelled"])

    def outputs(self, model: nn.Module, batch: Batch) -> Tensor:
        """The logits, [inputs, tokens, classes]."""
        return model(**inputs_of(batch)).logits

    def rows(self, outputs: Tensor) -> tuple[Tensor]:
        """The logits."""
        return (outputs,)

    def outputs_of(self, rows: Sequence[tuple[Tensor, ...]], batch: Batch) -> Tensor:
        """The logits; of padding any will do."""
        return as_wide([row for (row,) in rows], batch, 0.0)

    def decisions(self, outputs: Tensor, batch: Batch) -> tuple[Choice]:
        """The class of each labelled token."""
        labelled = batch["labelled"]
        return (Choice(outputs.flatten(0, 1)[labelled], batch["labels"].flatten()[labelled]),)

    def predictions(
        self, model: nn.Module, batch: Batch, outputs: Tensor, tokenizer: PreTrainedTokenizerBase
    ) -> tuple[Tensor, ...]:
        """The most probable class of each token and its probability, [inputs, tokens] each.

        Both are -100 on padding, and where the logits are not finite. Tokens begin at the left, whatever side is padded.
        """
        mask = batch["attention_mask"].bool()
        probabilities, classes = outputs.float().softmax(-1).max(-1)
        lost = ~(outputs.isfinite().all(-1) & mask)
        if tokenizer.padding_side == "left":
            order = mask.logical_not().to(torch.uint8).argsort(dim=1, stable=True)  # real tokens first, in their order
            probabilities, classes, lost = (values.gather(1, order) for values in (probabilities, classes, lost))
        return classes.masked_fill(lost, IGNORED), probabilities.masked_fill(lost, IGNORED)
