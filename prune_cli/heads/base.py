"""What every head is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, TypeVar

import torch

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from prune_cli.heads.decisions import Decisions
    from prune_cli.models.architectures import Architecture

Batch = Mapping[str, Any]
Features = Sequence[Mapping[str, Any]]
Collator = Callable[[Features], dict[str, Any]]
Outputs = TypeVar("Outputs")
Stack = Literal["whole", "source", "target"]
"""Of blocks: the only one that a model has, or of an encoder-decoder the one that reads and the one that writes."""


class Head(ABC, Generic[Outputs]):
    """A kind of output: how it is called in transformers, batched, trained and read.

    `outputs` is the one pass through a model, student or teacher; everything else works on what it gave.

    Attributes:
        auto_classes: Which class of transformers makes a model with such a head, by the kinds of model that can have one.
    """

    auto_classes: ClassVar[Mapping[Architecture, str]]

    @abstractmethod
    def options(self, labels: Sequence[str]) -> dict[str, Any]:
        """What a model's configuration in transformers says of the head.

        Args:
            labels: Names of the classes in label order, empty where there are none.
        """

    @abstractmethod
    def collator(self, tokenizer: PreTrainedTokenizerBase) -> Collator:
        """Make what turns encoded records into a batch; `labels` are in it where the records have them."""

    @abstractmethod
    def count(self, batch: Batch) -> int:
        """How many decisions a batch with labels holds: over so many the loss is a mean."""

    def token_mask(self, batch: Batch, stack: Stack) -> Tensor:
        """Which tokens a stack of blocks reads that are no padding, [rows, tokens]; columns behind them are all padding.

        Args:
            stack: Which one; models with this head have one, unless it says otherwise.
        """
        return batch["attention_mask"].bool()

    @abstractmethod
    def outputs(self, model: nn.Module, batch: Batch) -> Outputs:
        """Run a model on a batch and keep what decisions and predictions need."""

    @abstractmethod
    def decisions(self, outputs: Outputs, batch: Batch) -> Decisions:
        """What a model has decided where there are labels, whatever the batch's padding."""

    @abstractmethod
    def predictions(
        self, model: nn.Module, batch: Batch, outputs: Outputs, tokenizer: PreTrainedTokenizerBase
    ) -> tuple[Tensor, ...]:
        """What a task's `predictions` reads: tensors with one row an input of the batch, padded with -100."""

    def problem(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> str | None:
        """Why a model cannot be trained with this head, of which its kind says nothing; None where all is well.

        Args:
            model: In evaluation mode.
            tokenizer: The model's.
        """
        return None


def named_classes(labels: Sequence[str]) -> dict[str, Any]:
    """How a configuration of transformers names classes."""
    return {
        "num_labels": len(labels),
        "id2label": dict(enumerate(labels)),
        "label2id": {label: index for index, label in enumerate(labels)},
    }


def inputs_of(batch: Batch) -> dict[str, Any]:
    """The batch without its labels."""
    return {name: value for name, value in batch.items() if name != "labels"}


def padded(tokenizer: PreTrainedTokenizerBase, features: Features) -> dict[str, Tensor]:
    """Pad what the tokenizer made to the longest record, and leave the other columns out."""
    from transformers import DataCollatorWithPadding

    names = [name for name in tokenizer.model_input_names if name in features[0]]
    return dict(DataCollatorWithPadding(tokenizer)([{name: feature[name] for name in names} for feature in features]))


def one_label_each(tokenizer: PreTrainedTokenizerBase, dtype: torch.dtype | None = None) -> Collator:
    """A collator that pads the inputs; labels are [inputs], or [inputs, n] where each has n.

    Args:
        dtype: Of the labels; None for what the records have.
    """

    def collate(features: Features) -> dict[str, Any]:
        batch = padded(tokenizer, features)
        if "labels" in features[0]:
            batch["labels"] = torch.tensor([feature["labels"] for feature in features], dtype=dtype)
        return batch

    return collate
