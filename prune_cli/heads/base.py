"""What every head is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, TypeVar

import torch
from jaxtyping import Int
from torch import Tensor
from torch.nn.functional import pad
from torch.nn.utils.rnn import pad_sequence

if TYPE_CHECKING:
    from torch import nn
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
    def collator(self, tokenizer: PreTrainedTokenizerBase, multiple: int = 1) -> Collator:
        """Make what turns encoded records into a batch; `labels` are in it where the records have them.

        All that depends on the values of a batch is told by it, so that nobody waits for a device to count.

        Args:
            multiple: Of tokens, up to which inputs are padded.
        """

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

    def rows(self, outputs: Outputs) -> tuple[Tensor, ...] | None:
        """The outputs with one row an input, as a teacher's are kept; None where they are too large, or nobody has told how.

        Returns:
            Tensors, [inputs, ...] or [inputs, tokens, ...].
        """
        return None

    def outputs_of(self, rows: Sequence[tuple[Tensor, ...]], batch: Batch) -> Outputs:
        """The outputs of a batch, from the rows of others, which may be wider or narrower.

        Args:
            rows: Of each input what `rows` gave, which was not None.
        """
        raise NotImplementedError

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


_NO_INPUTS = frozenset({"labels", "labelled", "places"})


def inputs_of(batch: Batch) -> dict[str, Any]:
    """What of a batch a model is given."""
    return {name: value for name, value in batch.items() if name not in _NO_INPUTS}


def padded(tokenizer: PreTrainedTokenizerBase, features: Features, multiple: int = 1) -> dict[str, Any]:
    """What the tokenizer made, as wide as the longest record; `places` of records that have such, if padding is on the right.

    Args:
        multiple: Of which the width is one.
    """
    fillings = {"input_ids": tokenizer.pad_token_id, "token_type_ids": tokenizer.pad_token_type_id}
    names = [name for name in tokenizer.model_input_names if name in features[0]]
    side: str = tokenizer.padding_side
    batch: dict[str, Any] = {
        name: rectangle([feature[name] for feature in features], fillings.get(name, 0), side, multiple) for name in names
    }
    if "place" in features[0] and side == "right":
        batch["places"] = [feature["place"] for feature in features]
    return batch


def rectangle(rows: Sequence[Sequence[int] | Tensor], filling: int, side: str, multiple: int = 1) -> Int[Tensor, "rows width"]:
    """Rows of numbers, filled up to the longest.

    Args:
        side: Where they are filled up, "left" or "right".
        multiple: Of which the width is one.

    >>> rectangle([[1], [2, 3]], 0, "left")
    tensor([[0, 1],
            [2, 3]])
    """
    made = pad_sequence([torch.as_tensor(row) for row in rows], True, filling, side).long()
    further = -made.shape[1] % multiple
    return pad(made, (further, 0) if side == "left" else (0, further), value=filling) if further else made


def as_wide(rows: Sequence[Tensor], batch: Batch, filling: float) -> Tensor:
    """Rows of tokens, [tokens, ...] each, as wide as a batch, whose padding is on the right."""
    width = batch["input_ids"].shape[1]
    made = pad_sequence(list(rows), True, filling)[:, :width]
    return pad(made, (*(0, 0) * (made.ndim - 2), 0, width - made.shape[1]), value=filling)


def one_label_each(tokenizer: PreTrainedTokenizerBase, dtype: torch.dtype, multiple: int) -> Collator:
    """A collator that pads the inputs; labels are [inputs], or [inputs, n] where each has n.

    Args:
        dtype: Of the labels.
        multiple: See `padded`.
    """

    def collate(features: Features) -> dict[str, Any]:
        batch = padded(tokenizer, features, multiple)
        if "labels" in features[0]:
            batch["labels"] = torch.stack([torch.as_tensor(feature["labels"]) for feature in features]).to(dtype)
        return batch

    return collate
